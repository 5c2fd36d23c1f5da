package systemd

import (
	"strings"
	"testing"

	"sbx/policy"
	"sbx/policy/seccomp"
)

// TestSetID: rules on set-id bits come out as the switch they came in by, and
// only all of them do.
func TestSetID(t *testing.T) {
	p, _, _, err := Import("unit", []byte("[Service]\nSystemCallFilter=@system-service\nRestrictSUIDSGID=yes\n"),
		Options{Native: seccomp.AMD64})
	if err != nil {
		t.Fatal(err)
	}
	out := func() string {
		resolved, err := policy.Resolve(p, nil)
		if err != nil {
			t.Fatal(err)
		}
		unit, _, err := Export(resolved, seccomp.AMD64)
		if err != nil {
			t.Fatal(err)
		}
		return string(unit)
	}
	const line = "\nRestrictSUIDSGID=yes\n"
	if got := out(); !strings.Contains(got, line) || !strings.Contains(got, "openat2") {
		t.Errorf("lost:\n%s", got)
	}
	p.Seccomp.Rules = p.Seccomp.Rules[:len(p.Seccomp.Rules)-1]
	if got := out(); strings.Contains(got, line) {
		t.Error("openat2 makes set-id files, and the unit says that nothing does")
	}
}
