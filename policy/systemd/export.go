package systemd

import (
	"fmt"
	"slices"
	"strings"

	"sbx/policy"
	"sbx/policy/seccomp"
)

// Export writes the resolved policy as lines of a unit's [Service] section, for
// systemd 252 and later on a machine of architecture native. losses say what
// the lines leave out, one each, and what stands there in its place.
func Export(p *policy.Policy, native seccomp.Arch) (unit []byte, losses []string, err error) {
	x := &exporter{p: p, native: native}
	x.line("# Policy %q, for a drop-in below /etc/systemd/system/NAME.service.d.", p.Name)
	x.line("[Service]")
	x.line("NoNewPrivileges=yes")
	x.capabilities()
	x.namespaces()
	if x.p.Namespaces.Mount == "new" {
		x.files()
	} else if f := p.Files; len(f.Read)+len(f.Write)+len(f.Tmpfs)+len(f.Hide)+len(f.Overlay)+len(f.Directories)+
		len(f.Inline)+len(f.Symlinks) > 0 {
		x.lose("files: without mounts of its own a unit sees the host's files")
	}
	x.environment()
	x.limits()
	x.restrictions()
	if err := x.calls(); err != nil {
		return nil, nil, err
	}
	if p.Process.Landlock == "require" {
		x.lose("process.landlock: units have no Landlock")
	}
	return []byte(x.out.String()), x.losses, nil
}

type exporter struct {
	p      *policy.Policy
	native seccomp.Arch
	out    strings.Builder
	losses []string
}

func (x *exporter) line(format string, args ...any) { fmt.Fprintf(&x.out, format+"\n", args...) }

func (x *exporter) lose(format string, args ...any) {
	x.losses = append(x.losses, fmt.Sprintf(format, args...))
}

func (x *exporter) capabilities() {
	var kept []string
	for _, c := range x.p.Process.Capabilities {
		kept = append(kept, "CAP_"+strings.ToUpper(bare(c)))
	}
	x.line("CapabilityBoundingSet=%s", strings.Join(kept, " "))
	if a := x.p.Process.Ambient; a == nil || !*a {
		kept = nil
	}
	x.line("AmbientCapabilities=%s", strings.Join(kept, " "))
}

func (x *exporter) namespaces() {
	n := x.p.Namespaces
	for _, k := range []struct {
		kind, value      string
		private, joining string
	}{
		{"net", n.Net, "PrivateNetwork=yes", "NetworkNamespacePath="},
		{"ipc", n.IPC, "PrivateIPC=yes", "IPCNamespacePath="},
		{"uts", n.UTS, "ProtectHostname=yes", ""},
		{"user", strings.Replace(n.User, "auto", "host", 1), "PrivateUsers=yes", ""},
		{"pid", n.PID, "", ""},
		{"cgroup", n.Cgroup, "", ""},
		{"time", n.Time, "", ""},
		{"mount", strings.Replace(n.Mount, "new", "host", 1), "", ""},
	} {
		switch {
		case k.value == "host":
		case k.value == "new" && k.private != "":
			x.line("%s", k.private)
		case k.value != "new" && k.joining != "":
			x.line("%s%s", k.joining, escape(k.value))
		default:
			x.lose("namespaces.%s: units before systemd 257 say no %q", k.kind, k.value)
		}
	}
}

// files builds the tree from nothing, as a policy does.
func (x *exporter) files() {
	f := x.p.Files
	x.line("TemporaryFileSystem=/:ro")
	if policy.NotFalse(f.Proc) {
		x.line("MountAPIVFS=yes")
		x.line("ProtectProc=invisible")
		x.line("ProtectKernelTunables=yes")
		x.line("ProtectKernelLogs=yes")
	} else {
		x.lose("files.proc: units cannot do without /proc")
	}
	if policy.NotFalse(f.Dev) {
		x.line("PrivateDevices=yes")
	} else {
		x.lose("files.dev: units cannot do without /dev")
	}
	x.line("ProtectControlGroups=yes")
	x.paths("files.read", "BindReadOnlyPaths", f.Read)
	x.paths("files.write", "BindPaths", f.Write)
	x.paths("files.tmpfs", "TemporaryFileSystem", f.Tmpfs)
	x.paths("files.directories", "TemporaryFileSystem", f.Directories)
	var hide, patterns []string
	for _, h := range f.Hide {
		if p := bare(h); strings.HasPrefix(p, "/") || strings.HasPrefix(p, "${") {
			hide = append(hide, "?"+p) // what is not there need not be hidden
		} else {
			patterns = append(patterns, p)
		}
	}
	x.paths("files.hide", "InaccessiblePaths", hide)
	if len(patterns) > 0 {
		x.lose("files.hide: units hide paths, not patterns: %s", some(patterns))
	}
	if len(f.Guard) > 0 {
		x.lose("files.guard: units know no patterns: %s", some(f.Guard))
	}
}

func (x *exporter) paths(key, setting string, list []string) {
	var lost []string
	for _, e := range list {
		path, ok := specifiers(bare(e))
		if !ok {
			lost = append(lost, bare(e))
			continue
		}
		if e[0] == '?' && setting != "TemporaryFileSystem" {
			path = "-" + path
		}
		if strings.ContainsAny(path, " \t\"'\\:") {
			lost = append(lost, bare(e))
			continue
		}
		if path, ok = x.withOptions(key, setting, path, e); ok {
			x.line("%s=%s", setting, path)
		}
	}
	if len(lost) > 0 {
		x.lose("%s: units have no words for %s", key, some(lost))
	}
}

// specifiers writes a policy's variables as a unit has them. The ones for
// directories of settings, such as %E, mean /etc and the like to the system's
// manager, so the home's are written out.
func specifiers(path string) (string, bool) {
	path = escape(path)
	for _, v := range [][2]string{
		{"${HOME}", "%h"}, {"${USER}", "%u"}, {"${UID}", "%U"}, {"${XDG_CONFIG_HOME}", "%h/.config"},
		{"${XDG_CACHE_HOME}", "%h/.cache"},
		{"${XDG_DATA_HOME}", "%h/.local/share"}, {"${XDG_STATE_HOME}", "%h/.local/state"},
		{"${XDG_RUNTIME_DIR}", "/run/user/%U"},
	} {
		path = strings.ReplaceAll(path, v[0], v[1])
	}
	return path, !strings.Contains(path, "$")
}

func escape(s string) string { return strings.ReplaceAll(s, "%", "%%") }

// some lists a few of many.
func some(list []string) string {
	if len(list) > 6 {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:5], ", "), len(list)-5)
	}
	return strings.Join(list, ", ")
}

func (x *exporter) environment() {
	var lost []string
	for _, e := range x.p.Process.Env {
		name, value, assigned := strings.Cut(e, "=")
		value, ok := specifiers(value)
		switch {
		case strings.HasSuffix(name, "*"), !ok, strings.ContainsAny(value, "\"\\"):
			lost = append(lost, e)
		case assigned:
			x.line("Environment=\"%s=%s\"", name, value)
		default:
			x.line("PassEnvironment=%s", name)
		}
	}
	if len(lost) > 0 {
		x.lose("process.env: units pass names, not patterns, and know no %s", some(lost))
	}
}

// calls writes the call filter. A unit's has one answer for each call, so what
// depends on arguments is answered as if no condition held, but for the
// built-in rules on namespaces, which units have too.
func (x *exporter) calls() error {
	s := x.p.Calls()
	answers, err := s.Answers(x.native)
	if err != nil {
		return err
	}
	arches := []string{"native"}
	abis, err := s.ABIs(x.native)
	if err != nil {
		return err
	}
	for _, a := range abis[1:] {
		arches = append(arches, strings.Replace(strings.Replace(a.String(), "386", "x86", 1), "amd64", "x86-64", 1))
	}
	x.line("SystemCallArchitectures=%s", strings.Join(arches, " "))
	nest := slices.Contains(s.Allow, "@nest")
	if !nest {
		x.line("RestrictNamespaces=yes")
	}
	setID := restrictsSetID(answers)
	if setID {
		x.line("RestrictSUIDSGID=yes")
	}
	sockets := x.families(answers)
	byAction := map[seccomp.Action][]string{}
	var conditional []string
	for _, c := range answers.Calls {
		name := c.Syscall.Name()
		last := c.Clauses[len(c.Clauses)-1].Action
		spaces := name == "clone" || name == "unshare" || name == "setns" || name == "clone3"
		if name == "socket" && sockets {
			last = seccomp.Action{Kind: seccomp.Allow} // RestrictAddressFamilies= refuses the rest
		}
		builtIn := strings.HasPrefix(fmt.Sprint(c.Clauses[0].Why), "built in")
		if name == "clone3" && !nest && builtIn {
			// RestrictNamespaces= answers it with ENOSYS, as the policy does:
			// what the list refuses would get another errno, and C libraries
			// then make no threads.
			last = seccomp.Action{Kind: seccomp.Allow}
		}
		if name == "openat2" && setID {
			last = seccomp.Action{Kind: seccomp.Allow} // RestrictSUIDSGID= answers it with ENOSYS
		}
		if len(c.Clauses) > 1 && !(spaces && !nest && len(c.Clauses) == 2 && builtIn) {
			conditional = append(conditional, name)
		}
		byAction[last] = append(byAction[last], name)
	}
	if len(conditional) > 0 {
		x.lose("seccomp.rule: a unit's call filter sees no arguments; as if no condition held are answered %s",
			some(conditional))
	}
	x.callFilter(byAction)
	for _, f := range []struct {
		key string
		on  *bool
	}{{"log", s.Log}, {"spec_allow", s.SpecAllow}, {"wait_killable", s.WaitKillable}} {
		if policy.IsTrue(f.on) {
			x.lose("seccomp.%s: units load their filters without flags", f.key)
		}
	}
	return nil
}

// callFilter lists the calls that are allowed; all others have one answer, the
// policy's default.
func (x *exporter) callFilter(byAction map[seccomp.Action][]string) {
	s := x.p.Calls()
	deflt := s.Default
	if deflt.Kind == seccomp.Allow || deflt.Kind == seccomp.Log {
		deflt = seccomp.Action{Kind: seccomp.Errno, Errno: 1}
		x.lose("seccomp.default: %s means all calls there are, and a unit's list only those known today", s.Default)
	}
	allowed := byAction[seccomp.Action{Kind: seccomp.Allow}]
	actions := make([]seccomp.Action, 0, len(byAction))
	for a := range byAction {
		actions = append(actions, a)
	}
	slices.SortFunc(actions, func(a, b seccomp.Action) int { return strings.Compare(a.String(), b.String()) })
	for _, a := range actions {
		names := byAction[a]
		slices.Sort(names)
		switch {
		case a == deflt, a.Kind == seccomp.Allow:
		case a.Kind == seccomp.Log:
			allowed = append(allowed, names...)
			x.line("SystemCallLog=%s", strings.Join(names, " "))
		case a.Kind == seccomp.Errno && a.Errno == 38 && deflt.Kind == seccomp.Errno:
			x.lose("seccomp.unknown: refused as all others are, not by ENOSYS as if the kernel were older: %s", some(names))
		default:
			x.lose("seccomp: a unit's list has one answer for all it leaves out, so these get %s, not %s: %s", deflt,
				a, some(names))
		}
	}
	if s.Unknown.Kind != seccomp.Unset && s.Unknown != deflt {
		x.lose("seccomp.unknown: numbers that systemd has no name for get %s, not %s", deflt, s.Unknown)
	}
	slices.Sort(allowed)
	x.line("SystemCallFilter=")
	for chunk := range slices.Chunk(allowed, 12) {
		x.line("SystemCallFilter=%s", strings.Join(chunk, " "))
	}
	switch deflt.Kind {
	case seccomp.Errno:
		x.line("SystemCallErrorNumber=%s", seccomp.ErrnoName(int(deflt.Errno)))
	case seccomp.KillProcess:
	default:
		x.lose("seccomp.default: units kill the process, not %s", deflt)
	}
}
