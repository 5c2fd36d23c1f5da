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
	return []string{"${XDG_RUNTIME_DIR}", "/usr/share", "/var", "/etc", "/run", "/opt", "/srv", "/tmp", "~"}
}

// under says whether a path of a policy's lies below a directory.
func under(p, dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }

// some shows only these names of a directory.
func (m *importer) some(what string, names []string) {
	dirs := []string{"/" + what}
	switch what {
	case "bin":
		dirs = []string{"/usr/bin", "/usr/sbin", "/usr/local/bin"}
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

func (m *importer) files() {
	f := &m.p.Files
	f.Read = append(f.Read, "/")
	writable := []string{"~", "/tmp", "/var/tmp", "${XDG_RUNTIME_DIR}"}
	for _, p := range m.only {
		i := slices.IndexFunc(tops(), func(top string) bool { return under(p, top) })
		if i < 0 {
			continue
		}
		top := tops()[i]
		switch {
		case p == top:
			continue
		case slices.Contains(writable, top) && !slices.Contains(m.private, top):
			m.private = append(m.private, top)
		case !slices.Contains(writable, top):
			m.tops[top] = true
		}
		if slices.Contains(writable, top) && !slices.Contains(m.readOnly, p) {
			f.Write = append(f.Write, "?"+p)
		} else {
			f.Read = append(f.Read, "?"+p)
		}
	}
	f.Tmpfs = append(slices.Collect(maps.Keys(m.tops)), m.private...)
	for _, p := range writable {
		if !slices.Contains(m.private, p) {
			f.Write = append(f.Write, "?"+p)
		}
	}
	covered := func(p string) bool { // by an empty directory, with nothing of the host's at the path
		for dir := range m.tops {
			if under(p, dir) {
				return true
			}
		}
		return slices.ContainsFunc(m.private, func(dir string) bool { return under(p, dir) })
	}
	for _, p := range m.writable {
		f.Write = append(f.Write, "?"+p)
	}
	for _, p := range m.readOnly {
		if !covered(p) && !slices.Contains(f.Write, "?"+p) {
			f.Read = append(f.Read, "?"+p)
		}
	}
	for _, p := range m.hide {
		if !m.shown[p] {
			f.Hide = append(f.Hide, "?"+p)
		}
	}
	for _, list := range []*[]string{&f.Read, &f.Write, &f.Tmpfs, &f.Hide} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	private := func(p string) bool { return slices.Contains(f.Tmpfs, strings.TrimPrefix(p, "?")) }
	f.Read = slices.DeleteFunc(f.Read, func(p string) bool { return slices.Contains(f.Write, p) || private(p) })
	f.Write = slices.DeleteFunc(f.Write, private)
	no := false
	for _, p := range m.noexec {
		switch {
		case slices.Contains(f.Write, "?"+p), slices.Contains(f.Read, "?"+p), slices.Contains(f.Tmpfs, p):
			if f.Paths == nil {
				f.Paths = map[string]policy.PathOptions{}
			}
			f.Paths[p] = policy.PathOptions{Exec: &no}
		case !covered(p):
			m.lost = append(m.lost, "noexec "+p)
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
