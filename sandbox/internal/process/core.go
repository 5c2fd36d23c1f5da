package process

import (
	"golang.org/x/sys/unix"

	"sbx/internal/step"
)

// NoCore keeps a crash inside from leaving the target's memory in a file, and
// from starting the host's core handler with it. A limit of one byte does both:
// no file is that short, and for a handler behind a pipe, which a limit of 0
// does not stop, the kernel takes just this number to mean no; see core(5) and
// do_coredump in the kernel's fs/coredump.c, since Linux 2.6.32.
type NoCore struct {
	// Max is the caller's hard limit. Where it is 0 already, a user cannot have
	// it raised, and the handler still hears of a crash.
	Max uint64
}

func (NoCore) String() string { return "forbid core dumps" }

func (NoCore) Kind() string { return "no-core-dumps" }

// Compile is one prlimit(2), of which the soft limit is the hard one.
func (n NoCore) Compile(a *step.Asm) {
	limit := min(n.Max, 1)
	a.Sys(unix.SYS_PRLIMIT64, step.Int(0), step.Int(unix.RLIMIT_CORE), a.Words(step.Int(limit), step.Int(limit)), step.Int(0))
}
