package policy

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// inNamespaces compares what is said of what new namespaces have.
func (d *Difference) inNamespaces(a, b *Namespaces) {
	id := func(n *int) string {
		if n == nil {
			return "the caller's"
		}
		return strconv.Itoa(*n)
	}
	for _, x := range []struct {
		what string
		a, b *int
	}{{"user", a.UID, b.UID}, {"group", a.GID, b.GID}} {
		if id(x.a) != id(x.b) {
			d.other("%s id inside: %s instead of %s", x.what, id(x.b), id(x.a))
		}
	}
	d.truth("the caller's ranges of ids", a.Ranges, b.Ranges, false)
	for _, x := range []struct{ key, a, b string }{
		{"hostname", a.Hostname, b.Hostname}, {"monotonic", a.Monotonic, b.Monotonic}, {"boottime", a.Boottime, b.Boottime},
	} {
		if x.a != x.b {
			d.note("namespaces.%s: %s instead of %s", x.key, said(x.b), said(x.a))
		}
	}
}

// sockets and devices: a directory with such covers those in it.
func (d *Difference) sockets(a, b *Files) {
	for _, x := range []struct {
		by       int
		what     string
		from, to []string
	}{
		{1, "connecting to sockets at", b.Sockets, a.Sockets}, {-1, "connecting to sockets at", a.Sockets, b.Sockets},
		{1, "using devices at", b.Devices, a.Devices}, {-1, "using devices at", a.Devices, b.Devices},
	} {
		for _, e := range x.from {
			covered := func(o string) bool { return Within(withoutMark(e), withoutMark(o)) }
			if !slices.ContainsFunc(x.to, covered) {
				d.step(x.by, "%s %s", x.what, withoutMark(e))
			}
		}
	}
	own := func(f *Files) *bool { // who may connect to all has its own too
		all := slices.ContainsFunc(f.Sockets, func(e string) bool { return withoutMark(e) == "/" })
		own := all || IsTrue(f.OwnSockets)
		return &own
	}
	d.truth("Unix sockets of its own before Linux 7.1", own(a), own(b), false)
}

// inFiles compares what is said of single paths that both policies have. tmpA and
// tmpB are the sizes of those that have none of their own.
func (d *Difference) inFiles(a, b *Files, tmpA, tmpB string) error {
	for _, x := range []struct {
		what string
		a, b map[string]string
	}{{"text", a.Inline, b.Inline}, {"target", a.Symlinks, b.Symlinks}} {
		for _, path := range slices.Sorted(maps.Keys(x.b)) {
			if was, ok := x.a[path]; ok && was != x.b[path] {
				d.note("another %s of %s", x.what, path)
			}
		}
	}
	all := map[string]bool{}
	for _, m := range []map[string]PathOptions{a.Paths, b.Paths} {
		for path := range m {
			all[path] = true
		}
	}
	for _, path := range slices.Sorted(maps.Keys(all)) {
		if a.kindOf(path) == "" || b.kindOf(path) == "" {
			continue // one does not show it; that is said already
		}
		was, is := a.Paths[path], b.Paths[path]
		if err := d.bound("size of "+path, size, cmp.Or(was.Size, tmpA), cmp.Or(is.Size, tmpB)); err != nil {
			return err
		}
		if was.Mode != is.Mode {
			d.note("mode of %s: %s instead of %s", path, said(is.Mode), said(was.Mode))
		}
		if was.Owner != is.Owner {
			d.note("owner of %s: %s instead of %s", path, said(is.Owner), said(was.Owner))
		}
		if was.Upper != is.Upper || was.Work != is.Work {
			d.other("what keeps the changes of %s: %s instead of %s", path, said(is.Upper), said(was.Upper))
		}
	}
	return nil
}

// ports: no list is all of them.
func (d *Difference) ports(what string, a, b []string) {
	switch {
	case a == nil && b != nil:
		d.step(-1, "%s TCP ports but %s", what, listed(b))
	case a != nil && b == nil:
		d.step(1, "%s TCP ports but %s", what, listed(a))
	default:
		for _, x := range []struct {
			by   int
			list []string
		}{{1, minus(b, a)}, {-1, minus(a, b)}} {
			if len(x.list) > 0 {
				d.step(x.by, "%s TCP port %s", what, strings.Join(x.list, ", "))
			}
		}
	}
}

func listed(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}

// settings compares what the process is restricted by.
func (d *Difference) settings(a, b *Process) {
	d.truth("the capabilities kept as ambient ones", a.Ambient, b.Ambient, false)
	if was, is := IsTrue(a.LandlockLog), IsTrue(b.LandlockLog); was != is {
		d.note("process.landlock_log: %v instead of %v", is, was)
	}
	const stay = "processes that stay when the program has ended (process.supervise is false)"
	switch was, is := NotFalse(a.Supervise), NotFalse(b.Supervise); {
	case was && !is:
		d.step(1, stay)
	case is && !was:
		d.step(-1, stay)
	}
	switch was, is := terminal(a), terminal(b); {
	case was == is:
	case is == "inherit":
		d.step(1, "the caller's terminal (instead of %s)", was)
	case was == "inherit":
		d.step(-1, "the caller's terminal (now %s)", is)
	default:
		d.other("terminal: %s instead of %s", is, was)
	}
	for _, x := range []struct{ key, a, b string }{
		{"AppArmor profile", a.AppArmor, b.AppArmor}, {"SELinux context", a.SELinux, b.SELinux},
	} {
		if x.a != x.b { // which of them allows more only the machine knows
			d.other("%s: %s instead of %s", x.key, said(x.b), said(x.a))
		}
	}
}

func terminal(p *Process) string {
	if p.Terminal == "" {
		return "inherit"
	}
	return p.Terminal
}

func said(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// Measures of bounds, as numbers that can be compared.
func count(s string) (int64, error)   { n, err := ParseCount(s); return int64(n), err }
func size(s string) (int64, error)    { n, err := ParseCore(s); return int64(n), err } // at most 1<<62
func percent(s string) (int64, error) { n, err := ParsePercent(s); return int64(n), err }
func duration(s string) (int64, error) {
	t, err := ParseTime(s)
	return int64(t), err
}

func (d *Difference) limits(a, b *Limits) error {
	for _, x := range []struct {
		what    string
		measure func(string) (int64, error)
		a, b    string
	}{
		{"processes", count, a.Processes, b.Processes}, {"memory", size, a.Memory, b.Memory}, {"cpu", percent, a.CPU, b.CPU},
		{"io", size, a.IO, b.IO}, {"time", duration, a.Time, b.Time}, {"cpu_time", duration, a.CPUTime, b.CPUTime},
		{"file_size", size, a.FileSize, b.FileSize}, {"open_files", count, a.OpenFiles, b.OpenFiles},
		{"core", size, cmp.Or(a.Core, "0"), cmp.Or(b.Core, "0")}, // none without a word
		{"tmp", size, a.Tmp, b.Tmp},
	} {
		if err := d.bound(x.what, x.measure, x.a, x.b); err != nil {
			return err
		}
	}
	return nil
}

// bound compares two bounds. One that may be given up on allows more than the
// same that may not.
func (d *Difference) bound(what string, measure func(string) (int64, error), a, b string) error {
	var n [2]int64
	var optional [2]bool
	for i, s := range []string{a, b} {
		if s, optional[i] = Optional(s); s == "" {
			n[i] = -1
			continue
		}
		var err error
		if n[i], err = measure(s); err != nil {
			return err
		}
	}
	by := 0
	switch {
	case n[0] == n[1]:
	case n[1] < 0 || n[0] >= 0 && n[1] > n[0]:
		by = 1
	default:
		by = -1
	}
	held := 0 // what the mark changes
	if n[0] >= 0 && n[1] >= 0 && optional[0] != optional[1] {
		held = sign(optional[1])
	}
	if by*held < 0 {
		d.other("%s: %s instead of %s", what, bound(b), bound(a))
		return nil
	}
	if by == 0 {
		by = held
	}
	d.step(by, "%s: %s instead of %s", what, bound(b), bound(a))
	return nil
}

func bound(s string) string {
	if s == "" {
		return "no bound"
	}
	return s
}
