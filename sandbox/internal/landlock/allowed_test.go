package landlock

import (
	"testing"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
)

// TestAllowedBy: a rule counts for all below its path, rules add up, and what the kernel
// does not restrict is allowed.
func TestAllowedBy(t *testing.T) {
	steps := []step.Step{Ruleset{ABI: 3}, Rule{Path: "/usr", Allow: Read}, FoundRule{Path: "/usr/x", Allow: Write},
		FDRule{Path: "/dev/null", Allow: Devices}, JoinedPathRule{Path: "/j", Allow: Read},
		PrivateRule{Name: "tmp", Allow: Write}}
	a, ok := AllowedBy(steps, "/run/p")
	if !ok {
		t.Fatal("it restricts nothing")
	}
	const read, write = Access(unix.LANDLOCK_ACCESS_FS_READ_FILE), Access(unix.LANDLOCK_ACCESS_FS_WRITE_FILE)
	for _, c := range []struct {
		path string
		want Access
	}{
		{"/", 0}, {"/etc/x", 0}, {"/usr", read}, {"/usr/lib/x", read}, {"/usr/x", read | write}, {"/usr/x/y", read | write},
		{"/usrx", 0}, {"/dev/null", read | write}, {"/dev/zero", 0}, {"/j/x", read}, {"/run/p/tmp/x", read | write},
		{"/run/p", 0},
	} {
		if got := a.At(c.path) & (read | write); got != c.want {
			t.Errorf("%s: %#x, want %#x", c.path, got, c.want)
		}
	}
	if a.At("/")&ioctlDev == 0 {
		t.Error("ABI 3 does not restrict ioctl on devices")
	}
	if _, ok := AllowedBy(steps, ""); ok {
		t.Error("the private directory is not known")
	}
	if _, ok := AllowedBy(nil, ""); ok {
		t.Error("there is no domain")
	}
}
