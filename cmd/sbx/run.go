package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/text"
	"sbx/policy"
	"sbx/policy/seccomp"
	"sbx/sandbox"
)

// run launches the target and returns its exit status. An error means that
// nothing has run.
func (l *launch) run(target []string) (code int, err error) {
	if l.JSON && !l.DryRun {
		return 0, &usageError{"--json: there is no plan to print", "--json goes with --dry-run"}
	}
	if l.Tree && !l.DryRun {
		return 0, &usageError{"--tree: there is no plan to print", "--tree goes with --dry-run"}
	}
	if err := l.checkReports(); err != nil {
		return 0, err
	}
	l.Explain = l.Explain || l.ExplainFiles
	if l.Verbose && !l.Explain {
		return 0, &usageError{"--verbose: there is nothing to explain", "--verbose goes with --explain"}
	}
	// Before anything is opened that could stand under such a number.
	notes := l.keepNamed(target[1:])
	if err := l.openReport(); err != nil {
		return 0, err
	}
	events, err := l.openEvents()
	if err != nil {
		return 0, err
	}
	if err := l.checkDescriptors(events); err != nil {
		return 0, err
	}
	if l.learn != nil {
		if err := l.learn.open(); err != nil {
			return 0, err
		}
	}
	apart := newReviewing(l)
	plan, exit, err := l.launch(target, notes, events, apart)
	events.finish(exit)
	l.hurried()
	explained := l.explain(plan, exit, err)
	reviewed := apart.end(exit, err)
	if l.learn != nil && err == nil {
		defer func() { code = l.learn.finish(plan, exit, target, code) }()
	}
	if l.report != nil {
		writeReceipt(*l.report, plan, exit, explained, reviewed, err)
	}
	if err == nil {
		l.offer(exit)
		if e := exit.Reraise(); e != nil { // the status says it too
			fmt.Fprintf(os.Stderr, "sbx: note: %s\n", text.OneLine(e.Error()))
		}
	}
	return exit.Code(), err
}

// launched is a launch whose plan can be made, and made anew.
type launched struct {
	*sandbox.Cmd
	// note adds what the flags and the environment have to say to a plan. With say it
	// tells where the target starts, if that is somewhere else.
	note func(made *sandbox.Plan, say bool)
}

// prepare finds out all that the flags, the environment and the policy say of a launch.
// edit, if there is one, may change both before the machine is looked at.
func (l *launch) prepare(target, notes []string, edit func(*policy.Policy, *sandbox.Target)) (*launched, error) {
	w, err := l.where()
	if err != nil {
		return nil, err
	}
	p, err := l.findPolicy(&w)
	if err != nil {
		return nil, err
	}
	if l.learn != nil {
		if p, err = l.learn.widen(p); err != nil {
			return nil, err
		}
	}
	filters, err := programsFor(p, p.LaunchCalls(), seccomp.Native())
	if err != nil {
		return nil, err
	}
	cwd, home := w.cwd, w.home
	project, why := l.projectDir(&w)
	p, err = p.Expand(w.vars(project))
	if err != nil {
		return nil, err
	}
	// Paths of flags are the caller's, who stands where -C does not lead.
	if err := l.override(p, w.caller, home); err != nil {
		return nil, err
	}
	if l.learn != nil {
		if p, err = l.learn.show(l, p, &w, project); err != nil {
			return nil, err
		}
	}
	p.OwnNames()
	env, shims := withoutShims(os.Environ())
	certificates, more := sandbox.Certificates(p, env, w.caller)
	for _, name := range certificates {
		p.Files.Read = append(p.Files.Read, "?"+name)
	}
	addInline(p, sandbox.IndexSettings(p, env, home))
	read, write := sandbox.ServiceDirs(env, os.Getpid())
	p.Files.Read, p.Files.Write = append(p.Files.Read, read...), append(p.Files.Write, write...)
	if fifo := l.keepJobserver(p); fifo != "" {
		p.Files.Write = append(p.Files.Write, "?"+fifo)
	}
	sandbox.Account(p, env, home)
	script := ownScript(target[1:], w.caller)
	if script != "" && p.Files.Shows(script) {
		script = ""
	}
	if script != "" {
		script = "?" + script
		p.Files.Read = append(p.Files.Read, script)
	}
	notes = slices.Concat(notes, more, showRepository(p, project, home), alternates(p, project, target))
	t := sandbox.Target{Path: target[0], Args: target, Env: env, Project: project, Home: home, KeepFDs: l.KeepFD,
		PID:         os.Getpid(),
		AccountHome: w.account, Passed: l.Env, Places: w.places, Receipt: l.report, Announce: l.ReadyFD != nil,
		Shims:   shims,
		Explain: l.Explain || l.Events != "" || policy.IsTrue(p.Report.Keep), ExplainFiles: l.ExplainFiles}
	if w.caller != cwd {
		t.CallerProject = w.project(w.caller)
	}
	t.Dir, t.Elsewhere = cwd, l.elsewhere(p, home)
	for _, s := range slices.Concat(l.Read, l.Write) {
		shown := shownPath(s, w.caller, home)
		t.Shown = append(t.Shown, shown)
		if bare := policy.ParsePath(s).Name; !strings.HasPrefix(bare, "/") && !strings.HasPrefix(bare, "~") {
			t.Relative = append(t.Relative, shown)
		}
	}
	if script != "" {
		t.Shown, t.Relative = append(t.Shown, script), append(t.Relative, script)
	}
	if l.learn != nil {
		t.Explain, t.Learn, t.Observe, t.Known = true, true, l.learn.observe, l.learn.knows
	}
	if edit != nil {
		edit(p, &t)
	}
	c := sandbox.Command(p, target[0], target[1:]...)
	c.Filters, c.Attached = filters, &t
	return &launched{c, func(made *sandbox.Plan, say bool) {
		made.Notes = append(made.Notes, notes...)
		if passed := sandbox.PassedOver(made); passed != "" {
			made.Notes = append(made.Notes, passed)
		}
		if say && !p.Files.Shows(cwd) {
			sayElsewhere(made, &w, why, target[1:])
		}
	}}, nil
}

// launch is run after its first checks. plan is nil where it came to none.
func (l *launch) launch(
	target, notes []string, events *eventSink, apart *reviewing,
) (plan *sandbox.Plan, exit sandbox.Exit, err error) {
	var edit func(*policy.Policy, *sandbox.Target)
	if apart != nil {
		edit = func(_ *policy.Policy, t *sandbox.Target) { t.Review = &apart.apart }
	}
	c, err := l.prepare(target, notes, edit)
	if err != nil {
		return nil, exit, err
	}
	if plan, err = prepared(c.Cmd, !l.DryRun); err != nil {
		return nil, exit, l.repositoryHint(err)
	}
	c.note(plan, true)
	if l.DryRun {
		return plan, exit, l.print(plan)
	}
	if err := events.allow(plan); err != nil {
		return nil, exit, err
	}
	if l.learn != nil && plan.Unexplained != "" {
		return nil, exit, fmt.Errorf("learn what %s does: system calls cannot be observed: %s", text.Quote(target[0]),
			plan.Unexplained)
	}
	// From here on this thread forks, supervises, or executes sbx once more.
	runtime.LockOSThread()
	if err := underWay(); err != nil {
		return plan, exit, err
	}
	if err := sandbox.GuardBinary(plan); err != nil {
		return plan, exit, err
	}
	if apart != nil {
		c.Release()
		if err := apart.begin(plan, target); err != nil {
			return plan, exit, err
		}
		if plan, err = c.Prepare(); err != nil {
			return plan, exit, err
		}
		c.note(plan, false)
	}
	if l.learn == nil { // those are about a policy that nobody has written
		sayNotes(plan.Notes, nil)
		saySecrets(plan)
	}
	if l.BlockFD != nil {
		if err := awaitGo(*l.BlockFD); err != nil {
			return plan, exit, err
		}
	}
	again := func(next *sandbox.Plan) {
		c.note(next, false)
		sayNotes(next.Notes, plan.Notes)
		plan = next
	}
	if plan.InPlace {
		return plan, exit, c.ExecInPlace(plan, again)
	}
	exit, err = c.Attach(plan, sandbox.Attachment{Ready: l.teller(), Tell: events.teller(plan, l.Policy), Again: again,
		Rested: collect})
	sayNew(exit.New)
	if err != nil {
		return plan, exit, err
	}
	sayNotes(exit.Notes, nil)
	l.sayHints(plan, target, exit)
	return plan, exit, nil
}

// sayNotes prints notes that have not been said yet.
func sayNotes(notes, said []string) {
	for _, n := range notes {
		if !slices.Contains(said, n) {
			fmt.Fprintf(os.Stderr, "sbx: note: %s\n", text.OneLine(n))
		}
	}
}

// sayHints says what is known to help after a program has ended as it has.
func (l *launch) sayHints(plan *sandbox.Plan, target []string, exit sandbox.Exit) {
	const notFound = 127 // of env(1)
	if exit.Code() == notFound && !exit.Status.Signaled() {
		if hint := sandbox.EnvHint(plan); hint != "" {
			say("hint", hint)
		}
	}
	sayCommit(plan, target, exit)
	l.sayOutside(plan, target, exit)
}

// checkDescriptors makes sure that what is to cross is there, before we open
// anything that could stand under the same number.
func (l *launch) checkDescriptors(events *eventSink) error {
	for _, fd := range l.KeepFD {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
			return fmt.Errorf("keep descriptor %d: %w", fd, err)
		}
	}
	handed := sandbox.Handed(os.Environ(), os.Getpid())
	for _, f := range [...]struct {
		flag, noun string
		fd         *int
	}{{"report", "receipt", l.report}, {"ready-fd", "message", l.ReadyFD}} {
		if f.fd == nil {
			continue
		}
		if err := checkReceipt(f.flag, f.noun, *f.fd, l.KeepFD, handed); err != nil {
			return err
		}
	}
	if l.BlockFD != nil {
		if err := checkBlock(*l.BlockFD, l.KeepFD, handed); err != nil {
			return err
		}
	}
	if events != nil {
		if err := checkReceipt("events", "events", events.fd, l.KeepFD, handed); err != nil {
			return err
		}
	}
	for fd := 3; fd < 3+handed; fd++ {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
			return fmt.Errorf("hand over the %d sockets of LISTEN_FDS: descriptor %d: %w", handed, fd, err)
		}
	}
	return nil
}

// override adds what the flags say to the policy.
func (l *launch) override(p *policy.Policy, cwd, home string) error {
	for _, s := range l.Read {
		p.Files.Read = append(p.Files.Read, shownPath(s, cwd, home))
	}
	for _, s := range l.Write {
		p.Files.Write = append(p.Files.Write, shownPath(s, cwd, home))
	}
	for _, s := range l.Hide {
		if strings.HasPrefix(s, "!") {
			return &usageError{"--hide: " + strconv.Quote(s) + " is neither path nor pattern", "--hide PATH"}
		}
		// A pattern has no slash, or "**/" before it; all else is a path.
		if strings.Contains(s, "/") && !strings.HasPrefix(s, "**/") || s == "." || s == ".." || s == "~" {
			s = shownPath(s, cwd, home)
		}
		if err := policy.CheckHide(s); err != nil {
			return fmt.Errorf("--hide: %w", err)
		}
		p.Files.Hide = append(p.Files.Hide, s)
	}
	for _, s := range l.Show {
		if !strings.Contains(s, "*") || strings.Contains(s, "/") {
			s = shownPath(s, cwd, home)
		}
		if err := policy.CheckUnhide(s); err != nil {
			return fmt.Errorf("--show: %w", err)
		}
		p.Files.Unhide = append(p.Files.Unhide, s)
	}
	for _, s := range l.Env {
		if strings.HasPrefix(s, "=") {
			return &usageError{"--env: " + strconv.Quote(s) + " names no variable", "--env NAME or --env NAME=VALUE"}
		}
		p.Process.Env = append(p.Process.Env, s)
	}
	if err := l.overrideMore(p, cwd, home); err != nil {
		return err
	}
	switch l.Net {
	case "host":
		p.Namespaces.Net = "host"
	case "none":
		p.Namespaces.Net = "new"
	}
	if l.NoNamespaces {
		p.Namespaces.All = "host"
	}
	if l.Exec {
		p.Process.Supervise = new(bool)
	}
	// The home's real path is the one that is there inside.
	if h := os.Getenv("HOME"); h != home && slices.Contains(p.Process.Env, "HOME") {
		p.Process.Env = append(p.Process.Env, "HOME="+home)
	}
	return nil
}

func (l *launch) print(plan *sandbox.Plan) error {
	var what any = plan
	if l.Tree {
		if plan.Shown() == nil {
			return &usageError{
				"--tree: the policy uses a mount namespace that is not new, so the tree is that of the namespace",
				"sbx --dry-run prints the Landlock rules, which are all that restricts files there",
			}
		}
		what = plan.Shown()
	}
	if l.JSON {
		b, err := json.Marshal(what)
		if err == nil {
			_, err = fmt.Printf("%s\n", b)
		}
		return err
	}
	_, err := fmt.Print(what)
	return err
}

// shownPath reads a path as a policy would: "?" before one that may be
// missing, "~/" for the home, where no shell has seen to it.
func shownPath(s, cwd, home string) string {
	bare, optional := strings.CutPrefix(s, "?")
	if bare == "~" || strings.HasPrefix(bare, "~/") {
		bare = home + bare[1:]
	}
	if bare = absolute(bare, cwd); optional {
		return "?" + bare
	}
	return bare
}
