package policy

import (
	"testing"

	"github.com/syndtr/gocapability/capability"
)

// Every capability that the library knows is known here by the same name and
// number; this list goes on to Linux 6.18's last.
func TestCapabilityNames(t *testing.T) {
	names := capabilityNames()
	for _, c := range capability.List() {
		if int(c) >= len(names) || names[c] != c.String() {
			t.Errorf("capability %d is %s to the library", c, c)
		}
	}
	if len(names) != 41 || names[40] != "checkpoint_restore" {
		t.Errorf("%d capabilities, the last is %s", len(names), names[len(names)-1])
	}
}
