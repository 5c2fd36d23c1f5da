package review

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// overlayfs keeps its notes in these attributes, with userxattr. A program in the overlay
// neither sees nor sets them.
const (
	overlayPrefix = "user.overlay."
	xattrOpaque   = overlayPrefix + "opaque"
	xattrWhiteout = overlayPrefix + "whiteout"
	xattrRedirect = overlayPrefix + "redirect"
	xattrMetacopy = overlayPrefix + "metacopy"
	xattrOrigin   = overlayPrefix + "origin"
)

// xattr is the value of an attribute of a directory's entry, "" where there is none.
func xattr(dir int, name, attr string) (string, error) {
	buf := make([]byte, 256)
	n, err := unix.Lgetxattr(byFD(dir, name), attr, buf)
	switch {
	case errors.Is(err, unix.ERANGE):
		return "long", nil // none that decides anything is
	case errors.Is(err, unix.ENODATA), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EPERM):
		return "", nil // user attributes are of files and directories only
	case err != nil:
		return "", err
	}
	return string(buf[:n]), nil
}

// xattrs are the names of the entry's attributes.
func xattrs(dir int, name string) ([]string, error) {
	return xattrsAt(byFD(dir, name), unix.Llistxattr)
}

// xattrsOf are those of what a path leads to.
func xattrsOf(path string) ([]string, error) { return xattrsAt(path, unix.Listxattr) }

func xattrsAt(path string, list func(string, []byte) (int, error)) ([]string, error) {
	for {
		size, err := list(path, nil)
		if errors.Is(err, unix.EOPNOTSUPP) || err == nil && size == 0 {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		buf := make([]byte, size)
		n, err := list(path, buf)
		if errors.Is(err, unix.ERANGE) {
			continue
		}
		if err != nil {
			return nil, err
		}
		var all []string
		for part := range bytes.SplitSeq(buf[:n], []byte{0}) {
			if len(part) > 0 {
				all = append(all, string(part))
			}
		}
		return all, nil
	}
}

// strip takes overlayfs's notes off an entry. mode is asked for where the caller may not
// write to the entry: it notes the mode down before that is changed for a moment.
func (k *keeper) strip(dir int, rel, name string, st *unix.Stat_t) error {
	if kind(st.Mode) != unix.S_IFREG && !isDir(st.Mode) {
		return nil // others have none
	}
	list, err := xattrs(dir, name)
	if err != nil {
		return err
	}
	opened := false
	for _, attr := range list {
		if !strings.HasPrefix(attr, overlayPrefix) {
			continue
		}
		k.op("strip")
		err := unix.Lremovexattr(byFD(dir, name), attr)
		if errors.Is(err, unix.EACCES) && !opened {
			opened = true
			if err = k.openUp(dir, rel, name, st); err == nil {
				err = unix.Lremovexattr(byFD(dir, name), attr)
			}
		}
		if err != nil && !errors.Is(err, unix.ENODATA) {
			return fmt.Errorf("remove the attribute %s: %w", attr, err)
		}
	}
	if mode, ok := k.modes[modeKey{k.root.N, rel}]; ok && !isDir(st.Mode) {
		k.op("chmod back")
		return chmod(dir, name, mode)
	}
	return nil
}

// openUp lets the owner read and write an entry of the upper directory, after its mode is
// in the journal.
func (k *keeper) openUp(dir int, rel, name string, st *unix.Stat_t) error {
	if _, ok := k.modes[modeKey{k.root.N, rel}]; !ok {
		if err := k.note(line{Mode: &modeLine{Root: k.root.N, Path: []byte(rel), Mode: st.Mode & 0o7777}}); err != nil {
			return err
		}
	}
	k.op("open up")
	return chmod(dir, name, st.Mode&0o7777|0o700)
}

// chmod changes the mode of what was found at a name. It follows no link.
func chmod(dir int, name string, mode uint32) error {
	fd, err := openAt(dir, name, unix.O_PATH)
	if err != nil {
		return err
	}
	defer closeFD(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if kind(st.Mode) == unix.S_IFLNK {
		return unix.ELOOP
	}
	return unix.Chmod(byFDItself(fd), mode)
}

// copyXattrs gives the host's directory the attributes of the upper one, but for
// overlayfs's own.
func copyXattrs(from, to int) error {
	list, err := xattrs(from, ".")
	if err != nil {
		return err
	}
	for _, attr := range list {
		if !ownXattr(attr) {
			continue
		}
		value, err := wholeXattr(from, attr)
		if err != nil {
			return err
		}
		if err := unix.Fsetxattr(to, attr, value, 0); err != nil {
			return fmt.Errorf("set the attribute %s: %w", attr, err)
		}
	}
	return nil
}

// ownXattr says whether an attribute is one that a program sets: its own, or an ACL.
func ownXattr(attr string) bool {
	return strings.HasPrefix(attr, "user.") && !strings.HasPrefix(attr, overlayPrefix) ||
		strings.HasPrefix(attr, "system.posix_acl_")
}

func wholeXattr(fd int, attr string) ([]byte, error) {
	size, err := unix.Fgetxattr(fd, attr, nil)
	if err != nil {
		return nil, err
	}
	buf := make([]byte, size)
	n, err := unix.Fgetxattr(fd, attr, buf)
	if err != nil {
		return nil, err
	}
	return buf[:n], nil
}
