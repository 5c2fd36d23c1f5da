package host

import (
	"path"
	"slices"

	"golang.org/x/sys/unix"

	"sbx/internal/text"
	"sbx/policy"
)

// entry looks at one name of the directory that fd is open to. Where the file is another
// one by then, the directory's state becomes gone: it is to be read again.
func (s *scan) entry(d *scanned, fd int, e rawEntry) error {
	s.wants = e.kind == unix.DT_UNKNOWN || e.kind == unix.DT_SOCK
	s.touched = s.wants || e.kind == unix.DT_DIR
	if e.kind == unix.DT_UNKNOWN { // the file system does not tell
		var st unix.Stat_t
		if unix.Fstatat(fd, string(e.name), &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
			d.state = gone
			return nil
		}
		e.kind = uint8(st.Mode & unix.S_IFMT >> 12)
	}
	if d.look&forLinks != 0 && e.kind == unix.DT_REG {
		s.hardLink(d, fd, e)
		return nil
	}
	hit := false
	if d.look&forSecrets != 0 {
		var err error
		if hit, err = s.secret(d, fd, e); err != nil || d.state != pending {
			return err
		}
	}
	held := d.look&asHeld != 0
	if d.look&forGuarded != 0 {
		if s.mark(d, fd, e, hit); d.state != pending {
			return nil
		}
		if n := len(d.marks); n > 0 && d.marks[n-1].name == string(e.name) && !d.marks[n-1].hidden {
			held = !slices.Contains(s.guarding.open, path.Join(d.rel, string(e.name)))
		}
	}
	switch {
	case hit:
	case e.kind == unix.DT_DIR:
		return s.descend(d, fd, e, held)
	case e.kind == unix.DT_SOCK && d.look&forLinks == 0:
		if st, ok := s.stat(d, fd, e); ok {
			d.live = append(d.live, Found{Path: s.path(d, e), ID: identity(&st)})
		}
	}
	return nil
}

func (s *scan) path(d *scanned, e rawEntry) string { return path.Join(s.dir, d.rel, string(e.name)) }

// stat looks at the file, which must still be of the same kind.
func (s *scan) stat(d *scanned, fd int, e rawEntry) (st unix.Stat_t, ok bool) {
	if unix.Fstatat(fd, string(e.name), &st, unix.AT_SYMLINK_NOFOLLOW) != nil || uint8(st.Mode&unix.S_IFMT>>12) != e.kind {
		d.state = gone
		return st, false
	}
	return st, true
}

// descend adds a directory to those that are searched, if anything is looked for in it.
func (s *scan) descend(d *scanned, fd int, e rawEntry, held bool) error {
	in := d.look
	if held {
		in |= asHeld
	}
	if s.rules != nil {
		// Sockets are what tools have in caches there, not packages.
		tree := s.rules.isTree(e.name)
		switch {
		case tree:
			in |= asTree
		case in&asTree != 0 && isCache(e.name):
			in &^= asTree // all in it is the tool's
		case in&asTree != 0:
			in &^= forSockets
		}
		if s.isVenv(fd, e) || tree || s.shown(d, e) {
			in &^= forSecrets
		}
		if s.shown(d, e) {
			in |= asShown
		}
		if in&asHeld == 0 && anyMatches(s.guarding.trees, string(e.name)) {
			in &^= forGuarded
		}
		if string(e.name) == "objects" && path.Base(d.rel) == ".git" {
			in = 0 // names made of digests
		}
	}
	if !s.deep && s.look != forSockets || in&(forSecrets|forGuarded|forSockets|forLinks) == 0 ||
		s.look == forSockets && software(s.path(d, e)) {
		return nil
	}
	rel := path.Join(d.rel, string(e.name))
	if len(s.dir)+len(rel)+len("/")+1 > unix.PathMax {
		d.state = unfinished // what has a longer path could not be hidden
		return nil
	}
	d.below = append(d.below, &scanned{rel: rel, look: in})
	return nil
}

// isTree says whether no secrets are looked for in directories of that name.
func (r *rules) isTree(name []byte) bool { return anyMatches(r.trees, string(name)) }

// isCache says whether tools keep files of their own in a directory of that name in a tree
// of packages, as in node_modules/.cache, and not packages.
func isCache(name []byte) bool {
	switch string(name) {
	case ".pnpm", ".bin", ".store":
		return false
	}
	return name[0] == '.'
}

func anyMatches(patterns []pattern, name string) bool {
	for i := range patterns {
		if patterns[i].matches(name) {
			return true
		}
	}
	return false
}

// shown says whether the policy shows the path whatever the patterns say.
func (s *scan) shown(d *scanned, e rawEntry) bool {
	return len(s.rules.shown) > 0 && s.rules.shown[s.path(d, e)]
}

// isVenv says whether the directory, whose name a pattern means, is a Python environment:
// .env is a usual name for one.
func (s *scan) isVenv(fd int, e rawEntry) bool {
	if s.rules.nameOf(e.name, true) == "" {
		return false
	}
	s.wants = true
	var st unix.Stat_t
	err := unix.Fstatat(fd, string(e.name)+"/pyvenv.cfg", &st, unix.AT_SYMLINK_NOFOLLOW)
	return err == nil && st.Mode&unix.S_IFMT == unix.S_IFREG
}

// may says quickly of nearly all names that no pattern of hide or inspect means them.
func (r *rules) may(name []byte) bool {
	for ; len(name) > 0; name = copied(name) {
		if r.ends.may(name) {
			return true
		}
	}
	return false
}

// nameOf is the pattern that hides such a name, or "".
func (r *rules) nameOf(name []byte, top bool) string {
	p := r.hide.match(name)
	if p == "" && top {
		p = r.top.match(name)
	}
	return p
}

// secret looks whether the entry is to be hidden, by its name and its content.
func (s *scan) secret(d *scanned, fd int, e rawEntry) (hit bool, err error) {
	r := s.rules
	if !r.may(e.name) {
		return false, nil
	}
	pattern, inspect := r.nameOf(e.name, d.rel == "."), ""
	if e.kind == unix.DT_REG || e.kind == unix.DT_LNK {
		inspect = r.inspect.match(e.name)
	}
	if pattern == "" && inspect == "" {
		return false, nil
	}
	s.touched, s.wants = true, true
	if r.unhide.match(e.name) != "" || s.shown(d, e) {
		return false, nil
	}
	if len(s.dir)+len(d.rel)+len(e.name)+2 >= unix.PathMax {
		d.state = unfinished // nothing can be mounted there
		return false, nil
	}
	if e.kind == unix.DT_LNK {
		return false, s.link(d, fd, e, pattern, inspect)
	}
	if e.kind == unix.DT_DIR && s.isVenv(fd, e) {
		return false, nil
	}
	st, ok := s.stat(d, fd, e)
	if !ok {
		return false, nil
	}
	why := named(pattern)
	if inspect != "" {
		if why, err = s.inspect(fd, string(e.name), &st, why, inspect); err != nil {
			return false, err
		}
	}
	if why == "" {
		return false, nil
	}
	d.found = append(d.found, Found{
		Path: s.path(d, e), Dir: e.kind == unix.DT_DIR, ID: identity(&st), Links: uint64(st.Nlink), Why: why,
	})
	return true, nil
}

func named(pattern string) string {
	if pattern == "" {
		return ""
	}
	return "its name is like " + text.Quote(pattern)
}

// mark notes what is at a guarded name, and the parts of a repository.
func (s *scan) mark(d *scanned, fd int, e rawEntry, hidden bool) {
	if d.look&asHeld != 0 {
		if e.kind == unix.DT_LNK {
			s.touched = true
			d.links = append(d.links, path.Join(d.rel, string(e.name)))
		}
		return
	}
	shape, top := part(e), d.rel == "."
	if shape != 0 {
		d.shape, s.touched = d.shape|shape, true
	}
	if s.guarding.mayGuard(e.name, top) && s.guarding.guards(string(e.name), e.kind, top) {
		s.touched, s.wants = true, true
		if st, ok := s.stat(d, fd, e); ok {
			d.marks = append(d.marks, mark{string(e.name), st, hidden})
		}
	}
}

// hardLink looks whether the entry is another name of a file that is hidden.
func (s *scan) hardLink(d *scanned, fd int, e rawEntry) {
	for id, of := range s.links {
		if id.Ino != e.ino {
			continue
		}
		st, ok := s.stat(d, fd, e)
		if !ok {
			return
		}
		if at := s.path(d, e); identity(&st) == id && at != of { // else it has that number on another device
			d.found = append(d.found, Found{Path: at, ID: id, Why: "it is the same file as " + text.Quote(of)})
		}
	}
}

// link hides the file that a link with a secret's name leads to, if that lies in the
// project. Files elsewhere are shown, or not, under their own names.
func (s *scan) link(d *scanned, fd int, e rawEntry, pattern, inspect string) error {
	to, err := s.lead(d, fd, string(e.name))
	if err != nil {
		if err == errNowhere {
			return nil
		}
		return &NeedError{
			Reason: BehindLink,
			What:   "see where the link " + text.Quote(s.path(d, e)) + " leads: " + err.Error(),
			Fix:    "remove the link, or leave it as it is with --show " + text.Quote(s.path(d, e)),
		}
	}
	if to < 0 {
		return nil // a directory on the way is hidden for it
	}
	defer unix.Close(to)
	var st unix.Stat_t
	if err := unix.Fstat(to, &st); err != nil {
		return err
	}
	real, err := readlink(procFD(to))
	if err != nil {
		return err
	}
	if real == s.dir || !policy.Within(real, s.dir) || s.rules.shown[real] ||
		s.rules.unhide.match([]byte(path.Base(real))) != "" {
		return nil
	}
	why := ""
	if pattern != "" {
		why = "the link " + text.Quote(s.path(d, e)) + " leads to it, and its name is like " + text.Quote(pattern)
	}
	if inspect != "" && st.Mode&unix.S_IFMT == unix.S_IFREG {
		if why, err = s.inspectFile(to, &st, why, inspect); err != nil {
			return err
		}
	}
	if why != "" {
		d.found = append(d.found, Found{
			Path: real, Dir: st.Mode&unix.S_IFMT == unix.S_IFDIR, ID: identity(&st), Links: uint64(st.Nlink), Why: why,
		})
	}
	return nil
}
