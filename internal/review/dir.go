package review

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Paths are resolved beneath their root's descriptor. No link is followed, and no mount
// is entered.
const beneath = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV

// maxPath is how long a path below a root may be; longer ones the kernel does not take.
const maxPath = 4000

// openAt opens a path below a directory; "" or "." is the directory itself.
func openAt(root int, rel string, flags uint64) (int, error) {
	if rel == "" {
		rel = "."
	}
	for {
		fd, err := unix.Openat2(root, rel, &unix.OpenHow{Flags: flags | unix.O_CLOEXEC | unix.O_NOFOLLOW, Resolve: beneath})
		if err == unix.EAGAIN || err == unix.EINTR { // something was renamed meanwhile
			continue
		}
		return fd, err
	}
}

// openDir opens a directory below the root, to be read.
func openDir(root int, rel string) (int, error) {
	return openAt(root, rel, unix.O_RDONLY|unix.O_DIRECTORY)
}

// stat is lstat(2) of an entry of an open directory.
func stat(dir int, name string) (st unix.Stat_t, err error) {
	err = unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	return st, err
}

// statOrNone is stat; ok says that the entry is there.
func statOrNone(dir int, name string) (st unix.Stat_t, ok bool, err error) {
	if dir < 0 {
		return st, false, nil
	}
	st, err = stat(dir, name)
	if errors.Is(err, unix.ENOENT) {
		return st, false, nil
	}
	return st, err == nil, err
}

// names are the names in an open directory, sorted.
func names(dir int) (list []string, err error) {
	if _, err := unix.Seek(dir, 0, 0); err != nil {
		return nil, err
	}
	buf := make([]byte, 32<<10)
	for {
		n, err := unix.ReadDirent(dir, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		if n == 0 {
			slices.Sort(list)
			return list, nil
		}
		_, _, list = unix.ParseDirent(buf[:n], -1, list)
	}
}

// join is the path of an entry in the directory rel.
func join(rel, name string) string {
	if rel == "" {
		return name
	}
	return rel + "/" + name
}

// split is the directory and the name of a path below a root.
func split(rel string) (dir, name string) {
	i := strings.LastIndexByte(rel, '/')
	if i < 0 {
		return "", rel
	}
	return rel[:i], rel[i+1:]
}

// within says whether a path below a root is dir or lies below it; "" is the root.
func within(rel, dir string) bool {
	return dir == "" || rel == dir || len(rel) > len(dir) && rel[len(dir)] == '/' && rel[:len(dir)] == dir
}

// byFD is a path for calls that take no descriptor, of an entry in an open directory.
func byFD(dir int, name string) string {
	p := "/proc/self/fd/" + strconv.Itoa(dir)
	if name == "" || name == "." {
		return p + "/."
	}
	return p + "/" + name
}

func kind(mode uint32) uint32 { return mode & unix.S_IFMT }

func isDir(mode uint32) bool { return kind(mode) == unix.S_IFDIR }

// later says whether a time is after another one.
func later(a, b unix.Timespec) bool { return a.Sec > b.Sec || a.Sec == b.Sec && a.Nsec > b.Nsec }

func closeFD(fd int) {
	if fd >= 0 {
		unix.Close(fd) // nothing was written by it
	}
}

func byFDItself(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }
