package rootfs_test

import (
	"fmt"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/ns"
	"sbx/policy"
	"sbx/sandbox/internal/rootfs"
)

// A file system of the mount model. The host's is a paper; those of the
// sandbox's own begin empty. Paths in it are absolute.
type fileSystem struct {
	kind  string // host, tmpfs, overlay, proc, text, mask or pts
	files paper  // of proc, text, mask and pts only their existence is known
	// top is the real path of the host's directory that an overlay shows.
	top string
}

func (f *fileSystem) at(p string) (inode, bool) {
	switch f.kind {
	case "host", "tmpfs":
		i, ok := f.files[p]
		return i, ok
	case "overlay":
		i, ok := f.files[path.Join(f.top, p)]
		return i, ok
	case "proc":
		return inode{mode: unix.S_IFDIR}, true
	}
	if f.kind == "text" {
		return inode{mode: unix.S_IFREG}, p == "/"
	}
	return inode{mode: unix.S_IFDIR}, p == "/"
}

// mount is one of the model: a part of a file system, and where it lies.
type mount struct {
	fs          *fileSystem
	root        string
	ro, noexec  bool
	parent      *mount
	place       string // in the parent's file system
	kids        []*mount
	pin, masked bool
}

// spot is a place that a path leads to.
type spot struct {
	m *mount
	p string // in the file system of m
}

// enter goes up to what is mounted at the place, if anything is.
func (s spot) enter() spot {
	for i := 0; i < len(s.m.kids); i++ {
		if k := s.m.kids[i]; k.place == s.p {
			s, i = spot{k, k.root}, -1
		}
	}
	return s
}

// clone copies the mount from the place on, with all that is mounted below.
func (m *mount) clone(root string) *mount {
	c := *m
	c.root, c.kids, c.parent = root, nil, nil
	for _, k := range m.kids {
		if policy.Within(k.place, root) {
			kid := k.clone(k.root)
			kid.parent, kid.place = &c, k.place
			c.kids = append(c.kids, kid)
		}
	}
	return &c
}

// namespace is the tree of mounts that the steps make.
type namespace struct {
	host *fileSystem
	root *mount
}

// walk follows the path as far as there is something: rest is what is missing.
// No link is followed: where one is, link says so.
func (n *namespace) walk(name string) (at spot, rest string, link bool) {
	at = spot{n.root, n.root.root}.enter()
	parts := strings.Split(strings.Trim(name, "/"), "/")
	if name == "/" {
		parts = nil
	}
	for i, part := range parts {
		next := path.Join(at.p, part)
		node, ok := at.m.fs.at(next)
		if here, _ := at.m.fs.at(at.p); here.mode != unix.S_IFDIR || !ok {
			return at, strings.Join(parts[i:], "/"), false
		}
		at = spot{at.m, next}.enter()
		if node.mode == unix.S_IFLNK && at.p == next {
			return at, strings.Join(parts[i+1:], "/"), true
		}
	}
	return at, "", false
}

func (n *namespace) attach(m *mount, name string) error {
	at, rest, link := n.walk(name)
	if rest != "" || link {
		return fmt.Errorf("nothing is at %s to mount on: %q is missing, link %v", name, rest, link)
	}
	under, _ := at.m.fs.at(at.p)
	over, _ := m.fs.at(m.root)
	if at.m.fs.kind != "proc" && (under.mode == unix.S_IFDIR) != (over.mode == unix.S_IFDIR) {
		return fmt.Errorf("mount at %s: a file and a directory", name)
	}
	m.parent, m.place = at.m, at.p
	at.m.kids = append(at.m.kids, m)
	return nil
}

// create makes a name on a file system of the sandbox's own.
func (n *namespace) create(name string, node inode) error {
	at, rest, link := n.walk(name)
	if at.m.fs.kind != "tmpfs" || link || rest == "" || strings.Contains(rest, "/") || at.m.ro {
		return fmt.Errorf("make %s: %q is missing in a %s, link %v", name, rest, at.m.fs.kind, link)
	}
	at.m.fs.files[path.Join(at.p, rest)] = node
	return nil
}

func newTmpfs() *fileSystem {
	return &fileSystem{kind: "tmpfs", files: paper{"/": {mode: unix.S_IFDIR}}}
}

// same says whether the host has at the place what the plan found there.
func (n *namespace) same(name string, id ns.ID) error {
	at, rest, link := n.walk(name)
	if node, _ := at.m.fs.at(at.p); rest != "" || link || at.m.fs.kind != "host" || node.ino != id.Ino {
		return fmt.Errorf("at %s is not what was planned", name)
	}
	return nil
}

// interpret does what the steps say, on paper.
func interpret(host paper, tree *rootfs.Tree) (*namespace, error) {
	n := &namespace{host: &fileSystem{kind: "host", files: host}}
	steps, err := tree.Steps()
	if err != nil {
		return nil, err
	}
	for _, s := range steps {
		if err := n.do(s); err != nil {
			return nil, fmt.Errorf("%s: %w", s, err)
		}
	}
	for _, p := range tree.ReadOnly() {
		at, rest, link := n.walk(p)
		if rest != "" || link || at.p != at.m.root {
			return nil, fmt.Errorf("make %s read-only: no mount", p)
		}
		at.m.ro = true
	}
	return n, nil
}

func (n *namespace) bind(b ns.Bind) (*mount, error) {
	if i, ok := n.host.files[b.Source]; !ok || i.ino != b.Ino || i.mode == unix.S_IFLNK {
		return nil, fmt.Errorf("%s is not what was planned", b.Source)
	}
	return &mount{fs: n.host, root: b.Source, ro: !b.Write && !b.Device, noexec: b.NoExec || b.Device}, nil
}

func (n *namespace) do(s step.Step) error {
	switch s := s.(type) {
	case ns.Root:
		n.root = &mount{fs: newTmpfs(), root: "/"}
	case ns.RootBind:
		m, err := n.bind(s.Bind)
		n.root = m
		return err
	case ns.MakeMasks, ns.DropMaskNames:
	case ns.Dir:
		return n.create(s.Path, inode{mode: unix.S_IFDIR})
	case ns.File:
		return n.create(s.Path, inode{mode: unix.S_IFREG})
	case ns.WriteFile:
		return n.create(s.Path, inode{mode: unix.S_IFREG})
	case ns.Symlink:
		return n.create(s.Path, inode{mode: unix.S_IFLNK, target: s.Target})
	case ns.Bind:
		m, err := n.bind(s)
		if err != nil {
			return err
		}
		return n.attach(m, s.Dest)
	case ns.Tmpfs:
		return n.attach(&mount{fs: newTmpfs(), root: "/", ro: s.ReadOnly, noexec: s.NoExec}, s.Path)
	case ns.Overlay:
		return n.attach(&mount{fs: &fileSystem{kind: "overlay", files: n.host.files, top: s.Lower.Path}, root: "/",
			noexec: s.NoExec}, s.Path)
	case ns.FileOver:
		if s.ID != (ns.ID{}) {
			if err := n.same(s.Path, s.ID); err != nil {
				return err
			}
		}
		return n.attach(&mount{fs: &fileSystem{kind: "text"}, root: "/", ro: true, noexec: true}, s.Path)
	case ns.Pin:
		at, rest, link := n.walk(s.Path)
		if rest != "" || link {
			return fmt.Errorf("there is no %s to pin", s.Path)
		}
		m := at.m.clone(at.p)
		m.pin = true
		return n.attach(m, s.Path)
	case ns.Proc:
		return n.attach(&mount{fs: &fileSystem{kind: "proc"}, root: "/", ro: true, noexec: true}, "/proc")
	case ns.Devpts:
		return n.attach(&mount{fs: &fileSystem{kind: "pts"}, root: "/", noexec: true}, "/dev/pts")
	case ns.Mask:
		if s.ID != (ns.ID{}) {
			if err := n.same(s.Path, s.ID); err != nil {
				return err
			}
		}
		at, rest, link := n.walk(s.Path)
		if s.Maybe && (rest != "" || link) {
			return nil
		}
		if node, _ := at.m.fs.at(at.p); at.m.fs.kind != "proc" && (node.mode == unix.S_IFDIR) != s.Dir {
			return fmt.Errorf("hide a file and a directory")
		}
		kind := "text"
		if s.Dir {
			kind = "mask"
		}
		return n.attach(&mount{fs: &fileSystem{kind: kind}, root: "/", ro: true, noexec: true, masked: true}, s.Path)
	default:
		return fmt.Errorf("unknown step %T", s)
	}
	return nil
}

// answer is what the target finds at a path.
type answer struct {
	kind   rootfs.Kind
	source string // of the host's file
	noexec bool
}

func (a answer) String() string {
	s := a.kind.String()
	if a.source != "" {
		s += " " + a.source
	}
	if a.noexec {
		s += ", no exec"
	}
	return s
}

// at is what the mounts have at a path, ok is false behind a link and below a
// file.
func (n *namespace) at(name string) (a answer, ok bool) {
	at, rest, link := n.walk(name)
	if here, _ := at.m.fs.at(at.p); link || rest != "" && here.mode != unix.S_IFDIR && !at.m.masked {
		return a, false
	}
	a.noexec = at.m.noexec
	switch {
	case at.m.masked:
		return answer{kind: rootfs.Hidden}, true
	case at.m.fs.kind == "text":
		return answer{kind: rootfs.File}, true
	case at.m.fs.kind == "host" && at.m.ro:
		a.kind, a.source = rootfs.Read, path.Join(at.p, rest)
	case at.m.fs.kind == "host":
		a.kind, a.source = rootfs.Write, path.Join(at.p, rest)
	case at.m.fs.kind == "overlay":
		a.kind, a.source = rootfs.Overlay, path.Join(at.m.fs.top, at.p, rest)
	case at.m.fs.kind == "tmpfs" && !at.m.ro:
		a.kind = rootfs.Tmpfs
	default:
		a.kind = rootfs.Directory
		if here, _ := at.m.fs.at(at.p); here.mode == unix.S_IFREG {
			a.kind = rootfs.File
		}
		a.noexec = false // nothing is there
	}
	return a, true
}

// unpinned are the mounts that the target could move by renaming a directory
// over them. Those that skip says are left out.
func (n *namespace) unpinned(skip func(name string) bool) (list []string) {
	var look func(m *mount, name string)
	look = func(m *mount, name string) {
		for _, k := range m.kids {
			at := path.Join(name, strings.TrimPrefix(k.place, m.root))
			if s, rest, link := n.walk(at); rest != "" || link || !s.m.within(k) {
				continue // another mount hides it
			}
			if !m.ro && k.place != m.root && path.Dir(k.place) != m.root && m.fs.kind != "proc" && !skip(at) {
				list = append(list, at)
			}
			look(k, at)
		}
	}
	look(n.root, "/")
	return list
}

// within says whether m lies on k, or is it.
func (m *mount) within(k *mount) bool {
	for ; m != nil; m = m.parent {
		if m == k {
			return true
		}
	}
	return false
}
