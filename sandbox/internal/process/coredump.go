package process

import (
	"golang.org/x/sys/unix"

	"sbx/internal/step"
)

// NoCore prevents core dumps. A crash inside must neither write the target's
// memory to a file nor start the host's core handler with it. A limit of one byte
// prevents both: no core file is that short, and a handler behind a pipe, which a
// limit of 0 does not stop, is not started at exactly 1. See core(5) and
// do_coredump in the kernel's fs/coredump.c, since Linux 2.6.32.
type NoCore struct {
	// Max is the caller's hard limit. Where that is 0 already, a user cannot raise
	// it, and the handler still gets the crash.
	Max uint64
}

func (NoCore) String() string { return "forbid core dumps" }

func (NoCore) Kind() string { return "no-core-dumps" }

// Compile is one prlimit(2), with the same soft and hard limit.
func (n NoCore) Compile(a *step.Asm) {
	limit := min(n.Max, 1)
	a.Sys(unix.SYS_PRLIMIT64, step.Int(0), step.Int(unix.RLIMIT_CORE),
		a.Words(step.Int(limit), step.Int(limit)), step.Int(0))
}
