// Package process has the steps that are about the process itself: its ids and
// privileges, what it inherits, and its exec.
package process

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/internal/text"
)

// SetIDs sets the process's ids to ids of the user namespace that it has joined.
// They must be mapped there: the kernel refuses others.
type SetIDs struct{ UID, GID int }

func (s SetIDs) String() string { return fmt.Sprintf("set user id %d and group id %d", s.UID, s.GID) }

func (SetIDs) Kind() string { return "set-ids" }

func (SetIDs) Hint(err error) string {
	if step.Errno(err) == unix.EINVAL {
		return "the user namespace has no such uid or gid; its /proc/PID/uid_map and gid_map say which it has"
	}
	return ""
}

// Compile sets the real, effective and saved ids. Until a later step sets the
// securebits again, the capabilities stay (SECBIT_NO_SETUID_FIXUP).
func (s SetIDs) Compile(a *step.Asm) {
	const noSetuidFixup = 1 << 2
	a.Sys(unix.SYS_PRCTL, step.Int(unix.PR_SET_SECUREBITS), step.Int(noSetuidFixup))
	a.Sys(unix.SYS_SETRESGID, step.Int(s.GID), step.Int(s.GID), step.Int(s.GID))
	a.Sys(unix.SYS_SETRESUID, step.Int(s.UID), step.Int(s.UID), step.Int(s.UID))
	a.Sys(unix.SYS_GETEGID).Expect(s.GID)
	a.Sys(unix.SYS_GETEUID).Expect(s.UID)
}

// Undumpable keeps other processes from tracing this one and from reading its
// memory and most of its /proc: prctl(2), PR_SET_DUMPABLE. Exec ends it.
type Undumpable struct{}

func (Undumpable) String() string { return "be neither traceable nor dumpable" }

func (Undumpable) Kind() string { return "set-undumpable" }

// Compile sets it and reads it back.
func (Undumpable) Compile(a *step.Asm) {
	a.Sys(unix.SYS_PRCTL, step.Int(unix.PR_SET_DUMPABLE), step.Int(0))
	a.Sys(unix.SYS_PRCTL, step.Int(unix.PR_GET_DUMPABLE)).Expect(0)
}

// DropGroups empties the list of supplementary groups.
type DropGroups struct {
	// IfAllowed keeps the groups where the user namespace denies setgroups(2).
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

// ClearUmask sets the umask to 0, so that files get the modes that the plan says.
// RestoreUmask gives the target the caller's umask.
type ClearUmask struct{}

func (ClearUmask) String() string { return "clear the umask" }

func (ClearUmask) Kind() string { return "clear-umask" }

// Compile keeps the old umask in step.SlotUmask.
func (ClearUmask) Compile(a *step.Asm) {
	a.Sys(unix.SYS_UMASK, step.Int(0)).To(step.SlotUmask)
}

// RestoreUmask undoes ClearUmask.
type RestoreUmask struct{}

func (RestoreUmask) String() string { return "restore the umask" }

func (RestoreUmask) Kind() string { return "restore-umask" }

// Compile is one umask(2).
func (RestoreUmask) Compile(a *step.Asm) { a.Sys(unix.SYS_UMASK, step.SlotUmask.Arg()) }

// Chdir changes to a directory inside the sandbox, by a path without symbolic
// links. The launcher has resolved the links; one that was put there since then
// does not decide where the target starts. No magic link of /proc is followed
// either: runc's CVE-2024-21626.
type Chdir struct{ Dir string }

func (c Chdir) String() string { return "change to directory " + text.Quote(c.Dir) }

func (Chdir) Kind() string { return "chdir" }

func (Chdir) Hint(err error) string {
	switch step.Errno(err) {
	case unix.EACCES:
		return "the target's user, with the capabilities that the policy keeps, may not enter it; start elsewhere with --dir"
	case unix.EMFILE:
		return "raise the program's limit on open files: ulimit -S -n, or open_files in [limits]"
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

// Signals gives the target the dispositions and the signal mask that sbx was
// started with, so that nohup(1) and the like work.
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

// Compile ignores signals that were ignored. All other dispositions are the
// default, because the child was cloned with CLONE_CLEAR_SIGHAND.
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

// NoNewPrivs takes the effect of set-id bits and file capabilities from every
// later exec. Linux 3.5, prctl(2).
type NoNewPrivs struct {
	// Who is "target" or "init".
	Who string
}

func (n NoNewPrivs) String() string { return "set no_new_privs for the " + n.Who }

func (NoNewPrivs) Kind() string { return "no-new-privs" }

// Compile sets the bit and reads it back.
func (n NoNewPrivs) Compile(a *step.Asm) {
	a.Sys(unix.SYS_PRCTL, step.Int(unix.PR_SET_NO_NEW_PRIVS), step.Int(1), step.Int(0), step.Int(0), step.Int(0))
	a.Sys(unix.SYS_PRCTL, step.Int(unix.PR_GET_NO_NEW_PRIVS), step.Int(0), step.Int(0), step.Int(0), step.Int(0)).
		Expect(1)
}

// Seccomp loads one filter. Program is a string so that steps can be compared.
type Seccomp struct {
	Name    string
	Why     string // what it is loaded for; empty: it is the policy's
	Program string // sock_filter structures, 8 bytes each
	Flags   int    // SECCOMP_FILTER_FLAG_*
	// ByPrctl loads it by prctl(2), which takes no flags: a filter before it denies
	// seccomp(2). Bubblewrap's callers make such.
	ByPrctl bool
}

func (s Seccomp) String() string {
	return fmt.Sprintf("load seccomp filter %s, %d instructions", text.Quote(s.Name), len(s.Program)/8)
}

func (Seccomp) Kind() string { return "load-seccomp-filter" }

// Compile is one seccomp(2), Linux 3.17, or prctl(2).
func (s Seccomp) Compile(a *step.Asm) {
	prog := a.Bytes([]byte(s.Program))
	fprog := a.Words(step.Int(len(s.Program)/8), prog)
	if s.ByPrctl {
		a.Sys(unix.SYS_PRCTL, step.Int(unix.PR_SET_SECCOMP), step.Int(unix.SECCOMP_MODE_FILTER), fprog)
		return
	}
	a.Sys(unix.SYS_SECCOMP, step.Int(unix.SECCOMP_SET_MODE_FILTER), step.Int(s.Flags), fprog)
}

// ListenSetID loads a filter that has the launcher answer what it cannot see itself,
// and sends the launcher the descriptor by which it is asked: see package setid and
// seccomp_unotify(2), Linux 5.0.
type ListenSetID struct{ Seccomp }

func (l ListenSetID) String() string { return l.Seccomp.String() + ", and let the launcher answer" }

func (ListenSetID) Kind() string { return "load-set-id-listener" }

// Compile loads the filter, and closes both its descriptor and the socket.
func (l ListenSetID) Compile(a *step.Asm) {
	fd := a.Temp()
	fprog := a.Words(step.Int(len(l.Program)/8), a.Bytes([]byte(l.Program)))
	a.Sys(unix.SYS_SECCOMP, step.Int(unix.SECCOMP_SET_MODE_FILTER),
		step.Int(l.Flags|unix.SECCOMP_FILTER_FLAG_NEW_LISTENER), fprog).To(fd)
	a.SendFD(a.Notify, []byte{step.MsgListener}, fd.Arg())
	a.Sys(unix.SYS_CLOSE, fd.Arg())
	a.Sys(unix.SYS_CLOSE, step.Fd(a.Notify))
}

// VerifySeccomp reads the seccomp mode back. The plan leaves it out where the
// filter itself denies that call.
type VerifySeccomp struct{}

func (VerifySeccomp) String() string { return "verify that seccomp filters are on" }

func (VerifySeccomp) Kind() string { return "verify-seccomp" }

// Compile is one prctl(2).
func (VerifySeccomp) Compile(a *step.Asm) {
	a.Sys(unix.SYS_PRCTL, step.Int(unix.PR_GET_SECCOMP)).Expect(unix.SECCOMP_MODE_FILTER)
}

// Exec starts the target: the first of Paths that exists.
type Exec struct {
	Paths     []string
	Args, Env []string
	// FD is the descriptor of the program, if it is executed by that and not by a path.
	FD int
	// Inside and Dir, where the target starts, are for the words of an error. Inside
	// is nil where the host's mounts are there.
	Inside Inside
	Dir    string
	// Private are variables and the private directories that they name; see Private.
	Private [][2]string
	// OwnPID are variables with the target's own pid, which KnowPID finds out.
	OwnPID []string
}

func (e Exec) String() string {
	return "exec " + text.Quote(e.Args[0])
}

func (Exec) Kind() string { return "exec" }

// KnowPID finds out the target's pid, as it sees it itself, for variables of its environment.
// The filter may deny getpid(2), so this comes before that.
type KnowPID struct{ Names []string }

func (k KnowPID) String() string {
	return "put the target's own pid in " + strings.Join(k.Names, " and ")
}

func (KnowPID) Kind() string { return "know-pid" }

// Compile is one getpid(2).
func (KnowPID) Compile(a *step.Asm) { a.Sys(unix.SYS_GETPID).To(step.SlotPID) }

// Compile is one execve(2) for each path, or one execveat(2).
func (e Exec) Compile(a *step.Asm) {
	var pids []step.Arg
	for _, name := range e.OwnPID {
		s := a.Str(name + "=" + strings.Repeat("\x00", step.DecimalSize))
		a.Decimal(s.At(len(name)+1), step.SlotPID)
		pids = append(pids, s)
	}
	argv, envp := a.Strings(e.Args), a.Strings(e.env(a.Private.Path), pids...)
	if e.FD > 0 {
		a.ExecFD(step.Fd(e.FD), argv, envp)
		return
	}
	for _, p := range e.Paths {
		a.Exec(a.Str(p), argv, envp)
	}
}
