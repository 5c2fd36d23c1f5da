// Package plan turns a policy and the facts of a machine into one list of steps, which is
// printed, tested and executed. It is pure: it reads nothing and executes nothing.
package plan

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/internal/text"
	"sbx/ns"
	"sbx/policy"
	"sbx/sandbox/internal/gateway"
	"sbx/sandbox/internal/landlock"
	"sbx/sandbox/internal/private"
	"sbx/sandbox/internal/process"
	"sbx/sandbox/internal/rootfs"
	"sbx/sandbox/internal/setid"
	"sbx/sandbox/internal/terminal"
)

// Plan is everything that happens between the launcher's fork and the
// target's first instruction, in order.
type Plan struct {
	// Name is the policy's.
	Name string
	// New are the namespaces that the child is made in.
	New ns.Set
	// Joined are the existing namespaces that the child is made in. Join are the steps of
	// the process that enters them, makes the child and exits. Without Joined there is no
	// such process.
	Joined ns.Set
	Join   []step.Step
	// Ranges are the ids that the launcher maps while the child waits. It is nil where the
	// child maps its own.
	Ranges *ns.Ranges
	// Holds says that the child waits until the launcher lets it go, MappedOutside that
	// somebody else has mapped its ids by then.
	Holds, MappedOutside bool
	// SharesPIDNS says that the pid namespace is not a new one.
	SharesPIDNS bool
	// InPlace says that there is neither launcher nor init: a thread of this process does
	// the steps of Setup and Target, and executes the target.
	InPlace bool
	// Setup are the steps of the child, which then becomes the init. Target are the steps
	// of the target's process up to its exec. Init are the init's steps, while the target
	// waits.
	Setup, Target, Init []step.Step
	// Prepare are the janitor's steps on the host before the sandbox is made, Cleanup its
	// steps after the launcher has ended in any way. Without Cleanup there is no janitor.
	// See package launch.
	Prepare, Cleanup []step.Step
	// Dir is the directory that the target starts in.
	Dir string
	// Notes say which optional protections are missing, and Missing names them; see
	// Protections.
	Notes, Missing []string
	// Remarks say what the policy leaves open by its own word. They are printed with the
	// plan only.
	Remarks []string
	// Landlock says that the target is in a Landlock domain. AllWritable says that it sees
	// the host's root and may write to all of it.
	Landlock, AllWritable bool
	// SharesJob says that sbx and the target are in one process group, as a terminal's job
	// control needs.
	SharesJob bool
	// OwnSession says that the sandbox has a session of its own: only sbx passes the
	// signals of the caller's terminal on to it.
	OwnSession bool
	// PTY is the caller's terminal, to be relayed, if the target has a pseudo-terminal of
	// its own; otherwise nil.
	PTY *terminal.Caller
	// Tree is what each path inside is. It is nil where the mount namespace is not a new
	// one.
	Tree *rootfs.Tree
	// Bare is the same for a launch without namespaces, Private the directory that the
	// launcher makes for it, if any, and Weaker what is less than with namespaces.
	Bare    *rootfs.Tree
	Private *process.Private
	Weaker  []string
	// Policy is what the plan was made of.
	Policy *policy.Policy
	// Explained are the filters in whose place one with a listener is loaded, in their
	// order; empty where there is none.
	Explained []Explained
	// Observed are the numbers of calls that the listener is asked about when they are
	// allowed, too.
	Observed []uint32
	// ObservesFiles says that those about files are among them; Learns that a policy is made
	// of what they are.
	ObservesFiles, Learns bool
	// NotMasked is the directory with too many files to mask all of the host's sockets in,
	// for which the target has none of its own; "" if that is not why.
	NotMasked string
	// Unexplained is why there is none although the run is to be explained.
	Unexplained string
	// Limits say what enforces the policy's limits.
	Limits *Limits
	// Gateway is what the sandbox's network leads to, or nil.
	Gateway *gateway.Config
	// Announces says that the target tells the launcher which process it is, and that the
	// launcher sees its exec.
	Announces bool
	// Given are the launcher's descriptors that become the target's; see host.Target.
	Given []int
	// Notify is what the launcher relays from the sandbox to a service manager.
	Notify Notify
	// SetID is what the launcher does against set-id files on the host.
	SetID setid.Duty
}

// Unmade are the directories that the plan's Tree names as such.
func (p *Plan) Unmade() []string {
	if p.Shown() == nil {
		return nil
	}
	return p.Shown().Unmade
}

// Secrets is how many files look like secrets and are hidden for that; see files.hide.
func (p *Plan) Secrets() int {
	if p.Shown() == nil {
		return 0
	}
	return p.Shown().Secrets()
}

// Outdated says whether a start failed only because what a search found was renamed,
// removed or replaced before it was mounted. The policy does not name it, so a new plan
// has what is there by then. Nothing of the target has run.
func (p *Plan) Outdated(err error) bool {
	var failed *StepError
	if p.Shown() == nil || !errors.As(err, &failed) {
		return false
	}
	switch step.Errno(failed.Err) {
	case unix.ENOENT, unix.ENOTDIR, unix.ELOOP, unix.EAGAIN, unix.ESTALE:
	default:
		if !step.Mismatched(failed.Err) {
			return false
		}
	}
	switch s := failed.Step.(type) {
	case ns.Mask:
		return p.Tree.Searched(s.Path)
	case ns.Pin:
		return p.Tree.Searched(s.Path)
	case ns.Bind:
		return s.Below && p.Tree.Searched(s.Dest)
	case landlock.FoundRule, landlock.Hidden:
		return true
	}
	return false
}

// Searched says whether the plan has anything that a search found.
func (p *Plan) Searched() bool {
	return p.Tree != nil && p.Tree.Searched("/") || p.Bare != nil && slices.ContainsFunc(p.Target, func(s step.Step) bool {
		_, found := s.(landlock.FoundRule)
		return found
	})
}

// Each calls f for each step in the order of the printed plan. in is the process that does
// it: janitor, launcher, join, setup, init, target or cleanup.
func (p *Plan) Each(f func(in string, s step.Step)) {
	prepare, cleanup := p.JanitorSteps()
	first := func() (list []step.Step) {
		if p.Limits.cgroup() {
			list = append(list, VerifyCgroup{})
		}
		if p.Private != nil {
			list = append(list, *p.Private)
		}
		if len(p.Join) == 0 && p.Bare == nil && !p.InPlace {
			list = append(list, NewNamespaces{p.New})
		}
		return list
	}
	var last []step.Step
	if len(p.SetID.Dirs) > 0 {
		last = append(last, setid.Look{Duty: p.SetID})
	}
	for _, part := range [...]struct {
		in    string
		steps []step.Step
	}{
		{"janitor", prepare}, {"launcher", first()}, {"join", p.Join},
		{"setup", p.Setup}, {"init", p.Init}, {"target", p.Target},
		{"cleanup", cleanup}, {"cleanup", last},
	} {
		for _, s := range part.steps {
			f(part.in, s)
		}
	}
}

// JanitorSteps are all steps of the janitor, before the sandbox and after it.
func (p *Plan) JanitorSteps() (prepare, cleanup []step.Step) {
	if len(p.Cleanup) == 0 {
		return nil, nil
	}
	return JanitorSteps(p.Prepare, p.Cleanup, p.Given != nil), p.Cleanup
}

// JanitorSteps are all that a janitor does first which makes these things and undoes
// them so. all is as in process.ClearMemory.
func JanitorSteps(prepare, cleanup []step.Step, all bool) (list []step.Step) {
	var hold process.CloseUnneeded
	for _, list := range [...][]step.Step{prepare, cleanup} {
		for _, s := range list {
			// The step uses descriptors of the launcher's.
			switch h := s.(type) {
			case interface{ Holds() int }:
				hold.FDs = append(hold.FDs, h.Holds())
			case interface{ Holds() []int }:
				hold.FDs = append(hold.FDs, h.Holds()...)
			}
		}
	}
	// First the steps that protect the janitor, then those that make something.
	list = append(list, process.OwnSession{}, process.Undumpable{}, hold, process.ClearMemory{Who: "janitor", All: all})
	return append(list, prepare...)
}

// NewNamespaces is the clone3(2) by which the launcher, or the process that has joined
// namespaces, makes the child.
type NewNamespaces struct{ Set ns.Set }

func (n NewNamespaces) String() string { return "make new namespaces: " + (n.Set &^ ns.Time).String() }

// Kind is the step's name in JSON.
func (NewNamespaces) Kind() string { return "new-namespaces" }

// Hint says why namespaces are denied here.
func (NewNamespaces) Hint(err error) string {
	switch errno := step.Errno(err); errno {
	case unix.ENOSPC, unix.EPERM, unix.EINVAL, unix.ENOSYS:
		return ns.DeniedHint(errno)
	}
	return ""
}

// Flags are the flags for clone3(2). It makes no time namespace, because the child would be
// in that at once, and its clocks could no longer be set.
func (n NewNamespaces) Flags() uint64 { return uint64(n.Set &^ ns.Time) }

// Compile is for the process that has joined namespaces.
func (n NewNamespaces) Compile(a *step.Asm) { a.Enter(n.Flags()) }

// VerifyCgroup is the launcher's check of the cgroup that the janitor has made.
type VerifyCgroup struct{}

func (VerifyCgroup) String() string { return "verify the cgroup's limits" }

// Kind is the step's name in JSON.
func (VerifyCgroup) Kind() string { return "verify-cgroup" }

// Compile makes no call, because the launcher does the check in Go.
func (VerifyCgroup) Compile(*step.Asm) {}

// Descriptors are those of the launcher that the steps need: the two ends of the socket to
// the init, the launcher's end of that to the janitor, and the end of the pipe that the
// target's exec closes. -1: there is none. Private is the target's private directory, if
// there is one.
type Descriptors struct {
	Launcher, Notify, Janitor, Ready int
	Private                          private.Dir
}

// Compile is the table of the child: the calls of set-up and target, then from initAt on
// those of the init. forget replaces process.ClearMemory, which depends on the memory of
// the process that starts the plan.
func (p *Plan) Compile(fds Descriptors, forget func(process.ClearMemory) step.Step) (asm *step.Asm, initAt int) {
	asm = &step.Asm{
		Launcher: fds.Launcher, Notify: fds.Notify, Janitor: fds.Janitor, Ready: fds.Ready,
		Private: step.PrivateDir{Path: fds.Private.Path, FD: fds.Private.FD},
	}
	asm.Grow(len(p.Join) + len(p.Setup) + len(p.Target) + len(p.Init))
	n := 0
	for _, list := range [...][]step.Step{p.Join, p.Setup, p.Target} {
		n = compile(asm, list, n, forget)
	}
	initAt = asm.Len()
	compile(asm, p.Init, n, forget)
	return asm, initAt
}

// CompileJanitor is the table of a janitor with these steps; see JanitorSteps. Its
// cleanup begins at the call cleanupAt.
func CompileJanitor(
	prepare, cleanup []step.Step, asm *step.Asm, forget func(process.ClearMemory) step.Step,
) (cleanupAt int) {
	asm.Grow(len(prepare) + len(cleanup))
	n := compile(asm, prepare, 0, forget)
	cleanupAt = asm.Len()
	compile(asm, cleanup, n, forget)
	return cleanupAt
}

// compile numbers the steps from n on, and returns the next number.
func compile(asm *step.Asm, list []step.Step, n int, forget func(process.ClearMemory) step.Step) int {
	for _, s := range list {
		asm.Begin(n)
		n++
		if f, ok := s.(process.ClearMemory); ok {
			s = forget(f)
		}
		s.Compile(asm)
	}
	return n
}

// StepAt is the step to which Compile gave the number n.
func (p *Plan) StepAt(n int) step.Step {
	for _, list := range [...][]step.Step{p.Join, p.Setup, p.Target, p.Init} {
		if n < len(list) {
			return list[n]
		}
		n -= len(list)
	}
	return nil
}

// String is the plan for people, one step per line, as --dry-run prints it.
func (p *Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "plan of policy %s", text.Quote(p.Name))
	if p.InPlace {
		b.WriteString(", executed in place")
	}
	b.WriteByte('\n')
	n := 0
	p.Each(func(in string, s step.Step) {
		n++
		fmt.Fprintf(&b, "%3d %-8s %s\n", n, in, s)
	})
	for _, s := range slices.Concat(p.Notes, p.Remarks) {
		fmt.Fprintf(&b, "note: %s\n", s)
	}
	for _, s := range p.Weaker {
		fmt.Fprintf(&b, "weaker: %s\n", s)
	}
	return b.String()
}

// MarshalJSON is the plan for programs. A step is checked if it compares something with
// the plan, beyond that its calls succeed: what it has set itself, or what it finds.
func (p *Plan) MarshalJSON() ([]byte, error) {
	type line struct {
		Number  int    `json:"number"`
		In      string `json:"in"`
		Step    string `json:"step"`
		Kind    string `json:"kind"`
		Checked bool   `json:"checked,omitempty"`
	}
	out := struct {
		Policy     string   `json:"policy"`
		Namespaces []string `json:"namespaces"`
		Joined     []string `json:"joined,omitempty"`
		InPlace    bool     `json:"in_place,omitempty"`
		Steps      []line   `json:"steps"`
		Notes      []string `json:"notes,omitempty"`
		Weaker     []string `json:"weaker,omitempty"`
	}{Policy: p.Name, Namespaces: p.New.Names(), Joined: p.Joined.Names(),
		InPlace: p.InPlace, Notes: slices.Concat(p.Notes, p.Remarks),
		Weaker: p.Weaker}
	p.Each(func(in string, s step.Step) {
		// The launcher reads back what the janitor writes.
		checked := in != "janitor" && in != "cleanup" && checks(s)
		out.Steps = append(out.Steps, line{len(out.Steps) + 1, in, s.String(), s.Kind(), checked})
	})
	return json.Marshal(out)
}

// checks says whether one of the step's calls compares something with the plan.
func checks(s step.Step) bool {
	if _, ok := s.(VerifyCgroup); ok {
		return true // the launcher does it, without a table
	}
	asm := &step.Asm{Launcher: 3, Notify: 4, Janitor: 5, Ready: 6} // any descriptors
	asm.Begin(0)
	s.Compile(asm)
	for i := range asm.Len() {
		if asm.Checks(i) {
			return true
		}
	}
	return false
}
