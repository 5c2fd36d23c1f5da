package bwrap

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"sbx/internal/text"
	"sbx/policy"
)

// kind is what is at a path inside.
type kind uint8

const (
	private  kind = iota // a tmpfs
	made                 // a directory of the sandbox's own
	read                 // the host's
	write                // the host's, writable
	device               // the host's, writable, with its device files
	layered              // an overlay over the host's
	file                 // a file with its content
	link                 // a symbolic link
	own                  // /proc or /dev of the sandbox's own
	messages             // a file system of message queues
)

// node is what an option puts at a path.
type node struct {
	kind kind
	// from is the path of the host, or "fd:N"; of a link its target.
	from        string
	optional    bool
	mode, size  string
	upper, work string
	text        string
	readOnly    bool
	under       []string // further layers of an overlay, the upper ones first
	writable    bool     // of a file
}

// ofHost says whether the host's files are there, as they are.
func (n *node) ofHost() bool { return n.kind == read || n.kind == write || n.kind == device }

// tree has the nodes by path.
type tree map[string]*node

// mount puts a mount at a path: what was there and below it is covered.
func (t tree) mount(name string, n *node) {
	for p := range t {
		if policy.Within(p, name) {
			delete(t, p)
		}
	}
	t[name] = n
}

// over is the node at the path or the deepest one over it, with its path.
func (t tree) over(name string) (string, *node) {
	for {
		if n, ok := t[name]; ok {
			return name, n
		}
		name = path.Dir(name)
	}
}

// at is a path inside. Links that the line makes are followed, but for one at the path
// itself.
func (r *reader) at(s string) (string, error) {
	rest, at := parts(s), "/"
	for links := 0; len(rest) > 0; {
		next := path.Join(at, rest[0])
		rest = rest[1:]
		n := r.root[next]
		switch {
		case len(rest) == 0 || n == nil:
		case n.kind == file:
			return "", words("Can't mkdir parents for %s: Not a directory", text.Quote(s))
		case n.kind == link:
			if links++; links > 40 {
				return "", words("Can't mkdir parents for %s: Too many levels of symbolic links", text.Quote(s))
			}
			to := n.from
			if !path.IsAbs(to) {
				to = path.Join(at, to)
			}
			rest, at = append(parts(to), rest...), "/"
			continue
		}
		at = next
	}
	return at, nil
}

// parts are the names in a path from the root.
func parts(s string) []string {
	if s = inside(s); s == "/" {
		return nil
	}
	return strings.Split(s[1:], "/")
}

// place says whether something can be made at the path, which the sandbox's own
// directories and file systems allow. In a directory of the host's that can be written it
// is made before the start, as m says; then elsewhere is true.
func (r *reader) place(name string, m Made) (elsewhere bool, err error) {
	at, n := r.root.over(name)
	switch n.kind {
	case private, made:
		return false, nil
	case file, link:
		return false, words("Can't mkdir parents for %s: Not a directory", text.Quote(name))
	case read, write, device:
		if !path.IsAbs(n.from) {
			break
		}
		m.Path, m.Dir, m.ReadOnly = name, n.from, n.kind == read
		m.Rel = strings.TrimPrefix(strings.TrimPrefix(name, at), "/")
		r.line.Make = append(r.line.Make, m)
		return true, nil
	}
	return false, fmt.Errorf("there is no place for it: sbx makes nothing in what is mounted at %s", text.Quote(at))
}

// look is the kind of what is at a path of the host, if that is known.
func (r *reader) look(name string) (mode fs.FileMode, known bool) {
	if r.options.Mode == nil {
		return 0, false
	}
	return r.options.Mode(name)
}

// mount puts a mount at a path, for what the host has at from, "" for a directory of the
// sandbox's own.
func (r *reader) mount(s, from string, n *node) error {
	name, err := r.at(s)
	if err != nil {
		return err
	}
	isDir, known := true, true
	if from != "" {
		var mode fs.FileMode
		mode, known = r.look(from)
		isDir = mode.IsDir()
	}
	if n.kind == file {
		isDir, known = false, true
	}
	if was := r.root[name]; was != nil {
		switch {
		case was.kind == link:
			return words("Can't mount on symlink destination %s", text.Quote(s))
		case !known:
		case was.kind == file && isDir:
			return words("Destination is not a directory %s", text.Quote(s))
		case (was.kind == private || was.kind == made) && !isDir:
			return words("Destination is not a file %s", text.Quote(s))
		}
	}
	if at, over := r.root.over(name); known && at != name && over.ofHost() && path.IsAbs(over.from) {
		m := Made{What: MakeMountPoint}
		if isDir {
			m.Source = "/"
		}
		if _, err := r.place(name, m); err != nil {
			return err
		}
	}
	r.root.mount(name, n)
	return nil
}

// remount makes what is mounted at the path read-only.
func (r *reader) remount(v []string) error {
	name, err := r.at(v[0])
	if err != nil {
		return err
	}
	n, ok := r.root[name]
	if !ok {
		return errors.New("nothing is mounted there")
	}
	switch n.kind {
	case write, device:
		n.kind = read
	case read, file, link, own:
	case private, made:
		n.readOnly = true
	default:
		return errors.New("this cannot be had: it can be said of a tmpfs and of the host's files")
	}
	return nil
}

func (r *reader) overlaySource(v []string) error {
	from, err := r.host(v[0])
	if err == nil {
		r.sources = append(r.sources, from)
		r.line.Needed = append(r.line.Needed, from)
	}
	return err
}

// layers makes a node of the sources of the next overlay, of which the last one is on top.
func (r *reader) layers(option string, least int) (*node, error) {
	list := r.sources
	r.sources = nil
	if len(list) < least {
		return nil, words("%s requires at least %s --overlay-src", option, [...]string{"", "one", "two"}[least])
	}
	slices.Reverse(list)
	return &node{kind: layered, from: list[0], under: list[1:]}, nil
}

func (r *reader) overlay(v []string) error {
	n, err := r.layers("--overlay", 1)
	if err != nil {
		return err
	}
	if n.upper, err = r.host(v[0]); err != nil {
		return err
	}
	if n.work, err = r.host(v[1]); err != nil {
		return err
	}
	return r.mount(v[2], "", n)
}

func (r *reader) tmpOverlay(v []string) error {
	n, err := r.layers("--tmp-overlay", 1)
	if err != nil {
		return err
	}
	return r.mount(v[0], "", n)
}

func (r *reader) readOverlay(v []string) error {
	n, err := r.layers("--ro-overlay", 2)
	if err != nil {
		return err
	}
	n.readOnly = true
	return r.mount(v[0], "", n)
}

// system takes --proc or --dev.
func system(name string) func(*reader, []string) error {
	return func(r *reader, v []string) error {
		if inside(v[0]) != name {
			return fmt.Errorf("this cannot be had: sbx mounts it at %s alone", name)
		}
		if err := r.mount(name, "", &node{kind: own}); err != nil {
			return err
		}
		if name == "/dev" { // as bubblewrap has it
			r.root["/dev/core"] = &node{kind: link, from: "/proc/kcore"}
		}
		return nil
	}
}

func (r *reader) tmpfs(v []string) error {
	n := &node{kind: private}
	n.mode, n.size = r.nextMode(), r.nextSize()
	return r.mount(v[0], "", n)
}

func (r *reader) mqueue(v []string) error { return r.mount(v[0], "", &node{kind: messages}) }

// directory makes a directory, unless there is one.
func (r *reader) directory(v []string) error {
	mode := r.nextMode()
	name, err := r.at(v[0])
	if err != nil {
		return err
	}
	at, n := r.root.over(name)
	switch {
	case at == name && (n.kind == file || n.kind == link):
		return words("Destination is not a directory %s", text.Quote(v[0]))
	case at == name, n.kind == own && slices.Contains([]string{"/dev/pts", "/dev/shm"}, name):
		return nil
	}
	m := Made{What: MakeDir, Mode: 0o755, HasMode: mode != ""}
	if m.HasMode {
		if m.Mode, err = octal("--perms", mode); err != nil {
			return err
		}
	}
	if elsewhere, err := r.place(name, m); elsewhere || err != nil {
		return err
	}
	r.root[name] = &node{kind: made, mode: mode}
	return nil
}

// content takes an option that makes a file of what a descriptor has.
func content(writable bool, mode string) func(*reader, []string) error {
	return func(r *reader, v []string) error {
		n := &node{kind: file, mode: cmp.Or(r.nextMode(), mode), writable: writable}
		data, err := r.contents(v[0])
		if err != nil {
			return err
		}
		if inside(v[1]) == "/" {
			return words("Destination is not a file %s", text.Quote(v[1]))
		}
		n.text = string(data)
		return r.mount(v[1], "", n)
	}
}

func (r *reader) symlink(v []string) error {
	name, err := r.at(v[1])
	if err != nil {
		return err
	}
	if n, ok := r.root[name]; ok {
		switch {
		case n.kind != link:
			return words("Can't make symlink at %s: destination exists and is not a symlink", text.Quote(v[1]))
		case n.from != v[0]:
			return words("Can't make symlink at %s: existing destination is %s", text.Quote(v[1]), text.Quote(n.from))
		}
		return nil
	}
	if elsewhere, err := r.place(name, Made{What: MakeLink, Target: v[0]}); elsewhere || err != nil {
		return err
	}
	r.root[name] = &node{kind: link, from: v[0]}
	return nil
}

// chmod changes the mode of what is there.
func (r *reader) chmod(v []string) error {
	mode, err := octal("--chmod", v[0])
	if err != nil {
		return err
	}
	name, err := r.at(v[1])
	if err != nil {
		return err
	}
	n, ok := r.root[name]
	switch {
	case ok && (n.kind == private || n.kind == made || n.kind == file):
		n.mode = fmt.Sprintf("%04o", mode)
		return nil
	}
	if _, over := r.root.over(name); !ok && over.kind <= made {
		for p := range r.root {
			if policy.Within(p, name) { // it was made for what lies below it
				r.root[name] = &node{kind: made, mode: fmt.Sprintf("%04o", mode)}
				return nil
			}
		}
		return words("Can't chmod %#o %s: No such file or directory", mode, text.Quote(v[1]))
	}
	_, err = r.place(name, Made{What: MakeMode, Mode: mode})
	return err
}
