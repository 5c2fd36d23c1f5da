package review

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"sbx/internal/text"
)

// A single file that can be written has no overlay. The program gets a copy of it, bound
// over its path, and keeping renames that to its place. The copy lies in an upper directory
// of its own, and the host's directory is its lower one.

// fitFile is an error where keeping could not put the file in its place.
func fitFile(dir int, name string, x seen, d Dir) error {
	fd, err := openAt(dir, name, unix.O_PATH)
	if errors.Is(err, unix.EXDEV) {
		return refuse("let the program write to the directory that is mounted, or to a copy", "it is a mount of its own")
	}
	if err != nil {
		return err
	}
	defer closeFD(fd)
	f, err := look(fd)
	switch {
	case err != nil:
		return err
	case f.dev != d.Dev || f.ino != d.Ino || kind(f.mode) != unix.S_IFREG:
		return unix.ESTALE
	case f.mount != x.mount || f.dev != x.dev:
		return refuse("let the program write to the directory that is mounted, or to a copy", "it is a mount of its own")
	case unix.Faccessat(dir, ".", unix.W_OK|unix.X_OK, unix.AT_EACCESS) != nil:
		return refuse("let the program write to a copy of it in a directory of your own",
			"the caller may not write to its directory, so the changed file could not be put in its place")
	case unix.Geteuid() != 0 && int(f.uid) != unix.Geteuid():
		return refuse("let the program write to a copy of it in a directory of your own",
			"it belongs to another user, and the changed file would be the caller's")
	}
	return nil
}

// makeCopy makes the upper directory with the file's copy. Where the file system shares
// blocks between files, that copies nothing.
func (root *Root) makeCopy(at, lower int, d Dir) error {
	upper, err := openDir(at, upperName)
	if err != nil {
		return err
	}
	defer closeFD(upper)
	var st unix.Stat_t
	if err := unix.Fstat(upper, &st); err != nil {
		return err
	}
	root.Mode, root.UID, root.GID, root.Start = st.Mode&0o7777, st.Uid, st.Gid, st.Ctim
	name := string(root.File)
	from, err := openFile(lower, name)
	if err != nil {
		return fmt.Errorf("copy it: %w", err)
	}
	defer from.Close() //nolint:errcheck // it was only read
	fd, err := openNew(upper, name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL)
	if err != nil {
		return err
	}
	to := os.NewFile(uintptr(fd), name)
	err = errors.Join(root.fillCopy(from, to, d), to.Close())
	if err != nil {
		return fmt.Errorf("copy it: %w", err)
	}
	return nil
}

func (root *Root) fillCopy(from, to *os.File, d Dir) error {
	in, out := int(from.Fd()), int(to.Fd())
	var st, now unix.Stat_t
	if err := unix.Fstat(in, &st); err != nil {
		return err
	}
	if st.Dev != d.Dev || st.Ino != d.Ino {
		return unix.ESTALE
	}
	if err := copyContent(in, out, st.Size); err != nil {
		return err
	}
	switch err := unix.Fchown(out, int(st.Uid), int(st.Gid)); {
	case errors.Is(err, unix.EPERM):
		return refuse("let the program write to a copy of it in a directory of your own",
			"the caller cannot give a copy its owner %d and group %d", st.Uid, st.Gid)
	case err != nil:
		return err
	}
	if err := copyFileXattrs(in, out); err != nil {
		return err
	}
	if err := unix.Fchmod(out, st.Mode&0o7777); err != nil {
		return err
	}
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, byFDItself(out), []unix.Timespec{st.Atim, st.Mtim}, 0); err != nil {
		return err
	}
	if err := unix.Fstat(in, &now); err != nil {
		return err
	}
	if now.Ctim != st.Ctim {
		return refuse("try again", "%s was changed while it was copied", text.Quote(d.Real))
	}
	if err := unix.Fstat(out, &now); err != nil {
		return err
	}
	root.Copied = now.Ctim
	return nil
}

// copyContent copies a file, and leaves its holes.
func copyContent(in, out int, size int64) error {
	if unix.IoctlFileClone(out, in) == nil {
		return nil
	}
	if err := unix.Ftruncate(out, size); err != nil {
		return err
	}
	for at := int64(0); at < size; {
		data, err := unix.Seek(in, at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return nil // holes only
		}
		end := size
		switch {
		case err != nil: // the file system does not say where holes are
			data = at
		default:
			if end, err = unix.Seek(in, data, unix.SEEK_HOLE); err != nil {
				return err
			}
		}
		if err := copyRange(in, out, data, end); err != nil {
			return err
		}
		at = end
	}
	return nil
}

func copyRange(in, out int, at, end int64) error {
	buf := make([]byte, min(end-at, 1<<20))
	for at < end {
		n, err := unix.Pread(in, buf[:min(end-at, int64(len(buf)))], at)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		if n == 0 {
			return io.ErrUnexpectedEOF // it was cut short meanwhile
		}
		for part := buf[:n]; len(part) > 0; {
			n, err := unix.Pwrite(out, part, at)
			if err != nil && !errors.Is(err, unix.EINTR) {
				return err
			}
			part, at = part[max(n, 0):], at+int64(max(n, 0))
		}
	}
	return nil
}

// copyFileXattrs gives the copy the attributes of the host's file that a program sees.
func copyFileXattrs(in, out int) error {
	list, err := xattrsOf(byFDItself(in))
	if err != nil {
		return err
	}
	for _, attr := range list {
		if !ownXattr(attr) {
			continue
		}
		value, err := wholeXattr(in, attr)
		if err != nil {
			return err
		}
		if err := unix.Fsetxattr(out, attr, value, 0); err != nil {
			return fmt.Errorf("set the attribute %s: %w", strconv.Quote(attr), err)
		}
	}
	return nil
}
