package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/sys"
	"sbx/internal/text"
	"sbx/policies"
	"sbx/policy"
	"sbx/policy/explain"
	"sbx/policy/learn"
	"sbx/policy/seccomp"
	"sbx/sandbox"
)

// learning is "sbx learn": its own flags, and what it works out on the way.
type learning struct {
	output  string
	merge   []string
	against string
	tight   bool
	force   bool
	help    bool
	based   bool // --policy is given

	maker   learn.Maker
	old     *policy.Policy // that of --against
	observe []uint32
	knows   []uint32
	to      *learnOutput
	parsed  map[string]*policy.Policy // what policies extend, by name
}

// roles are the policies that a learnt one may extend, the tightest first.
var roles = [...]string{"pure", "filter", "base", "default", "project", "commit", "build", "fetch", "web"}

// given is a flag of a launch, and whether it is given.
type given struct {
	name  string
	given bool
}

// notLearnt are the flags of a launch that sbx learn does not take.
func (l *launch) notLearnt() []given {
	return []given{
		{"dry-run", l.DryRun}, {"tree", l.Tree}, {"json", l.JSON}, {"explain", l.Explain},
		{"explain-files", l.ExplainFiles}, {"verbose", l.Verbose}, {"events", l.Events != ""}, {"review", l.Review != ""},
	}
}

// learns makes the launch one that is learnt from.
func (l *launch) learns(g *learning) error {
	for _, f := range l.notLearnt() {
		if f.given {
			return &usageError{"--" + f.name + " does not go with sbx learn", "leave it out"}
		}
	}
	l.learn = g
	m := &g.maker
	m.Roles = roles[:]
	if g.based {
		base := l.Policy
		if strings.Contains(base, "/") {
			full, err := filepath.Abs(base)
			if err != nil {
				return fmt.Errorf("find the policy %s: %w", text.Quote(base), err)
			}
			base = full
		}
		m.Roles = []string{base}
	}
	m.Tight, m.Arch, m.FirstPort, m.Root = g.tight, seccomp.Native(), firstPort(), os.Geteuid() == 0
	m.Look = lookAt
	for _, name := range g.merge {
		own, err := readOwn(name)
		if err != nil {
			return err
		}
		if own.Tight() != g.tight {
			what := "was learnt without --tight, and so allows more than was seen"
			if own.Tight() {
				what = "was learnt with --tight, and this run is without"
			}
			return &usageError{fmt.Sprintf("merge %s: it %s", text.Quote(name), what), "learn all runs alike"}
		}
		m.Merge = append(m.Merge, own)
	}
	if g.against != "" {
		var err error
		if g.old, err = policies.Find(g.against); err != nil {
			return err
		}
	}
	return nil
}

// readOwn reads a policy's file to merge it.
func readOwn(name string) (*learn.Own, error) {
	if !strings.Contains(name, "/") {
		name = "./" + name
	}
	l, err := policies.Load(name)
	if err != nil {
		return nil, err
	}
	own, err := learn.Parse(l.Path, l.Data)
	if err != nil {
		return nil, err
	}
	for i, e := range own.Policy.Extends {
		if strings.Contains(e, "/") && !filepath.IsAbs(e) {
			full, err := filepath.Abs(filepath.Join(filepath.Dir(l.Path), e))
			if err != nil {
				return nil, fmt.Errorf("find the policy %s: %w", text.Quote(e), err)
			}
			own.Policy.Extends[i] = full
		}
	}
	return own, nil
}

// open opens what the policy is written to, before anything runs that could put a link
// there.
func (g *learning) open() (err error) {
	g.to, err = openLearnOutput(g.output, g.force)
	return err
}

// widen is the policy to run under, as far as it is about system calls, and works out which
// of them are to be observed.
func (g *learning) widen(p *policy.Policy) (*policy.Policy, error) {
	if policy.IsTrue(p.Process.Nest) {
		return nil, &usageError{"learn: policy " + p.Name +
			" lets programs make sandboxes of their own, whose filters " +
			"observing would weaken", "name another policy by --policy"}
	}
	known, err := g.known()
	if err != nil {
		return nil, err
	}
	g.observe, g.knows = learn.Observe(seccomp.Native(), known), explain.Numbers(known, seccomp.Native())
	return learn.Calls(p), nil
}

// known are the calls that need not be observed: the policy that comes out will allow them
// in any case.
func (g *learning) known() (list []string, err error) {
	m := &g.maker
	switch {
	case g.tight && len(m.Merge) == 0:
		return nil, nil
	case g.tight:
		for _, name := range g.merge {
			p, err := policies.Find(withSlash(name))
			if err != nil {
				return nil, err
			}
			calls, err := learn.Known(p, m.Arch)
			if err != nil {
				return nil, err
			}
			list = append(list, calls...)
		}
		return list, nil
	}
	// The tightest of them: the others allow all that it allows. A test holds that.
	p, err := policies.Find(m.Roles[0])
	if err != nil {
		return nil, err
	}
	return learn.Known(p, m.Arch)
}

func withSlash(name string) string {
	if strings.Contains(name, "/") {
		return name
	}
	return "./" + name
}

// rootNeeds are the capabilities that root's programs have while they are learnt from, as
// far as the caller has them.
var rootNeeds = [...]string{
	"?chown", "?dac_override", "?fowner", "?kill", "?net_bind_service", "?setgid", "?setuid",
}

// show is the policy to run under, as far as it is about files and capabilities.
func (g *learning) show(l *launch, p *policy.Policy, w *where, project string) (*policy.Policy, error) {
	m, home := &g.maker, w.home
	m.Home, m.Dir = home, project
	vars := w.vars(project)
	g.parsed = map[string]*policy.Policy{}
	m.Resolve = func(own *policy.Policy) (resolved, expanded *policy.Policy, err error) {
		if resolved, err = policy.Resolve(own, g.extended); err == nil {
			expanded, err = resolved.Expand(vars)
		}
		return resolved, expanded, err
	}
	m.Flags = &policy.Policy{Version: 1}
	if err := l.override(m.Flags, w.caller, home); err != nil {
		return nil, err
	}
	tops, err := topDirectories(home)
	if err != nil {
		return nil, err
	}
	var secrets []string
	for _, pattern := range learn.Secrets(home) {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return nil, fmt.Errorf("look for %s: %w", pattern, err)
		}
		secrets = append(secrets, found...)
	}
	p = learn.Files(p, tops, secrets, home, project)
	shown := p.Tree()
	m.Private = func(name string) bool { return shown.At(name).Kind == policy.KindTmpfs }
	if m.Root {
		p.Process.Capabilities = slices.Clone(p.Process.Capabilities)
		for _, c := range rootNeeds {
			if !slices.Contains(p.Process.Capabilities, c) && !slices.Contains(p.Process.Capabilities, c[1:]) {
				p.Process.Capabilities = append(p.Process.Capabilities, c)
			}
		}
	}
	return p, nil
}

// extended finds what a policy extends, and parses it once.
func (g *learning) extended(name string, _ *policy.Policy) (*policy.Policy, error) {
	if p := g.parsed[name]; p != nil {
		return p, nil
	}
	l, err := policies.Load(name)
	if err != nil {
		return nil, err
	}
	p, err := l.Parse()
	if err == nil {
		g.parsed[name] = p
	}
	return p, err
}

// topDirectories are the directories below the root, and the home.
func topDirectories(home string) ([]learn.Top, error) {
	list, err := os.ReadDir("/")
	if err != nil {
		return nil, fmt.Errorf("list the root directory: %w", err)
	}
	mounts, err := sys.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("list the mounts: %w", err)
	}
	var tops []learn.Top
	add := func(name string) {
		t := learn.Top{Path: name}
		for line := range strings.Lines(mounts) {
			if f := strings.Fields(line); len(f) > 4 && strings.HasPrefix(f[4], name+"/") {
				t.Mounts = true
			}
		}
		tops = append(tops, t)
	}
	for _, e := range list {
		if name := "/" + e.Name(); e.IsDir() && name != home {
			add(name)
		}
	}
	if home != "/" {
		add(home)
	}
	return tops, nil
}

// lookAt says what is at the path on the host.
func lookAt(name string) learn.Info {
	var st unix.Stat_t
	if err := unix.Lstat(name, &st); err != nil {
		return learn.Info{}
	}
	i := learn.Info{Kind: learn.Other, Mode: st.Mode & 0o7777, UID: st.Uid}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		i.Kind = learn.Regular
	case unix.S_IFDIR:
		i.Kind = learn.Directory
	case unix.S_IFLNK:
		target, err := os.Readlink(name)
		if err != nil {
			return learn.Info{}
		}
		i.Kind, i.Target = learn.Link, target
	case unix.S_IFSOCK:
		i.Kind = learn.SocketFile
	case unix.S_IFCHR, unix.S_IFBLK:
		i.Kind = learn.Device
	}
	return i
}

// finish makes the policy of what was seen and writes it. The status is the program's,
// unless nothing could be written.
func (g *learning) finish(plan *sandbox.Plan, exit sandbox.Exit, target []string, code int) int {
	defer g.to.close()
	failed := func(err error) int {
		if status := report(err); code == 0 {
			return status
		}
		return code
	}
	if exit.Seen == nil || exit.Explained != nil && exit.Explained.Why != "" {
		why := "the filter's listener did not come"
		if exit.Explained != nil && exit.Explained.Why != "" {
			why = exit.Explained.Why
		}
		return failed(fmt.Errorf("learn what %s does: %s", text.Quote(target[0]), why))
	}
	m := &g.maker
	m.Command = target[0]
	m.Denied = deniedCalls(exit.Explained)
	made, err := m.Make(exit.Seen)
	if err != nil {
		return failed(err)
	}
	if _, err := policy.Parse("learned", made.Text); err != nil {
		return failed(fmt.Errorf("make a policy: what came out is not right: %w", err))
	}
	if g.against != "" {
		if err := g.compare(made.Own); err != nil {
			return failed(err)
		}
	}
	if g.output != "" || g.against == "" {
		if err := g.to.write(made.Text); err != nil {
			return failed(err)
		}
	}
	if code != 0 {
		say("note", fmt.Sprintf("the program ended with status %d; what it does when it succeeds may be more", code))
	}
	return code
}

// compare prints how the learnt policy differs from that of --against.
func (g *learning) compare(own *policy.Policy) error {
	resolved, _, err := g.maker.Resolve(own)
	if err != nil {
		return err
	}
	resolved.Name = "what was seen"
	d, err := policy.Compare(g.old, resolved)
	if err != nil {
		return err
	}
	return printDifference(g.to.out, g.old, resolved, d)
}

// deniedCalls are the calls that were denied, but for those that programs do
// without.
func deniedCalls(r *explain.Record) (list []string) {
	if r == nil {
		return nil
	}
	for _, d := range r.Denials {
		if call := d.Call(); explain.Harmless(d) == "" && !slices.Contains(list, call) {
			list = append(list, call)
		}
	}
	slices.Sort(list)
	return list
}
