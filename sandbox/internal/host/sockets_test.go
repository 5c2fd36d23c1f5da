package host

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"sbx/policy"
)

// TestShownDirs: what the policy lists is looked through, but for the directories
// of installed software as a whole.
func TestShownDirs(t *testing.T) {
	p := &policy.Policy{Files: policy.Files{
		Read: []string{"/", "/usr", "?/bin", "/etc", "/opt", "/opt/app", "/usr/local", "/usr/lib/app", "/none",
			"/etc/passwd", "/nix/var"},
		Write: []string{"/srv/w"}, Tmpfs: []string{"/tmp"}, Overlay: []string{"/srv/o"},
	}}
	h := &Facts{Files: map[string]File{}}
	for name, real := range map[string]string{
		"/": "/", "/usr": "/usr", "/bin": "/usr/bin", "/etc": "/etc", "/opt": "/opt", "/opt/app": "/opt/app",
		"/usr/local":   "/usr/local",
		"/usr/lib/app": "/usr/lib/app", "/nix/var": "/nix/var", "/srv/w": "/srv/w", "/srv/o": "/srv/o", "/tmp": "/tmp",
	} {
		h.Files[name] = File{Real: real, Mode: unix.S_IFDIR}
	}
	h.Files["/etc/passwd"] = File{Real: "/etc/passwd", Mode: unix.S_IFREG}
	got := h.ShownDirs(p.Tree())
	slices.Sort(got)
	want := []string{"/", "/etc", "/nix/var", "/opt", "/opt/app", "/srv/o", "/srv/w", "/usr/lib/app", "/usr/local"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
