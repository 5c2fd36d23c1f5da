package gateway

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sbx/policy/network"
)

// TestPublishWithoutDescriptors: where the limit on open files leaves none, the hint says so.
func TestPublishWithoutDescriptors(t *testing.T) {
	e := &PublishError{network.Listen{}.At(), unix.EMFILE}
	if !strings.Contains(e.Hint(), "ulimit -n") {
		t.Errorf("%v: the hint is %q", e, e.Hint())
	}
}
