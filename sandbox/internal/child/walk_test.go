package child

import (
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
)

// strangers are all operations but those that every table may hold and those
// given, and two numbers that are none.
func strangers(known ...step.Op) (list []step.Op) {
	known = append(known, step.OpSys, step.OpCompare, step.OpZero, step.OpStore, step.OpFail)
	for op := step.OpSys; op <= step.OpHandOver+1; op++ {
		if !slices.Contains(known, op) {
			list = append(list, op)
		}
	}
	return append(list, 255)
}

// walked has a process of its own walk the table and says which call it gave up
// at, for which errno.
func walked(
	t *testing.T, asm *step.Asm, start func(*step.Table, *Status) (pid, pidfd int, err error),
) (call int, errno unix.Errno) {
	t.Helper()
	asm.Space(8) // a table has data
	tab, err := asm.Link()
	if err != nil {
		t.Fatal(err)
	}
	defer tab.Free()
	st, err := NewStatus()
	if err != nil {
		t.Fatal(err)
	}
	defer st.Free()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	pid, pidfd, err := start(tab, st)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pidfd)
	var ws unix.WaitStatus
	if _, err := unix.Wait4(pid, &ws, 0, nil); err != nil {
		t.Fatal(err)
	}
	if !ws.Exited() || ws.ExitStatus() != 125 {
		t.Errorf("wait status %#x, want an exit with 125", ws)
	}
	return int(st.Failed) - 1, unix.Errno(st.Errno)
}

// startInit starts a table whose init's part begins at its third call.
func startInit(tab *step.Table, st *Status) (pid, pidfd int, err error) {
	return Start(tab, st, Config{Cgroup: -1, Notify: -1, Children: -1, InitAt: min(2, len(tab.Calls)), Stack: tab.Stack})
}

func startJanitor(tab *step.Table, st *Status) (pid, pidfd int, err error) {
	return StartJanitor(tab, st, JanitorConfig{UndoAt: len(tab.Calls), Socket: -1})
}

// TestUnknownOps: each walker gives up at every operation that is not its own.
// Taken for a plain call it would succeed, and its refusal would pass.
func TestUnknownOps(t *testing.T) {
	exit := func(a *step.Asm) { a.Sys(unix.SYS_EXIT_GROUP, step.Int(125)) }
	fork := func(a *step.Asm) {
		a.Fork(int(unix.SIGCHLD))
		exit(a) // the target
	}
	for _, w := range []struct {
		name   string
		known  []step.Op
		before func(*step.Asm)
		start  func(*step.Table, *Status) (pid, pidfd int, err error)
	}{
		{"target", []step.Op{step.OpFork, step.OpExec, step.OpAwait, step.OpEnter, step.OpDecimal, step.OpHandOver},
			func(*step.Asm) {},
			startInit},
		{"init", []step.Op{step.OpEnd, step.OpForget}, fork, startInit},
		{"janitor", []step.Op{step.OpRetry, step.OpSkip, step.OpRestore, step.OpForget}, func(*step.Asm) {}, startJanitor},
	} {
		for _, op := range strangers(w.known...) {
			asm := &step.Asm{}
			w.before(asm)
			at := asm.Len()
			asm.Sys(unix.SYS_GETPID).Or(unix.ENOSYS).Op = op
			exit(asm)
			if call, errno := walked(t, asm, w.start); call != at || errno != unix.ENOSYS {
				t.Errorf("%s, operation %d: gave up at call %d with errno %d, want call %d and ENOSYS", w.name, op, call, errno, at)
			}
		}
	}
}

// TestInitKeepsNothing: a result that init kept would lie in the target's slots.
func TestInitKeepsNothing(t *testing.T) {
	asm := &step.Asm{}
	asm.Fork(int(unix.SIGCHLD))
	asm.Sys(unix.SYS_EXIT_GROUP, step.Int(0))
	asm.Sys(unix.SYS_GETPID).To(asm.Temp())
	asm.End()
	if call, errno := walked(t, asm, startInit); call != 2 || errno != unix.ENOSYS {
		t.Errorf("gave up at call %d with errno %d, want call 2 and ENOSYS", call, errno)
	}
}
