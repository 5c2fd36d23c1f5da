// Package sandbox turns a policy into one plan and the plan into a running
// process: Build is pure, the plan prints, Start executes what was printed.
package sandbox

import (
	"encoding/json"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/internal/text"
	"sbx/ns"
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
	// Shared says that the pid namespace is not the sandbox's own.
	Shared bool
	// Setup is done by the child that then becomes the init, Target by the
	// process that becomes the target, Init by the init while the target
	// waits.
	Setup, Target, Init []step.Step
	// Prepare is done outside by the janitor before the sandbox is made, Undo by
	// the same when the launcher has ended, however it has. Without Undo there
	// is no janitor. See janitor.
	Prepare, Undo []step.Step
	// Notes say which optional protections are missing.
	Notes []string
	// Landlock says that the target is in a Landlock domain, AllWritable
	// that it sees the outside's root and may write to all of it.
	Landlock, AllWritable bool
	// Terminal says that sbx shares its process group with the target, as a
	// terminal's job control needs.
	Terminal bool
	// Apart says that the sandbox has a session of its own: the signals of the
	// caller's terminal do not reach it but through sbx.
	Apart bool
	// Caller is the caller's terminal if the target has one of its own, to be
	// relayed; nil: it has none.
	Caller *terminal.Caller
	// held says what holds the policy's limits; nil without any.
	held *held
}

// steps calls f for each step in order of the printed plan.
func (p *Plan) steps(f func(in string, s step.Step)) {
	prepare, undo := p.janitorSteps()
	for _, s := range prepare {
		f("janitor", s)
	}
	if p.held != nil && p.held.cgroup != nil {
		f("launcher", verifyCgroup{})
	}
	if len(p.Join) == 0 {
		f("launcher", namespacesStep{p.New})
	}
	for _, s := range p.Join {
		f("join", s)
	}
	for _, s := range p.Setup {
		f("setup", s)
	}
	for _, s := range p.Init {
		f("init", s)
	}
	for _, s := range p.Target {
		f("target", s)
	}
	for _, s := range undo {
		f("undo", s)
	}
}

// namespacesStep is the clone3(2) of the launcher as the plan shows it, or of
// the process that has joined others before.
type namespacesStep struct{ set ns.Set }

func (n namespacesStep) String() string { return "make new namespaces: " + (n.set &^ ns.Time).String() }

// flags are clone3(2)'s. A time namespace made by it would be entered at once,
// with no moment to shift its clocks.
func (n namespacesStep) flags() uint64 { return uint64(n.set &^ ns.Time) }

func (namespacesStep) Kind() string { return "new-namespaces" }

func (namespacesStep) Hint(err error) string {
	switch errno := step.Errno(err); errno {
	case unix.ENOSPC, unix.EPERM, unix.EINVAL:
		return ns.DeniedHint(errno)
	}
	return ""
}

// Compile is for the process that has joined.
func (n namespacesStep) Compile(a *step.Asm) { a.Enter(n.flags()) }

// String is the plan for people, a step a line: what --dry-run prints.
func (p *Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "plan of policy %s\n", text.Quote(p.Name))
	n := 0
	p.steps(func(in string, s step.Step) {
		n++
		fmt.Fprintf(&b, "%3d %-8s %s\n", n, in, s)
	})
	for _, s := range p.Notes {
		fmt.Fprintf(&b, "note: %s\n", s)
	}
	return b.String()
}

// MarshalJSON is the same plan for programs; docs/json.md documents it. A step
// is checked if what it finds is compared with what was planned, beyond that
// its calls succeed: it reads back what it did, or looks at what is there.
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
	p.steps(func(in string, s step.Step) {
		// What the janitor writes, the launcher reads back.
		checked := in != "janitor" && in != "undo" && checks(s)
		out.Steps = append(out.Steps, line{len(out.Steps) + 1, in, s.String(), s.Kind(), checked})
	})
	return json.Marshal(out)
}

// checks says whether any of the step's calls checks what it finds.
func checks(s step.Step) bool {
	if _, ok := s.(verifyCgroup); ok {
		return true // by the launcher, without a table
	}
	asm := &step.Asm{Launcher: 3, Notify: 4} // any two descriptors
	asm.Begin(0)
	s.Compile(asm)
	for i := range asm.Len() {
		if asm.Checks(i) {
			return true
		}
	}
	return false
}
