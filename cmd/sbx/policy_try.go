package main

import (
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/text"
	"sbx/policy"
	"sbx/policy/seccomp"
	"sbx/policy/seccomp/bpf"
	"sbx/sandbox"
)

// policyTestCmd is "sbx policy test".
type policyTestCmd struct {
	Policies []string `arg:"" complete:"policy" help:"Names, or paths with a slash."`
	Dir      string   `short:"C" complete:"path" placeholder:"PATH" help:"The directory that the sandbox is started in."`
	JSON     bool     `help:"Print JSON."`
	TAP      bool     `name:"tap" help:"Print TAP, the Test Anything Protocol."`
}

// Help says what is tried.
func (c *policyTestCmd) Help() string {
	return `Each line of [expect] is tried by a program of sbx's own in the sandbox that the
policy makes here. What was made for it is removed. The exit status is 1 if a line
does not hold, or cannot be tried here and has no ? in front; 125 if there is no
sandbox.`
}

// The results of a line.
const (
	holds   = "holds"
	fails   = "fails"
	untried = "untried"
)

// tried is a line of [expect] and what came of it.
type tried struct {
	Policy   string `json:"policy"`
	Expect   string `json:"expect"` // allow or deny
	Line     string `json:"line"`
	Optional bool   `json:"optional,omitempty"`
	Result   string `json:"result"`
	Why      string `json:"why,omitempty"`
	Where    string `json:"where,omitempty"`
}

// ok says that the line does not count as failed.
func (t *tried) ok() bool { return t.Result == holds || t.Result == untried && t.Optional }

// Run prints what holds on standard output.
func (c *policyTestCmd) Run() error { return c.run(os.Stdout) }

func (c *policyTestCmd) run(w io.Writer) error {
	if c.JSON && c.TAP {
		return &usageError{"--json and --tap: one output has one format", "leave one of the two out"}
	}
	all := []tried{}
	var failed error
	for _, name := range c.Policies {
		list, err := c.try(name)
		if err != nil {
			if len(c.Policies) > 1 {
				err = fmt.Errorf("test policy %s: %w", text.Quote(name), err)
			}
			if failed != nil {
				report(failed)
			}
			failed = err
			continue
		}
		all = append(all, list...)
	}
	var err error
	switch {
	case c.JSON:
		err = printJSON(w, struct {
			Results []tried `json:"results"`
		}{all})
	case c.TAP:
		err = printTAP(w, all)
	default:
		err = printTried(w, all)
	}
	switch {
	case failed != nil:
		return failed
	case err != nil:
		return err
	case slices.ContainsFunc(all, func(t tried) bool { return !t.ok() }):
		return errFindings
	}
	return nil
}

// printTried prints a table, and a line with the sum for each policy.
func printTried(w io.Writer, all []tried) error {
	var b strings.Builder
	for i, t := range all {
		line := fmt.Sprintf("%-7s %-5s %s", t.Result, t.Expect, text.OneLine(t.Line))
		if t.Why != "" && t.Result != holds {
			line += ": " + text.OneLine(t.Why)
		}
		if t.Where != "" && !t.ok() {
			line += " (" + text.OneLine(t.Where) + ")"
		}
		b.WriteString(line + "\n")
		if i+1 < len(all) && all[i+1].Policy == t.Policy {
			continue
		}
		n := map[string]int{}
		for _, x := range all {
			if x.Policy == t.Policy {
				n[x.Result]++
			}
		}
		sum := fmt.Sprintf("%s: of %d lines %d hold", text.Quote(t.Policy), n[holds]+n[fails]+n[untried], n[holds])
		if n[fails] > 0 {
			sum += fmt.Sprintf(", %d fail", n[fails])
		}
		if n[untried] > 0 {
			sum += fmt.Sprintf(", %d cannot be tried here", n[untried])
		}
		b.WriteString(sum + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// printTAP prints version 13 of the protocol. A line that may be left untried is
// skipped then.
func printTAP(w io.Writer, all []tried) error {
	var b strings.Builder
	fmt.Fprintf(&b, "TAP version 13\n1..%d\n", len(all))
	for i, t := range all {
		result := "ok"
		if !t.ok() {
			result = "not ok"
		}
		// A "#" would begin a directive.
		name := strings.ReplaceAll(text.OneLine(t.Policy+": "+t.Expect+" "+t.Line), "#", `\#`)
		fmt.Fprintf(&b, "%s %d - %s", result, i+1, name)
		if t.Result == untried && t.Optional {
			b.WriteString(" # SKIP " + text.OneLine(t.Why))
		}
		b.WriteString("\n")
		if !t.ok() {
			fmt.Fprintf(&b, "# %s: %s\n", t.Result, text.OneLine(t.Why))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// try tries the lines of one policy in one sandbox.
func (c *policyTestCmd) try(name string) ([]tried, error) {
	p, err := parsed(name)
	if err != nil {
		return nil, err
	}
	list := p.Expectations()
	if len(list) == 0 {
		return nil, &usageError{"test policy " + text.Quote(name) + ": it has no [expect]",
			"sbx policy help expect says what to write there"}
	}
	l := newLaunch()
	l.Policy, l.Dir, l.tries = name, c.Dir, true
	x, err := l.trial(list)
	if err != nil {
		return nil, err
	}
	out := make([]tried, len(list))
	for i, e := range list {
		r := x.judge(i)
		line := strings.NewReplacer(" ${CWD}/", " ./", " ${CWD}", " .", " ${HOME}", " ~").Replace(e.Line)
		out[i] = tried{Policy: name, Expect: "allow", Line: line, Optional: e.Optional, Result: r.result, Why: r.why}
		if e.Deny {
			out[i].Expect = "deny"
		}
		if e.Where.Line > 0 {
			out[i].Where = e.Where.String()
		}
	}
	return out, nil
}

// trialRun is what has been tried in one sandbox.
type trialRun struct {
	plan     *sandbox.Plan
	list     []policy.Expectation
	attempts []sandbox.Attempt
	outcomes []sandbox.Outcome
	missing  []bool // paths that are not on the host
	nowhere  []bool // paths where nothing could be made there either
	project  string
	filters  [][]bpf.Instruction
}

// trial tries the lines in the sandbox of the launch.
func (l *launch) trial(list []policy.Expectation) (_ *trialRun, err error) {
	w, err := l.where()
	if err != nil {
		return nil, err
	}
	x := &trialRun{list: list, attempts: make([]sandbox.Attempt, len(list)), missing: make([]bool, len(list)),
		nowhere: make([]bool, len(list))}
	x.project, _ = l.projectDir(&w)
	vars := w.vars(x.project)
	for i, e := range list {
		x.attempts[i] = sandbox.Attempt{Verb: e.Verb, Object: e.Object, Denied: e.Deny}
		if !strings.HasPrefix(e.Object, "/") && !strings.HasPrefix(e.Object, "${") {
			continue
		}
		name, err := vars.Path(e.Object)
		if err != nil {
			return nil, err
		}
		x.attempts[i].Object = name
		if name == "" {
			x.attempts[i] = sandbox.Attempt{Verb: "nothing", Object: e.Object}
			continue
		}
		x.missing[i] = !thereOnHost(name)
		x.nowhere[i] = x.missing[i]
		if e.Verb == "write" || e.Verb == "create" {
			x.nowhere[i] = !thereOnHost(path.Dir(name))
		}
	}
	t, err := sandbox.NewTrial()
	if err != nil {
		return nil, err
	}
	closed := false
	defer func() {
		if e := t.Close(); err == nil && !closed {
			err = e
		}
	}()
	defer setVariables(list)()
	c, err := l.prepare([]string{"/"}, nil, t.Prepare)
	if err != nil {
		return nil, err
	}
	plan, err := c.Prepare()
	if err != nil {
		return nil, err
	}
	defer c.Release()
	c.note(plan, false)
	x.plan = plan
	if err := x.calls(); err != nil {
		return nil, err
	}
	outcomes, exit, err := t.Run(c.Cmd, plan, x.attempts)
	if err != nil {
		return nil, err
	}
	if len(outcomes) == 0 && len(list) > 0 {
		return nil, &usageError{fmt.Sprintf("test policy %s: the program that tries things did not get to its first line "+
			"(status %d)", text.Quote(l.Policy), exit.Code()),
			"the policy denies what every program of Go needs; sbx explain --policy " + text.Quote(l.Policy) +
				" -- PROGRAM says what a program is denied"}
	}
	x.outcomes = outcomes
	return x, nil
}

// thereOnHost says whether something is at a path, as far as the caller may see.
func thereOnHost(name string) bool {
	var st unix.Stat_t
	err := unix.Lstat(name, &st)
	return err != unix.ENOENT && err != unix.ENOTDIR
}

// setVariables sets the variables that lines are about and the caller does not have, so
// that it is seen whether they cross. Those of a service manager mean more than that.
func setVariables(list []policy.Expectation) (undo func()) {
	var set []string
	for _, e := range list {
		name := e.Object
		if _, have := os.LookupEnv(name); e.Verb != "env" || have || strings.HasPrefix(name, "LISTEN_") ||
			strings.HasPrefix(name, "WATCHDOG_") || strings.HasPrefix(name, "XDG_") || name == "NOTIFY_SOCKET" ||
			name == "HOME" {
			continue
		}
		if os.Setenv(name, "sbx-policy-test") == nil {
			set = append(set, name)
		}
	}
	return func() {
		for _, name := range set {
			os.Unsetenv(name)
		}
	}
}

// calls finds the numbers and arguments of system calls: without any, such as the
// filters let through if there are some.
func (x *trialRun) calls() error {
	for _, f := range x.plan.Filters() {
		code, err := bpf.Decode(f.Program)
		if err != nil {
			return fmt.Errorf("read filter %s: %w", text.Quote(f.Name), err)
		}
		x.filters = append(x.filters, code)
	}
	native := seccomp.Native()
	var answers *seccomp.Answers
	for i := range x.attempts {
		a := &x.attempts[i]
		if a.Verb != "syscall" {
			continue
		}
		if answers == nil {
			var err error
			if answers, err = x.plan.Policy.LaunchCalls().Answers(native); err != nil {
				return err
			}
		}
		words := strings.Fields(a.Object)
		call, err := seccomp.LookupSyscall(words[0])
		if err != nil {
			return err
		}
		nr, ok := call.Number(native)
		if !ok {
			a.Verb = "nothing"
			continue
		}
		a.Number = uint64(nr)
		for n, word := range words[1:] {
			if a.Args[n], err = seccomp.ParseValue(word, native); err != nil {
				a.Verb = "nothing" // a constant of other machines
			}
		}
		if answer, ok := answers.Lookup(call); ok && len(words) == 1 {
			a.Args = policy.TryArgs(answer, func(args [6]uint64) bool {
				action := x.filtered(nr, args)
				return action == unix.SECCOMP_RET_ALLOW || action == unix.SECCOMP_RET_LOG
			})
		}
	}
	return nil
}

// filtered is what the filters answer to a call: the strictest.
func (x *trialRun) filtered(nr uint32, args [6]uint64) uint32 {
	ret := uint32(unix.SECCOMP_RET_ALLOW)
	for _, code := range x.filters {
		one := bpf.Result(code, &bpf.Call{Audit: seccomp.Native().Audit(), Number: nr, Args: args})
		if int32(one&unix.SECCOMP_RET_ACTION_FULL) < int32(ret&unix.SECCOMP_RET_ACTION_FULL) {
			ret = one
		}
	}
	return ret
}
