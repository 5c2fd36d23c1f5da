package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"sbx/policy/seccomp"
)

// normalize says what was left unsaid, orders the lists and checks what only the
// whole policy shows.
func normalize(p *Policy) error {
	if err := applyProfile(p); err != nil {
		return err
	}
	for _, f := range fields() {
		switch {
		case f.str != nil && *f.str(p) == "":
			*f.str(p) = f.deflt
		case f.action != nil && f.action(p).Kind == seccomp.Unset:
			a, fault := parseAction(f.deflt)
			if fault != nil {
				return &Error{File: p.Name, Msg: fault.msg}
			}
			*f.action(p) = a
		case f.key == "report.keep" || f.key == "process.supervise":
			// They restrict nothing: a policy that does not say them stays what it was.
		case f.truth != nil && *f.truth(p) == nil:
			b := f.key == "files.proc" || f.key == "files.dev" || f.key == "files.set_id"
			*f.truth(p) = &b
		case f.closed: // numbers
			slices.SortFunc(*f.list(p), func(a, b string) int { return cmp.Or(len(a)-len(b), strings.Compare(a, b)) })
		case f.list != nil && f.key != "process.env":
			slices.SortFunc(*f.list(p), func(a, b string) int { return strings.Compare(withoutMark(a), withoutMark(b)) })
		}
	}
	slices.Sort(p.Process.Env)
	for i := range p.Seccomp.Rules {
		r := &p.Seccomp.Rules[i]
		o, ok := p.RuleOrigin(*r)
		r.Syscalls, r.When = slices.Sorted(slices.Values(r.Syscalls)), slices.Sorted(slices.Values(r.When))
		if ok {
			p.noteRule(*r, o)
		}
	}
	// The rules stay in order: of two errnos the later rule's is answered. So of
	// those that turn out to be the same, the last one stays.
	p.Seccomp.Rules = lastOfEach(p.Seccomp.Rules)
	for _, s := range p.Limits.all() {
		if *s == none {
			*s = ""
		}
	}
	var errs errorList
	errs.add(p.agrees())
	errs.add(p.hostsAgree())
	errs.add(resolveConflicts(p))
	errs.add(checkLinks(p))
	errs.add(checkOptions(p))
	return errs.err()
}

// lastOfEach leaves out rules that a later one repeats.
func lastOfEach(rules []seccomp.Rule) []seccomp.Rule {
	last := make(map[string]int, len(rules))
	for i, r := range rules {
		last[ruleText(r)] = i
	}
	if len(last) == len(rules) {
		return rules
	}
	var kept []seccomp.Rule
	for i, r := range rules {
		if last[ruleText(r)] == i {
			kept = append(kept, r)
		}
	}
	return kept
}

// all are the limits, in no order that matters.
func (l *Limits) all() []*string {
	return []*string{
		&l.Processes, &l.Memory, &l.CPU, &l.IO, &l.Time, &l.CPUTime, &l.FileSize, &l.OpenFiles, &l.Core, &l.Tmp,
	}
}

// joins says whether a key names a namespace by its path.
func joins(n *Namespaces) bool {
	for _, s := range [...]string{n.User, n.Mount, n.PID, n.Net, n.IPC, n.UTS, n.Cgroup, n.Time} {
		if s != "" && s != "new" && s != "host" && s != "auto" {
			return true
		}
	}
	return false
}

// agrees refuses what is said of something that another key says is not there.
func (p *Policy) agrees() error {
	n, r := &p.Namespaces, &p.Process
	shifted := func(s string) bool { d, err := ParseOffset(s); return err == nil && d != 0 }
	ids := n.User != "new" && n.User != "auto"
	var errs errorList
	const open = "but for a loopback of its own a new network namespace has nothing that ports lead to"
	const none = `namespaces.all is "host": without namespaces there is `
	for _, x := range []struct {
		said, bad    bool
		key, because string
	}{
		{len(p.Network.Bind) > 0, n.Net == "new", "network.bind", `namespaces.net is "new": ` + open},
		{len(p.Network.Connect) > 0, n.Net == "new", "network.connect", `namespaces.net is "new": ` + open},
		{n.UID != nil || n.GID != nil || *n.Ranges, n.None(), "namespaces.uid", none + "no other id"},
		{n.Hostname != "", n.None(), "namespaces.hostname", none + "no other hostname"},
		{n.Time == "new", n.None(), "namespaces.time", none + "no other clock"},
		{*r.Nest, n.None(), "process.nest", none + "no sandbox inside"},
		{joins(n), n.None(), "namespaces.all", `it is "host", and another key names a namespace to join`},
		{r.Landlock == "off", n.None(), "process.landlock", none + "no restriction of files but Landlock's"},
		{n.UID != nil, n.User == "host", "namespaces.uid",
			"namespaces.user is \"host\": only another user namespace has other ids"},
		{n.GID != nil, n.User == "host", "namespaces.gid",
			"namespaces.user is \"host\": only another user namespace has other ids"},
		{*n.Ranges, ids, "namespaces.ranges",
			fmt.Sprintf("namespaces.user is %q: only a new user namespace has ids of its own", n.User)},
		{n.Hostname != "", n.UTS != "new", "namespaces.hostname",
			fmt.Sprintf("namespaces.uts is %q: only a new UTS namespace has a hostname of its own", n.UTS)},
		{shifted(n.Monotonic), n.Time != "new", "namespaces.monotonic",
			fmt.Sprintf("namespaces.time is %q: only a new time namespace has clocks of its own", n.Time)},
		{shifted(n.Boottime), n.Time != "new", "namespaces.boottime",
			fmt.Sprintf("namespaces.time is %q: only a new time namespace has clocks of its own", n.Time)},
		{p.Network.Bind != nil, r.Landlock == "off", "network.bind",
			`process.landlock is "off": Landlock is what holds ports`},
		{p.Network.Connect != nil, r.Landlock == "off", "network.connect",
			`process.landlock is "off": Landlock is what holds ports`},
		{p.Network.Bind != nil, *r.Nest, "network.bind",
			"process.nest is true: there is no Landlock then, which is what holds ports"},
		{p.Network.Connect != nil, *r.Nest, "network.connect",
			"process.nest is true: there is no Landlock then, which is what holds ports"},
	} {
		if x.said && x.bad {
			f := &fault{msg: x.key + ": " + x.because}
			if strings.HasSuffix(x.because, open) {
				f.or(`say net = "host" in [namespaces], or take the ports out`)
			}
			errs.add(p.placed(x.key, "", f))
		}
	}
	return errs.err()
}
