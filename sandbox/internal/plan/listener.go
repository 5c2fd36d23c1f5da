package plan

import (
	"errors"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/ns"
	"sbx/policy"
	"sbx/policy/explain"
	"sbx/policy/seccomp"
	"sbx/policy/seccomp/listen"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/process"
)

// Explained is a filter in whose place one with a listener is loaded.
type Explained struct {
	Filter process.Seccomp
	// Own says that it is the policy's.
	Own bool
	// SetID says that it leaves calls to a listener; see setid.Chmod.
	SetID bool
}

// decideListener replaces the filters by one that asks the launcher about the calls that
// they deny, if the run is to be explained. Where there can be none the filters stay as
// they are, and a note says so.
func (d *decisions) decideListener(p *policy.Policy, t host.Target, h *host.Facts) {
	if !t.Explain {
		return
	}
	l := &process.Listener{}
	var explained []Explained
	var programs []seccomp.Program
	for i, list := range [...][]step.Step{d.fallback, d.filters} {
		for _, f := range seccompSteps(list) {
			l.Names = append(l.Names, f.Name)
			l.Flags |= f.Flags
			programs = append(programs, seccomp.Program(f.Program))
			explained = append(explained, Explained{Filter: f, Own: i == 1, SetID: f.Name == d.setIDAsks})
		}
	}
	err := h.Listener.Err
	if err == nil {
		var program seccomp.Program
		// In a pid namespace that is not below the caller's, the launcher sees no pid.
		o := listen.Options{KeepKills: d.ns.joined(ns.PID), Arch: seccomp.Native()}
		if o.Observe, err = d.observe(p, t); err == nil {
			d.observed, o.Marked = o.Observe, executes(o)
			program, err = listen.Filter(programs, o)
		}
		l.Program = string(program)
	}
	if err != nil {
		d.unexplained, d.observed, d.observesFiles = err.Error(), nil, false
		d.lack(missingExplain)
		d.note("denied system calls cannot be explained: " + err.Error())
		return
	}
	if h.Listener.WaitKillable {
		l.Flags |= unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
	}
	d.listener, d.explained = l, explained
}

// observe are the calls that the listener is asked about although they are allowed.
func (d *decisions) observe(p *policy.Policy, t host.Target) ([]uint32, error) {
	rare, why := explain.Rare(seccomp.Native()), ""
	switch {
	case policy.IsTrue(p.Process.Nest):
		// A call that is let go on passes by the filters of a sandbox inside, as far as
		// these trace or log.
		rare, why = nil, "the policy lets the program make sandboxes of its own, whose filters it would weaken"
	case d.ns.joined(ns.PID):
		rare, why = nil, "the policy joins a pid namespace, whose processes sbx may not see"
	case d.tree == nil && (d.bare == nil || t.Learn):
		why = "the policy keeps the host's mount namespace"
	}
	switch {
	case t.Learn && why != "":
		return nil, errors.New(why)
	case t.Learn:
		// The launcher makes this call itself under the filter, when nobody listens yet. That
		// the listener comes is as good a proof.
		d.verifySeccomp, d.learns = false, true
		return t.Observe, nil
	case !t.ExplainFiles:
		return rare, nil
	case why != "":
		d.lack(missingFiles)
		d.note("files are not observed: " + why)
		return rare, nil
	}
	d.observesFiles = true
	return append(rare, explain.Observed(seccomp.Native())...), nil
}

// executes are those of the observed calls that execute a program.
func executes(o listen.Options) (list []uint32) {
	for _, nr := range o.Observe {
		if s, ok := seccomp.SyscallByNumber(o.Arch, nr); ok && explain.Executes(s.Name()) {
			list = append(list, nr)
		}
	}
	return list
}

// seccompSteps are the steps that load a filter.
func seccompSteps(list []step.Step) (out []process.Seccomp) {
	for _, s := range list {
		if f, ok := s.(process.Seccomp); ok {
			out = append(out, f)
		}
	}
	return out
}
