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
	if len(t.root.File) > 0 {
		return nil, nil
	}
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
	if c.Conflict, err = t.changedDir("", t.lower, &c.lower); err != nil {
		return nil, err
	}
	if mode&unix.S_ISUID != 0 {
		c.Refused = "it is set-user-ID"
	}
	return c, nil
}

// pair is a directory of the upper directory that is open, with the host's, or -1.
type pair struct {
	rel       string
	up, low   int
	whiteouts bool
	names     []string
	// replaced says that the host's directory is another one than at the start.
	replaced string
}

func (p *pair) close() {
	closeFD(p.up)
	closeFD(p.low)
}

// pair opens the directory rel on both sides.
func (t *tree) pair(rel string) (p pair, err error) {
	p.rel, p.low = rel, -1
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
		return p, nil
	}
	if errors.Is(err, unix.EACCES) { // its entries can be reached, if not listed
		p.low, err = openAt(t.lower, rel, unix.O_PATH|unix.O_DIRECTORY)
	}
	if err == nil && len(p.names) > 0 {
		p.replaced, err = t.replacedDir(rel, p.low)
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
		c, err := t.entry(&p, name)
		if err != nil {
			return fmt.Errorf("%s: %w", text.Quote(join(rel, name)), err)
		}
		if c.descend {
			dirs = append(dirs, c)
			continue
		}
		t.markRenamed(c)
		t.markObeyed(&p, c, name)
		if !c.none() {
			if err := f(c); err != nil {
				return err
			}
		}
	}
	p.close() // one descriptor is enough, however deep it gets
	open = false
	for _, c := range dirs {
		t.markObeyed(nil, c, "")
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
	if t.changed(rel, &st) {
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
		case newest == "" && t.changed(join(rel, name), &st):
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
	for i := range r.Roots {
		root := &r.Roots[i]
		for _, base := range [...]string{root.Where(), string(root.Path)} {
			if name == base && len(root.File) > 0 {
				return Selected{root.N, root.File}, nil
			}
			if len(root.File) == 0 && within(name, base) && len(base) > found {
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
