package bwrap

import (
	"errors"
	"fmt"
	"path"
	"strconv"

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
}

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

// place says whether something can be made at the path, which the sandbox's own
// directories and file systems allow.
func (r *reader) place(name string) error {
	at, n := r.root.over(name)
	switch n.kind {
	case private, made:
		return nil
	case file, link:
		return fmt.Errorf("there is no place for it: %s is no directory", text.Quote(at))
	}
	return fmt.Errorf("there is no place for it: %s shows a directory of the host's, in which sbx makes nothing",
		text.Quote(at))
}

// bind takes an option that shows a file of the host.
func bind(k kind, optional bool) func(*reader, []string) error {
	return func(r *reader, v []string) error {
		from, err := r.host(v[0])
		if err != nil {
			return err
		}
		r.next()
		r.root.mount(inside(v[1]), &node{kind: k, from: from, optional: optional})
		return nil
	}
}

func bindFD(k kind) func(*reader, []string) error {
	return func(r *reader, v []string) error {
		n, err := descriptor(v[0])
		if err != nil {
			return err
		}
		r.next()
		r.root.mount(inside(v[1]), &node{kind: k, from: "fd:" + strconv.Itoa(n)})
		return nil
	}
}

// remount makes what is mounted at the path read-only.
func (r *reader) remount(v []string) error {
	n, ok := r.root[inside(v[0])]
	if !ok {
		return errors.New("nothing is mounted there")
	}
	r.next()
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
	}
	return err
}

// layers takes the source of the next overlay.
func (r *reader) layers() (string, error) {
	list := r.sources
	r.sources = nil
	r.next()
	if len(list) != 1 {
		return "", fmt.Errorf("this cannot be had: an overlay takes one --overlay-src, and here are %d", len(list))
	}
	return list[0], nil
}

func (r *reader) overlay(v []string) error {
	from, err := r.layers()
	if err != nil {
		return err
	}
	n := &node{kind: layered, from: from}
	if n.upper, err = r.host(v[0]); err != nil {
		return err
	}
	if n.work, err = r.host(v[1]); err != nil {
		return err
	}
	r.root.mount(inside(v[2]), n)
	return nil
}

func (r *reader) tmpOverlay(v []string) error {
	from, err := r.layers()
	if err == nil {
		r.root.mount(inside(v[0]), &node{kind: layered, from: from})
	}
	return err
}

func (r *reader) readOverlay(v []string) error {
	return errors.New("this cannot be had: sbx lays one directory over another only where it is writable")
}

// system takes --proc or --dev.
func system(name string) func(*reader, []string) error {
	return func(r *reader, v []string) error {
		r.next()
		if inside(v[0]) != name {
			return fmt.Errorf("this cannot be had: sbx mounts it at %s alone", name)
		}
		r.root.mount(name, &node{kind: own})
		return nil
	}
}

func (r *reader) tmpfs(v []string) error {
	n := &node{kind: private}
	n.mode, n.size = r.next()
	r.root.mount(inside(v[0]), n)
	return nil
}

func (r *reader) mqueue(v []string) error {
	r.next()
	return errors.New("this cannot be had: sbx mounts no message queues; programs make them without by mq_open(3)")
}

// directory makes a directory, unless there is one.
func (r *reader) directory(v []string) error {
	name := inside(v[0])
	mode, _ := r.next()
	at, n := r.root.over(name)
	if at == name {
		if n.kind == file || n.kind == link {
			return errors.New("it is there, and no directory")
		}
		return nil
	}
	if n.kind == own || n.kind >= read && n.kind <= layered {
		// It is there on the host, or it cannot be made: the launch says so.
		return nil
	}
	if err := r.place(name); err != nil {
		return err
	}
	r.root[name] = &node{kind: made, mode: mode}
	return nil
}

// content takes an option that makes a file of what a descriptor has.
func content(writable bool) func(*reader, []string) error {
	return func(r *reader, v []string) error {
		data, err := r.contents(v[0])
		if err != nil {
			return err
		}
		name := inside(v[1])
		if mode, _ := r.next(); mode != "" || writable {
			r.lose("%s is a file that all may read and nobody may write", text.Quote(name))
		}
		if name == "/" {
			return errors.New("it is a directory")
		}
		if _, n := r.root.over(name); n.kind <= made {
			if err := r.place(name); err != nil {
				return err
			}
		}
		r.root.mount(name, &node{kind: file, text: string(data)})
		return nil
	}
}

func (r *reader) symlink(v []string) error {
	name := inside(v[1])
	r.next()
	if n, ok := r.root[name]; ok && n.kind == link && n.from == v[0] {
		return nil
	} else if ok {
		return errors.New("something is there already")
	}
	if err := r.place(name); err != nil {
		return err
	}
	r.root[name] = &node{kind: link, from: v[0]}
	return nil
}

// chmod changes the mode of what was made before.
func (r *reader) chmod(v []string) error {
	mode, _ := r.next()
	if err := r.perms(v[:1]); err != nil {
		return err
	}
	set, _ := r.next()
	r.mode = mode
	name := inside(v[1])
	n, ok := r.root[name]
	switch {
	case ok && (n.kind == private || n.kind == made):
		n.mode = set
	case ok && n.kind == file:
		r.lose("--chmod: %s keeps its mode", text.Quote(name))
	default:
		return errors.New("this cannot be had: sbx changes the mode of nothing but what it makes")
	}
	return nil
}
