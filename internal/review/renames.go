package review

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// renames pairs a file that was deleted with one that was added, where both are the same.
// Where overlayfs notes which file of the host an upper one was copied from, that says it;
// where it does not, as for users, the same size, times and content do. Nothing but what
// people read, and what they select, depends on it.
type renames struct {
	from, to map[string]string // by the new path, by the old one
}

// renamesMost bounds how many are looked for.
const renamesMost = 10_000

// findRenames looks through the upper directory for renamed files.
func (t *tree) findRenames() error {
	t.renames = &renames{from: map[string]string{}, to: map[string]string{}}
	x := collector{tree: t, deleted: map[string]string{}}
	if err := x.collect(""); err != nil {
		return err
	}
	for _, a := range x.added {
		from, ok := x.deleted[a.origin]
		if !ok {
			from, ok = x.deleted[a.looks]
			ok = ok && t.sameFile(from, a.path)
		}
		if ok && t.renames.to[from] == "" {
			t.renames.from[a.path], t.renames.to[from] = from, a.path
		}
	}
	return nil
}

type collector struct {
	*tree
	deleted map[string]string // paths by handle, and by looks
	added   []addedFile
}

// addedFile is a file that may be a renamed one.
type addedFile struct{ path, origin, looks string }

func (x *collector) collect(rel string) error {
	p, err := x.pair(rel)
	if err != nil {
		return err
	}
	var dirs []string
	for _, name := range p.names {
		at := join(rel, name)
		st, err := stat(p.up, name)
		if err != nil {
			p.close()
			return err
		}
		if isDir(st.Mode) {
			if len(at) <= maxPath {
				dirs = append(dirs, at)
			}
			continue
		}
		lower, there, err := statOrNone(p.low, name)
		if err != nil {
			p.close()
			return err
		}
		switch white, err := isWhiteout(p.up, name, &st, p.whiteouts); {
		case err != nil:
			p.close()
			return err
		case len(x.deleted) >= 2*renamesMost || len(x.added) >= renamesMost:
		case white && there && kind(lower.Mode) == unix.S_IFREG:
			x.deleted[looks(&lower)] = at
			if key := handle(p.low, name); key != "" {
				x.deleted[key] = at
			}
		case !white && !there && kind(st.Mode) == unix.S_IFREG:
			x.added = append(x.added, addedFile{at, origin(p.up, name), looks(&st)})
		}
	}
	p.close()
	for _, dir := range dirs {
		if err := x.collect(dir); err != nil {
			return err
		}
	}
	return nil
}

// looks is what a file that was renamed has kept.
func looks(st *unix.Stat_t) string { return fmt.Sprint("looks ", st.Size, st.Mtim.Sec, st.Mtim.Nsec) }

// sameFile says whether the host's file and one in the upper directory have the same
// content. One that cannot be read has not.
func (t *tree) sameFile(low, up string) bool {
	lowDir, lowName := split(low)
	upDir, upName := split(up)
	a, err := openDir(t.lower, lowDir)
	if err != nil {
		return false
	}
	defer closeFD(a)
	b, err := openDir(t.upper, upDir)
	if err != nil {
		return false
	}
	defer closeFD(b)
	st, err := stat(a, lowName)
	if err != nil || st.Size > sameMost {
		return false
	}
	x, err := openFile(a, lowName)
	if err != nil {
		return false
	}
	defer x.Close() //nolint:errcheck // it was only read
	y, err := openFile(b, upName)
	if err != nil {
		return false
	}
	defer y.Close() //nolint:errcheck // it was only read
	same, err := sameContent(x, y)
	return same && err == nil
}

// handle is the handle of a file; see name_to_handle_at(2).
func handle(dir int, name string) string {
	h, _, err := unix.NameToHandleAt(dir, name, 0)
	if err != nil {
		return "" // the file system has none
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
	if from := t.renames.from[c.Path]; from != "" && c.Kind == Added {
		c.Kind, c.From = Renamed, from
	}
	to := t.renames.to[c.Path]
	if to == "" || c.Kind != Deleted || c.Refused != "" {
		return
	}
	if c.Conflict == "" {
		c.Kind = "" // the new name says it
	} else {
		c.To = to
	}
}
