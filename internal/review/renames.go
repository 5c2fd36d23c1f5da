package review

import "golang.org/x/sys/unix"

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
