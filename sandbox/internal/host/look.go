package host

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// look opens a path and describes what it is. Mostly the path is already
// real, which the first call finds out.
func (h *Facts) look(s string) File {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC | unix.O_NOFOLLOW, Resolve: unix.RESOLVE_NO_SYMLINKS}
	fd, err := unix.Openat2(unix.AT_FDCWD, s, &how)
	f := File{Real: s}
	var st unix.Stat_t
	if err == nil {
		if err = unix.Fstat(fd, &st); err == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK {
			unix.Close(fd)
			if f.Link, err = readlink(s); err == nil {
				err = unix.ELOOP
			}
		}
	}
	if err == unix.ELOOP { // a link at the end or on the way
		if fd, err = unix.Open(s, unix.O_PATH|unix.O_CLOEXEC, 0); err == nil {
			err = unix.Fstat(fd, &st)
			if err == nil {
				if f.Real, err = readlink("/proc/self/fd/" + strconv.Itoa(fd)); err != nil {
					unix.Close(fd)
					return File{Err: &NeedError{Reason: NoProc, What: "see where it leads by /proc: " + err.Error(), Fix: "mount /proc: mount -t proc proc /proc"}}
				}
			}
		}
	}
	switch {
	case err == unix.ENOENT || err == unix.ENOTDIR || err == unix.ELOOP:
		// Links that lead to one another lead nowhere, and whoever may write here
		// can leave some: nothing is there.
		return File{}
	case err != nil:
		return File{Err: err}
	}
	h.fds, f.FD = append(h.fds, fd), fd
	f.Mode = st.Mode & unix.S_IFMT
	f.Major, f.Minor, f.Ino = unix.Major(st.Dev), unix.Minor(st.Dev), st.Ino
	f.Rdev = st.Rdev
	f.UID, f.GID, f.Perm, f.Links = st.Uid, st.Gid, st.Mode&0o777, uint64(st.Nlink)
	return f
}

func readlink(name string) (string, error) {
	var b [unix.PathMax]byte
	n, err := unix.Readlink(name, b[:])
	return string(b[:max(n, 0)]), err
}
