package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"sbx/internal/sys"
	"sbx/internal/text"
)

// writeFile writes what -o names as a whole or not at all: whoever reads it, at
// whatever moment sbx was killed, finds the old file or the new one. The data goes
// to a file of a random name in the same directory, to the disk, and only then to
// its own name. A file that is replaced keeps its mode. A device or pipe, which
// has no content to replace, is written to as it is. A symbolic link to a file is
// refused: in a directory that others can write it is their choice what it leads to.
func writeFile(name string, data []byte) error {
	dir, base := filepath.Split(name)
	at, err := unix.Open(filepath.Clean(dir), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "write", Path: name, Err: err}
	}
	defer unix.Close(at) //nolint:errcheck // opened with O_PATH: nothing to lose
	mode, plain := uint32(0), true
	var st unix.Stat_t
	switch err := unix.Fstatat(at, base, &st, unix.AT_SYMLINK_NOFOLLOW); {
	case base == "":
		err = unix.EISDIR
		fallthrough
	case err != nil && !errors.Is(err, unix.ENOENT):
		return &os.PathError{Op: "write", Path: name, Err: err}
	case err != nil: // a new file
	case st.Mode&unix.S_IFMT == unix.S_IFREG:
		mode = st.Mode & 0o777
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return &os.PathError{Op: "write", Path: name, Err: unix.EISDIR}
	default:
		plain = false
	}
	if !plain {
		return writeInto(name, data)
	}
	if err := replaceFile(at, base, mode, data, true); err != nil {
		return &os.PathError{Op: "write", Path: name, Err: err}
	}
	return nil
}

// writeInto writes to a device, a pipe, or a link to one, such as /dev/stdout.
func writeInto(name string, data []byte) error {
	fd, err := sys.Open(unix.AT_FDCWD, name, unix.O_WRONLY, unix.S_IFIFO, unix.S_IFCHR, unix.S_IFBLK)
	var st unix.Stat_t
	if errors.Is(err, sys.ErrKind) && unix.Stat(name, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG {
		return &usageError{fmt.Sprintf("write %s: it is a symbolic link to a file", text.Quote(name)),
			"name the file that it leads to"}
	}
	if err != nil {
		return &os.PathError{Op: "write", Path: name, Err: err}
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close() //nolint:errcheck // a device keeps nothing back until it is closed
	_, err = f.Write(data)
	return err
}

// replaceFile puts a file with the data in the place of base in the directory at, or, if it
// is not to replace anything, only where there is nothing of that name. A mode of 0 is a
// new file's, by the umask.
func replaceFile(at int, base string, mode uint32, data []byte, replace bool) error {
	var random [16]byte
	if _, err := unix.Getrandom(random[:], 0); err != nil {
		return err
	}
	temporary := ".sbx-" + hex.EncodeToString(random[:])
	fd, err := unix.Openat(at, temporary, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), temporary)
	_, err = f.Write(data)
	if err == nil && mode != 0 {
		err = unix.Fchmod(fd, mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	switch {
	case err != nil:
	case replace:
		if err = unix.Renameat(at, temporary, at, base); err == nil {
			return nil
		}
	default:
		if err = unix.Linkat(at, temporary, at, base, 0); err == nil {
			return unix.Unlinkat(at, temporary, 0)
		}
	}
	if path := (*os.PathError)(nil); errors.As(err, &path) {
		err = path.Err // the temporary's name tells nobody anything
	}
	if left := unix.Unlinkat(at, temporary, 0); left != nil {
		return fmt.Errorf("%w; and remove the temporary file %s: %w", err, temporary, left)
	}
	return err
}
