package bwrap

import (
	"io/fs"
	"maps"
	"slices"
	"strconv"

	"sbx/internal/text"
	"sbx/policy"
)

// bind takes an option that shows a file of the host.
func bind(k kind, optional bool) func(*reader, []string) error {
	return func(r *reader, v []string) error {
		from, err := r.host(v[0])
		if err != nil {
			return err
		}
		if _, there := r.look(from); optional && r.options.Mode != nil && !there {
			return nil
		}
		if !optional {
			r.line.Needed = append(r.line.Needed, from)
		}
		n := r.bound(k, from, inside(v[1]), optional)
		if n == nil {
			return nil
		}
		if n.ofHost() {
			name, err := r.at(v[1])
			if err != nil {
				return err
			}
			r.binds[name] = n
		}
		return r.mount(v[1], from, n)
	}
}

func bindFD(k kind) func(*reader, []string) error {
	return func(r *reader, v []string) error {
		n, err := descriptor(v[0])
		if err != nil {
			return err
		}
		from := "/proc/self/fd/" + strconv.Itoa(n)
		r.line.Needed = append(r.line.Needed, from)
		return r.mount(v[1], from, &node{kind: k, from: "fd:" + strconv.Itoa(n)})
	}
}

// sockets says which Unix sockets of the host may be connected to: where the host's root is shown
// whole and writable all of them, as its files are, and what the line shows for the sake of its
// sockets.
func (r *reader) sockets(f *policy.Files) {
	names := slices.Sorted(maps.Keys(r.root))
	for name, n := range r.binds { // a mount that shows the same files may cover it
		at, over := r.root.over(name)
		if at != name && over.ofHost() && over.from == at && n.from == name {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		n := r.root[name]
		if n == nil {
			n = r.binds[name]
		}
		mode, known := r.look(n.from)
		place := slices.ContainsFunc([]string{"/run", "/tmp", "/var/run"}, func(dir string) bool {
			return policy.Within(name, dir) || policy.Within(n.from, dir)
		})
		switch whole := name == "/run" || name == "/tmp" || name == "/var/run"; {
		case !n.ofHost():
		case name == "/":
			if n.kind != read {
				f.Sockets = append(f.Sockets, name)
			}
		case whole && n.kind == read:
		case whole:
			f.Sockets = append(f.Sockets, name)
		case known && (mode&fs.ModeSocket != 0 || place && mode.IsDir()):
			f.Sockets = append(f.Sockets, "?"+name)
		case !known && place:
			r.lose("sockets at %s cannot be connected to, if there are any", text.Quote(name))
		}
	}
}
