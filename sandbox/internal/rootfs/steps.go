package rootfs

import (
	"cmp"
	"path"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/ns"
	"sbx/policy"
	"sbx/sandbox/internal/host"
)

// layout makes the steps of a tree, in order.
type layout struct {
	*Tree
	steps   []step.Step
	made    map[string]bool // directories that sbx makes
	pins    map[string]bool // directories that cannot be renamed
	scratch step.Slot       // the scratch tmpfs
}

// Steps make the tree: an empty root, the nodes by depth, /proc and /dev, and masks over
// hidden paths. The masks come last, because a later mount could hide them.
func (t *Tree) Steps() ([]step.Step, error) {
	l := &layout{Tree: t, made: make(map[string]bool), pins: make(map[string]bool), scratch: step.SlotRoot}
	first := 0
	if t.HostRoot() {
		// The root is the host's. An empty tmpfs beneath it has the masks.
		l.scratch = step.SlotScratch
		l.add(ns.RootBind{Bind: bind(t.nodes[0])})
		first = 1
	} else {
		l.add(ns.Root{Extra: contentSize(t.nodes)})
	}
	l.add(ns.MakeMasks{Scratch: l.scratch})
	for _, n := range t.nodes[first:] {
		l.place(n)
	}
	for _, m := range t.masks {
		l.prepareMask(m)
	}
	if policy.NotFalse(t.policy.Files.Dev) {
		l.dev()
	}
	if policy.NotFalse(t.policy.Files.Proc) {
		if err := l.proc(); err != nil {
			return nil, err
		}
	}
	for _, m := range t.masks {
		l.add(ns.Mask{Path: m.path, Dir: m.dir, Below: m.below, ID: m.id, Maybe: m.maybe, Why: m.why, Scratch: l.scratch})
	}
	l.add(ns.DropMaskNames{Scratch: l.scratch})
	return l.steps, nil
}

// ReadOnly are the mounts of the sandbox's own that are remounted read-only when
// everything in them has been made.
func (t *Tree) ReadOnly() []string {
	var list []string
	if !t.HostRoot() {
		list = append(list, "/")
	}
	if n, _ := t.deepest("/dev"); t.isOwnDev(n) {
		list = append(list, "/dev")
	}
	for _, n := range t.nodes {
		if n.Kind == Tmpfs && t.target.Details[n.Path].ReadOnly {
			list = append(list, n.Path)
		}
	}
	return list
}

// isOwnDev says that the node is the minimal /dev, which is a tmpfs where a
// directory of sbx's own root would not be seen, and read-only in the end.
func (t *Tree) isOwnDev(n Node) bool {
	return n.Path == "/dev" && n.Kind == Tmpfs && policy.NotFalse(t.policy.Files.Dev)
}

func (l *layout) add(s ...step.Step) { l.steps = append(l.steps, s...) }

// place makes the node's mount point, if it has none yet, and mounts the node.
func (l *layout) place(n Node) {
	up := l.over(n.Path)
	below := up.Kind.FromHost()
	switch {
	case n.Kind == Empty:
		l.pinParents(n.Path)
		l.add(ns.Tmpfs{Path: n.Path, Mode: n.Mode, Owner: n.Owner, ReadOnly: true, Below: true})
		return
	case n.Kind == File && below:
		l.pinParents(n.Path)
		o := ns.FileOver{Path: n.Path, Text: n.Text, Below: true, Scratch: l.scratch}
		if up.Kind != Overlay { // an overlay's files have other inode numbers
			o.ID = n.Source.ID()
		}
		l.detail(&o)
		l.add(o)
		return
	case n.Kind == File && (l.inTmpfs(up) || l.target.Details[n.Path].Own):
		l.parents(n.Path)
		l.pinParents(n.Path)
		o := ns.FileOver{Path: n.Path, Text: n.Text, Scratch: l.scratch}
		l.detail(&o)
		l.add(ns.File{Path: n.Path}, o)
		return
	}
	if !below {
		l.parents(n.Path)
	}
	if n.Kind == Socket {
		l.pinParents(n.Path)
		if !below {
			l.add(ns.File{Path: n.Path})
		}
		s := ns.NotifySocket{Path: n.Path, Below: below, Scratch: l.scratch}
		if below && up.Kind != Overlay {
			s.ID = n.Source.ID()
		}
		l.add(s)
		return
	}
	switch n.Kind {
	case Directory:
		l.made[n.Path] = true
		l.add(ns.Dir{Path: n.Path, Mode: n.Mode, Owner: n.Owner})
		return
	case File:
		l.add(ns.WriteFile{Path: n.Path, Text: n.Text})
		return
	case Link:
		l.add(ns.Symlink{Target: n.Text, Path: n.Path})
		return
	}
	l.pinParents(n.Path)
	switch {
	case below:
	case n.Source.Dir() || n.Kind == Tmpfs:
		l.add(ns.Dir{Path: n.Path, Mode: 0o755})
	default:
		l.add(ns.File{Path: n.Path})
	}
	switch {
	case n.Kind == Tmpfs && l.target.Details[n.Path].Queues:
		l.add(ns.Mqueue{Path: n.Path, Below: below})
	case n.Kind == Tmpfs:
		l.add(ns.Tmpfs{Path: n.Path, Mode: n.Mode, Owner: n.Owner, Size: cmp.Or(n.Size, l.tmpSize), NoExec: n.NoExec,
			Below: below})
	case n.Kind == Overlay:
		l.add(l.overlay(n, below))
	default:
		b := bind(n)
		b.Below = below
		b.Over = below && up.Kind != Overlay && policy.Within(n.Source.Real, up.Source.Real) &&
			up.insidePath(n.Source.Real) == n.Path
		l.add(b)
	}
}

// detail gives a file what the policy does not say of it.
func (l *layout) detail(o *ns.FileOver) {
	if d := l.target.Details[o.Path]; d.Own {
		o.Own, o.Writable, o.Mode, o.Size = true, d.Writable, d.Mode, l.tmpSize
	}
}

// prepareMask makes the mount point of a mask that has none, and pins the directories over
// it.
func (l *layout) prepareMask(m mask) {
	if l.absent[m.path] {
		l.parents(m.path)
	}
	if m.pinned {
		l.pinParents(m.path)
	}
	if l.absent[m.path] {
		l.add(ns.File{Path: m.path})
	}
}

// parents makes the missing directories over a path on sbx's own file systems.
func (l *layout) parents(p string) {
	dir := path.Dir(p)
	if dir == "/" || l.made[dir] || l.has(dir) {
		return
	}
	l.parents(dir)
	l.made[dir] = true
	l.add(ns.Dir{Path: dir, Mode: 0o755})
}

// pinParents pins the directories between a mount and the writable mount that it lies in,
// so that the target cannot rename them. Renaming one would move the mounts below it, and
// the target could then make other files at their paths.
func (l *layout) pinParents(p string) {
	dir := path.Dir(p)
	if dir == "/" || l.pins[dir] {
		return
	}
	if n, ok := l.index[dir]; ok && isMount(l.nodes[n].Kind) {
		return
	}
	up := l.mountOver(dir)
	if up.Kind != Write && up.Kind != Overlay && up.Kind != Tmpfs || l.isOwnDev(up) {
		return
	}
	l.pinParents(dir)
	l.pins[dir] = true
	l.add(ns.Pin{Path: dir, Below: up.Kind.FromHost()})
}

// mountOver is the deepest node over the path that is a mount of its own.
func (t *Tree) mountOver(p string) Node {
	for {
		n := t.over(p)
		if isMount(n.Kind) || n.Path == "/" {
			return n
		}
		p = n.Path
	}
}

func isMount(k Kind) bool { return k >= Empty && k != Hidden }

func bind(n Node) ns.Bind {
	b := ns.Bind{
		Source: n.Source.Real, Dest: n.Path, Major: n.Source.Major, Minor: n.Source.Minor, Ino: n.Source.Ino,
		Write:  n.Kind == Write && (!n.Review || n.Source.Mode == unix.S_IFREG),
		Copy:   n.Review && n.Source.Mode == unix.S_IFREG,
		Device: n.Device, NoExec: n.NoExec,
	}
	if n.From != "" && n.From != n.Source.Real {
		b.Via = n.From
	}
	return b
}

// contentSize is how much the policy's own files take on the root.
func contentSize(nodes []Node) int {
	const page = 4096
	size := 0
	for _, n := range nodes {
		switch {
		case n.Kind == File:
			size += (len(n.Text)/page + 1) * page
		case n.Kind == Link && n.Source.Mode == 0:
			size += page // a long link takes a page
		}
	}
	return size
}

// dev completes the minimal /dev.
func (l *layout) dev() {
	l.directory("/dev/pts")
	l.add(ns.Devpts{})
	for _, s := range [...][2]string{
		{"/proc/self/fd", "fd"}, {"/proc/self/fd/0", "stdin"}, {"/proc/self/fd/1", "stdout"},
		{"/proc/self/fd/2", "stderr"}, {"pts/ptmx", "ptmx"},
	} {
		l.add(ns.Symlink{Target: s[0], Path: "/dev/" + s[1]})
	}
}

// proc mounts /proc and masks files in it.
func (l *layout) proc() error {
	l.directory("/proc")
	nest := policy.IsTrue(l.policy.Process.Nest)
	if l.policy.Namespaces.PID == "host" {
		// A new /proc can be mounted only by the owner of the pid namespace.
		proc := l.facts.Files["/proc"]
		if !proc.Dir() {
			return host.Refuse(host.Absent, "show the host's /proc: it is not there")
		}
		l.add(ns.Bind{Source: "/proc", Dest: "/proc", Major: proc.Major, Minor: proc.Minor, Ino: proc.Ino, NoExec: true})
	} else {
		l.add(ns.Proc{Write: nest})
	}
	if nest {
		return nil // with masks here, the kernel would allow no new /proc in a nested sandbox
	}
	for _, m := range l.facts.Masks {
		l.add(ns.Mask{Path: m.Path, Dir: m.Dir, Below: true, Scratch: l.scratch})
	}
	return nil
}

// directory makes the directory on sbx's own file systems, unless it is there already or
// the host's is shown.
func (l *layout) directory(p string) {
	if l.made[p] || l.has(p) || l.over(p).Kind.FromHost() {
		return
	}
	l.parents(p)
	l.made[p] = true
	l.add(ns.Dir{Path: p, Mode: 0o755})
}
