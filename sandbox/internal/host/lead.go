package host

import (
	"errors"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/policy"
)

// errNowhere says that a link leads to nothing.
var errNowhere = errors.New("it leads nowhere")

func procFD(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// lead opens by O_PATH what the link in the directory fd leads to. Where a directory on
// the way cannot be entered it is hidden instead, if it is the caller's own and lies in
// the project, and there is no descriptor: the target could make it so.
func (s *scan) lead(d *scanned, fd int, name string) (to int, err error) {
	to, err = unix.Openat(fd, name, unix.O_PATH|unix.O_CLOEXEC, 0)
	switch err {
	case nil:
		return to, nil
	case unix.ENOENT, unix.ENOTDIR:
		return -1, errNowhere
	case unix.EACCES, unix.ELOOP:
		return s.leadByHand(d, fd, name)
	}
	return -1, err
}

// leadByHand follows links one by one, of which the kernel follows 40: the target could
// begin in the middle.
func (s *scan) leadByHand(d *scanned, fd int, name string) (int, error) {
	const most = 1000
	at, err := unix.Openat(fd, ".", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	rest := name
	for links := 0; ; {
		part, after, more := strings.Cut(rest, "/")
		if part == "" { // of "//", or at an end
			if rest = after; more {
				continue
			}
			return at, nil
		}
		next, err := unix.Openat(at, part, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err == unix.EACCES {
			defer unix.Close(at)
			return -1, s.denies(d, at)
		}
		if err != nil {
			unix.Close(at)
			if err == unix.ENOENT || err == unix.ENOTDIR {
				return -1, errNowhere
			}
			return -1, err
		}
		var st unix.Stat_t
		err = unix.Fstat(next, &st)
		to := ""
		if err == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK {
			if links++; links > most {
				err = errNowhere // a loop, or as good as one
			} else {
				to, err = readlinkat(next)
			}
		}
		switch {
		case err != nil:
		case to == "":
			unix.Close(at)
			at, rest = next, after
			continue
		default:
			unix.Close(next)
			if next = at; path.IsAbs(to) {
				if next, err = unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err == nil {
					unix.Close(at)
				}
			}
		}
		if err != nil {
			unix.Close(at)
			return -1, err
		}
		if at, rest = next, to; more {
			rest += "/" + after
		}
	}
}

// denies hides the directory that cannot be entered.
func (s *scan) denies(d *scanned, fd int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	real, err := readlink(procFD(fd))
	if err != nil {
		return err
	}
	if int(st.Uid) == unix.Geteuid() && real != s.dir && policy.Within(real, s.dir) {
		d.found = append(d.found, Found{
			Path: real, Dir: true, ID: identity(&st), Unread: true, Why: "a link leads through it, and it cannot be entered",
		})
	}
	return nil
}
