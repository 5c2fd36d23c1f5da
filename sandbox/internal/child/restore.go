package child

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
)

// restore puts back what has changed of the metadata that the record has, and
// says so in the Status. One call that fails stops none behind it.
//
//go:nosplit
//go:norace
func restore(record uintptr, st *Status) (errno uintptr) {
	now := &st.file
	if errno = statFD(record, now); errno != 0 {
		return errno
	}
	if now.Dev != word(record, step.RecordDev) || now.Ino != word(record, step.RecordIno) {
		return uintptr(unix.EBADF)
	}
	done, failed := uint8(0), uintptr(0)
	path := uintptr(word(record, step.RecordPath))
	if uint64(now.Uid) != word(record, step.RecordUID) || uint64(now.Gid) != word(record, step.RecordGID) {
		done |= step.RestoredOwner
		_, _, e := syscall.RawSyscall6(unix.SYS_FCHOWNAT, atCwd, path, uintptr(word(record, step.RecordUID)),
			uintptr(word(record, step.RecordGID)), 0, 0)
		failed = first(failed, uintptr(e))
	}
	if word(record, step.RecordListed) != 0 {
		changed, e := restoreAttributes(record, path)
		if changed {
			done |= step.RestoredAttributes
		}
		failed = first(failed, e)
	}
	// After the owner, whose change takes set-id bits away, and after the access
	// list, which has the mode in it.
	if failed = first(failed, statFD(record, now)); uint64(now.Mode&0o7777) != word(record, step.RecordPerm) {
		done |= step.RestoredMode
		_, _, e := syscall.RawSyscall6(unix.SYS_FCHMODAT, atCwd, path, uintptr(word(record, step.RecordPerm)), 0, 0, 0)
		failed = first(failed, uintptr(e))
	}
	changed, e := restoreTimes(record, path, st)
	if changed {
		done |= step.RestoredTimes
	}
	st.restored[word(record, step.RecordIndex)%step.MaxStreams] = done
	return first(failed, e)
}

const atCwd = ^uintptr(99) // AT_FDCWD, -100

//go:nosplit
//go:norace
func word(record uintptr, n uintptr) uint64 { return *(*uint64)(at(record + 8*n)) }

//go:nosplit
//go:norace
func first(errno, other uintptr) uintptr {
	if errno != 0 {
		return errno
	}
	return other
}

//go:nosplit
//go:norace
func statFD(record uintptr, to *unix.Stat_t) uintptr {
	_, _, errno := syscall.RawSyscall6(unix.SYS_FSTAT, uintptr(word(record, step.RecordFD)),
		uintptr(unsafe.Pointer(to)), 0, 0, 0, 0)
	return uintptr(errno)
}

// restoreTimes puts back times that no use of the file can have given it: those
// before the old ones, and those to come. A file that was written to has a new
// time, and who set an old one wanted to hide that: it becomes the present.
//
//go:nosplit
//go:norace
func restoreTimes(record, path uintptr, st *Status) (changed bool, errno uintptr) {
	syscall.RawSyscall6(unix.SYS_CLOCK_GETTIME, unix.CLOCK_REALTIME, uintptr(unsafe.Pointer(&st.clock)), 0, 0, 0, 0)
	const utimeNow, utimeOmit = 1<<30 - 1, 1<<30 - 2
	st.times = [4]int64{0, utimeOmit, 0, utimeOmit}
	if !plausible(record, step.RecordAtime, &st.file.Atim, &st.clock) {
		st.times[0], st.times[1] = int64(word(record, step.RecordAtime)), int64(word(record, step.RecordAtime+1))
		changed = true
	}
	if !plausible(record, step.RecordMtime, &st.file.Mtim, &st.clock) {
		st.times[3] = utimeNow
		changed = true
	}
	if !changed {
		return false, 0
	}
	_, _, e := syscall.RawSyscall6(unix.SYS_UTIMENSAT, atCwd, path, uintptr(unsafe.Pointer(&st.times)), 0, 0, 0)
	return true, uintptr(e)
}

// plausible says whether a time is not before the old one and not to come. The
// clocks of a file server and of this machine may differ by a second.
//
//go:nosplit
//go:norace
func plausible(record, old uintptr, t, clock *unix.Timespec) bool {
	sec, nsec := int64(word(record, old)), int64(word(record, old+1))
	return (t.Sec > sec || t.Sec == sec && t.Nsec >= nsec) && t.Sec <= clock.Sec+1
}

// restoreAttributes puts back the extended attributes that the owner of a file
// may change: its access list and what begins with "user.".
//
//go:nosplit
//go:norace
func restoreAttributes(record, path uintptr) (changed bool, errno uintptr) {
	n, _, e := syscall.RawSyscall6(unix.SYS_LISTXATTR, path, 0, 0, 0, 0, 0)
	if e != 0 || n == 0 && word(record, step.RecordCount) == 0 {
		return false, uintptr(e)
	}
	const most = 1 << 16 // XATTR_LIST_MAX, XATTR_SIZE_MAX
	names, _, e := syscall.RawSyscall6(unix.SYS_MMAP, 0, 2*most, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_ANONYMOUS,
		^uintptr(0), 0)
	if e != 0 {
		return false, uintptr(e)
	}
	value := names + most
	if n, _, e = syscall.RawSyscall6(unix.SYS_LISTXATTR, path, names, most-1, 0, 0, 0); e != 0 {
		return false, uintptr(e)
	}
	for p := names; p < names+n; p += length(p) + 1 {
		if ownersAttribute(p) && !recorded(record, p) {
			_, _, e := syscall.RawSyscall6(unix.SYS_REMOVEXATTR, path, p, 0, 0, 0, 0)
			changed, errno = true, first(errno, uintptr(e))
		}
	}
	list := uintptr(word(record, step.RecordList))
	for i := uintptr(0); i < uintptr(word(record, step.RecordCount)); i++ {
		name, want, size := uintptr(word(list, 3*i)), uintptr(word(list, 3*i+1)), uintptr(word(list, 3*i+2))
		got, _, e := syscall.RawSyscall6(unix.SYS_GETXATTR, path, name, value, most, 0, 0)
		if e == 0 && got == size && equal(value, want, size) {
			continue
		}
		_, _, e = syscall.RawSyscall6(unix.SYS_SETXATTR, path, name, want, size, 0, 0)
		changed, errno = true, first(errno, uintptr(e))
	}
	return changed, errno
}

// recorded says whether the record has an attribute of the name.
//
//go:nosplit
//go:norace
func recorded(record, name uintptr) bool {
	list := uintptr(word(record, step.RecordList))
	for i := uintptr(0); i < uintptr(word(record, step.RecordCount)); i++ {
		if x := uintptr(word(list, 3*i)); equal(x, name, length(name)+1) {
			return true
		}
	}
	return false
}

// ownersAttribute says whether the name is "system.posix_acl_access" or begins
// with "user.".
//
//go:nosplit
//go:norace
func ownersAttribute(name uintptr) bool {
	const user, acl = "user.", "system.posix_acl_access\x00"
	return begins(name, user) || begins(name, acl)
}

//go:nosplit
//go:norace
func begins(p uintptr, with string) bool {
	for i := 0; i < len(with); i++ {
		if *(*byte)(at(p + uintptr(i))) != with[i] {
			return false
		}
	}
	return true
}

// length is that of the text at p, which ends with a zero byte.
//
//go:nosplit
//go:norace
func length(p uintptr) (n uintptr) {
	for *(*byte)(at(p + n)) != 0 {
		n++
	}
	return n
}
