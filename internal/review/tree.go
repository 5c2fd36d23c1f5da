package review

import (
	"errors"
	"fmt"
	"path"
	"strconv"

	"golang.org/x/sys/unix"

	"sbx/internal/text"
)

// tree is a root that is open: the directory base has upper and the rest, lower is the
// host's directory.
type tree struct {
	r                  *Review
	root               *Root
	base, upper, lower int
	// held and over are the paths that the program could not change, and all directories
	// over them.
	held, over map[string]bool
	// renames are the files that were moved.
	renames *renames
	// obeyed is the new directory whose contents are obeyed with it, "" if there is none.
	obeyed string
	// before is what was there at the start, nil until somebody asks.
	before *before
}

// place opens the directory that has the directories of the root.
func (r *Review) place(root *Root) (int, error) {
	number := strconv.Itoa(root.N)
	if len(root.Place) == 0 {
		return openDir(r.dir, number)
	}
	at, err := openPath(string(root.Place))
	if err != nil {
		return -1, fmt.Errorf("open %s, which has the changes: %w", text.Quote(string(root.Place)), err)
	}
	defer closeFD(at)
	if err := private(at); err != nil {
		return -1, fmt.Errorf("open %s, which has the changes: %w", text.Quote(string(root.Place)), err)
	}
	return openDir(at, number)
}

// tree opens a root.
func (r *Review) tree(n int) (t *tree, err error) {
	root := &r.Roots[n]
	t = &tree{r: r, root: root, base: -1, upper: -1, lower: -1}
	defer func() {
		if err != nil {
			t.close()
			t = nil
		}
	}()
	if t.base, err = r.place(root); err != nil {
		return t, err
	}
	if t.upper, err = openDir(t.base, upperName); err != nil {
		return t, err
	}
	if t.lower, err = openPath(string(root.Real)); err != nil {
		return t, fmt.Errorf("open %s: %w", text.Quote(string(root.Real)), err)
	}
	low, err := look(t.lower)
	if err != nil {
		return t, err
	}
	up, err := look(t.upper)
	if err != nil {
		return t, err
	}
	switch {
	case low.ino != root.Ino || low.born != root.Born:
		return t, refuse("put back the one that the program saw, or discard the review",
			"go on with review %s: %s is another directory than at the start", r.ID, text.Quote(string(root.Real)))
	case low.mount != up.mount:
		return t, refuse("unmount that, or discard the review",
			"go on with review %s: something was mounted at %s", r.ID, text.Quote(string(root.Real)))
	}
	t.held, t.over = make(map[string]bool, len(root.Held)), map[string]bool{}
	for _, h := range root.Held {
		rel := string(h)
		t.held[rel] = true
		for rel != "" && rel != "." {
			rel = path.Dir(rel)
			t.over[rel] = true
		}
	}
	return t, nil
}

func (t *tree) close() {
	closeFD(t.base)
	closeFD(t.upper)
	closeFD(t.lower)
}

// isHeld says whether the program could not change the path.
func (t *tree) isHeld(rel string) bool {
	for rel != "" && rel != "." && len(t.held) > 0 {
		if t.held[rel] {
			return true
		}
		rel = path.Dir(rel)
	}
	return false
}

// entry says what keeping would do to the entry of the upper directory of a pair.
func (t *tree) entry(p *pair, name string) (*Change, error) {
	up, low := p.up, p.low
	c := &Change{Root: t.root.N}
	c.setPath(join(p.rel, name))
	st, err := stat(up, name)
	if err != nil {
		return nil, err
	}
	lower, there, err := statOrNone(low, name)
	if err != nil {
		return nil, err
	}
	if there {
		c.setLower(&lower)
	}
	if len(t.root.File) > 0 && st.Ctim == t.root.Copied {
		return c, nil // the program has not touched its copy
	}
	white, err := isWhiteout(up, name, &st, p.whiteouts)
	if err != nil {
		return nil, err
	}
	if white {
		c.upper = st
		if there {
			c.Kind = Deleted
			t.judgeDeleted(p, c, name)
		}
		return c, nil
	}
	if mode, ok := t.r.journal.modes[modeKey{t.root.N, c.Path}]; ok {
		st.Mode = kind(st.Mode) | mode
	}
	c.setUpper(&st)
	return c, t.judge(p, c, name)
}

// isWhiteout says whether an entry of the upper directory says that there is none: a
// character device 0:0, or, in a directory that says so, an empty file with an attribute.
func isWhiteout(up int, name string, st *unix.Stat_t, byXattr bool) (bool, error) {
	if kind(st.Mode) == unix.S_IFCHR && st.Rdev == 0 {
		return true, nil
	}
	if !byXattr || kind(st.Mode) != unix.S_IFREG || st.Size != 0 {
		return false, nil
	}
	list, err := xattrs(up, name)
	for _, attr := range list {
		if attr == xattrWhiteout {
			return true, err
		}
	}
	return false, err
}

// judge says what an entry that is there does.
func (t *tree) judge(p *pair, c *Change, name string) error {
	up, low := p.up, p.low
	c.descend = c.Type == "directory"
	c.merged = c.descend && c.Old == "directory"
	switch {
	case c.Old == "":
		c.Kind = Added
	case c.Type != c.Old:
		c.Kind = Modified
	case c.descend:
		return t.judgeDir(p, c, name)
	default:
		same, err := t.same(c, up, low, name)
		if err != nil {
			return err
		}
		attributes := c.Mode != c.OldMode || c.upper.Uid != c.lower.Uid || c.upper.Gid != c.lower.Gid
		if same && !attributes {
			attributes, err = differ(up, low, name)
			if err != nil {
				return err
			}
		}
		switch {
		case !same:
			c.Kind = Modified
		case attributes:
			c.Kind = Mode
		case c.upper.Mtim != c.lower.Mtim:
			c.Kind = Times
		default:
			return nil // it was only opened
		}
	}
	if c.Type == "link" {
		to, err := readlink(up, name)
		if err != nil {
			return err
		}
		c.To = to
	}
	switch {
	case c.Old == "":
		if err := t.judgeMissing(p, c, name); err != nil {
			return err
		}
	case c.Type != "directory" && c.Old == "directory":
		t.judgeDeleted(p, c, name)
	default:
		t.judgeHost(p, c)
	}
	return t.judgeNew(c, up, name)
}

// judgeDeleted sets what speaks against deleting the host's file or directory.
func (t *tree) judgeDeleted(p *pair, c *Change, name string) {
	if t.isHeld(c.Path) || t.over[c.Path] {
		c.Refused = heldReason
		return
	}
	t.judgeHost(p, c)
	if c.Old != "directory" {
		return
	}
	count, newest, err := t.survey(p.low, name, c.Path)
	c.Entries = count
	switch {
	case errors.Is(err, unix.EXDEV):
		c.Refused = "something is mounted in it"
	case err != nil:
		c.Refused = "it cannot be looked into: " + err.Error()
	case newest != "":
		c.Conflict = "changed on the host meanwhile: " + text.Quote(newest)
	}
}

const heldReason = "it is guarded or hidden, or has something in it that is"

// judgeNew sets why the new file is never kept.
func (t *tree) judgeNew(c *Change, up int, name string) error {
	switch {
	case t.isHeld(c.Path), !c.descend && t.over[c.Path]:
		c.Refused = heldReason
	case len(c.Path) > maxPath:
		c.Refused = "its path is too long"
	case c.Type == "device":
		c.Refused = "it is a device"
	case c.Type == "socket":
		c.Refused = "it is a socket, and nobody listens any more"
	case c.Type == "file" && c.Mode&(unix.S_ISUID|unix.S_ISGID) != 0:
		c.Refused = "it is set-user-ID or set-group-ID"
	case c.descend && c.Mode&unix.S_ISUID != 0:
		c.Refused = "it is set-user-ID"
	}
	if c.Refused != "" || c.Type != "file" && c.Type != "directory" {
		return nil
	}
	list, err := xattrs(up, name)
	if err != nil {
		return err
	}
	for _, attr := range list {
		switch attr {
		case xattrRedirect, xattrMetacopy:
			c.Refused = "it has the attribute " + attr + ", which sbx's overlays do not use"
		case "security.capability":
			c.Refused = "it has file capabilities"
		}
	}
	return nil
}

// judgeDir says what changes of a directory that is on the host, too.
func (t *tree) judgeDir(p *pair, c *Change, name string) error {
	attributes := c.Mode != c.OldMode || c.upper.Uid != c.lower.Uid || c.upper.Gid != c.lower.Gid
	if !attributes {
		var err error
		if attributes, err = differ(p.up, p.low, name); err != nil {
			return err
		}
	}
	if t.r.journal.made(t.root.N, c.Path, &c.lower) {
		c.Kind = Added // it is sbx's own, and has its attributes last
		return t.judgeNew(c, p.up, name)
	}
	if attributes {
		c.Kind = Mode
		low, err := openDir(p.low, name)
		if err != nil && !errors.Is(err, unix.EACCES) {
			return err
		}
		c.Conflict, err = t.changedDir(c.Path, low, &c.lower)
		closeFD(low)
		if err != nil {
			return err
		}
	}
	return t.judgeNew(c, p.up, name)
}
