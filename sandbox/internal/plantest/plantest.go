// Package plantest has what the tests of plans share: the facts of an invented machine,
// shipped policies, and a filter that allows everything.
package plantest

import (
	"path"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sbx/policies"
	"sbx/policy"
	"sbx/policy/seccomp"
	"sbx/sandbox/internal/host"
)

// Debian are the facts of an invented machine: it has a merged /usr, whatever else the
// policy names, and a project in /home/u/p.
func Debian(p *policy.Policy, uid int) *host.Facts {
	h := &host.Facts{UID: uid, GID: uid, Caps: host.Caps{Last: 40}, LSM: host.LSM{Landlock: 7},
		OpenFiles: [2]uint64{1024, 4096}, Owners: map[string]int{"www-data": 33}, Files: map[string]host.File{},
		Masks: []host.Found{{Path: "/proc/keys"}, {Path: "/proc/acpi", Dir: true}}}
	h.Limits.PageSize = 4096
	if uid == 0 {
		h.Caps.Effective, h.Caps.Keepable = 1<<41-1, 1<<41-1
	}
	ino := uint64(100)
	add := func(name string) {
		ino++
		f := host.File{Real: name, Mode: unix.S_IFDIR, Perm: 0o755, Major: 8, Minor: 1, Ino: ino}
		base := path.Base(name)
		switch {
		case slices.Contains([]string{"/bin", "/sbin", "/lib", "/lib64"}, name):
			f.Link, f.Real = "usr"+name, "/usr"+name
		case path.Dir(name) == "/dev" && slices.Contains(host.Devices[:], base):
			f.Mode = unix.S_IFCHR
			f.Rdev = host.DeviceNumber(slices.Index(host.Devices[:], base))
		case strings.HasPrefix(name, "/etc/") && strings.Contains(base, "."), strings.HasPrefix(name, "/var/log/"),
			base == "passwd", base == "group":
			f.Mode = unix.S_IFREG
		case name == "/lib32" || name == "/libx32" || strings.Contains(name, "/etc/pki"):
			return
		case strings.HasPrefix(base, ".") && base != ".ccache" || base == "Makefile":
			f.Mode = unix.S_IFREG
		}
		h.Files[name] = f
	}
	for _, list := range [...][]string{p.Files.Read, p.Files.Write, p.Files.Hide, p.Files.Tmpfs, p.Files.Overlay} {
		for _, s := range list {
			if s = strings.TrimPrefix(s, "?"); s[0] == '/' {
				add(s)
			}
		}
	}
	add("/dev")
	for _, d := range host.Devices {
		add("/dev/" + d)
	}
	if p.Files.Shows("/home/u/p") {
		h.Found = []host.Found{
			{Path: "/home/u/p/.env", Why: "its name is like .env*"},
			{Path: "/home/u/p/.ssh", Dir: true, Why: "its name is like .ssh"},
		}
	}
	if len(p.Files.Guard) > 0 {
		for i, name := range []string{".git", ".gitignore", "Jenkinsfile", "lib/.git"} {
			id := host.File{Major: 8, Minor: 1, Ino: uint64(9000 + i)}.ID()
			h.Guarded = append(h.Guarded, host.Found{Path: "/home/u/p/" + name, Dir: strings.HasSuffix(name, ".git"), ID: id})
		}
	}
	return h
}

// Shipped is a shipped policy, expanded for a user with a project.
func Shipped(t testing.TB, name string) *policy.Policy {
	t.Helper()
	p, err := policies.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	p, err = p.Expand(policy.Vars{Home: "/home/u", CWD: "/home/u/p", User: "u", UID: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Ptr is a pointer to the value.
func Ptr[T any](v T) *T { return &v }

// AllowAll is BPF's "return SECCOMP_RET_ALLOW".
var AllowAll = []seccomp.Program{{6, 0, 0, 0, 0, 0, 0xff, 0x7f}}
