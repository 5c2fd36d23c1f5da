// Package plan turns a policy and the facts of a machine into one list of steps:
// it is printed, tested and executed. It is pure: it reads nothing, and it does
// nothing.
package plan

import (
	"encoding/json"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/internal/text"
	"sbx/ns"
	"sbx/sandbox/internal/process"
	"sbx/sandbox/internal/rootfs"
	"sbx/sandbox/internal/terminal"
)

// Plan is everything that happens between the launcher's fork and the
// target's first instruction, in order.
type Plan struct {
	// Name is the policy's.
	Name string
	// New are the namespaces that the child is made in.
	New ns.Set
	// Joined are the namespaces that it enters, and Join is how: by a process
	// that ends when it has made the child in them. Without Joined there is
	// none.
	Joined ns.Set
	Join   []step.Step
	// Ranges are the ids that the launcher has mapped while the child waits;
	// nil: the child maps its own.
	Ranges *ns.Ranges
	// SharesPIDNS says that the pid namespace is not the sandbox's own.
	SharesPIDNS bool
	// Setup is done by the child that then becomes the init, Target by the
	// process that becomes the target, Init by the init while the target
	// waits.
	Setup, Target, Init []step.Step
	// Prepare is done on the host by the janitor before the sandbox is made,
	// Cleanup by the same when the launcher has ended, however it has. Without
	// Cleanup there is no janitor. See package launch.
	Prepare, Cleanup []step.Step
	// Notes say which optional protections are missing.
	Notes []string
	// Landlock says that the target is in a Landlock domain, AllWritable
	// that it sees the host's root and may write to all of it.
	Landlock, AllWritable bool
	// SharesJob says that sbx shares its process group with the target, as a
	// terminal's job control needs.
	SharesJob bool
	// OwnSession says that the sandbox has a session of its own: the signals of
	// the caller's terminal do not reach it but through sbx.
	OwnSession bool
	// PTY is the caller's terminal if the target has one of its own, to be
	// relayed; nil: it has none.
	PTY *terminal.Caller
	// Tree is what each path inside is; nil where the mount namespace is not
	// the sandbox's own.
	Tree *rootfs.Tree
	// Limits say what enforces the policy's limits.
	Limits *Limits
}

// Each calls f for each step in order of the printed plan. in says who does it:
// janitor, launcher, join, setup, init, target or cleanup.
func (p *Plan) Each(f func(in string, s step.Step)) {
	prepare, cleanup := p.JanitorSteps()
	first := func() (list []step.Step) {
		if p.Limits.cgroup() {
			list = append(list, VerifyCgroup{})
		}
		if len(p.Join) == 0 {
			list = append(list, NewNamespaces{p.New})
		}
		return list
	}
	for _, part := range [...]struct {
		in    string
		steps []step.Step
	}{
		{"janitor", prepare}, {"launcher", first()}, {"join", p.Join}, {"setup", p.Setup}, {"init", p.Init}, {"target", p.Target},
		{"cleanup", cleanup},
	} {
		for _, s := range part.steps {
			f(part.in, s)
		}
	}
}

// JanitorSteps are all that the janitor does, before and after.
func (p *Plan) JanitorSteps() (prepare, cleanup []step.Step) {
	if len(p.Cleanup) == 0 {
		return nil, nil
	}
	var hold process.Hold
	for _, list := range [...][]step.Step{p.Prepare, p.Cleanup} {
		for _, s := range list {
			// A step that uses a descriptor of the launcher's.
			if h, ok := s.(interface{ Holds() int }); ok {
				hold.FDs = append(hold.FDs, h.Holds())
			}
		}
	}
	// First what keeps it alive and apart, then what it makes.
	prepare = append(prepare, process.OwnSession{}, process.Undumpable{}, hold, process.Forget{Who: "janitor"})
	return append(prepare, p.Prepare...), p.Cleanup
}

// NewNamespaces is the clone3(2) of the launcher as the plan shows it, or of
// the process that has joined others before.
type NewNamespaces struct{ Set ns.Set }

func (n NewNamespaces) String() string { return "make new namespaces: " + (n.Set &^ ns.Time).String() }

// Kind is the step's name in JSON.
func (NewNamespaces) Kind() string { return "new-namespaces" }

// Hint says what forbids namespaces here.
func (NewNamespaces) Hint(err error) string {
	switch errno := step.Errno(err); errno {
	case unix.ENOSPC, unix.EPERM, unix.EINVAL:
		return ns.DeniedHint(errno)
	}
	return ""
}

// Flags are clone3(2)'s. A time namespace made by it would be entered at once,
// with no moment to shift its clocks.
func (n NewNamespaces) Flags() uint64 { return uint64(n.Set &^ ns.Time) }

// Compile is for the process that has joined.
func (n NewNamespaces) Compile(a *step.Asm) { a.Enter(n.Flags()) }

// VerifyCgroup is the launcher's look at what the janitor has made.
type VerifyCgroup struct{}

func (VerifyCgroup) String() string { return "verify the cgroup's limits, to be born into it" }

// Kind is the step's name in JSON.
func (VerifyCgroup) Kind() string { return "verify-cgroup" }

// Compile makes no call: the launcher does it by itself.
func (VerifyCgroup) Compile(*step.Asm) {}

// Compile is the table of the child: set-up, target, then the init's part from
// initAt on. janitor is the launcher's end of the socket to the janitor, or -1. forget takes the place of process.Forget, which is about the
// memory of the process that starts the plan.
func (p *Plan) Compile(launcher, notify, janitor int, forget func(who string) step.Step) (asm *step.Asm, initAt int) {
	asm = &step.Asm{Launcher: launcher, Notify: notify, Janitor: janitor}
	asm.Grow(len(p.Join) + len(p.Setup) + len(p.Target) + len(p.Init))
	n := 0
	for _, list := range [...][]step.Step{p.Join, p.Setup, p.Target} {
		n = compile(asm, list, n, forget)
	}
	initAt = asm.Len()
	compile(asm, p.Init, n, forget)
	return asm, initAt
}

// CompileJanitor is the janitor's table. cleanupAt is the first call that cleans up.
func (p *Plan) CompileJanitor(asm *step.Asm, forget func(who string) step.Step) (cleanupAt int) {
	prepare, cleanup := p.JanitorSteps()
	asm.Grow(len(prepare) + len(cleanup))
	n := compile(asm, prepare, 0, forget)
	cleanupAt = asm.Len()
	compile(asm, cleanup, n, forget)
	return cleanupAt
}

// compile numbers the steps from n on, and gives the next number.
func compile(asm *step.Asm, list []step.Step, n int, forget func(who string) step.Step) int {
	for _, s := range list {
		asm.Begin(n)
		n++
		if f, ok := s.(process.Forget); ok {
			s = forget(f.Who)
		}
		s.Compile(asm)
	}
	return n
}

// StepAt is the step that Compile numbered n.
func (p *Plan) StepAt(n int) step.Step {
	for _, list := range [...][]step.Step{p.Join, p.Setup, p.Target, p.Init} {
		if n < len(list) {
			return list[n]
		}
		n -= len(list)
	}
	return nil
}

// String is the plan for people, a step a line: what --dry-run prints.
func (p *Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "plan of policy %s\n", text.Quote(p.Name))
	n := 0
	p.Each(func(in string, s step.Step) {
		n++
		fmt.Fprintf(&b, "%3d %-8s %s\n", n, in, s)
	})
	for _, s := range p.Notes {
		fmt.Fprintf(&b, "note: %s\n", s)
	}
	return b.String()
}

// MarshalJSON is the same plan for programs. A step is checked if what it finds
// is compared with what was planned, beyond that its calls succeed: it reads
// back what it did, or looks at what is there.
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
		Steps      []line   `json:"steps"`
		Notes      []string `json:"notes,omitempty"`
	}{Policy: p.Name, Namespaces: p.New.Names(), Joined: p.Joined.Names(), Notes: p.Notes}
	p.Each(func(in string, s step.Step) {
		// What the janitor writes, the launcher reads back.
		checked := in != "janitor" && in != "cleanup" && checks(s)
		out.Steps = append(out.Steps, line{len(out.Steps) + 1, in, s.String(), s.Kind(), checked})
	})
	return json.Marshal(out)
}

// checks says whether any of the step's calls checks what it finds.
func checks(s step.Step) bool {
	if _, ok := s.(VerifyCgroup); ok {
		return true // by the launcher, without a table
	}
	asm := &step.Asm{Launcher: 3, Notify: 4, Janitor: 5} // any two descriptors
	asm.Begin(0)
	s.Compile(asm)
	for i := range asm.Len() {
		if asm.Checks(i) {
			return true
		}
	}
	return false
}
