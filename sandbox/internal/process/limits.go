package process

import (
	"encoding/binary"
	"time"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
)

// Rlimit is one limit of setrlimit(2), soft and hard, on the target and what
// descends from it.
type Rlimit struct {
	// Say is the limit in the user's words: "file size to 10M".
	Say string
	// Resource is RLIMIT_*.
	Resource   int
	Soft, Hard uint64
}

func (r Rlimit) String() string { return "limit " + r.Say }

func (Rlimit) Kind() string { return "set-rlimit" }

// Compile is a prlimit(2) and another that reads it back.
func (r Rlimit) Compile(a *step.Asm) {
	want := a.Words(step.Int(r.Soft), step.Int(r.Hard))
	got := a.Scratch()
	a.Sys(unix.SYS_PRLIMIT64, step.Int(0), step.Int(r.Resource), want, step.Int(0))
	a.Sys(unix.SYS_PRLIMIT64, step.Int(0), step.Int(r.Resource), step.Int(0), got)
	b := binary.NativeEndian.AppendUint64(nil, r.Soft)
	a.Compare(got, binary.NativeEndian.AppendUint64(b, r.Hard))
}

// EndAfter ends the sandbox after a time. The init's own timer does, so that
// nothing that the target may do to the launcher, such as to have it stopped
// along at a terminal, makes it late. setitimer(2), ITIMER_REAL: while the
// machine sleeps, it stands.
type EndAfter struct{ Time time.Duration }

func (e EndAfter) String() string { return "end all after " + e.Time.String() }

func (EndAfter) Kind() string { return "set-timeout" }

// Compile sets the timer of the init, which its SIGALRM wakes.
func (e EndAfter) Compile(a *step.Asm) {
	sec, usec := int64(e.Time/time.Second), int64(e.Time%time.Second/time.Microsecond)
	a.Sys(unix.SYS_SETITIMER, step.Int(0), a.Words(step.Int(0), step.Int(0), step.Int(uint64(sec)), step.Int(uint64(usec))), step.Int(0))
}
