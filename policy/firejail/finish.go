package firejail

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"sbx/policy"
	"sbx/policy/seccomp"
)

// tops are the directories of which a profile may show a part alone, the longest first.
func tops() []string {
	return []string{session, "/usr/share", "/var", "/etc", "/run", "/opt", "/srv", "/tmp", "/mnt", "/media", "~"}
}

// writable are the directories in which a program may write.
func writable() []string { return []string{"~", "/tmp", "/var/tmp", session} }

// under says whether a path of a policy's lies below a directory.
func under(p, dir string) bool { return dir == "/" || p == dir || strings.HasPrefix(p, dir+"/") }

// some shows only these names of a directory.
func (m *importer) some(what string, names []string) {
	dirs := []string{"/" + what}
	switch what {
	case "bin":
		dirs = programDirs()
	case "etc":
		names = append(names, "alternatives", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "locale", "locale.alias",
			"localtime", "nsswitch.conf", "passwd", "group")
	}
	for _, dir := range dirs {
		m.tops[dir] = true
		for _, name := range names {
			if name = strings.TrimSpace(name); name == "" || name[0] == '@' {
				if name != "" {
					m.lost = append(m.lost, "private-"+what+": "+name+" (firejail's own group)")
				}
				continue
			}
			for _, p := range m.paths(dir + "/" + name) {
				if m.p.Files.Read = append(m.p.Files.Read, "?"+p); what == "bin" && strings.Contains(name, "/") {
					m.lost = append(m.lost, "private-bin: "+name+", which is a path")
				}
			}
		}
	}
}

// refuse adds a rule that denies calls.
func (m *importer) refuse(when string, calls ...string) {
	m.p.Seccomp.Rules = append(m.p.Seccomp.Rules, seccomp.Rule{Syscalls: calls, When: []string{when},
		Action: seccomp.Action{Kind: seccomp.Errno, Errno: 1}}) // EPERM
}

// finish puts together what the lines say.
func (m *importer) finish() {
	m.files()
	if m.p.Namespaces.Net == "new" && m.p.ShowsInterfaces() {
		m.lost = append(m.lost, "net none: firejail mounts a /sys of the new network; here it shows the names of the host's "+
			"interfaces: hide = [\"?/sys\"] in [files], if the program needs no /sys")
	}
	m.filters()
	m.p.Process.Env = append([]string{"*"}, m.p.Process.Env...)
	if m.globbed > 0 {
		m.notes = append(m.notes, fmt.Sprintf("%d patterns became the paths that match them now", m.globbed))
	}
	m.notes = append(m.notes, "what lies outside the home, /tmp, /var/tmp and the session's directory is read-only",
		"devices are those that every sandbox has, and capabilities are gone")
}

// writes says whether a path is writable: as the last line says that is about it, or about
// a directory it is in.
func (m *importer) writes(p string, otherwise bool) bool {
	for _, o := range slices.Backward(m.modes) {
		if under(p, o.path) {
			return o.write
		}
	}
	return otherwise
}

func (m *importer) files() {
	f := &m.p.Files
	var bound []string // what is there of directories that are otherwise empty
	for _, p := range f.Read {
		bound = append(bound, strings.TrimPrefix(p, "?"))
	}
	f.Read = append(f.Read, "/")
	show := func(p string, otherwise bool) {
		if m.writes(p, otherwise) {
			f.Write = append(f.Write, "?"+p)
		} else {
			f.Read = append(f.Read, "?"+p)
		}
	}
	in := func(p string, dirs []string) bool {
		return slices.ContainsFunc(dirs, func(dir string) bool { return under(p, dir) })
	}
	for _, p := range m.only {
		if m.wholeHome && under(p, "~") || slices.Contains(tops(), p) || !in(p, tops()) {
			continue
		}
		bound = append(bound, p)
		show(p, in(p, writable()))
	}
	emptied := append(slices.Collect(maps.Keys(m.tops)), m.private...)
	for _, p := range emptied {
		f.Tmpfs = append(f.Tmpfs, "?"+p)
		if !m.writes(p, true) {
			m.notes = append(m.notes, "read-only "+p+": it is empty, and what is written to it is gone afterwards")
		}
	}
	for _, p := range writable() {
		if !in(p, emptied) {
			show(p, true)
		}
	}
	covered := func(p string) bool { // by an empty directory, with nothing of the host's at the path
		return in(p, emptied) && !in(p, bound)
	}
	for _, o := range m.modes {
		if !covered(o.path) && o.path != "/" {
			show(o.path, false)
		}
	}
	for _, p := range m.noexec {
		switch {
		case p == "/", under(p, "/dev"), under(p, "/proc"), under(p, "/sys"):
			m.lost = append(m.lost, "noexec "+p)
		case !covered(p):
			show(p, in(p, writable()))
		}
	}
	for _, p := range m.hide {
		f.Hide = append(f.Hide, "?"+p)
	}
	for _, list := range []*[]string{&f.Read, &f.Write, &f.Tmpfs, &f.Hide} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	private := func(p string) bool { return slices.Contains(f.Tmpfs, p) }
	f.Read = slices.DeleteFunc(f.Read, func(p string) bool { return slices.Contains(f.Write, p) || private(p) })
	f.Write = slices.DeleteFunc(f.Write, private)
	// A mount has options of its own: noexec is for each one below the path.
	no := false
	for _, p := range slices.Concat(f.Read, f.Write, f.Tmpfs) {
		if p = strings.TrimPrefix(p, "?"); p != "/" && in(p, m.noexec) {
			if f.Paths == nil {
				f.Paths = map[string]policy.PathOptions{}
			}
			f.Paths[p] = policy.PathOptions{Exec: &no}
		}
	}
	f.Sockets = []string{"/"}
	f.OwnSockets = new(bool)
	*f.OwnSockets = true
}

// filters says which calls there are.
func (m *importer) filters() {
	s := &m.p.Seccomp
	if len(m.keep) > 0 {
		s.Allow = m.keep
	} else {
		s.Allow = []string{"@known"}
	}
	s.Deny = append([]string{"@clock", "@mount", "open_by_handle_at"}, m.calls...)
	for _, list := range []*[]string{&s.Allow, &s.Deny} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	if m.noNew {
		m.refuse("arg2 & (PROT_WRITE|PROT_EXEC) == PROT_WRITE|PROT_EXEC", "mmap")
		m.refuse("arg2 & PROT_EXEC == PROT_EXEC", "mprotect", "pkey_mprotect")
		m.refuse("arg2 & 0o100000 != 0", "shmat")
	}
}
