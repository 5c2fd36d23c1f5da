package rootfs

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"sbx/caps"
	"sbx/internal/step"
	"sbx/internal/text"
	"sbx/policy"
	"sbx/sandbox/internal/host"
)

// Bare is a tree without a mount namespace: Landlock alone keeps the target to what the
// nodes say, in the places that the host's files have.
type Bare struct {
	*Tree
	// Rules are the Landlock rules for files.
	Rules []step.Step
	// Home and Tmp say that there is a private home, and a private directory for
	// temporary files, in the places of the policy's tmpfs.
	Home, Tmp bool
	// Links are links in the private home to what the policy shows in the host's.
	Links [][2]string
	// InPrivate says that Dir, the directory to start in, is the private home.
	InPrivate bool
	// Fixed says in which writable directories nothing can be made, or is empty.
	Fixed string
	// Weaker says what is less than a root file system of the sandbox's own gives.
	Weaker []string
}

// NewBare makes the tree and the rules. keep is as in Options.
func NewBare(p *policy.Policy, t host.Target, f *host.Facts, keep caps.Set) (*Bare, error) {
	if err := refuseBare(p, t, f); err != nil {
		return nil, err
	}
	tree := &Tree{policy: p, entries: f.Tree(p), facts: f, target: t, opts: Options{Keep: keep}, bare: true}
	b := &Bare{Tree: tree}
	for _, part := range [...]func() error{
		tree.addEntries, tree.addSockets, b.refuseOwn, tree.resolve, tree.addGuards, tree.addAliases, tree.hide, b.chooseDir,
	} {
		if err := part(); err != nil {
			return nil, err
		}
	}
	b.private()
	if err := b.makeRules(); err != nil {
		return nil, err
	}
	slices.Sort(tree.Notes)
	return b, nil
}

const bareFix = "take it out of the policy, or run sbx where namespaces are allowed"

// refuseBare refuses what takes a mount.
func refuseBare(p *policy.Policy, t host.Target, h *host.Facts) error {
	f := p.Files
	named := func(o policy.PathOptions) bool { return o.From != "" || o.Upper != "" || o.Size != "" }
	var mapped string
	for name, o := range f.Paths {
		if named(o) && (mapped == "" || name < mapped) {
			mapped = name
		}
	}
	tmp, optional := policy.Optional(p.Limits.Tmp)
	for _, x := range [...]struct {
		wanted    bool
		what, fix string
	}{
		{mapped != "", "apply files.path of " + text.Quote(mapped), ""},
		{tmp != "" && !optional, "limit the size of private directories (limits.tmp)",
			"put a ? in front of the limit to go on without it"},
		{p.Process.Terminal == "pty" && h.Terminal.Caller != nil, "give the target a terminal of its own",
			"say terminal = \"inherit\" or \"new-session\""},
		{h.SocketRestriction(p, t) == host.SocketsByMask, "allow single Unix sockets, which takes Landlock ABI 9 (Linux 7.1)",
			"name no sockets, and take NOTIFY_SOCKET out of the environment: env -u NOTIFY_SOCKET sbx ..."},
	} {
		if x.wanted {
			return &host.NeedError{
				Reason: host.WrongNamespace, What: x.what + " without namespaces", Fix: cmp.Or(x.fix, bareFix),
			}
		}
	}
	return nil
}

// refuseOwn refuses files of the sandbox's own, but for those in a tmpfs, which is not
// there either.
func (b *Bare) refuseOwn() error {
	for _, e := range b.entries.Entries {
		if e.Kind < policy.KindDirectory || b.entries.Over(e.Name).Kind == policy.KindTmpfs {
			continue
		}
		return &host.NeedError{
			Reason: host.WrongNamespace,
			What:   fmt.Sprintf("make %s without namespaces: it would be made on the host", text.Quote(e.Name)),
			Fix:    bareFix,
		}
	}
	return nil
}

// chooseDir finds the directory to start in: the target's own, or the private home.
func (b *Bare) chooseDir() error {
	dir := b.target.Dir
	n := b.At(dir)
	shown := n.Kind.FromHost() || b.showsBelow(dir) || len(b.target.Relative) > 0 && b.showsNamed()
	switch {
	case !path.IsAbs(dir):
		return host.Refuse(host.Invalid, "start in %s: not an absolute path", text.Quote(dir))
	case n.Kind == Hidden && b.target.Elsewhere == "":
		return notShown(dir)
	case shown && n.Kind != Hidden:
		b.Dir = dir
	case n.Kind == Tmpfs && n.Path == dir && dir == b.target.Home,
		b.target.Elsewhere == b.target.Home && b.target.Home != "":
		b.InPrivate, b.Dir = true, HomeName
	case b.target.Elsewhere == "" && dir != "/":
		return notShown(dir)
	default:
		b.Dir = "/"
	}
	return nil
}

// The names of the directories in the private one.
const (
	HomeName = "home"
	TmpName  = "tmp"
)

// private decides which of the policy's tmpfs have a private directory in their place.
func (b *Bare) private() {
	var missing []string
	for _, n := range b.nodes {
		switch {
		case n.Kind != Tmpfs:
		case n.Path == b.target.Home:
			b.Home = true
		case n.Path == "/tmp":
			b.Tmp = true
		case n.Path != "/var/tmp":
			missing = append(missing, text.Quote(n.Path))
		}
	}
	if b.Home || b.Tmp {
		b.Weaker = append(b.Weaker, "the private home and /tmp are directories of the host, named by HOME and TMPDIR: "+
			"/tmp itself cannot be written, and they stay if sbx and its janitor are both killed")
	}
	if len(missing) > 0 {
		b.Weaker = append(b.Weaker, "nothing private is at "+strings.Join(missing, ", ")+": it cannot be written")
	}
	if b.InPrivate && !b.Home {
		b.InPrivate, b.Dir = false, "/"
	}
	if !b.Home {
		return
	}
	for _, n := range b.nodes {
		if below, ok := strings.CutPrefix(n.Path, b.target.Home+"/"); ok && n.Kind.FromHost() && !n.Device &&
			b.maskOver(n.Path) == "" && b.over(n.Path).Path == b.target.Home {
			b.Links = append(b.Links, [2]string{below, n.Source.Real})
		}
	}
}

// bareLines are the paths as Lines has them: there is no tmpfs, and no overlay.
func (t *Tree) bareLines() (lines []Line) {
	lines = append(lines, Line{Path: "/", Is: Hidden.String()})
	for _, n := range t.nodes {
		l := Line{Path: n.Path, Is: n.Kind.String(), NoExec: n.NoExec}
		switch {
		case t.maskOver(n.Path) != "", n.Kind < Tmpfs:
			continue
		case n.Kind == Tmpfs:
			l.Is = Hidden.String()
		case n.Kind == Overlay:
			l.Is = Read.String()
		}
		if n.Kind.FromHost() && n.Source.Real != n.Path {
			l.Source = n.Source.Real
		}
		lines = append(lines, l)
	}
	for _, m := range t.masks {
		lines = append(lines, Line{Path: m.path, Is: Hidden.String()})
	}
	slices.SortFunc(lines, func(a, b Line) int { return strings.Compare(key(a.Path), key(b.Path)) })
	return slices.CompactFunc(lines, func(a, b Line) bool { return a.Path == b.Path })
}
