package review

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"sbx/internal/text"
)

// Changes calls f for each change, in the order of paths: a directory before what is in
// it. It keeps in memory what is in one directory, and no more.
func (r *Review) Changes(f func(*Change) error) error {
	return r.each(func(t *tree) error {
		if err := t.prepare(""); err != nil {
			return err
		}
		if err := t.findRenames(); err != nil {
			return err
		}
		c, err := t.top()
		if err == nil && c != nil {
			err = f(c)
		}
		if err != nil {
			return err
		}
		return t.scan("", f)
	})
}

// each opens each root in turn.
func (r *Review) each(f func(*tree) error) error {
	for n := range r.Roots {
		t, err := r.tree(n)
		if err != nil {
			return err
		}
		err = f(t)
		t.close()
		if err != nil && !errors.Is(err, errStop) {
			err = fmt.Errorf("look at the changes of %s: %w", text.Quote(string(r.Roots[n].Real)), err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// errStop ends a scan early.
var errStop = errors.New("stop")

// Empty says whether there is no change, nor anything that is refused.
func (r *Review) Empty() (bool, error) {
	err := r.Changes(func(*Change) error { return errStop })
	if errors.Is(err, errStop) {
		return false, nil
	}
	return err == nil, err
}

// top is what changes of the root itself: its mode, owner and group.
func (t *tree) top() (*Change, error) {
	up, err := look(t.upper)
	if err != nil {
		return nil, err
	}
	low, err := look(t.lower)
	if err != nil {
		return nil, err
	}
	mode := up.mode & 0o7777
	if mode == t.root.Mode && up.uid == t.root.UID && up.gid == t.root.GID {
		return nil, nil
	}
	c := &Change{Root: t.root.N, Kind: Mode, Type: "directory", Old: "directory", Mode: mode, OldMode: low.mode & 0o7777}
	if err := unix.Fstat(t.upper, &c.upper); err != nil {
		return nil, err
	}
	if err := unix.Fstat(t.lower, &c.lower); err != nil {
		return nil, err
	}
	if l := &c.lower; c.OldMode != t.root.Mode || later(l.Ctim, t.root.Start) && l.Ctim != l.Mtim {
		c.Conflict = "it was changed on the host meanwhile"
	}
	if mode&unix.S_ISUID != 0 {
		c.Refused = "it is set-user-ID"
	}
	return c, nil
}

// pair is a directory of the upper directory that is open, with the host's, or -1.
type pair struct {
	up, low   int
	whiteouts bool
	names     []string
}

func (p *pair) close() {
	closeFD(p.up)
	closeFD(p.low)
}

// pair opens the directory rel on both sides.
func (t *tree) pair(rel string) (p pair, err error) {
	p.low = -1
	if p.up, err = openDir(t.upper, rel); err != nil {
		return p, err
	}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	if p.names, err = names(p.up); err != nil {
		return p, err
	}
	value, err := xattr(p.up, ".", xattrOpaque)
	if err != nil {
		return p, err
	}
	p.whiteouts = value == "x"
	p.low, err = openDir(t.lower, rel)
	if missing(err) {
		err = nil
	}
	return p, err
}

// missing says that there is no directory.
func missing(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP)
}

// scan is Changes below the directory rel.
func (t *tree) scan(rel string, f func(*Change) error) error {
	p, err := t.pair(rel)
	if err != nil {
		return fmt.Errorf("open %s: %w", text.Quote(rel), err)
	}
	open := true
	defer func() {
		if open {
			p.close()
		}
	}()
	var dirs []*Change
	for _, name := range p.names {
		c, err := t.entry(p.up, p.low, p.whiteouts, rel, name)
		if err != nil {
			return fmt.Errorf("%s: %w", text.Quote(join(rel, name)), err)
		}
		if c.descend {
			dirs = append(dirs, c)
			continue
		}
		t.markRenamed(c)
		if !c.none() {
			if err := f(c); err != nil {
				return err
			}
		}
	}
	p.close() // one descriptor is enough, however deep it gets
	open = false
	for _, c := range dirs {
		if !c.none() {
			if err := f(c); err != nil {
				return err
			}
		}
		if len(c.Path) > maxPath {
			continue
		}
		if err := t.scan(c.Path, f); err != nil {
			return err
		}
	}
	return nil
}

// survey looks at all of a directory of the host that is to be deleted: how many entries it
// has, and the first that has changed since the start.
func (t *tree) survey(low int, name, rel string) (count int, newest string, err error) {
	st, err := stat(low, name)
	if err != nil {
		return 0, "", err
	}
	if later(st.Ctim, t.root.Start) && !t.r.journal.own(t.root.N, rel, &st) {
		newest = rel
	}
	if !isDir(st.Mode) {
		return 1, newest, nil
	}
	dir, err := openDir(t.lower, rel)
	if err != nil {
		return 1, newest, err
	}
	list, err := names(dir)
	if err != nil {
		closeFD(dir)
		return 1, newest, err
	}
	count = 1
	var dirs []string
	for _, name := range list {
		st, err := stat(dir, name)
		if err != nil {
			closeFD(dir)
			return count, newest, err
		}
		switch {
		case isDir(st.Mode):
			dirs = append(dirs, name)
		case later(st.Ctim, t.root.Start) && !t.r.journal.own(t.root.N, join(rel, name), &st) && newest == "":
			newest = join(rel, name)
		}
		count++
	}
	closeFD(dir)
	for _, name := range dirs {
		up, err := openDir(t.lower, rel)
		if err != nil {
			return count, newest, err
		}
		n, first, err := t.survey(up, name, join(rel, name))
		closeFD(up)
		count += n - 1
		if newest == "" {
			newest = first
		}
		if err != nil {
			return count, newest, err
		}
	}
	return count, newest, nil
}

// renames pairs files that were renamed: what overlayfs notes of an upper file's origin is
// the handle of the host's file that it was copied from.
type renames struct {
	from, to map[string]string // by the new path, by the old one
	// known are the handles of the host's files whose fate is known; certain says that
	// there are no others.
	known   map[string]bool
	certain bool
}

// renamesMost bounds how many are looked for.
const renamesMost = 10_000

// findRenames looks through the upper directory for renamed files.
func (t *tree) findRenames() error {
	t.renames = &renames{from: map[string]string{}, to: map[string]string{}, known: map[string]bool{}, certain: true}
	deleted, added := map[string]string{}, map[string]string{}
	if err := t.collect("", deleted, added); err != nil {
		return err
	}
	for key, to := range added {
		if from := deleted[key]; from != "" && to != "" {
			t.renames.from[to], t.renames.to[from] = from, to
		}
	}
	return nil
}

func (t *tree) collect(rel string, deleted, added map[string]string) error {
	p, err := t.pair(rel)
	if err != nil {
		return err
	}
	var dirs []string
	for _, name := range p.names {
		if len(t.renames.known) >= renamesMost || len(added) >= renamesMost {
			t.renames.certain = false
			break
		}
		at := join(rel, name)
		st, err := stat(p.up, name)
		if err != nil {
			p.close()
			return err
		}
		lower, there, err := statOrNone(p.low, name)
		if err != nil {
			p.close()
			return err
		}
		if isDir(st.Mode) && len(at) <= maxPath {
			dirs = append(dirs, name)
		}
		if there && isDir(lower.Mode) && !isDir(st.Mode) {
			t.renames.certain = false // what was in it may have been moved anywhere
		}
		if there && kind(lower.Mode) == unix.S_IFREG {
			key := handle(p.low, name)
			t.renames.known[key] = true
			if white, err := isWhiteout(p.up, name, &st, p.whiteouts); err == nil && white && key != "" {
				deleted[key] = at
			}
		}
		if !there && kind(st.Mode) == unix.S_IFREG && st.Nlink == 1 {
			if key := origin(p.up, name); key != "" {
				added[key] = at
			}
		}
	}
	p.close()
	for _, name := range dirs {
		if err := t.collect(join(rel, name), deleted, added); err != nil {
			return err
		}
	}
	return nil
}

// handle is the handle of a file; see name_to_handle_at(2).
func handle(dir int, name string) string {
	h, _, err := unix.NameToHandleAt(dir, name, 0)
	if err != nil {
		return "" // the file system has none: then nothing is paired
	}
	return string(append([]byte{byte(h.Type())}, h.Bytes()...))
}

// origin is the handle in overlayfs's note; see struct ovl_fb in the kernel's
// fs/overlayfs/overlayfs.h.
func origin(dir int, name string) string {
	const head, typeAt = 21, 4 // version, magic, len, flags, type, uuid
	value, err := xattr(dir, name, xattrOrigin)
	if err != nil || len(value) <= head {
		return ""
	}
	return value[typeAt:typeAt+1] + value[head:]
}

// markRenamed makes one change of a deleted and an added file that are the same.
func (t *tree) markRenamed(c *Change) {
	if t.renames == nil {
		return
	}
	if from := t.renames.from[c.Path]; from != "" && c.Kind == Added {
		c.Kind, c.From = Renamed, from
		if t.isHeld(from) {
			c.Refused = heldReason
		}
	}
	if t.renames.to[c.Path] != "" && c.Kind == Deleted && c.Refused == "" {
		to := t.renames.to[c.Path]
		if c.Conflict == "" {
			c.Kind = "" // the new name says it
		} else {
			c.To = to
		}
	}
}

// selects says whether a selection has the path, and whether it has something below it.
func selects(list []Selected, root int, rel string) (self, below bool) {
	for _, s := range list {
		if s.Root != root {
			continue
		}
		self = self || within(rel, string(s.Path))
		below = below || within(string(s.Path), rel)
	}
	return self, below || self
}

// Selected is a path of a root, with all below it.
type Selected struct {
	Root int    `json:"root"`
	Path []byte `json:"path"`
}

// Select finds the root of an absolute path of the host, or of the sandbox.
func (r *Review) Select(name string) (Selected, error) {
	best, found := Selected{}, -1
	for _, root := range r.Roots {
		for _, base := range [...]string{string(root.Real), string(root.Path)} {
			if within(name, base) && len(base) > found {
				best, found = Selected{root.N, []byte(trimSlash(name[len(base):]))}, len(base)
			}
		}
	}
	if found < 0 {
		return best, refuse("sbx review show "+r.ID+" lists the changes",
			"%s is in no directory of review %s", text.Quote(name), r.ID)
	}
	return best, nil
}

func trimSlash(s string) string {
	for len(s) > 0 && s[0] == '/' {
		s = s[1:]
	}
	return s
}

// all selects everything.
func (r *Review) all() (list []Selected) {
	for _, root := range r.Roots {
		list = append(list, Selected{Root: root.N, Path: []byte{}})
	}
	return slices.Clip(list)
}
