package review

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"sbx/internal/sys"
)

// sameMost is the size up to which files of one size are compared; larger ones count as
// modified.
const sameMost = 64 << 20

// same says whether both files have the same content. Times say nothing, since programs
// set them.
func (t *tree) same(c *Change, up, low int, name string) (bool, error) {
	switch c.Type {
	case "link":
		a, err := readlink(up, name)
		if err != nil {
			return false, err
		}
		b, err := readlink(low, name)
		return a == b, err
	case "file":
	case "device":
		return c.upper.Rdev == c.lower.Rdev, nil
	default: // a FIFO or a socket has no content
		return true, nil
	}
	if c.Size != c.OldSize || c.Size > sameMost {
		return false, nil
	}
	a, err := openFile(up, name)
	if err != nil {
		return false, unreadable(err)
	}
	defer a.Close() //nolint:errcheck // it was only read
	b, err := openFile(low, name)
	if err != nil {
		return false, unreadable(err)
	}
	defer b.Close() //nolint:errcheck // it was only read
	return sameContent(a, b)
}

// unreadable takes a file that may not be read for a modified one.
func unreadable(err error) error {
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
		return nil
	}
	return err
}

func sameContent(a, b io.Reader) (bool, error) {
	x, y := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, err := io.ReadFull(a, x)
		if err != nil && err != io.ErrUnexpectedEOF && err != io.EOF {
			return false, err
		}
		m, end := io.ReadFull(b, y)
		if end != nil && end != io.ErrUnexpectedEOF && end != io.EOF {
			return false, end
		}
		if !bytes.Equal(x[:n], y[:m]) {
			return false, nil
		}
		if err != nil {
			return true, nil
		}
	}
}

// openFile opens a regular file. Nothing else is opened, since that could wait or act.
func openFile(dir int, name string) (*os.File, error) {
	at, err := openAt(dir, name, unix.O_PATH)
	if err != nil {
		return nil, err
	}
	defer closeFD(at)
	var st unix.Stat_t
	if err := unix.Fstat(at, &st); err != nil {
		return nil, err
	}
	if kind(st.Mode) != unix.S_IFREG {
		return nil, sys.ErrKind
	}
	fd, err := unix.Open("/proc/self/fd/"+strconv.Itoa(at), unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

func readlink(dir int, name string) (string, error) {
	buf := make([]byte, 4097)
	n, err := unix.Readlinkat(dir, name, buf)
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}

// differ says whether the attributes of both differ that a program sets.
func differ(up, low int, name string) (bool, error) {
	a, err := ownXattrs(up, name)
	if err != nil {
		return false, err
	}
	b, err := ownXattrs(low, name)
	if err != nil {
		return false, err
	}
	if !slices.Equal(a, b) {
		return true, nil
	}
	for _, attr := range a {
		x, err := entryXattr(up, name, attr)
		if err != nil {
			return false, err
		}
		y, err := entryXattr(low, name, attr)
		if err != nil {
			return false, err
		}
		if !bytes.Equal(x, y) {
			return true, nil
		}
	}
	return false, nil
}

func ownXattrs(dir int, name string) ([]string, error) {
	list, err := xattrs(dir, name)
	list = slices.DeleteFunc(list, func(s string) bool { return !ownXattr(s) })
	slices.Sort(list)
	return list, err
}

func entryXattr(dir int, name, attr string) ([]byte, error) {
	buf := make([]byte, 64<<10) // XATTR_SIZE_MAX
	n, err := unix.Lgetxattr(byFD(dir, name), attr, buf)
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.ENODATA) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return buf[:n], nil
}
