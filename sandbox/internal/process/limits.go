package process

import (
	"encoding/binary"
	"time"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
)

// Rlimit sets one limit of setrlimit(2), soft and hard, for the target and its
// descendants.
type Rlimit struct {
	// Name is the limit in the user's words: "file size to 10M".
	Name string
	// Resource is RLIMIT_*.
	Resource   int
	Soft, Hard uint64
}

func (r Rlimit) String() string { return "limit " + r.Name }

func (Rlimit) Kind() string { return "set-rlimit" }

// Compile is a prlimit(2), and a second one that reads the limit back.
func (r Rlimit) Compile(a *step.Asm) {
	want := a.Words(step.Int(r.Soft), step.Int(r.Hard))
	got := a.Scratch()
	a.Sys(unix.SYS_PRLIMIT64, step.Int(0), step.Int(r.Resource), want, step.Int(0))
	a.Sys(unix.SYS_PRLIMIT64, step.Int(0), step.Int(r.Resource), step.Int(0), got)
	b := binary.NativeEndian.AppendUint64(nil, r.Soft)
	a.Compare(got, binary.NativeEndian.AppendUint64(b, r.Hard))
}

// Timeout ends the sandbox after a time. The timer is the init's, so nothing that
// the target can do to the launcher delays it, such as stopping it at a terminal.
// setitimer(2), ITIMER_REAL: it does not count while the machine is suspended.
type Timeout struct{ Time time.Duration }

func (t Timeout) String() string { return "end the sandbox after " + t.Time.String() }

func (Timeout) Kind() string { return "set-timeout" }

// Compile sets the timer of the init, which its SIGALRM wakes.
func (t Timeout) Compile(a *step.Asm) {
	sec, usec := int64(t.Time/time.Second), int64(t.Time%time.Second/time.Microsecond)
	a.Sys(unix.SYS_SETITIMER, step.Int(0),
		a.Words(step.Int(0), step.Int(0), step.Int(uint64(sec)), step.Int(uint64(usec))), step.Int(0))
}
