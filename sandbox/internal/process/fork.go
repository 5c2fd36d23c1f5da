package process

import (
	"golang.org/x/sys/unix"

	"sbx/internal/step"
)

// Fork makes the target's process, pid 2, from the sandbox's init, pid 1.
type Fork struct {
	// Copy gives the target a copy of the init's memory. A new time namespace needs
	// it: a fork that shares memory does not enter the namespace.
	Copy bool
	// First makes the target process 1 of a pid namespace of its own, below the init's.
	First bool
}

func (f Fork) String() string {
	if f.First {
		return "fork the target from the init, as process 1 of a pid namespace of its own"
	}
	if f.Copy {
		return "fork the target from the init, with memory of its own"
	}
	return "fork the target from the init"
}

func (Fork) Kind() string { return "fork-target" }

// Compile is one clone(2). The target shares init's memory until its exec.
func (f Fork) Compile(a *step.Asm) {
	flags := int(unix.SIGCHLD)
	if !f.Copy {
		flags |= unix.CLONE_VM
	}
	if f.First {
		flags |= unix.CLONE_NEWPID
	}
	a.Fork(flags)
}

// WaitInit makes the target wait until the init has dropped its own privileges.
type WaitInit struct{}

func (WaitInit) String() string { return "wait until the init is ready" }

func (WaitInit) Kind() string { return "wait-for-init" }

// Compile is a wait on a futex(2). Mostly the init is ready by then.
func (WaitInit) Compile(a *step.Asm) { a.Await() }

// InitReady ends the init's steps.
type InitReady struct{}

func (InitReady) String() string { return "let the target go on, reap and forward signals" }

func (InitReady) Kind() string { return "run-init" }

// Compile marks the end of the init's steps.
func (InitReady) Compile(a *step.Asm) { a.End() }
