package plan

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sbx/policy"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/plantest"
	"sbx/sandbox/internal/process"
)

// TestSetIDFilter: which of the five filters is loaded, whether the launcher listens,
// and where it looks for files at the end.
func TestSetIDFilter(t *testing.T) {
	const (
		plain, strict    = "no set-id files", "no set-id files, no openat2"
		dirs, dirsStrict = "no set-id files but directories", "no set-id files but directories, no openat2"
		dirsTold         = "no set-id files but directories, openat2 told"
		project, always  = "/home/u/p", true
		root, user       = 0, 1000
	)
	for _, c := range []struct {
		name   string
		role   string
		uid    int
		change func(*policy.Policy, *host.Facts)
		want   string
		look   []string
		always bool
	}{
		{"nothing to write", "pure", user, nil, plain, nil, false},
		{"a tmpfs", "default", user, nil, dirs, nil, false},
		{"a tmpfs, as root", "shell", root, nil, dirs, nil, false},
		{"a log file, as root", "web", root, nil, dirs, nil, false},
		{"the project", "project", user, nil, dirsTold, []string{project}, false},
		{"the project, as root", "project", root, nil, dirsStrict, nil, false},
		{"all", "open", user, nil, dirsTold, []string{"/"}, false},
		{"all, as root", "open", root, nil, dirsStrict, nil, false},
		{"under a filter", "project", user, func(_ *policy.Policy, h *host.Facts) { h.Listener.Err = unix.EBUSY }, plain,
			[]string{project}, always},
		{"under a filter, as root", "project", root, func(_ *policy.Policy,
			h *host.Facts) {
			h.Listener.Err = unix.EBUSY
		}, strict, nil,
			false},
		{"nest", "project", user, func(p *policy.Policy, _ *host.Facts) { yes := true; p.Process.Nest = &yes }, plain,
			[]string{project}, always},
		{"a directory by descriptor", "default", user, func(_ *policy.Policy, h *host.Facts) {
			h.Handed = append(h.Handed, host.Handed{FD: 7, Mode: unix.S_IFDIR})
		}, dirsStrict, nil, false},
		{"a directory by descriptor, and nothing else to write", "pure", user, func(_ *policy.Policy, h *host.Facts) {
			h.Handed = append(h.Handed, host.Handed{FD: 7, Mode: unix.S_IFDIR, Path: true})
		}, dirsStrict, nil, false},
		{"a file by descriptor", "pure", user, func(_ *policy.Policy, h *host.Facts) {
			h.Handed = append(h.Handed, host.Handed{FD: 1, Mode: unix.S_IFREG})
		}, plain, nil, false},
		{"allowed", "project", user, func(p *policy.Policy, _ *host.Facts) { yes := true; p.Files.SetID = &yes }, "",
			nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := plantest.Shipped(t, c.role)
			h := plantest.Debian(p, c.uid)
			if c.change != nil {
				c.change(p, h)
			}
			plan, err := Build(p, plantest.AllowAll, host.Target{Path: "/bin/x", Args: []string{"x"}, Dir: "/"}, h)
			if err != nil {
				t.Fatal(err)
			}
			got, listens := "", false
			for _, s := range plan.Target {
				switch s := s.(type) {
				case process.ListenSetID:
					got, listens = s.Name, true
				case process.Seccomp:
					if strings.HasPrefix(s.Name, "no set-id") {
						got += s.Name
					}
				}
			}
			var look []string
			for _, d := range plan.SetID.Dirs {
				look = append(look, d.Path)
			}
			if got != c.want || listens != strings.HasPrefix(c.want, dirs) || listens != plan.SetID.Listens ||
				!slices.Equal(look, c.look) || plan.SetID.Always != c.always {
				t.Errorf("%q, listener %v, looks at %q, always %v", got, listens, look, plan.SetID.Always)
			}
		})
	}
}
