package sandbox

import (
	"errors"

	"golang.org/x/sys/unix"

	"sbx/policy"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/launch"
	"sbx/sandbox/internal/plan"
	"sbx/sandbox/internal/private"
	"sbx/sandbox/internal/setid"
)

type (
	// Target is what is to run.
	Target = host.Target
	// Place is a directory that a flag or the environment names; see Follow.
	Place = host.Place
	// Detail is what a policy does not say of a path inside; see Target.
	Detail = host.Detail
	// Review says that changes are kept apart; see Target.
	Review = host.Review
	// Guard are the patterns of a policy's guard and unguard.
	Guard = host.Guard
	// Facts are what Probe found out about the machine and the caller.
	Facts = host.Facts
	// Plan is everything that happens between the launcher's fork and the
	// target's first instruction, in order. String and MarshalJSON print it.
	Plan = plan.Plan
	// Protections are what of a plan restricts its target.
	Protections = plan.Protections
	// Exit is how a target ended.
	Exit = launch.Exit
	// Lost is a path that was replaced on the host meanwhile.
	Lost = launch.Lost
)

// An error of this package may have two more methods: Hint() string, which
// tells how to fix it, or "" where that is not known; and ExitStatus() int, the
// status that a launcher ends with: 125 unless the target was not found (127)
// or not executable (126).
type (
	// StepError is a step that failed. Nothing of the target has run.
	StepError = plan.StepError
	// MismatchError is a step whose outcome is not the only right one.
	MismatchError = plan.MismatchError
	// NeedError is a protection or right that cannot be had; errors.Is tells its
	// Reason.
	NeedError = host.NeedError
	// Reason is why something is refused.
	Reason = host.Reason
	// MissingError is a path that is to be shown and is not there.
	MissingError = host.MissingError
	// LateError is an error after which the sandbox was ended and that is none
	// of its steps': the target may have run.
	LateError = launch.LateError
)

// The reasons why something is refused.
const (
	// Invalid is a value that no machine could hold; Incomplete lacks another.
	Invalid    = host.Invalid
	Incomplete = host.Incomplete
	// Conflict is what the policy or the flags say against one another.
	Conflict = host.Conflict
	// Impossible is what no kernel, or nothing in sbx, can do.
	Impossible = host.Impossible
	// WrongNamespace is what takes another namespace than the policy has.
	WrongNamespace = host.WrongNamespace
	// NoCapability is a right that the caller or the target does not have.
	NoCapability = host.NoCapability
	// NoLandlock is a kernel whose Landlock is missing or too old; KernelLacks
	// is another part of it.
	NoLandlock  = host.NoLandlock
	KernelLacks = host.KernelLacks
	// NoLimit is a limit that nothing can hold.
	NoLimit = host.NoLimit
	// NoIDs is a caller who may not map further ids.
	NoIDs = host.NoIDs
	// NoProc is a /proc that is not mounted, or not the kernel's.
	NoProc = host.NoProc
	// NoTerminal is a caller without one that could be relayed.
	NoTerminal = host.NoTerminal
	// NothingRuns is a policy that no program can be executed under.
	NothingRuns = host.NothingRuns
	// NotShown is a directory that the sandbox does not have.
	NotShown = host.NotShown
	// NotWritable is a file that the target could not write to.
	NotWritable = host.NotWritable
	// Absent is what is not there; a path to be shown is a *MissingError.
	Absent = host.Absent
	// NoPlace is a path that cannot be made because the host shows what is there.
	NoPlace = host.NoPlace
	// Occupied is a path that has something else already.
	Occupied = host.Occupied
	// WrongFile is a file of another kind than is needed.
	WrongFile = host.WrongFile
	// BehindLink is a path that a symbolic link changes the meaning of.
	BehindLink = host.BehindLink
	// Untrusted is a path that goes through a symbolic link of somebody else's, or
	// of a program's in a sandbox.
	Untrusted = host.Untrusted
	// LeadsOut is a descriptor by which the target could leave the sandbox.
	LeadsOut = host.LeadsOut
)

// Follow opens the directory of that absolute path and says where it is. Probe
// judges the links on the way, if the place is one of the target's Places; what
// says in an error what it is for.
func Follow(what, name string) (Place, error) { return host.Follow(what, name) }

// NewGuard reads the patterns of a policy's guard and unguard.
func NewGuard(guard, unguard []string) *Guard { return host.NewGuard(guard, unguard) }

// Certificates are the files and directories of certificates that variables of the
// environment name, of those that the policy lets cross and does not show. A policy
// shows them if they are added to Files.Read. The notes say which are none.
func Certificates(p *policy.Policy, env []string, cwd string) (show, notes []string) {
	return host.Certificates(p, env, cwd)
}

// IndexSettings are files that say where installers get packages from, by the paths that
// they have inside, without the credentials in them, for Files.Inline: of a policy that hands
// over the variables which say the same.
func IndexSettings(p *policy.Policy, env []string, home string) map[string]string {
	return host.IndexSettings(p, env, home)
}

// Repository is what lies outside of a project of the repository that it belongs to.
type Repository = host.Repository

// FindRepository finds the directories of git's own that a project of a caller with
// that home needs and that lie outside of it, if they say themselves that they belong to
// it.
func FindRepository(project, home string) Repository { return host.FindRepository(project, home) }

// Alternates are the directories of objects that the repository of a project takes from
// others, as git clone --shared makes it. They are named, not shown.
func Alternates(project string) []string { return host.Alternates(project) }

// Account has the target find its own user and group by their numbers, where the
// files of names that the policy shows do not have them. home is the caller's.
func Account(p *policy.Policy, env []string, home string) { host.Account(p, env, home) }

// AccountHome is the user's home by /etc/passwd, or "/".
func AccountHome(uid int) string { return host.AccountHome(uid) }

// ServiceDirs are the directories that systemd has made for the process with that pid, by
// its environment: RUNTIME_DIRECTORY and the like; see systemd.exec(5). A policy shows them
// if they are added to Files.Read and Files.Write.
func ServiceDirs(env []string, pid int) (read, write []string) {
	return host.Target{Env: env, PID: pid}.ServiceDirs()
}

// Program is what a directory of PATH has under a name, and Chooser finds them.
type (
	Program = host.Program
	Chooser = host.Chooser
)

// SearchPath is where programs are looked for if there is no PATH.
const SearchPath = host.SearchPath

// Become replaces this process by the program of that path, with all that it was started
// with. It returns only if that fails.
func Become(program string, argv []string) error { return launch.Become(program, argv) }

// PassedOver says that another program is going to run than the caller's shell would
// run by that name, since that one is not in the sandbox; "" where it is the same.
func PassedOver(p *Plan) string { return launch.PassedOver(p) }

// EnvHint says, after a status of 127, why env(1) did not find the program that the
// target's first line names ("#!/usr/bin/env NAME"); "" where that is not known.
func EnvHint(p *Plan) string { return launch.EnvHint(p) }

// Janitor says whether a process with these arguments is what Run has left in the
// place of a launcher that was killed. RunJanitor does its work then, and tells what
// it found.
func Janitor(args []string) bool { return private.Janitor(args) || setid.Janitor(args) }

// RunJanitor is that work.
func RunJanitor(args []string, say func(note string)) error {
	if private.Janitor(args) {
		return private.Main(args)
	}
	return setid.Main(args, say)
}

// GuardBinary keeps the target from writing to the file of the program that
// starts it. Where neither the plan nor the file's mode does, it executes a
// sealed copy in memory with the same arguments, and does not return.
func GuardBinary(p *Plan) error { return launch.GuardBinary(p) }

// Forwarded are the signals that Run passes on to the target.
func Forwarded() []unix.Signal { return launch.Forwarded[:] }

// Handed is how many descriptors, from 3 on, systemd hands over to the process
// with that pid; see sd_listen_fds(3).
func Handed(env []string, pid int) int { return host.Target{Env: env, PID: pid}.ListenFDs(nil) }

// Hint is how to fix any error, of this package or another: what its method
// Hint says, else what its errno means everywhere; "" where that is not known.
func Hint(err error) string { return plan.Hint(err) }

// ExitStatus is the status that a launcher ends with for any error: what its method
// ExitStatus says, else 125.
func ExitStatus(err error) int {
	var e interface{ ExitStatus() int }
	if errors.As(err, &e) {
		return e.ExitStatus()
	}
	return 125
}
