package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// past is a time that no use of a file gives it.
var past = unix.Timespec{Sec: 978307200} // 2001

// metadataStreams tries to change everything but the contents of what
// descriptors 0 to 2 are open to: by the descriptor, by its path in /proc, and
// by a descriptor of it that is open by O_PATH. The answers go to descriptor 3.
func metadataStreams([]string) error {
	report := os.NewFile(3, "report")
	for fd := range 3 {
		path := "/proc/self/fd/" + strconv.Itoa(fd)
		by, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open %s: %w", path, err)
		}
		for _, way := range metadataWays(fd, by, path) {
			answer := "ok"
			if err := way.try(); err != nil {
				answer = errnoName(err)
			}
			if _, err := fmt.Fprintf(report, "%d %s: %s\n", fd, way.name, answer); err != nil {
				return err
			}
		}
	}
	return report.Close()
}

type metadataWay struct {
	name string
	try  func() error
}

// metadataWays are all ways to change a file's metadata: fd is open to it, by
// is so by O_PATH, and path leads to it.
func metadataWays(fd, by int, path string) []metadataWay {
	uid, gid := os.Getuid(), os.Getgid()
	byPath := "/proc/self/fd/" + strconv.Itoa(by)
	times := []unix.Timespec{past, past}
	ways := []metadataWay{
		{"fchown", func() error { return unix.Fchown(fd, uid, gid) }},
		{"chown", func() error { return unix.Chown(path, uid, gid) }},
		{"fchownat", func() error { return unix.Fchownat(by, "", uid, gid, unix.AT_EMPTY_PATH) }},
		{"futimens", func() error { return utimens(fd, &times[0]) }},
		{"touch", func() error { return utimens(fd, nil) }},
		{"utimensat", func() error { return unix.UtimesNanoAt(unix.AT_FDCWD, path, times, 0) }},
		{"utimensat O_PATH", func() error { return unix.UtimesNanoAt(by, "", times, unix.AT_EMPTY_PATH) }},
		{"fsetxattr", func() error { return unix.Fsetxattr(fd, "user.probe", []byte("x"), 0) }},
		{"setxattr", func() error { return unix.Setxattr(path, "user.other", []byte("x"), 0) }},
		{"setxattr O_PATH", func() error { return unix.Setxattr(byPath, "user.third", []byte("x"), 0) }},
		{"fremovexattr", func() error { return unix.Fremovexattr(fd, "user.kept") }},
		{"removexattr", func() error { return unix.Removexattr(path, "user.kept") }},
		{"acl", func() error { return unix.Setxattr(path, "system.posix_acl_access", everybody(), 0) }},
		{"setflags", func() error { return setFlags(fd) }},
		{"setflags file_setattr", func() error { return setAttr(fd) }},
		{"setflags version", func() error { return setVersion(fd) }},
		{"lease", func() error { return lease(fd, unix.F_RDLCK) }},
		{"write lease", func() error { return lease(fd, unix.F_WRLCK) }},
		{"lease once more", func() error {
			again, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
			if err != nil {
				return err
			}
			defer unix.Close(again)
			return lease(again, unix.F_RDLCK)
		}},
		// Last, for they stay.
		{"chmod O_PATH", func() error { return unix.Chmod(byPath, 0o666) }},
		{"fchmodat2 O_PATH", func() error { return fchmodat2(by, 0o646) }},
		{"chmod", func() error { return unix.Chmod(path, 0o606) }},
		{"fchmod", func() error { return unix.Fchmod(fd, 0o666) }},
	}
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err == nil && flags&unix.O_ACCMODE == unix.O_RDONLY {
		ways = append(ways, metadataWay{"ftruncate", func() error { return unix.Ftruncate(fd, 1) }},
			metadataWay{"truncate", func() error { return unix.Truncate(path, 1) }})
	}
	return ways
}

// utimens is futimens(3); nil is the present, for which the right to write is
// enough.
func utimens(fd int, to *unix.Timespec) error {
	var times [2]unix.Timespec
	var at uintptr
	if to != nil {
		times = [2]unix.Timespec{*to, *to}
		at = uintptr(unsafe.Pointer(&times))
	}
	_, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), 0, at, 0, 0, 0)
	return errnoOrNil(errno)
}

func fchmodat2(fd int, mode uint32) error {
	var empty [1]byte
	_, _, errno := unix.Syscall6(unix.SYS_FCHMODAT2, uintptr(fd), uintptr(unsafe.Pointer(&empty)), uintptr(mode),
		unix.AT_EMPTY_PATH, 0, 0)
	return errnoOrNil(errno)
}

func setFlags(fd int) error {
	flags, err := unix.IoctlGetUint32(fd, unix.FS_IOC_GETFLAGS)
	if err != nil {
		return err
	}
	const nodump = 0x40 // FS_NODUMP_FL
	return unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, int(flags|nodump))
}

// setAttr is setFlags by file_setattr(2), of Linux 6.17.
func setAttr(fd int) error {
	const get, set, size = 468, 469, 24
	var attr [size]byte // struct file_attr: 64 bits of flags, then numbers
	var empty [1]byte
	call := func(nr uintptr) error {
		_, _, errno := unix.Syscall6(nr, uintptr(fd), uintptr(unsafe.Pointer(&empty)), uintptr(unsafe.Pointer(&attr)), size,
			unix.AT_EMPTY_PATH, 0)
		return errnoOrNil(errno)
	}
	if err := call(get); err != nil {
		return err
	}
	attr[0] |= 0x80 // FS_XFLAG_NODUMP
	return call(set)
}

// setVersion sets the version by which NFS tells files with one number apart.
func setVersion(fd int) error {
	const get, set = 0x80087601, 0x40087602 // FS_IOC_GETVERSION, FS_IOC_SETVERSION
	version, err := unix.IoctlGetUint32(fd, get)
	if err != nil {
		return err
	}
	return unix.IoctlSetPointerInt(fd, set, int(version+1))
}

// lease takes a lease, and gives it back.
func lease(fd, kind int) error {
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, kind); err != nil {
		return err
	}
	_, err := unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_UNLCK)
	return err
}

// everybody is an access list by which user 12345 may do everything; see the
// kernel's posix_acl_xattr.h.
func everybody() []byte {
	const version, userObj, user, groupObj, mask, other, all = 2, 1, 2, 4, 0x10, 0x20, 7
	var b []byte
	entry := func(tag, perm uint16, id uint32) {
		b = append(b, byte(tag), byte(tag>>8), byte(perm), byte(perm>>8), byte(id), byte(id>>8), byte(id>>16), byte(id>>24))
	}
	b = append(b, version, 0, 0, 0)
	none := ^uint32(0)
	entry(userObj, all, none)
	entry(user, all, 12345)
	entry(groupObj, all, none)
	entry(mask, all, none)
	entry(other, all, none)
	return b
}

// metadataPaths tries the same on what is mounted, and on what lies in it down
// to a depth: with the values that a file has already, so that nothing changes.
// It names what was allowed.
func metadataPaths([]string) error {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	seen, tried := map[string]bool{}, 0
	for line := range strings.Lines(string(data)) {
		root := unescape(strings.Fields(line)[4])
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return nil // a directory that cannot be listed
			}
			if !seen[path] {
				seen[path] = true
				tried++
				metadataPath(path)
			}
			if d.IsDir() && path != root && strings.Count(strings.TrimPrefix(path, root), "/") >= 2 {
				return fs.SkipDir
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	fmt.Printf("tried: %d\n", tried)
	return nil
}

func metadataPath(path string) {
	var st unix.Stat_t
	if unix.Lstat(path, &st) != nil || st.Mode&unix.S_IFMT == unix.S_IFLNK {
		return
	}
	try := func(what string, err error) {
		if err == nil {
			fmt.Printf("allowed %s %d:%d %s\n", what, unix.Major(st.Dev), unix.Minor(st.Dev), path)
		}
	}
	try("chmod", unix.Chmod(path, st.Mode&0o777))
	try("chown", unix.Lchown(path, int(st.Uid), int(st.Gid)))
	try("utimensat", unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{{Nsec: unix.UTIME_OMIT},
		{Sec: st.Mtim.Sec, Nsec: st.Mtim.Nsec}}, 0))
	if err := unix.Setxattr(path, "user.probe", []byte("x"), 0); err == nil {
		try("setxattr", unix.Removexattr(path, "user.probe"))
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return
	}
	try("truncate", unix.Truncate(path, st.Size))
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	if flags, err := unix.IoctlGetUint32(fd, unix.FS_IOC_GETFLAGS); err == nil {
		try("setflags", unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, int(flags)))
	}
	try("lease", lease(fd, unix.F_RDLCK))
}

// unescape undoes what mountinfo does to blanks and the like.
func unescape(s string) string {
	i := strings.IndexByte(s, '\\')
	if i < 0 || i+4 > len(s) {
		return s
	}
	n, err := strconv.ParseUint(s[i+1:i+4], 8, 8)
	if err != nil {
		return s
	}
	return s[:i] + string([]byte{byte(n)}) + unescape(s[i+4:])
}

// mountinfo is /proc/self/mountinfo as it is.
func mountinfo([]string) error {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err == nil {
		_, err = os.Stdout.Write(data)
	}
	return err
}
