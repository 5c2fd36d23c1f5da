package review

import (
	"errors"

	"golang.org/x/sys/unix"
)

// prepare makes the upper directory of a root plain: directories in it can be read and
// written, and what hides the host's files by one attribute of a directory (opaque) does so
// by a whiteout for each. So a part of it can be kept or discarded without a change of
// meaning. Where it is interrupted, the attribute stays until it is done once more.
func (t *tree) prepare(rel string) error {
	up, err := openDir(t.upper, rel)
	if err != nil {
		return err
	}
	list, err := names(up)
	if err == nil {
		err = t.explicit(up, rel, list)
	}
	var dirs []string
	for _, name := range list {
		if err != nil {
			break
		}
		var st unix.Stat_t
		if st, err = stat(up, name); err != nil || !isDir(st.Mode) || len(join(rel, name)) > maxPath {
			continue
		}
		if st.Mode&0o700 != 0o700 {
			k := keeper{Review: t.r, tree: t}
			err = k.openUp(up, join(rel, name), name, &st)
		}
		dirs = append(dirs, name)
	}
	closeFD(up)
	for _, name := range dirs {
		if err == nil {
			err = t.prepare(join(rel, name))
		}
	}
	return err
}

// explicit turns an opaque directory into whiteouts.
func (t *tree) explicit(up int, rel string, list []string) error {
	value, err := xattr(up, ".", xattrOpaque)
	if err != nil || value != "y" {
		return err
	}
	low, err := openDir(t.lower, rel)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
		return nil // there is nothing to hide
	case err != nil:
		return nil // it cannot be looked into: the scan says so
	}
	defer closeFD(low)
	x, err := look(low)
	if err != nil {
		return err
	}
	if x.born == (unix.Timespec{}) || !later(x.born, t.root.Start) { // else it was made on the host meanwhile
		if err := t.whiteouts(up, low, list); err != nil {
			return err
		}
	}
	t.r.step("not opaque")
	return unix.Fremovexattr(up, xattrOpaque)
}

// whiteouts hides what the host has in a directory and the program has not.
func (t *tree) whiteouts(up, low int, list []string) error {
	here := make(map[string]bool, len(list))
	for _, name := range list {
		here[name] = true
	}
	all, err := names(low)
	if err != nil {
		return err
	}
	for _, name := range all {
		if !here[name] {
			t.r.step("whiteout")
			if err := unix.Mknodat(up, name, unix.S_IFCHR, 0); err != nil && !errors.Is(err, unix.EEXIST) {
				return err
			}
			continue
		}
		st, err := stat(up, name)
		if err != nil {
			return err
		}
		lower, there, err := statOrNone(low, name)
		if err != nil {
			return err
		}
		if there && isDir(st.Mode) && isDir(lower.Mode) {
			t.r.step("opaque")
			if err := unix.Lsetxattr(byFD(up, name), xattrOpaque, []byte("y"), 0); err != nil {
				return err
			}
		}
	}
	return nil
}
