package child

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
)

// walk executes calls i to end-1 in order. It returns the target's pid where
// the target has parted, in the init. A call that fails is written down and
// ends the process, and so does a table that ends without an exec.
//
//go:nosplit
//go:norace
func walk(calls unsafe.Pointer, i, end uintptr, st *Status, cfg *Config) (target uintptr) {
	execErrno := uintptr(0)
	for ; i < end; i++ {
		c := (*step.Call)(unsafe.Add(calls, i*unsafe.Sizeof(step.Call{})))
		r, errno := uintptr(0), uintptr(0)
		switch c.Op {
		case step.OpAwait:
			await(st)
		case step.OpFork:
			return forkTarget(c, calls, i, end, st, cfg)
		case step.OpHandOver:
			r, errno = startHandOver(c, st)
		case step.OpDecimal:
			decimal(c.Arg[0], value(c, 1, st))
		case step.OpEnter:
			if r, errno = do(c, st); errno == 0 && r != 0 {
				st.Entered = uint32(r)
				exit(0)
			}
		case step.OpExec:
			// On from here only when it failed. A file that may not be executed is
			// the better news than the directories that do not have it.
			st.Executing = 1
			_, errno = do(c, st)
			if execErrno == 0 || execErrno == uintptr(unix.ENOENT) {
				execErrno = errno
			}
			next := (*step.Call)(unsafe.Add(unsafe.Pointer(c), unsafe.Sizeof(*c)))
			missing := errno == uintptr(unix.ENOENT) || errno == uintptr(unix.ENOTDIR) || errno == uintptr(unix.EACCES)
			if missing && i+1 < end && next.Op == step.OpExec {
				continue
			}
			if missing {
				errno = execErrno
			}
		default:
			r, errno = simple(c, st)
		}
		if errno != 0 {
			fail(st, i, errno, r)
		}
		if c.Save != 0 {
			st.slot[(c.Save-1)%step.NumSlots] = r
		}
	}
	leave(st)
	return 0
}

// differs is in the place of an errno where a call succeeded, or bytes were
// compared, and what was found is not what was wanted.
const differs = ^uintptr(0)

// simple executes what all three tables may hold. An operation that it does
// not know fails, whatever errnos are as good as success: to make a system
// call in its place would be to leave out what was meant.
//
//go:nosplit
//go:norace
func simple(c *step.Call, st *Status) (r, errno uintptr) {
	switch c.Op {
	case step.OpSys:
		r, errno = do(c, st)
		return r, verdict(c, r, errno)
	case step.OpCompare:
		if !equal(c.Arg[0], c.Arg[1], c.Arg[2]) {
			errno = differs
		}
	case step.OpZero:
		zero(c.Arg[0], c.Arg[1])
	case step.OpStore:
		*(*uint32)(at(c.Arg[0])) = uint32(value(c, 1, st))
	case step.OpFail:
		errno = c.Arg[0]
	default:
		errno = uintptr(unix.ENOSYS)
	}
	return 0, errno
}

// verdict is what a system call's outcome means: 0 for success, its errno, or
// differs.
//
//go:nosplit
//go:norace
func verdict(c *step.Call, r, errno uintptr) uintptr {
	switch {
	case errno != 0 && tolerates(c, errno):
		return 0
	case errno == 0 && c.HasWant && r != c.Want:
		return differs
	}
	return errno
}

// forkTarget makes the target's process, which walks the rest of the table on a
// stack of its own. The init gets its pid.
//
//go:nosplit
//go:norace
func forkTarget(c *step.Call, calls unsafe.Pointer, i, end uintptr, st *Status, cfg *Config) uintptr {
	// What the target begins with lies at the top of its own stack, for this
	// frame is gone by the time it looks.
	stack := (cfg.Stack - unsafe.Sizeof(targetArgs{})) &^ 15
	rest := (*targetArgs)(at(stack))
	rest.calls, rest.i, rest.end = uintptr(calls), i+1, end
	rest.st, rest.cfg = uintptr(unsafe.Pointer(st)), uintptr(unsafe.Pointer(cfg))
	rest.word = 0
	r := spawn(c.Arg[0], stack, unsafe.Pointer(rest), entry())
	if r > ^uintptr(4095) { // -errno
		fail(st, i, -r, 0)
	}
	st.Forked = 1
	return r
}

// targetArgs are what walk goes on with in the target: addresses as numbers,
// because storing a pointer could run the collector's write barrier. None of
// it moves or goes: init never leaves the frames that hold the rest. With word the
// process is not the target but the one of OpHandOver.
type targetArgs struct{ calls, i, end, st, cfg, word, msg, socket uintptr }

// spawn is clone(2) with a stack for the child, on which it calls target and
// never returns, at entry. It shares the memory of init, whose copy would be thrown away
// by the exec in a moment: two processes of ours, both with signals blocked,
// neither of which writes what the other reads but the Status.
//
//go:noescape
func spawn(flags, stack uintptr, args unsafe.Pointer, entry uintptr) uintptr

// entry is where target begins, by Go's own calling convention.
//
//go:nosplit
//go:norace
func entry() uintptr {
	f := target
	return **(**uintptr)(unsafe.Pointer(&f))
}

// target is where the child of spawn begins.
//
//go:nosplit
//go:norace
func target(a *targetArgs) {
	if a.word != 0 {
		handOver(a)
	}
	walk(at(a.calls), a.i, a.end, (*Status)(at(a.st)), (*Config)(at(a.cfg)))
}

// startHandOver makes the process that hands a descriptor of this one over; see
// step.OpHandOver. init knows it, as one that the target has not left.
//
//go:nosplit
//go:norace
func startHandOver(c *step.Call, st *Status) (r, errno uintptr) {
	stack := (c.Arg[1] - unsafe.Sizeof(targetArgs{})) &^ 15
	a := (*targetArgs)(at(stack))
	a.word, a.msg, a.socket = c.Arg[2], c.Arg[3], c.Arg[4]
	a.st = uintptr(unsafe.Pointer(st))
	r = spawn(c.Arg[0], stack, unsafe.Pointer(a), entry())
	if r > ^uintptr(4095) { // -errno
		return 0, -r
	}
	st.handOver = uint32(r)
	return r, 0
}

// handOver waits until the target has left this memory, by its exec or its end,
// and sends the descriptor. That comes too late to be refused: where it fails the
// descriptor is closed with this process, and the launcher is told by its absence.
//
//go:nosplit
//go:norace
func handOver(a *targetArgs) {
	for word := (*uint32)(at(a.word)); *word != 0; {
		syscall.RawSyscall6(unix.SYS_FUTEX, a.word, 0 /* FUTEX_WAIT */, 1, 0, 0, 0)
	}
	syscall.RawSyscall6(unix.SYS_SENDMSG, a.socket, a.msg, unix.MSG_NOSIGNAL, 0, 0, 0)
	exit(0)
}

// walkInit is init's part of the table, up to its OpEnd. It keeps no results:
// the slots are the target's, which walks on meanwhile.
//
//go:nosplit
//go:norace
func walkInit(calls unsafe.Pointer, i uintptr, st *Status) {
	for ; ; i++ {
		c := (*step.Call)(unsafe.Add(calls, i*unsafe.Sizeof(step.Call{})))
		if c.Op == step.OpEnd {
			release(st)
			return
		}
		if c.Save != 0 {
			fail(st, i, uintptr(unix.ENOSYS), 0)
		}
		if c.Op == step.OpForget {
			forget(c, st)
			continue
		}
		if r, errno := simple(c, st); errno != 0 {
			fail(st, i, errno, r)
		}
	}
}

//go:nosplit
//go:norace
func do(c *step.Call, st *Status) (r, errno uintptr) {
	r, _, e := syscall.RawSyscall6(c.Nr, value(c, 0, st), value(c, 1, st), value(c, 2, st),
		value(c, 3, st), value(c, 4, st), value(c, 5, st))
	return r, uintptr(e)
}

// value is argument j, which may be what a slot holds.
//
//go:nosplit
//go:norace
func value(c *step.Call, j uint, st *Status) uintptr {
	v := c.Arg[j%6]
	if c.Slots&(1<<j) != 0 {
		v = st.slot[v%step.NumSlots]
	}
	return v
}

// tolerates says whether the errno counts as success for the call.
//
//go:nosplit
//go:norace
func tolerates(c *step.Call, errno uintptr) bool {
	for j := 0; j < len(c.Pass); j++ {
		if c.Pass[j] != 0 && uintptr(c.Pass[j]) == errno {
			return true
		}
	}
	return false
}

//go:nosplit
//go:norace
func fail(st *Status, i, errno, got uintptr) {
	note(st, i, errno, got)
	leave(st)
}

// note writes the first failure down: what fails for want of the other process,
// or of what was to be undone, is not the cause.
//
//go:nosplit
//go:norace
func note(st *Status, i, errno, got uintptr) {
	if st.Failed != 0 {
		return
	}
	if errno == differs {
		st.Got = uint64(got)
	} else {
		st.Errno = uint32(errno)
	}
	st.Failed = uint32(i) + 1
}

//go:nosplit
//go:norace
func exit(code uintptr) {
	for {
		syscall.RawSyscall6(unix.SYS_EXIT_GROUP, code, 0, 0, 0, 0, 0)
	}
}

// The addresses below are numbers in the table, not Go pointers: they lie in
// the table's own mapping or in the process's argument area.

//go:nosplit
//go:norace
func equal(p, q, n uintptr) bool {
	for k := uintptr(0); k < n; k++ {
		if *(*byte)(at(p + k)) != *(*byte)(at(q + k)) {
			return false
		}
	}
	return true
}

//go:nosplit
//go:norace
func zero(p, n uintptr) {
	for k := uintptr(0); k < n; k++ {
		*(*byte)(at(p + k)) = 0
	}
}

// decimal writes the number and a zero byte to p.
//
//go:nosplit
//go:norace
func decimal(p, number uintptr) {
	digits := uintptr(1)
	for n := number; n >= 10; n /= 10 {
		digits++
	}
	*(*byte)(at(p + digits)) = 0
	for k := digits; k > 0; k-- {
		*(*byte)(at(p + k - 1)) = byte('0' + number%10)
		number /= 10
	}
}

// at is the pointer with that address. It goes round unsafe.Pointer(uintptr)
// because checkptr and vet rightly distrust that, and the memory is not Go's.
//
//go:nosplit
//go:norace
func at(p uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&p)) }
