package host

import (
	"strings"

	"sbx/policy"
)

// Target is the program to run.
type Target struct {
	// Path is the program. It is looked for in Env's PATH if it has no slash.
	Path string
	// FD is a descriptor of the program, above 2, in the place of Path; or 0. The
	// program has it too.
	FD int
	// Args are all arguments, the program's name first.
	Args []string
	// Env is the caller's whole environment. The policy says which variables the target
	// gets.
	Env []string
	// Passed are the rules of Process.Env that a flag gives.
	Passed []string
	// MakesOwn says that the caller makes the directories of sbx's own that the plan says are
	// Unmade, before the start. Otherwise a program that could make them is mostly refused.
	MakesOwn bool
	// Dir is the directory to start in. Elsewhere is where to start if it is not
	// there inside; empty: that is an error. Relative are those of Shown that were
	// given relative to Dir: with one of them, Dir is there.
	Dir, Elsewhere string
	Relative       []string
	// Project is the directory in which secrets are looked for, if it is shown; empty:
	// none. Shown are the paths that flags name. Those of them that are a project of a
	// user, given Home, are searched too.
	Project, Home string
	Shown         []string
	// CallerProject is the project that the caller stands in, if the target
	// starts elsewhere.
	CallerProject string
	// AccountHome is the caller's home by the password file; empty: Probe reads it.
	AccountHome string
	// Places are further paths that the caller named. They are judged like all other
	// paths.
	Places []Place
	// Shims are the directories of links to sbx that the caller runs programs by. The
	// target must not write to them.
	Shims []string
	// Receipt is the descriptor that a receipt is written to, if there is one.
	Receipt *int
	// Explain says that what the target is denied is to be told.
	Explain bool
	// ExplainFiles says that the files that it cannot use are to be told as well.
	ExplainFiles bool
	// Learn says that what the target does is to be recorded, to make a policy of. Observe
	// are the numbers of the calls that are, and Known those of the calls that are only for
	// what their arguments say.
	Learn          bool
	Observe, Known []uint32
	// Review, if not nil, says that what the program writes to the host is kept apart, to be
	// looked at first.
	Review *Review
	// Details are what a policy does not say of paths inside, by the path.
	Details map[string]Detail
	// First makes the target process 1 of a pid namespace of its own, where the policy asks
	// for a new one: then nothing reaps for it, and it takes only signals that it handles.
	First bool
	// KeepFDs are descriptors above 2 that the target gets under the same numbers.
	KeepFDs []int
	// Announce says that the launcher is told which process the target is, and sees its
	// exec.
	Announce bool
	// Hold makes the sandbox's first process wait until the launcher lets it go. With
	// MappedOutside it waits for somebody else, too, who maps the ids of the new user
	// namespace. It closes HoldWithout before, whose readers may wait for the end.
	Hold, MappedOutside bool
	HoldWithout         []int
	// Given are the launcher's descriptors that become the target's 0, 1, 2 and so on, all
	// of them above the target's highest; -1 is one that it does not get. nil: the target
	// gets descriptors 0 to 2 of a launcher that has nothing else to do.
	Given []int
	// PID is the launcher's pid. It tells whether systemd's variables are meant for sbx.
	PID int
}

// Review is where changes are kept apart.
type Review struct {
	// Layers are the upper and the work directory for the directory of that real path. It is
	// nil where they have not been made, so the plan can be printed and not executed.
	Layers map[string][2]string
}

// Detail is what a policy does not say of a path inside.
type Detail struct {
	// Under are directories of the host that an overlay has below its own, the upper ones
	// first.
	Under []string
	// ReadOnly says that a tmpfs or an overlay is read-only in the end.
	ReadOnly bool
	// Queues says that a tmpfs is none: the message queues of the IPC namespace are there.
	Queues bool
	// Device says that what is shown is a device in the host's /dev, or a directory with
	// some, that can be used. Elsewhere they can be used in the sandbox's own /dev alone.
	Device bool
	// Own says that a file has the mode Mode, and Writable that the target can change what
	// is in it.
	Own, Writable bool
	Mode          uint32
}

// NotifySocket is the service manager's socket for notifications, or "": see
// sd_notify(3).
func (t Target) NotifySocket() string {
	s, _ := Lookup(t.Env, "NOTIFY_SOCKET")
	return s
}

// NotifyPlace is where the target finds the notify socket: a socket of the sandbox's own,
// from which sbx relays, where the mount namespace is a new one, else the manager's. "":
// there is none.
func (t Target) NotifyPlace(p *policy.Policy) (place string, relayed bool) {
	s := t.NotifySocket()
	if p.Namespaces.Mount != "" && p.Namespaces.Mount != "new" ||
		!strings.HasPrefix(s, "/") && !strings.HasPrefix(s, "@") {
		return s, false
	}
	if s[0] == '@' {
		return "/dev/sbx-notify", true
	}
	return s, true
}

// Lookup finds a variable in an environment: where it stands more than once, the
// first one, as getenv(3) does.
func Lookup(env []string, name string) (value string, ok bool) {
	for _, v := range env {
		if len(v) > len(name) && v[len(name)] == '=' && v[:len(name)] == name {
			return v[len(name)+1:], true
		}
	}
	return "", false
}
