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
	case n.Kind != File && n.Kind != Link && t.maskOver(dir) == "" && (t.showsBelow(dir) || t.showsNamed()):
		// What a program leaves there, and not in what was named to be written,
		// would be gone with the sandbox. So it is an error for the program.
		if dir != "/" {
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
			return policy.ParsePath(s).Name != dir && policy.Within(policy.ParsePath(s).Name, dir) && t.shows(s)
		})
	}
	return slices.ContainsFunc(t.nodes, func(n Node) bool {
		return n.Path != dir && policy.Within(n.Path, dir) && n.Kind != Tmpfs && !n.Device
	})
}

// showsNamed says whether a path is shown that was given relative to the directory.
func (t *Tree) showsNamed() bool { return slices.ContainsFunc(t.target.Relative, t.shows) }

// shows says whether what a flag names is there.
func (t *Tree) shows(entry string) bool {
	n, _ := t.deepest(policy.ParsePath(entry).Name)
	return n.Kind.FromHost()
}

func notShown(dir string) error {
	return &host.NeedError{
		Reason: host.NotShown,
		What:   fmt.Sprintf("start in %s: the policy does not show it", text.Quote(dir)),
		Fix:    "show it with --read or --write, or start elsewhere with --dir",
	}
}
