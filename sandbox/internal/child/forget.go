package child

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
)

// forget unmaps the memory of the launcher that this process is a copy of: of a large one
// the kernel would have to keep each page that the launcher changes from then on, and what
// is in them is of no use here. What stays are the ranges of the call, the table,
// the Status, the stack that this runs on, and the thread-local memory, which
// the kernel writes to (rseq(2)) and Go's wrappers for assembly read.
//
// A range that may not be unmapped (mseal(2)) is emptied, as far as it may be.
//
//go:nosplit
//go:norace
func forget(c *step.Call, st *Status) {
	const around = 64 << 10
	var here uintptr
	here = uintptr(unsafe.Pointer(&here))
	thread := threadPointer()
	st.own[0] = [2]uintptr{here - around, here + around}
	st.own[1] = [2]uintptr{thread - c.Arg[3] - around, thread + c.Arg[3] + around}
	st.own[2] = [2]uintptr{uintptr(unsafe.Pointer(st)), uintptr(unsafe.Pointer(st)) + unsafe.Sizeof(*st)}
	for at, top := uintptr(0), c.Arg[2]; at < top; {
		from, to := nextKept(c, st, at, top)
		if from > at {
			empty(at, from-at)
		}
		at = to
	}
}

// nextKept is the first range that is kept of those that end behind at, in whole pages of
// any size that there is.
//
//go:nosplit
//go:norace
func nextKept(c *step.Call, st *Status, at, top uintptr) (from, to uintptr) {
	const page = 64 << 10
	from, to = top, top
	for i := range st.own {
		if r := &st.own[i]; r[1] > at && r[0] < from {
			from, to = r[0], r[1]
		}
	}
	for i := uintptr(0); i < c.Arg[1]; i++ {
		if start, end := uintptr(word(c.Arg[0], 2*i)), uintptr(word(c.Arg[0], 2*i+1)); end > at && start < from {
			from, to = start, end
		}
	}
	return max(from&^(page-1), at), (to + page - 1) &^ (page - 1)
}

//go:nosplit
//go:norace
func empty(at, n uintptr) {
	if _, _, errno := syscall.RawSyscall6(unix.SYS_MUNMAP, at, n, 0, 0, 0, 0); errno != 0 {
		syscall.RawSyscall6(unix.SYS_MADVISE, at, n, unix.MADV_DONTNEED, 0, 0, 0)
	}
}

// GiveBack unmaps what is mapped of the program's code and constants, which begin and end
// there. What is needed is mapped again, from the page cache. The kernel maps all around
// that it has in one piece, 2 MB and more, as far as the mapping goes: so there are small
// ones, which differ from their neighbours by how they are read ahead.
//
// Its calls may fail, as where memory is locked. Then more stays mapped, and that is all.
//
//go:nosplit
//go:norace
func GiveBack(from, to uintptr) {
	const piece = 64 << 10
	syscall.RawSyscall6(unix.SYS_MADVISE, from, to-from, unix.MADV_NOHUGEPAGE, 0, 0, 0)
	for at := from; at+piece <= to; at += 2 * piece {
		syscall.RawSyscall6(unix.SYS_MADVISE, at, piece, unix.MADV_RANDOM, 0, 0, 0)
	}
	syscall.RawSyscall6(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED, 0, 0, 0)
}
