package policy

import (
	"fmt"
	"slices"
	"strings"

	"sbx/policy/seccomp"
)

// Difference says how a policy b differs from a policy a in what it allows.
type Difference struct {
	// Wider lists what b allows and a does not, Narrower what a allows and b
	// does not, Other what cannot be compared, such as another namespace to
	// join.
	Wider, Narrower, Other []string
	// Notes lists what differs but allows nothing, such as another errno.
	Notes []string
}

// Verdict is "equal", "wider", "narrower" or "neither", said of b.
func (d *Difference) Verdict() string {
	switch {
	case len(d.Other) > 0 || len(d.Wider) > 0 && len(d.Narrower) > 0:
		return "neither"
	case len(d.Wider) > 0:
		return "wider"
	case len(d.Narrower) > 0:
		return "narrower"
	}
	return "equal"
}

// Compare says how the resolved policy b differs from the resolved policy a.
// It compares what they mean, not how they are written: a directory listed
// below one that is listed already makes no difference. System calls are those
// of Calls: with what other keys make of them. Names, summaries, [expect] and
// whether a path may be missing do not count.
func Compare(a, b *Policy) (*Difference, error) {
	d := &Difference{}
	d.namespaces(&a.Namespaces, &b.Namespaces)
	if err := d.files(&a.Files, &b.Files, a.Limits.Tmp, b.Limits.Tmp); err != nil {
		return nil, err
	}
	d.ports("bind", a.Network.Bind, b.Network.Bind)
	d.ports("connect to", a.Network.Connect, b.Network.Connect)
	if err := d.hosts(a, b); err != nil {
		return nil, err
	}
	d.process(&a.Process, &b.Process)
	if err := d.limits(&a.Limits, &b.Limits); err != nil {
		return nil, err
	}
	if err := d.seccomp(a.Calls(), b.Calls()); err != nil {
		return nil, err
	}
	return d, nil
}

// step adds a line to Wider or Narrower, by the sign of by.
func (d *Difference) step(by int, format string, args ...any) {
	switch line := fmt.Sprintf(format, args...); {
	case by > 0:
		d.Wider = append(d.Wider, line)
	case by < 0:
		d.Narrower = append(d.Narrower, line)
	}
}

func (d *Difference) note(format string, args ...any) {
	d.Notes = append(d.Notes, fmt.Sprintf(format, args...))
}

func (d *Difference) other(format string, args ...any) {
	d.Other = append(d.Other, fmt.Sprintf(format, args...))
}

// namespaces: the machine's own allows more than a new one; what a joined one
// allows cannot be known.
func (d *Difference) namespaces(a, b *Namespaces) {
	for _, n := range []struct{ name, a, b string }{
		{"user", a.User, b.User},
		{"mount", a.Mount, b.Mount}, {"pid", a.PID, b.PID}, {"net", a.Net, b.Net}, {"ipc", a.IPC, b.IPC},
		{"uts", a.UTS, b.UTS}, {"cgroup", a.Cgroup, b.Cgroup}, {"time", a.Time, b.Time},
	} {
		switch {
		case n.a == n.b:
		case n.name == "user":
			d.other("user namespace: %s instead of %s", n.b, n.a)
		case n.a == "new" && n.b == "host":
			d.step(1, "the machine's %s namespace", n.name)
		case n.a == "host" && n.b == "new":
			d.step(-1, "the machine's %s namespace", n.name)
		default:
			d.other("%s namespace: %s instead of %s", n.name, n.b, n.a)
		}
	}
	if was, is := a.None(), b.None(); was != is {
		d.step(sign(is), "running without namespaces (namespaces.all)")
	}
	d.inNamespaces(a, b)
}

// access is what a path gives. Each level counts as more than the one before:
// private space holds nothing of the machine's, and an overlay changes nothing
// of it.
type access int

const (
	nothing access = iota
	fixed          // an empty directory, a file or link of the sandbox's own, its /proc or /dev
	private
	readable
	overlaid
	writable
)

// beyond says what x allows and y does not, or "".
func (x access) beyond(y access) string {
	switch {
	case x <= y:
		return ""
	case x == fixed:
		return "a thing of the sandbox's own at"
	case x == private:
		return "private space at"
	case x == readable:
		return "read"
	case x == overlaid && y == readable:
		return "private changes to"
	case x == overlaid:
		return "read and private changes to"
	case y == readable || y == overlaid:
		return "write"
	}
	return "read and write"
}

func (d *Difference) truth(what string, a, b *bool, unsaid bool) {
	was, is := unsaid, unsaid
	if a != nil {
		was = *a
	}
	if b != nil {
		is = *b
	}
	if was != is {
		d.step(sign(is), "%s", what)
	}
}

func (d *Difference) process(a, b *Process) {
	for _, c := range minus(b.Capabilities, a.Capabilities) {
		d.step(1, "capability %s", c)
	}
	for _, c := range minus(a.Capabilities, b.Capabilities) {
		d.step(-1, "capability %s", c)
	}
	d.env(a.Env, b.Env)
	d.truth("user namespaces inside", a.Nest, b.Nest, false)
	rank := func(s string) int { return slices.Index([]string{"require", "auto", "off"}, s) }
	d.step(rank(b.Landlock)-rank(a.Landlock), "running without Landlock (process.landlock %q, not %q)",
		b.Landlock, a.Landlock)
	d.settings(a, b)
}

// env: what crosses is allowed; another fixed value is just another one.
func (d *Difference) env(a, b []string) {
	crosses := func(list []string, e string) bool {
		return slices.ContainsFunc(list, func(by string) bool {
			prefix, ok := strings.CutSuffix(by, "*")
			return by == e || ok && strings.HasPrefix(strings.TrimSuffix(e, "*"), prefix)
		})
	}
	fixed := func(list []string, name string) string {
		for _, e := range list {
			if envName(e) == name && len(e) > len(name) {
				return e
			}
		}
		return ""
	}
	for _, x := range []struct {
		by       int
		from, to []string
	}{{1, b, a}, {-1, a, b}} {
		for _, e := range x.from {
			switch {
			case !strings.Contains(e, "="):
				if !crosses(x.to, e) {
					d.step(x.by, "the caller's environment %s", e)
				}
				// What the other sets does not cross there.
				for _, set := range x.to {
					if name := envName(set); len(set) > len(name) && crosses([]string{e}, name) && fixed(x.from, name) == "" &&
						crosses(x.to, e) {
						d.step(x.by, "the caller's environment %s", name)
					}
				}
			case fixed(x.to, envName(e)) != e && runsCode(envName(e)):
				if x.by > 0 {
					d.other("environment %s, by which programs find or run code", e)
				} else if fixed(x.to, envName(e)) == "" {
					d.other("no environment %s, by which programs find or run code", e)
				}
			case fixed(x.to, envName(e)) != e:
				if x.by > 0 {
					d.note("environment %s", e)
				} else if fixed(x.to, envName(e)) == "" {
					d.note("no environment %s", e)
				}
			}
		}
	}
}

// runsCode says whether programs find or run code by the variable.
func runsCode(name string) bool {
	for _, prefix := range [...]string{"LD_", "PYTHON", "PERL5", "RUBY", "NODE_", "GIT_", "BASH_", "JAVA_", "_JAVA_"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return slices.Contains([]string{"PATH", "ENV", "SHELL", "IFS", "PS4", "PROMPT_COMMAND", "EDITOR", "VISUAL", "PAGER",
		"HOME"}, name)
}

func sign(b bool) int {
	if b {
		return 1
	}
	return -1
}

// minus lists what of a is not in b; "?" makes no difference.
func minus(a, b []string) []string {
	var out []string
	for _, e := range a {
		if !slices.ContainsFunc(b, func(o string) bool { return withoutMark(o) == withoutMark(e) }) {
			out = append(out, withoutMark(e))
		}
	}
	return out
}

// seccomp compares the answers on both of the architectures that sbx runs on.
func (d *Difference) seccomp(a, b *seccomp.Policy) error {
	calls, err := compareCalls(a, b)
	if err != nil {
		return err
	}
	for _, c := range calls {
		line := "system calls, " + c.what + ": " + strings.Join(grouped(c.names), " ")
		switch {
		case c.unclear:
			d.other("%s", line)
		case c.by == 0: // refused either way
			d.note("%s", line)
		default:
			d.step(c.by, "%s", line)
		}
	}
	for _, arch := range minus(b.Architectures, a.Architectures) {
		d.step(1, "programs of architecture %s", arch)
	}
	for _, arch := range minus(a.Architectures, b.Architectures) {
		d.step(-1, "programs of architecture %s", arch)
	}
	for _, f := range []struct {
		what string
		a, b *bool
	}{{"log", a.Log, b.Log}, {"spec_allow", a.SpecAllow, b.SpecAllow}, {"wait_killable", a.WaitKillable, b.WaitKillable}} {
		if was, is := IsTrue(f.a), IsTrue(f.b); was != is {
			d.note("seccomp.%s: %v instead of %v", f.what, is, was)
		}
	}
	return nil
}
