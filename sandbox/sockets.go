package sandbox

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"sbx/internal/text"

	"golang.org/x/sys/unix"

	"sbx/policy"
)

// A socket file can be connected to wherever it is seen, on a read-only mount
// as well. So those under shown paths are covered unless files.sockets names
// them: what is there when the sandbox starts. What comes later is for Landlock
// or the filter; see Build.

// sockets reads files.sockets: each is named, and shown if nothing shows it;
// "/" names all, and shows none.
func (v *view) sockets(p *policy.Policy, seen map[string]bool) error {
	for _, s := range p.Files.Sockets {
		name := strings.TrimPrefix(s, "?")
		if slices.ContainsFunc(p.Files.Tmpfs, func(t string) bool { return strings.TrimPrefix(t, "?") == name }) {
			continue // the sandbox's own; what of the outside is shown below it is not named
		}
		f := v.host.Files[name]
		switch {
		case f.Err != nil:
			return fmt.Errorf("look at %s: %w", text.Quote(name), f.Err)
		case f.Mode == 0 && name != s:
			continue
		case f.Mode == 0:
			return &MissingError{name}
		case f.Mode != unix.S_IFSOCK && !f.Dir():
			return &NeedError{What: fmt.Sprintf("allow connecting to %s: it is neither a socket nor a directory", text.Quote(name)),
				Fix: "take it out of the policy's files.sockets"}
		case f.Real != name && listed(p, path.Dir(name)):
			// What it leads to is not for who can write there to choose.
			return &NeedError{What: fmt.Sprintf("allow connecting to %s: it is a symbolic link in a directory that is shown, to %s", text.Quote(name), text.Quote(f.Real)),
				Fix: "name what it leads to"}
		}
		v.named = append(v.named, f.Real)
		if name != "/" && !seen[name] && !listed(p, name) {
			seen[name] = true
			v.entries = append(v.entries, entry{path: name, kind: readKind, src: f})
		}
	}
	return nil
}

// unnamed are the sockets that are shown and not named, to be covered.
func (v *view) unnamed() []Hidden {
	var list []Hidden
	named := func(real string) bool {
		return slices.ContainsFunc(v.named, func(n string) bool { return policy.Within(real, n) })
	}
	for _, e := range v.placed {
		if e.src.Mode == unix.S_IFSOCK && !named(e.src.Real) {
			list = append(list, Hidden{Path: e.src.Real, ID: e.src.id()})
			v.notes = append(v.notes, fmt.Sprintf("%s is a socket that files.sockets does not name: it cannot be connected to", text.Quote(e.path)))
		}
	}
	for _, x := range v.host.Sockets {
		if !named(x.Path) {
			list = append(list, x)
		}
	}
	return list
}

// socketTrees are the directories, beyond the projects, in which sockets are
// looked for: where the covers are all that there is.
func (h *Host) socketTrees(p *policy.Policy, t Target) []string {
	if h.socketWall(p, t.Env) != coverWall {
		return nil
	}
	return h.trees(p)
}

// trees are the directories that the policy shows, but for installed software.
func (h *Host) trees(p *policy.Policy) []string {
	var list []string
	for _, l := range [...][]string{p.Files.Write, p.Files.Read, p.Files.Overlay} {
		for _, s := range l {
			s = strings.TrimPrefix(s, "?")
			if from := p.Files.Paths[s].From; from != "" {
				s = from
			}
			if f := h.Files[s]; f.Dir() && !software(f.Real) && !slices.Contains(list, f.Real) {
				list = append(list, f.Real)
			}
		}
	}
	return list
}

// software says whether the directory holds what is installed, where nobody
// keeps sockets and the search would never end.
func software(dir string) bool {
	for _, d := range [...]string{"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/boot", "/opt", "/nix", "/gnu", "/sys", "/proc", "/dev"} {
		if policy.Within(dir, d) {
			return true
		}
	}
	return false
}
