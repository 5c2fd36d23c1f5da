// Package process holds the steps that are about the process itself: who it
// belongs to, what it inherits, what it may still do, and its exec.
package process

import (
	"encoding/binary"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/internal/text"
)

// DieWithLauncher makes the launcher's death the child's (prctl(2),
// PR_SET_PDEATHSIG) and makes sure that it has not happened already.
type DieWithLauncher struct {
	// Left says that LeaveLauncher has been done.
	Left bool
}

func (DieWithLauncher) String() string { return "die with the launcher" }

func (DieWithLauncher) Kind() string { return "die-with-launcher" }

// Compile sets the signal first and only then looks: the launcher's end of
// the socket hangs up exactly when it is gone. That may be after the thread is
// that the signal goes by, while others of the launcher's are still ending: so
// the socket itself sends a signal (SIGIO) too, by which init ends.
func (d DieWithLauncher) Compile(a *step.Asm) {
	self := a.Temp()
	a.Sys(unix.SYS_GETPID).To(self)
	a.Sys(unix.SYS_FCNTL, step.Fd(a.Notify), step.Int(unix.F_SETOWN), self.Arg())
	a.Sys(unix.SYS_FCNTL, step.Fd(a.Notify), step.Int(unix.F_SETFL), step.Int(unix.O_ASYNC))
	a.Sys(unix.SYS_PRCTL, step.Int(unix.PR_SET_PDEATHSIG), step.Int(int(unix.SIGKILL)))
	if !d.Left {
		a.Sys(unix.SYS_CLOSE, step.Fd(a.Launcher))
	}
	launcherThere(a)
}

// launcherThere makes sure that the launcher's end of the socket has not hung
// up.
func launcherThere(a *step.Asm) {
	pollfd := binary.NativeEndian.AppendUint32(nil, uint32(a.Notify))
	pollfd = binary.NativeEndian.AppendUint32(pollfd, 0) // only POLLHUP and POLLERR
	a.Sys(unix.SYS_PPOLL, a.Bytes(pollfd), step.Int(1), a.Space(16), step.Int(0), step.Int(0)).Expect(0)
}

// LeaveLauncher lets go of the launcher's end of the socket, so that it hangs
// up with the launcher whatever becomes of this process.
type LeaveLauncher struct{}

func (LeaveLauncher) String() string { return "let go of the launcher's socket" }

func (LeaveLauncher) Kind() string { return "close-launcher-socket" }

// Compile is one close(2).
func (LeaveLauncher) Compile(a *step.Asm) { a.Sys(unix.SYS_CLOSE, step.Fd(a.Launcher)) }

// Become takes other ids, of the user namespace that has been joined. They
// must be mapped there: the kernel refuses others.
type Become struct{ UID, GID int }

func (b Become) String() string { return fmt.Sprintf("become user %d and group %d", b.UID, b.GID) }

func (Become) Kind() string { return "set-ids" }

func (Become) Hint(err error) string {
	if step.Errno(err) == unix.EINVAL {
		return "the user namespace has no such uid or gid; its /proc/PID/uid_map and gid_map say which it has"
	}
	return ""
}

// Compile changes all three of each. The capabilities stay meanwhile
// (SECBIT_NO_SETUID_FIXUP), for the steps to come.
func (b Become) Compile(a *step.Asm) {
	const noSetuidFixup = 1 << 2
	a.Sys(unix.SYS_PRCTL, step.Int(unix.PR_SET_SECUREBITS), step.Int(noSetuidFixup))
	a.Sys(unix.SYS_SETRESGID, step.Int(b.GID), step.Int(b.GID), step.Int(b.GID))
	a.Sys(unix.SYS_SETRESUID, step.Int(b.UID), step.Int(b.UID), step.Int(b.UID))
	a.Sys(unix.SYS_GETEGID).Expect(b.GID)
	a.Sys(unix.SYS_GETEUID).Expect(b.UID)
}

// Undumpable keeps others from tracing the process and from reading its
// memory and most of its /proc: prctl(2), PR_SET_DUMPABLE. Exec ends it.
type Undumpable struct{}

func (Undumpable) String() string { return "be neither traceable nor dumpable" }

func (Undumpable) Kind() string { return "set-undumpable" }

// Compile sets it and reads it back.
func (Undumpable) Compile(a *step.Asm) {
	a.Sys(unix.SYS_PRCTL, step.Int(unix.PR_SET_DUMPABLE), step.Int(0))
	a.Sys(unix.SYS_PRCTL, step.Int(unix.PR_GET_DUMPABLE)).Expect(0)
}

// OwnGroup makes a process group of the sandbox's own, so that a signal to
// the launcher's group arrives once, forwarded, and not twice. Not at the
// caller's terminal, whose job control goes by groups. Away from it the target
// makes one, in the init's session: then it is no orphan and Ctrl-Z stops it.
type OwnGroup struct{}

func (OwnGroup) String() string { return "make an own process group" }

func (OwnGroup) Kind() string { return "new-process-group" }

// Compile is one setpgid(2).
func (OwnGroup) Compile(a *step.Asm) { a.Sys(unix.SYS_SETPGID, step.Int(0), step.Int(0)) }

// DropGroups empties the list of supplementary groups.
type DropGroups struct {
	// IfAllowed leaves them where the user namespace denies setgroups(2).
	IfAllowed bool
}

func (d DropGroups) String() string {
	if d.IfAllowed {
		return "drop the supplementary groups, unless the user namespace forbids it"
	}
	return "drop the supplementary groups"
}

func (DropGroups) Kind() string { return "drop-groups" }

func (DropGroups) Hint(err error) string {
	if step.Mismatched(err) {
		return ""
	}
	return "the caller lacks CAP_SETGID, or its user namespace denies setgroups; run sbx as a plain user"
}

// Compile is one setgroups(2) and a check.
func (d DropGroups) Compile(a *step.Asm) {
	if d.IfAllowed {
		a.Sys(unix.SYS_SETGROUPS, step.Int(0), step.Int(0)).Or(unix.EPERM)
		return
	}
	a.Sys(unix.SYS_SETGROUPS, step.Int(0), step.Int(0))
	a.Sys(unix.SYS_GETGROUPS, step.Int(0), step.Int(0)).Expect(0)
}

// ClearUmask makes modes in the plan mean what they say; RestoreUmask gives
// the target the caller's back.
type ClearUmask struct{}

func (ClearUmask) String() string { return "clear the umask" }

func (ClearUmask) Kind() string { return "clear-umask" }

// Compile keeps the old mask in step.SlotUmask.
func (ClearUmask) Compile(a *step.Asm) {
	a.Sys(unix.SYS_UMASK, step.Int(0)).To(step.SlotUmask)
}

// RestoreUmask undoes ClearUmask.
type RestoreUmask struct{}

func (RestoreUmask) String() string { return "restore the umask" }

func (RestoreUmask) Kind() string { return "restore-umask" }

// Compile is one umask(2).
func (RestoreUmask) Compile(a *step.Asm) { a.Sys(unix.SYS_UMASK, step.SlotUmask.Arg()) }

// Fork parts the sandbox's init, pid 1, from the target, pid 2.
type Fork struct {
	// Copy gives the target a copy of init's memory: a new time namespace is
	// entered by a fork only if it has its own.
	Copy bool
}

func (f Fork) String() string {
	if f.Copy {
		return "fork the target from the init, with memory of its own"
	}
	return "fork the target from the init"
}

func (Fork) Kind() string { return "fork-target" }

// Compile is one clone(2). The target shares init's memory until its exec.
func (f Fork) Compile(a *step.Asm) {
	if f.Copy {
		a.Fork(int(unix.SIGCHLD))
		return
	}
	a.Fork(unix.CLONE_VM | int(unix.SIGCHLD))
}

// Await holds the target until init has given up its own powers.
type Await struct{}

func (Await) String() string { return "wait until the init is ready" }

func (Await) Kind() string { return "wait-for-init" }

// Compile is a wait on a futex(2) that is mostly there already.
func (Await) Compile(a *step.Asm) { a.Await() }

// Chdir changes to a directory of the inside, by a path without links: the
// launcher has resolved them, and who puts one there since does not decide
// where the target stands. Magic links of /proc: runc's CVE-2024-21626.
type Chdir struct{ Dir string }

func (c Chdir) String() string { return "change to directory " + text.Quote(c.Dir) }

func (Chdir) Kind() string { return "chdir" }

func (Chdir) Hint(err error) string {
	if step.Errno(err) == unix.EACCES {
		return "the target's user may not enter it, with the capabilities that the policy keeps; start elsewhere with --dir"
	}
	return "start elsewhere with --dir, or show the directory with --read"
}

// Compile opens the directory and changes to what was opened.
func (c Chdir) Compile(a *step.Asm) {
	fd := a.Temp()
	a.Openat2(step.Fd(unix.AT_FDCWD), c.Dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC,
		unix.RESOLVE_NO_MAGICLINKS|unix.RESOLVE_NO_SYMLINKS).To(fd)
	a.Sys(unix.SYS_FCHDIR, fd.Arg())
	a.Sys(unix.SYS_CLOSE, fd.Arg())
}

// Descriptors closes every descriptor above 2 but those of Keep, which cross
// the exec under their own numbers. close_range(2), Linux 5.9.
type Descriptors struct{ Keep []int } // ascending, all above 2

func (d Descriptors) String() string {
	if len(d.Keep) == 0 {
		return "close descriptors from 3 on"
	}
	return "close descriptors from 3 on but " + strings.Trim(fmt.Sprint(d.Keep), "[]")
}

func (Descriptors) Kind() string { return "close-descriptors" }

// Compile closes the gaps.
func (d Descriptors) Compile(a *step.Asm) {
	closeBut(a, 3, d.Keep)
	for _, fd := range d.Keep {
		a.Sys(unix.SYS_FCNTL, step.Fd(fd), step.Int(unix.F_SETFD), step.Int(0))
	}
}

func closeBut(a *step.Asm, from int, keep []int) {
	for _, fd := range keep {
		if fd > from {
			a.Sys(unix.SYS_CLOSE_RANGE, step.Fd(from), step.Fd(fd-1), step.Int(0))
		}
		from = fd + 1
	}
	a.Sys(unix.SYS_CLOSE_RANGE, step.Fd(from), step.Int(^uint32(0)), step.Int(0))
}

// Signals gives the target the dispositions and the mask that sbx itself was
// started with: nohup(1) and the like go on working.
type Signals struct {
	Ignored uint64 // bit n-1: signal n was ignored
	Mask    uint64 // bit n-1: signal n was blocked
}

func (s Signals) String() string {
	if s == (Signals{}) {
		return "unblock all signals, none ignored"
	}
	return fmt.Sprintf("restore signals, ignored %#x, blocked %#x", s.Ignored, s.Mask)
}

func (Signals) Kind() string { return "restore-signals" }

// Compile sets what differs: fork left every disposition at its default.
func (s Signals) Compile(a *step.Asm) {
	for n := 1; n <= 64; n++ {
		if s.Ignored&(1<<uint(n-1)) != 0 && n != int(unix.SIGKILL) && n != int(unix.SIGSTOP) {
			action := a.Words(step.Int(1), step.Int(0), step.Int(0), step.Int(0)) // SIG_IGN
			a.Sys(unix.SYS_RT_SIGACTION, step.Int(n), action, step.Int(0), step.Int(8))
		}
	}
	a.Sys(unix.SYS_RT_SIGPROCMASK, step.Int(unix.SIG_SETMASK), a.Words(step.Int(s.Mask)), step.Int(0), step.Int(8))
}

// OpenFiles restores the limit on open files, which the Go runtime raised
// for the launcher.
type OpenFiles struct{ Soft, Hard uint64 }

func (l OpenFiles) String() string {
	return fmt.Sprintf("restore the limit on open files to %d", l.Soft)
}

func (OpenFiles) Kind() string { return "restore-open-files-limit" }

// Compile is one prlimit(2).
func (l OpenFiles) Compile(a *step.Asm) {
	a.Sys(unix.SYS_PRLIMIT64, step.Int(0), step.Int(unix.RLIMIT_NOFILE),
		a.Words(step.Int(l.Soft), step.Int(l.Hard)), step.Int(0))
}

// NoNewPrivs makes set-id bits and file capabilities worthless from here on.
// Linux 3.5, prctl(2).
type NoNewPrivs struct {
	// Who is "target" or "init".
	Who string
}

func (n NoNewPrivs) String() string { return "set no_new_privs for the " + n.Who }

func (NoNewPrivs) Kind() string { return "no-new-privs" }

// Compile sets the bit and reads it back.
func (n NoNewPrivs) Compile(a *step.Asm) {
	a.Sys(unix.SYS_PRCTL, step.Int(unix.PR_SET_NO_NEW_PRIVS), step.Int(1), step.Int(0), step.Int(0), step.Int(0))
	a.Sys(unix.SYS_PRCTL, step.Int(unix.PR_GET_NO_NEW_PRIVS), step.Int(0), step.Int(0), step.Int(0), step.Int(0)).Expect(1)
}

// Seccomp loads one filter. Program is a string so that the step compares.
type Seccomp struct {
	Name    string
	Program string // sock_filter structures, 8 bytes each
	Flags   int    // SECCOMP_FILTER_FLAG_*
}

func (s Seccomp) String() string {
	return fmt.Sprintf("load seccomp filter %s, %d instructions", text.Quote(s.Name), len(s.Program)/8)
}

func (Seccomp) Kind() string { return "load-seccomp-filter" }

// Compile is one seccomp(2), Linux 3.17.
func (s Seccomp) Compile(a *step.Asm) {
	prog := a.Bytes([]byte(s.Program))
	fprog := a.Words(step.Int(len(s.Program)/8), prog)
	a.Sys(unix.SYS_SECCOMP, step.Int(unix.SECCOMP_SET_MODE_FILTER), step.Int(s.Flags), fprog)
}

// VerifySeccomp reads the seccomp mode back. Build leaves it out where the
// filter itself forbids to ask.
type VerifySeccomp struct{}

func (VerifySeccomp) String() string { return "verify that seccomp filters are on" }

func (VerifySeccomp) Kind() string { return "verify-seccomp" }

// Compile is one prctl(2).
func (VerifySeccomp) Compile(a *step.Asm) {
	a.Sys(unix.SYS_PRCTL, step.Int(unix.PR_GET_SECCOMP)).Expect(unix.SECCOMP_MODE_FILTER)
}

// Exec starts the target: the first of Paths that is there.
type Exec struct {
	Paths     []string
	Args, Env []string
}

func (e Exec) String() string {
	return "exec " + text.Quote(e.Args[0])
}

func (Exec) Kind() string { return "exec" }

// Compile is one execve(2) for each path.
func (e Exec) Compile(a *step.Asm) {
	argv, envp := a.Strings(e.Args), a.Strings(e.Env)
	for _, p := range e.Paths {
		a.Exec(a.Str(p), argv, envp)
	}
}
