package rootfs

import (
	"fmt"
	"path"
	"slices"

	"sbx/internal/text"
	"sbx/policy"
	"sbx/sandbox/internal/host"
)

// chooseDir finds the directory to start in: the target's own, if it is there
// inside, or else the other one that the target names.
func (t *Tree) chooseDir() error {
	dir := t.target.Dir
	if !path.IsAbs(dir) {
		return host.Refuse(host.Invalid, "start in %s: not an absolute path", text.Quote(dir))
	}
	t.Dir = dir
	if t.target.Elsewhere == "" {
		if t.couldStart(dir) {
			return nil
		}
		return notShown(dir)
	}
	n, ok := t.deepest(dir)
	switch {
	case n.Path == dir && ok && n.Kind != File && n.Kind != Link, n.Kind.FromHost():
	case t.showsBelow(dir):
		// What a program leaves there, and not in what was named to be written,
		// would be gone with the sandbox. So it is an error for the program.
		if n.Kind == Tmpfs {
			t.nodes = append(t.nodes, Node{Path: dir, Kind: Directory, Mode: 0o555})
			t.sort()
		}
	default:
		t.Dir = t.target.Elsewhere
	}
	return nil
}

// couldStart says whether there can be such a directory inside.
func (t *Tree) couldStart(dir string) bool {
	n, ok := t.deepest(dir)
	return n.Path == dir && n.Kind != File && n.Kind != Link && ok ||
		n.Path != dir && (n.Kind.FromHost() || t.isOwnDev(n)) || dir == "/" ||
		slices.ContainsFunc(t.nodes, func(n Node) bool { return n.Path != dir && policy.Within(n.Path, dir) })
}

// showsBelow says whether something below the directory is shown, so that the
// directory is there. Something always is below the root and what is above the
// home: there only what a flag names counts.
func (t *Tree) showsBelow(dir string) bool {
	if policy.Within(t.target.Home, dir) {
		return slices.ContainsFunc(t.target.Shown, func(s string) bool {
			name := policy.ParsePath(s).Name
			n, _ := t.deepest(name)
			return name != dir && policy.Within(name, dir) && n.Kind.FromHost()
		})
	}
	return slices.ContainsFunc(t.nodes, func(n Node) bool {
		return n.Path != dir && policy.Within(n.Path, dir) && n.Kind != Tmpfs && !n.Device
	})
}

func notShown(dir string) error {
	return &host.NeedError{
		Reason: host.NotShown,
		What:   fmt.Sprintf("start in %s: the policy does not show it", text.Quote(dir)),
		Fix:    "show it with --read or --write, or start elsewhere with --dir",
	}
}
