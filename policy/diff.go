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
// below one that is listed already makes no difference. Names, summaries,
// [expect] and whether a path may be missing do not count.
func Compare(a, b *Policy) (*Difference, error) {
	d := &Difference{}
	d.namespaces(&a.Namespaces, &b.Namespaces)
	if err := d.files(&a.Files, &b.Files); err != nil {
		return nil, err
	}
	d.ports("bind", a.Network.Bind, b.Network.Bind)
	d.ports("connect to", a.Network.Connect, b.Network.Connect)
	d.process(&a.Process, &b.Process)
	if err := d.limits(&a.Limits, &b.Limits); err != nil {
		return nil, err
	}
	if err := d.seccomp(&a.Seccomp, &b.Seccomp); err != nil {
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
	d.inNamespaces(a, b)
}

// access is what a path gives. Each level counts as more than the one before:
// private space holds nothing of the machine's, and an overlay changes nothing
// of it.
type access int

const (
	nothing access = iota
	fixed          // an empty directory, a file or link of the sandbox's own
	private
	readable
	overlaid
	writable
)

// at is the access that the deepest entry around p gives.
func (f *Files) at(p string) access {
	best, is := "", nothing
	for _, l := range []struct {
		list []string
		is   access
	}{
		{f.Read, readable}, {f.Write, writable}, {f.Tmpfs, private}, {f.Overlay, overlaid}, {f.Directories, fixed}, {f.own(), fixed},
	} {
		for _, e := range l.list {
			if e = withoutMark(e); Within(p, e) && len(e) >= len(best) {
				best, is = e, l.is
			}
		}
	}
	return is
}

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

// around is the nearest of the paths that lies above p, or "".
func around(p string, paths []string) string {
	best := ""
	for _, q := range paths {
		if q != p && Within(p, q) && len(q) > len(best) {
			best = q
		}
	}
	return best
}

// files compares the root file systems path by path. It changes only at the entries of
// either policy, so that looking there is looking everywhere.
func (d *Difference) files(a, b *Files) error {
	var paths []string
	for _, list := range [][]string{
		a.Read, a.Write, a.Tmpfs, a.Overlay, a.Directories, a.own(), b.Read, b.Write, b.Tmpfs, b.Overlay, b.Directories, b.own(),
	} {
		for _, e := range list {
			paths = append(paths, withoutMark(e))
		}
	}
	slices.Sort(paths)
	paths = slices.Compact(paths)
	for _, by := range []int{1, -1} {
		more, less := b, a
		if by < 0 {
			more, less = a, b
		}
		for _, p := range paths {
			what := more.at(p).beyond(less.at(p))
			if above := around(p, paths); above != "" && more.at(p) == more.at(above) &&
				strings.Contains(more.at(above).beyond(less.at(above)), what) {
				continue // said with the directory above
			}
			if what != "" {
				d.step(by, "%s %s", what, p)
			}
		}
	}
	for _, e := range minus(b.Hide, a.Hide) {
		d.step(-1, "what is hidden by %s", e)
	}
	for _, e := range minus(a.Hide, b.Hide) {
		d.step(1, "what was hidden by %s", e)
	}
	for _, x := range []struct {
		by       int
		key      string
		was, now []string
	}{{-1, "guard", a.Guard, b.Guard}, {1, "unguard", a.Unguard, b.Unguard}} {
		for _, e := range minus(x.now, x.was) {
			d.step(x.by, "what %s says of %s", x.key, e)
		}
		for _, e := range minus(x.was, x.now) {
			d.step(-x.by, "what %s said of %s", x.key, e)
		}
	}
	for _, x := range []struct {
		what   string
		a, b   *bool
		unsaid bool
	}{{"/proc", a.Proc, b.Proc, true}, {"a minimal /dev", a.Dev, b.Dev, true}} {
		d.truth(x.what, x.a, x.b, x.unsaid)
	}
	d.sockets(a, b)
	return d.inFiles(a, b)
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
	d.step(rank(b.Landlock)-rank(a.Landlock), "running without Landlock (process.landlock %q, not %q)", b.Landlock, a.Landlock)
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
