package systemd

import (
	"path"
	"slices"
	"strings"
	"testing"

	"sbx/policy"
)

// compareFiles fails if a policy lets more be done at a path than the unit.
func (u *reference) compareFiles(t *testing.T, p *policy.Policy, losses []string, at string) right {
	t.Helper()
	want, got := u.access(at), shown(p, at)
	if got.source == "" { // private: nothing of the host's
		want.source = ""
		said := func(l string) bool { return strings.Contains(l, "is private, but can be written") }
		want.write = want.write || slices.ContainsFunc(losses, said)
	}
	if got.write && !want.write || got.read && !want.read || got.exec && !want.exec ||
		got.read && got.source != want.source {
		t.Fatalf("%s: %+v, and the unit has %+v\n%s\n%s", at, got, want, u.text(), p.Print())
	}
	return got
}

// last is the value that counts of a setting with one; "" if there is none.
// Empty values are passed over.
func (u *reference) last(key string) (v string) {
	for _, s := range u.settings {
		if s.key == key && s.value != "" {
			v = s.value
		}
	}
	return v
}

func (u *reference) isOn(key string) bool { return u.last(key) == "yes" }

// list are the entries of a setting that an empty value resets.
func (u *reference) list(keys ...string) (out []setting) {
	for _, s := range u.settings {
		if !slices.Contains(keys, s.key) {
			continue
		}
		if s.value == "" {
			out = nil
			continue
		}
		for _, w := range strings.Fields(s.value) {
			out = append(out, setting{key: s.key, value: strings.TrimLeft(w, "-+")})
		}
	}
	return out
}

// right is what may be done at a path; source is what is seen there.
type right struct {
	read, write, exec bool
	source            string
}

// mount is one line of what systemd would mount, in its words.
type mount struct {
	at     string
	kind   string // hide, bind, tmpfs, ro, rw, noexec, exec, free
	source string
	flags  string // ro, noexec
}

func (u *reference) mounts() (out []mount) {
	add := func(kind string, paths ...string) {
		for _, p := range paths {
			out = append(out, mount{at: p, kind: kind})
		}
	}
	for key, kind := range map[string]string{
		"ReadWritePaths": "rw", "ReadOnlyPaths": "ro", "InaccessiblePaths": "hide", "ExecPaths": "exec",
		"NoExecPaths": "noexec",
	} {
		for _, s := range u.list(key) {
			add(kind, s.value)
		}
	}
	for _, s := range u.list("BindPaths", "BindReadOnlyPaths") {
		from, at, two := strings.Cut(s.value, ":")
		if !two {
			at = from
		}
		m := mount{at: at, kind: "bind", source: from}
		if s.key == "BindReadOnlyPaths" {
			m.flags = "ro"
		}
		out = append(out, m)
	}
	for _, s := range u.list("TemporaryFileSystem") {
		at, flags, _ := strings.Cut(s.value, ":")
		out = append(out, mount{at: at, kind: "tmpfs", flags: flags})
	}
	for _, s := range u.list("StateDirectory") {
		out = append(out, mount{at: "/var/lib/" + s.value, kind: "bind", source: "/var/lib/" + s.value})
	}
	for _, s := range u.list("RuntimeDirectory") {
		out = append(out, mount{at: "/run/" + s.value, kind: "bind", source: "/run/" + s.value})
	}
	system, home := u.last("ProtectSystem"), u.last("ProtectHome")
	if u.isOn("DynamicUser") {
		system = "strict"
		if home == "" || home == "no" {
			home = "read-only"
		}
	}
	homes := []string{"/home", "/root", "/run/user"}
	switch system {
	case "strict":
		add("ro", "/")
		add("free", append(homes, "/dev", "/proc", "/sys")...)
	case "full":
		add("ro", "/usr", "/boot", "/efi", "/etc")
	case "yes":
		add("ro", "/usr", "/boot", "/efi")
	}
	switch home {
	case "yes":
		add("hide", homes...)
	case "read-only":
		add("ro", homes...)
	case "tmpfs":
		for _, h := range homes {
			out = append(out, mount{at: h, kind: "tmpfs", flags: "ro"})
		}
	}
	if u.isOn("PrivateTmp") || u.isOn("DynamicUser") {
		add("tmpfs", "/tmp", "/var/tmp")
	}
	if u.isOn("ProtectKernelTunables") {
		add("ro", "/sys", "/sys/kernel/debug")
		add("free", "/sys/fs/cgroup")
	}
	if u.isOn("ProtectControlGroups") {
		add("ro", "/sys/fs/cgroup")
	}
	if u.isOn("ProtectKernelModules") {
		add("hide", "/usr/lib/modules", "/lib/modules")
	}
	return out
}

// access walks down to a path and does at each step what is mounted there.
func (u *reference) access(p string) right {
	mounts := u.mounts()
	at := right{true, true, true, "/"}
	base := "/"
	for _, dir := range ancestors(p) {
		var here []mount
		for _, m := range mounts {
			if path.Clean(m.at) == dir {
				here = append(here, m)
			}
		}
		is := func(kind string) bool { return slices.ContainsFunc(here, func(m mount) bool { return m.kind == kind }) }
		flag := func(f string) bool {
			return slices.ContainsFunc(here, func(m mount) bool { return strings.Contains(m.flags, f) })
		}
		if is("hide") {
			return right{}
		}
		empty := at.source == "" // of the unit's own: nothing that is named is there
		switch {
		case is("bind"):
			i := slices.IndexFunc(here, func(m mount) bool { return m.kind == "bind" })
			at.source, base = here[i].source, dir
			at.write = !is("ro") && !slices.ContainsFunc(here, func(m mount) bool { return m.kind == "bind" && m.flags == "ro" })
		case is("tmpfs"):
			at.source, base = "", dir
			at.write = !is("ro") && !flag("ro")
		case empty:
			continue
		case is("ro"):
			at.write = false
		case is("rw"), is("free"):
			at.write = true
		}
		switch {
		case is("noexec") || is("tmpfs") && flag("noexec"):
			at.exec = false
		case is("exec"):
			at.exec = true
		}
	}
	if at.source != "" {
		at.source = path.Join(at.source, strings.TrimPrefix(p, base))
	}
	return at
}

func ancestors(p string) (out []string) {
	for ; p != "/"; p = path.Dir(p) {
		out = append(out, p)
	}
	out = append(out, "/")
	slices.Reverse(out)
	return out
}

// shown is what a policy lets be done at a path: the deepest entry over it
// counts, and what is hidden is hidden.
func shown(p *policy.Policy, at string) right {
	f := &p.Files
	for _, h := range f.Hide {
		if policy.Within(at, bare(h)) {
			return right{}
		}
	}
	best, kind := "", ""
	for _, l := range []struct {
		kind string
		list []string
	}{{"w", f.Write}, {"r", f.Read}, {"t", f.Tmpfs}, {"d", f.Directories}} {
		for _, e := range l.list {
			if d := bare(e); policy.Within(at, d) && len(d) > len(best) {
				best, kind = d, l.kind
			}
		}
	}
	if policy.Within(at, "/dev/shm") && !policy.Within(best, "/dev/shm") {
		best, kind = "/dev/shm", "t" // the sandbox's own
	}
	o := f.Paths[best]
	r := right{read: true, write: kind == "w" || kind == "t", exec: o.Exec == nil || *o.Exec}
	switch kind {
	case "":
		return right{}
	case "d":
		r.exec = false // there is nothing in it
	case "w", "r":
		r.source = best
		if o.From != "" {
			r.source = o.From
		}
		r.source = path.Join(r.source, strings.TrimPrefix(at, best))
	}
	return r
}
