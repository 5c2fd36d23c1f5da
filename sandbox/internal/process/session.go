package process

import (
	"golang.org/x/sys/unix"

	"sbx/internal/step"
)

// OwnSession takes the process out of the launcher's session and process group, so
// that it gets neither their signals nor their terminal: setsid(2). It is for the
// janitor, and for a sandbox that has no terminal or one of its own.
type OwnSession struct{}

func (OwnSession) String() string { return "make a new session" }

func (OwnSession) Kind() string { return "new-session" }

// Compile is one setsid(2).
func (OwnSession) Compile(a *step.Asm) { a.Sys(unix.SYS_SETSID) }

// OwnGroup makes a new process group. At a terminal that the sandbox shares with
// the caller there is none, because the shell's job control goes by groups.
// Without a terminal the init makes it, so that a signal to the launcher's group
// reaches the target once, forwarded, and not twice. In a session of the
// sandbox's own the target makes it: its group is then not orphaned, because the
// init is in the same session, and Ctrl-Z stops it.
type OwnGroup struct{}

func (OwnGroup) String() string { return "make a new process group" }

func (OwnGroup) Kind() string { return "new-process-group" }

// Compile is one setpgid(2).
func (OwnGroup) Compile(a *step.Asm) { a.Sys(unix.SYS_SETPGID, step.Int(0), step.Int(0)) }
