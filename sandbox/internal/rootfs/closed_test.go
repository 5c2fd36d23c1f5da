package rootfs_test

import (
	"testing"

	"golang.org/x/sys/unix"

	"sbx/policy"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/rootfs"
)

// TestClosed: an optional entry in a directory that is closed to the caller is left
// out, unless it takes something away from what can be written.
func TestClosed(t *testing.T) {
	no := false
	for _, c := range []struct {
		files policy.Files
		ok    bool
	}{
		{policy.Files{Read: []string{"?/var/log/x/f"}}, true},
		{policy.Files{Write: []string{"?/var/log/x/f"}}, true},
		{policy.Files{Sockets: []string{"?/var/log/x/f"}}, true},
		{policy.Files{Devices: []string{"?/var/log/x/f"}}, true},
		{policy.Files{Read: []string{"/var/log/x/f"}}, false},
		{policy.Files{Sockets: []string{"/var/log/x/f"}}, false},
		{policy.Files{Devices: []string{"/var/log/x/f"}}, false},
		{policy.Files{Write: []string{"/var/log/x"}, Read: []string{"?/var/log/x/f"}}, false},
		{policy.Files{Overlay: []string{"/var/log/x"}, Read: []string{"?/var/log/x/f"}}, false},
	} {
		p := &policy.Policy{Name: "p", Files: c.files}
		h := machine(p, "/var/log/x")
		h.Files["/var/log/x/f"] = host.File{Err: unix.EACCES, Closed: true}
		for _, mounts := range []string{"new", "host"} {
			p.Namespaces.Mount = mounts
			var err error
			if mounts == "new" {
				_, err = rootfs.New(p, host.Target{Dir: "/"}, h, rootfs.Options{})
				p.Files.Proc, p.Files.Dev = &no, &no // without mounts there is neither
			} else if c.files.Sockets == nil && c.files.Devices == nil && c.files.Overlay == nil {
				_, _, err = rootfs.LandlockOnly(p, host.Target{Dir: "/"}, h, false, 0)
			} else {
				continue
			}
			if (err == nil) != c.ok {
				t.Errorf("mount %s, %+v: %v", mounts, c.files, err)
			}
		}
	}
}
