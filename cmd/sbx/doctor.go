package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/text"
	"sbx/policies"
	"sbx/policy"
	"sbx/sandbox"
)

// doctorCmd is "sbx doctor".
type doctorCmd struct {
	Policy string `complete:"policy" short:"p" placeholder:"NAME" help:"Say what this policy needs, and nothing else."`
	Bare   bool   `name:"no-namespaces" help:"Say what launches with --no-namespaces need."`
	JSON   bool   `help:"Print JSON."`
}

// Help says what it does.
func (c *doctorCmd) Help() string {
	return `Each feature is tried for real, in a child. The exit status is 1 if a policy needs
one that does not work: with --policy that one, else any of the shipped ones.`
}

// diagnosis is one feature, and who needs it.
type diagnosis struct {
	sandbox.Feature
	// NeededBy are policies that do not start without it. UsedBy do without, and are
	// weaker for it.
	NeededBy []string `json:"needed_by"`
	UsedBy   []string `json:"used_by,omitempty"`
}

// Run prints a line for each feature.
func (c *doctorCmd) Run() error { return c.run(os.Stdout) }

func (c *doctorCmd) run(w io.Writer) error {
	names := policies.Names()
	if c.Policy != "" {
		names = []string{c.Policy}
	}
	list, in, kernel, err := diagnose(names, c.Policy != "", c.Bare)
	if err != nil {
		return err
	}
	if c.JSON {
		err = printJSON(w, struct {
			Kernel   string      `json:"kernel"`
			In       []string    `json:"in"`
			Features []diagnosis `json:"features"`
		}{kernel, orEmpty(in), list})
	} else {
		err = printDiagnosis(w, list, in, kernel, names)
	}
	if err != nil {
		return err
	}
	for _, d := range list {
		if !d.Works && len(d.NeededBy) > 0 {
			return errFindings
		}
	}
	return nil
}

// diagnose tries all features, and finds out which of the policies need them, with bare
// for launches without namespaces. only leaves out those that none does, but for what is a
// way where they are missing.
func diagnose(names []string, only, bare bool) (list []diagnosis, in []string, kernel string, err error) {
	all := make([]*policy.Policy, len(names))
	for i, name := range names {
		if all[i], err = policies.Find(name); err != nil {
			return nil, nil, "", err
		}
		if bare {
			p := *all[i]
			p.Namespaces.All = "host"
			all[i] = &p
		}
	}
	found, in, kernel, err := sandbox.Doctor()
	if err != nil {
		return nil, nil, "", err
	}
	for _, f := range found {
		d := diagnosis{Feature: f, NeededBy: []string{}}
		for i, p := range all {
			switch {
			case f.Needs(p):
				d.NeededBy = append(d.NeededBy, names[i])
			case f.Wants != nil && f.Wants(p):
				d.UsedBy = append(d.UsedBy, names[i])
			}
		}
		if !only || d.Second || len(d.NeededBy)+len(d.UsedBy) > 0 {
			list = append(list, d)
		}
	}
	return list, in, kernel, nil
}

func printDiagnosis(w io.Writer, list []diagnosis, in []string, kernel string, names []string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Linux %s", text.OneLine(kernel))
	if len(in) > 0 {
		fmt.Fprintf(&b, ", in: %s", strings.Join(in, ", "))
	}
	b.WriteString("\n")
	for _, d := range list {
		b.WriteString(d.line(len(names)) + "\n")
		if d.Fix != "" {
			b.WriteString("\t" + text.OneLine(d.Fix) + "\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// line is the feature in words; of is how many policies were asked for.
func (d *diagnosis) line(of int) string {
	state := "ok  "
	switch {
	case d.Works:
	case len(d.NeededBy) > 0:
		state = "FAIL"
	default:
		state = "no  "
	}
	line := state + " " + d.Name
	if d.Why != "" {
		line += ": " + text.OneLine(d.Why)
	}
	who := func(verb string, list []string) {
		switch {
		case len(list) == of && of > 1:
			line += " (" + verb + " by all policies)"
		case len(list) > 0 && of > 1:
			line += " (" + verb + " by " + strings.Join(list, ", ") + ")"
		}
	}
	who("needed", d.NeededBy)
	who("used", d.UsedBy)
	return line
}

// adviseOn prints what the doctor finds where a start has failed as one fails for lack of a
// feature: each feature that the policy needs and that does not work.
func (l *launch) adviseOn(err error) {
	var step *sandbox.StepError
	var need *sandbox.NeedError
	var errno unix.Errno
	switch {
	case errors.As(err, &step):
		errors.As(err, &errno)
		switch errno {
		case unix.EPERM, unix.EACCES, unix.ENOSYS, unix.ENOSPC, unix.EINVAL, unix.ENODEV, unix.EOPNOTSUPP, unix.EUSERS:
		default:
			return
		}
		if code, _ := outcome(err); code != exitSandbox {
			return // it is about the program
		}
	case errors.As(err, &need):
		switch need.Reason {
		case sandbox.NoLandlock, sandbox.KernelLacks, sandbox.NoProc, sandbox.NoLimit:
		default:
			return
		}
	default:
		// Before that sbx has looked at the machine.
		if code, _ := outcome(err); code != exitSandbox || !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EPERM) {
			return
		}
	}
	// Run makes this process untraceable, and with that its children's id maps another's.
	if unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0) != nil {
		return
	}
	list, _, _, bad := diagnose([]string{l.Policy}, true, l.NoNamespaces)
	if bad != nil {
		return // the error that was printed stands by itself
	}
	for _, d := range list {
		if !d.Works && len(d.NeededBy) > 0 && d.Fix != "" {
			say("note", "sbx doctor: "+d.Name+" does not work: "+d.Why+"; fix: "+d.Fix)
		}
	}
}
