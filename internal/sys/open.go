package sys

import (
	"errors"
	"strconv"

	"golang.org/x/sys/unix"
)

// ErrKind is a file of another kind than the ones that are to be opened.
var ErrKind = errors.New("not a regular file")

// OpenRegular opens a regular file to be read, with further flags of open(2). See
// Open.
func OpenRegular(dir int, name string, flags int) (fd int, err error) {
	return Open(dir, name, unix.O_RDONLY|unix.O_NONBLOCK|flags, unix.S_IFREG)
}

// Open opens a file of one of the kinds, S_IFREG for example, and looks at the
// kind before it opens the file: to open a FIFO waits for somebody else, and to
// open a device can do anything. A file of another kind is ErrKind; other errors
// are bare errnos.
func Open(dir int, name string, flags int, kinds ...uint32) (fd int, err error) {
	path, err := unix.Openat(dir, name, unix.O_PATH|unix.O_CLOEXEC|flags&unix.O_NOFOLLOW, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(path)
	var st, opened unix.Stat_t
	if err := unix.Fstat(path, &st); err != nil {
		return -1, err
	}
	switch kind := st.Mode & unix.S_IFMT; {
	case kind == unix.S_IFLNK:
		return -1, unix.ELOOP
	case !among(kind, kinds):
		return -1, ErrKind
	}
	flags |= unix.O_CLOEXEC | unix.O_NOCTTY
	fd, err = unix.Open("/proc/self/fd/"+strconv.Itoa(path), flags&^unix.O_NOFOLLOW, 0)
	if err != unix.ENOENT {
		return fd, err
	}
	// There is no /proc: by the name again, if it still means the same file.
	if fd, err = unix.Openat(dir, name, flags|unix.O_NONBLOCK, 0); err != nil {
		return -1, err
	}
	if err = unix.Fstat(fd, &opened); err == nil && (opened.Dev != st.Dev || opened.Ino != st.Ino) {
		err = unix.ESTALE
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func among(kind uint32, kinds []uint32) bool {
	for _, k := range kinds {
		if k == kind {
			return true
		}
	}
	return false
}

// ReadRegular reads a regular file of the host's whole; see Open.
func ReadRegular(name string) (string, error) { return ReadRegularAt(unix.AT_FDCWD, name, 0) }

// ReadRegularAt is ReadRegular in an open directory, with further flags of open(2).
func ReadRegularAt(dir int, name string, flags int) (string, error) {
	fd, err := OpenRegular(dir, name, flags)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	return readAll(fd)
}
