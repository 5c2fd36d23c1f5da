package learn

import (
	"path"
	"slices"
	"strings"

	"sbx/policy"
	"sbx/policy/explain"
)

// Top is a directory directly below the host's root, or the home.
type Top struct {
	Path string
	// Mounts says that other file systems are mounted in it, which no overlay includes.
	Mounts bool
}

// refused are the calls that stay denied besides what package policies' kernel denies: they
// act on the whole machine, or would uncover what is hidden.
var refused = [...]string{
	"@mount", "@clock", "@module", "@reboot", "@swap", "@raw-io", "@keyring", "@io-uring", "open_by_handle_at",
}

// own may trace, in a pid namespace of the sandbox's own, none but its own processes.
var own = [...]string{"ptrace", "process_vm_readv", "process_vm_writev", "kcmp"}

// Calls widens what the resolved policy says of system calls to nearly all there are.
func Calls(p *policy.Policy) *policy.Policy {
	q := *p
	q.Seccomp.Allow = append(slices.Clone(p.Seccomp.Allow), "@known")
	q.Seccomp.Deny = slices.DeleteFunc(append(explode(p.Seccomp.Deny), refused[:]...), func(s string) bool {
		return slices.Contains(own[:], s)
	})
	return &q
}

// Files widens what the expanded policy shows: of the host all that is no secret, in
// such a way that nothing of it is changed. What the policy itself says of a path
// stays. secrets are paths that are there and stay hidden.
func Files(p *policy.Policy, tops []Top, secrets []string, home, dir string) *policy.Policy {
	q := *p
	f := &q.Files
	tree := p.Tree()
	f.Tmpfs, f.Overlay, f.Read, f.Hide = slices.Clone(f.Tmpfs), slices.Clone(f.Overlay), slices.Clone(f.Read),
		slices.Clone(f.Hide)
	for _, t := range tops {
		e, have := tree.Get(t.Path)
		switch {
		case have && e.Kind != policy.KindTmpfs, have && t.Path != home:
			continue
		case t.Path != home && system(t.Path):
			continue // not to be shown, or private anyway
		case t.Path == "/run":
			f.Tmpfs = append(f.Tmpfs, t.Path)
			continue
		}
		f.Tmpfs = slices.DeleteFunc(f.Tmpfs, func(s string) bool { return policy.ParsePath(s).Name == t.Path })
		if t.Mounts {
			f.Read = append(f.Read, "?"+t.Path)
		} else {
			f.Overlay = append(f.Overlay, "?"+t.Path)
		}
	}
	if e, have := tree.Get(dir); dir != "" && (!have || e.Kind == policy.KindRead) {
		f.Read = slices.DeleteFunc(f.Read, func(s string) bool { return policy.ParsePath(s).Name == dir })
		f.Overlay = append(f.Overlay, dir)
	}
	for _, s := range secrets {
		if !tree.At(s).Kind.FromHost() {
			f.Hide = append(f.Hide, "?"+s)
		}
	}
	return &q
}

// system says that a directory below the root is the kernel's, has others' homes, or is
// private in each sandbox.
func system(name string) bool {
	return slices.Contains([]string{"/proc", "/sys", "/dev", "/tmp", "/boot", "/lost+found", "/", "/home", "/root"},
		name)
}

// Secrets are the patterns of paths that stay hidden, as in path.Match.
func Secrets(home string) (list []string) {
	for _, s := range explain.SecretPaths() {
		if rest, ok := strings.CutPrefix(s, "~/"); ok {
			s = path.Join(home, rest)
		}
		list = append(list, s)
	}
	return list
}

// explode replaces the groups of a list by their calls.
func explode(list []string) (out []string) {
	for _, e := range list {
		out = append(out, calls(e)...)
	}
	return out
}
