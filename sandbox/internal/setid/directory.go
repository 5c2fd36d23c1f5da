package setid

import (
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// do sets the mode of the directory that the call names, with the rights of the
// process that called and no more.
func (who identity) do(proc int, c call) error {
	file, err := open(proc, c)
	if err != nil {
		return err
	}
	defer unix.Close(file)
	return who.set(file, c)
}

// set is do for a file that is open.
func (who identity) set(file int, c call) error {
	var st unix.Stat_t
	if err := unix.Fstat(file, &st); err != nil {
		return err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
	case unix.S_IFLNK:
		return unix.EOPNOTSUPP
	default:
		return unix.EPERM // no file gets the bit
	}
	if int(st.Uid) != who.user {
		return unix.EPERM
	}
	if !slices.Contains(who.groups, int(st.Gid)) {
		c.mode &^= unix.S_ISGID // as the kernel does
	}
	return withoutCapabilities(func() error {
		return unix.Fchmodat(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(file), c.mode, 0)
	})
}

// open opens what the call names, by the process's own root, directory and
// descriptors, and with O_PATH: so nothing is done to it.
func open(proc int, c call) (int, error) {
	if n, ok := ownDescriptor(c.name); ok {
		c.byFD, c.name, c.dir = true, "", n
	}
	if c.byFD && c.name == "" {
		return base(proc, c.dir)
	}
	if c.name == "" {
		return -1, unix.ENOENT
	}
	root, err := unix.Openat(proc, "root", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, unix.EPERM
	}
	defer unix.Close(root)
	flags := uint64(unix.O_PATH | unix.O_CLOEXEC)
	if !c.follow {
		flags |= unix.O_NOFOLLOW
	}
	if c.name[0] == '/' {
		return resolve(root, c.name, flags, unix.RESOLVE_IN_ROOT)
	}
	dir, err := base(proc, c.dir)
	if err != nil {
		return -1, err
	}
	defer unix.Close(dir)
	fd, err := resolve(dir, c.name, flags, unix.RESOLVE_BENEATH)
	if err != unix.EXDEV {
		return fd, err
	}
	// It goes up, or through an absolute link. From here such a path would lead
	// past the process's root, so it is gone anew from there.
	at, err := place(proc, root, dir, c.dir)
	if err != nil {
		return -1, err
	}
	return resolve(root, at+"/"+c.name, flags, unix.RESOLVE_IN_ROOT)
}

// ownDescriptor is N of /proc/self/fd/N, which C libraries call chmod with where
// there is no fchmodat2(2), before Linux 6.6.
func ownDescriptor(name string) (int32, bool) {
	for _, dir := range [...]string{"/proc/self/fd/", "/proc/thread-self/fd/", "/dev/fd/"} {
		if digits, ok := strings.CutPrefix(name, dir); ok {
			n, err := strconv.ParseUint(digits, 10, 31)
			return int32(n), err == nil
		}
	}
	return 0, false
}

// base opens the process's descriptor, or its working directory.
func base(proc int, dir int32) (int, error) {
	fd, err := unix.Openat(proc, baseName(dir), unix.O_PATH|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT {
		err = unix.EBADF
	}
	return fd, err
}

func baseName(dir int32) string {
	if dir == unix.AT_FDCWD {
		return "cwd"
	}
	return "fd/" + strconv.Itoa(int(dir))
}

// place is the path of the directory below the process's root. It is an error
// where the path leads to another one.
func place(proc, root, dir int, number int32) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(proc, baseName(number), buf)
	if err != nil || n == len(buf) || n == 0 || buf[0] != '/' {
		return "", unix.EPERM
	}
	fd, err := resolve(root, string(buf[:n]), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC,
		unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return "", unix.EPERM
	}
	defer unix.Close(fd)
	var a, b unix.Stat_t
	if unix.Fstat(fd, &a) != nil || unix.Fstat(dir, &b) != nil || a.Dev != b.Dev || a.Ino != b.Ino {
		return "", unix.EPERM
	}
	return string(buf[:n]), nil
}

// resolve is an openat2(2) with the rights of an ordinary process. No magic link
// is followed: those of /proc mean another process here.
func resolve(dir int, name string, flags, how uint64) (fd int, err error) {
	err = withoutCapabilities(func() error {
		const tries = 16 // while other processes rename directories
		for range tries {
			fd, err = unix.Openat2(dir, name, &unix.OpenHow{Flags: flags, Resolve: how | unix.RESOLVE_NO_MAGICLINKS})
			if err != unix.EAGAIN && err != unix.EINTR {
				break
			}
		}
		return err
	})
	return fd, err
}

// withoutCapabilities calls f on a thread whose effective set is empty, so that
// the kernel allows what it would allow the target, if the launcher is root.
func withoutCapabilities(f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var had [2]unix.CapUserData
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if err := unix.Capget(&header, &had[0]); err != nil {
		return err
	}
	if had[0].Effective|had[1].Effective == 0 {
		return f()
	}
	none := had
	none[0].Effective, none[1].Effective = 0, 0
	if err := unix.Capset(&header, &none[0]); err != nil {
		return err
	}
	err := f()
	if e := unix.Capset(&header, &had[0]); e != nil {
		panic("setid: the launcher has lost its capabilities: " + e.Error())
	}
	return err
}
