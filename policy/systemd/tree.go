package systemd

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"sbx/policy"
)

// content is what a path is made to show. Of several for one path systemd
// takes the first in this order, and so do we.
type content uint8

const (
	asBefore content = iota // what lies there anyway
	bound                   // another path, or the path itself in the place of what covers it
	private                 // an empty directory of the unit's own
)

// node is what all settings together say of one path.
type node struct {
	content content
	from    string // of bound
	// What is said of access. ro beats rw and noexec beats exec, as in
	// systemd; free is a default that any other word for the path beats.
	hide, ro, rw, free, exec, noexec bool
	// optional says that nothing that names the path insists that it is there.
	optional   bool
	size, mode string // of private
	by         setting
}

// tree is the file system as a unit has it, by path inside.
type tree map[string]*node

// at finds or makes the node of a path.
func (t tree) at(p string, by setting, optional bool) *node {
	n := t[p]
	if n == nil {
		n = &node{optional: true, by: by}
		t[p] = n
	}
	if !optional || n.by.key == "" {
		n.by = by
	}
	n.optional = n.optional && optional
	return n
}

// show makes a path show something, unless it does already.
func (n *node) show(c content, from string) bool {
	if n.content != asBefore && n.content <= c {
		return false
	}
	n.content, n.from = c, from
	return true
}

// state is what holds at a path: its own node's words, and what it inherits.
type state struct {
	hidden, private, ro, noexec bool
	// source is what is shown at base, if another path: below base it goes on
	// in the same way.
	source, base string
}

// from is the host's path that is shown at p, or "" if it is p itself.
func (s state) from(p string) string {
	if s.source == "" {
		return ""
	}
	if f := path.Join(s.source, strings.TrimPrefix(p, s.base)); f != p {
		return f
	}
	return ""
}

// same says whether paths can be written and executed alike.
func (s state) same(t state) bool { return s.ro == t.ro && s.noexec == t.noexec }

// layout turns the tree into a policy's lists. A path that says what holds
// there anyway is left out.
func (m *importer) layout() {
	t := m.tree
	paths := make([]string, 0, len(t))
	for p := range t {
		paths = append(paths, p)
	}
	slices.SortFunc(paths, func(a, b string) int {
		return cmp.Or(cmp.Compare(depth(a), depth(b)), strings.Compare(a, b))
	})
	states := map[string]state{}
	emitted := map[string]bool{}
	for _, p := range paths {
		n := t[p]
		up := above(states, p)
		s := n.under(up, p)
		states[p] = s
		switch {
		case up.hidden:
		case m.special(p, n):
		case n.hide:
			m.hide(p, n)
			emitted[p] = true
		case n.content == asBefore && p != "/" && (up.private || s.same(up)),
			n.content == bound && n.from == p && !up.private && up.source == "" && s.same(up):
			if up.private && (n.noexec || n.exec) && !n.optional {
				m.loseAt(n.by, "%s lies in what is private and empty: a policy cannot say of it what can be executed", p)
			}
		default:
			emitted[p] = true
		}
	}
	for _, p := range paths {
		if n := t[p]; emitted[p] && !n.hide {
			holds := slices.ContainsFunc(paths, func(q string) bool {
				return emitted[q] && q != p && !t[q].hide && policy.Within(q, p)
			})
			m.emit(p, n, states[p], holds)
		}
	}
	m.devShm(states)
}

// under is what holds at a node's path, given what holds above it.
func (n *node) under(up state, p string) state {
	s := up
	if n.hide {
		s.hidden = true
	}
	switch {
	case n.content == bound:
		s.private, s.source, s.base, s.ro = false, n.from, p, n.ro
	case n.content == private:
		s.private, s.source, s.base, s.ro = true, "", p, n.ro
	case n.ro:
		s.ro = true
	case n.rw, n.free:
		s.ro = false
	}
	switch {
	case n.noexec:
		s.noexec = true
	case n.exec:
		s.noexec = false
	}
	return s
}

// above is what holds at the nearest path over p. Where a home is, the unit
// does not say: what holds for homes counts.
func above(states map[string]state, p string) state {
	for p != "/" {
		if p = path.Dir(p); p == "." {
			p = "/"
			if s, ok := states["/home"]; ok {
				return s
			}
		}
		if s, ok := states[p]; ok {
			return s
		}
	}
	return state{}
}

func depth(p string) int {
	switch {
	case p == "/":
		return 0
	case p[0] == '$': // after /home
		return 2 + strings.Count(p, "/")
	}
	return strings.Count(p, "/")
}

// hide covers a path.
func (m *importer) hide(p string, n *node) {
	mark := ""
	if n.optional {
		mark = "?"
	}
	m.p.Files.Hide = append(m.p.Files.Hide, mark+p)
}

// emit lists a path with its options. holds says that others below it are
// listed, too.
func (m *importer) emit(p string, n *node, s state, holds bool) {
	f := &m.p.Files
	mark := ""
	inherited := n.content == asBefore && !n.ro && !n.rw && !n.noexec
	if n.optional && p != "/" || topLink(p) || !s.ro && (inherited || p == "/") {
		mark = "?"
	}
	o := policy.PathOptions{From: s.from(p)}
	if s.noexec {
		no := false
		o.Exec = &no
	}
	switch {
	case s.private && p == "/":
		if !s.ro {
			m.loseAt(n.by, "the sandbox's own root directory is read-only")
		}
		return // a policy's own root is this
	case p == "/dev/shm" && s.ro:
		f.Hide = append(f.Hide, p)
		return
	case s.private && s.ro && !holds:
		f.Directories = append(f.Directories, mark+p)
		o = policy.PathOptions{Mode: n.mode}
	case s.private:
		if s.ro {
			m.loseAt(n.by, "%s is private, but can be written: a policy's read-only directory has nothing in it", p)
		}
		f.Tmpfs = append(f.Tmpfs, p)
		o.Size, o.Mode = n.size, n.mode
	case s.ro:
		f.Read = append(f.Read, mark+p)
	default:
		f.Write = append(f.Write, mark+p)
	}
	if o != (policy.PathOptions{}) {
		if f.Paths == nil {
			f.Paths = map[string]policy.PathOptions{}
		}
		f.Paths[p] = o
	}
}

// topLink says of a directory that it is a link into /usr on the machines that
// systemd supports. A policy follows such a link only for what is read.
func topLink(p string) bool {
	switch p {
	case "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32":
		return true
	}
	return false
}

// special sees to the file systems that a sandbox has of its own: /proc, which
// is read-only, and /dev, which has a few harmless devices. It reports whether
// nothing is left to list for the path.
func (m *importer) special(p string, n *node) bool {
	where := ""
	switch {
	case policy.Within(p, "/dev/shm"):
		// Private and writable anyway; devShm adds what is said of it.
		return n.content == asBefore && !n.hide
	case policy.Within(p, "/dev"):
		where = "/dev"
	case policy.Within(p, "/proc"):
		where = "/proc"
	default:
		return false
	}
	switch {
	case n.hide:
		n.optional = true // little of the host's is there
		return false
	case n.content != asBefore:
		m.loseAt(n.by, "a sandbox has its own %s, where nothing else is shown: not at %s either", where, p)
		if p != where {
			m.p.Files.Hide = append(m.p.Files.Hide, "?"+p)
		}
	case n.rw && !n.ro:
		m.loseAt(n.by, "a sandbox has its own %s: %s does not become writable", where, p)
	}
	return true
}

// devShm gives the sandbox's /dev/shm, which is private and writable, what the
// unit says of the host's. One that is read-only is of no use, and hidden.
func (m *importer) devShm(states map[string]state) {
	f, p := &m.p.Files, "/dev/shm"
	s, ok := states[p]
	if !ok {
		s = above(states, p)
	}
	if s.hidden || slices.Contains(f.Tmpfs, p) || slices.Contains(f.Hide, p) {
		return
	}
	switch {
	case s.ro && !s.private:
		f.Hide = append(f.Hide, p)
	case s.noexec:
		f.Tmpfs = append(f.Tmpfs, p)
		if f.Paths == nil {
			f.Paths = map[string]policy.PathOptions{}
		}
		no := false
		f.Paths[p] = policy.PathOptions{Exec: &no}
	}
}
