package firejail

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"sbx/internal/text"
	"sbx/policy/capability"
)

// line takes one line. known is false where a policy does not say it.
func (m *importer) line(word, rest string) (known bool, err error) {
	n := &m.p.Namespaces
	switch word {
	case "quiet", "tracelog", "netfilter", "noroot", "nogroups", "nonewprivs", "join-or-start", "name", "shell", "tab",
		"deterministic-shutdown", "seccomp.block-secondary", "restrict-namespaces", "caps",
		"private-dev", "noinput", "notv", "nodvd", "novideo", "no3d", "nou2f", "noprinters", "nosound",
		"keep-fd", "x11", "machine-id", "deterministic-exit-code":
		return m.restricted(word, rest), nil
	case "ignore":
		if rest == "" {
			return false, errors.New("what is to be ignored is missing")
		}
		m.ignored = append(m.ignored, rest)
	case "noblacklist":
		m.spared = append(m.spared, m.expand(rest)...)
	case "blacklist", "blacklist-nolog":
		m.blacklist(rest)
	case "whitelist", "whitelist-ro":
		m.whitelist(rest, word == "whitelist-ro")
	case "nowhitelist":
		m.unlisted = append(m.unlisted, m.paths(rest)...)
	case "read-only", "read-write":
		for _, p := range m.paths(rest) {
			m.modes = append(m.modes, mode{p, word == "read-write"})
		}
	case "noexec":
		m.noexec = append(m.noexec, m.paths(rest)...)
	case "tmpfs":
		m.private = append(m.private, m.paths(rest)...)
	case "private":
		if rest != "" {
			return false, nil
		}
		m.private, m.wholeHome = append(m.private, "~"), true
	case "private-tmp":
		m.private = append(m.private, "/tmp", "/var/tmp")
	case "private-cache":
		m.private = append(m.private, "~/.cache")
	case "private-etc", "private-bin", "private-opt", "private-srv":
		m.some(strings.TrimPrefix(word, "private-"), strings.Split(rest, ","))
	case "disable-mnt":
		m.hide = append(m.hide, "/mnt", "/media", "/run/mount", "/run/media")
	case "caps.drop":
		return rest == "all", nil // a user has none
	case "caps.keep":
		for _, c := range strings.Split(rest, ",") {
			if c = strings.TrimSpace(c); !slices.Contains(capability.Names(), c) {
				return false, errors.New("there is no capability " + strconv.Quote(c))
			}
			m.p.Process.Capabilities = append(m.p.Process.Capabilities, "?"+c)
		}
	case "seccomp", "seccomp.drop", "seccomp.keep":
		return true, m.seccomp(word, rest)
	case "protocol":
		return true, m.protocol(rest)
	case "memory-deny-write-execute":
		m.noNew = true
	case "net":
		if rest != "none" {
			return false, nil
		}
		n.Net = "new"
	case "allusers":
		delete(m.tops, "/home")
	case "ipc-namespace":
		n.IPC = "new"
	case "hostname":
		n.UTS, n.Hostname = "new", rest
	case "dbus-user", "dbus-system":
		return m.bus(word, rest), nil
	case "env":
		if name, _, ok := strings.Cut(rest, "="); !ok || name == "" {
			return false, errors.New("NAME=VALUE is missing")
		}
		m.p.Process.Env = append(m.p.Process.Env, rest)
	case "timeout", "rlimit-nofile", "rlimit-nproc", "rlimit-fsize", "rlimit-cpu":
		return true, m.limit(word, rest)
	default:
		return false, nil
	}
	return true, nil
}

// blacklist hides what no line above spares.
func (m *importer) blacklist(rest string) {
	for _, p := range m.paths(rest) {
		if !m.spares(p) {
			m.hide = append(m.hide, p)
		}
	}
}

// whitelist shows only this of the directory that it is in. That holds for a pattern too
// that matches nothing.
func (m *importer) whitelist(rest string, readOnly bool) {
	list := m.expand(rest)
	for _, p := range list {
		i := slices.IndexFunc(tops(), func(top string) bool { return under(p, top) })
		if i < 0 || p == tops()[i] {
			m.lost = append(m.lost, "whitelist "+text.Quote(p)+": the rest of the directory that it is in stays there")
			continue
		}
		if top := tops()[i]; !slices.Contains(writable(), top) {
			m.tops[top] = true
		} else if !slices.Contains(m.private, top) {
			m.private = append(m.private, top)
		}
	}
	for _, p := range m.glob(list) {
		if slices.Contains(m.unlisted, p) {
			continue
		}
		m.only = append(m.only, p)
		if readOnly {
			m.modes = append(m.modes, mode{p, false})
		}
	}
}

// restricted says whether a policy does without a word what the line asks for.
func (m *importer) restricted(word, rest string) bool {
	switch {
	case word == "x11" && rest == "none":
		m.hide = append(m.hide, "/tmp/.X11-unix", "~/.Xauthority")
	case word == "x11", word == "keep-fd", word == "machine-id":
		return false
	case word == "noprinters":
		m.hide = append(m.hide, "/run/cups/cups.sock")
	case word == "nosound":
		m.hide = append(m.hide, "${XDG_RUNTIME_DIR}/pulse", "${XDG_RUNTIME_DIR}/pipewire-0")
	}
	return true
}

// bus takes what is said of D-Bus: without a proxy there is all of it, or nothing.
func (m *importer) bus(word, rest string) bool {
	at := "${XDG_RUNTIME_DIR}/bus"
	if word == "dbus-system" {
		at = "/run/dbus"
	}
	if rest == "none" || rest == "filter" {
		m.hide = append(m.hide, at)
	}
	return rest == "none"
}

// seccomp takes a filter: firejail's own list and what is added, other calls alone, or
// those that are allowed.
func (m *importer) seccomp(word, rest string) error {
	m.filter = true
	var list []string
	for _, s := range strings.Split(rest, ",") {
		s, _, _ = strings.Cut(strings.TrimSpace(s), ":") // an errno of its own
		switch {
		case s == "":
		case s[0] == '@' || s[0] == '$':
			m.lost = append(m.lost, word+": "+strconv.Quote(s)+" (firejail's own group)")
		case s[0] == '!':
			m.notes = append(m.notes, word+": "+s[1:]+" stays denied if the policy's groups have it")
		default:
			list = append(list, s)
		}
	}
	if word == "seccomp.keep" {
		m.keep = append(m.keep, list...)
		return nil
	}
	m.calls = append(m.calls, list...)
	return nil
}

// protocol takes the families of sockets.
func (m *importer) protocol(rest string) error {
	names := map[string]string{"unix": "AF_UNIX", "inet": "AF_INET", "inet6": "AF_INET6", "netlink": "AF_NETLINK",
		"packet": "AF_PACKET", "bluetooth": "AF_BLUETOOTH"}
	var families []string
	for _, s := range strings.Split(rest, ",") {
		family, ok := names[strings.TrimSpace(s)]
		if !ok {
			return errors.New("there is no protocol " + strconv.Quote(s))
		}
		families = append(families, family)
	}
	slices.Sort(families)
	m.refuse("arg0 not in {"+strings.Join(families, ", ")+"}", "socket", "socketpair")
	return nil
}

// limit takes a limit: of a timeout hh:mm:ss, of others a number.
func (m *importer) limit(word, rest string) error {
	l := &m.p.Limits
	if word == "timeout" {
		var parts [3]int
		fields := strings.Split(rest, ":")
		if len(fields) != 3 {
			return errors.New("hh:mm:ss is missing")
		}
		for i, f := range fields {
			v, err := strconv.Atoi(f)
			if err != nil || v < 0 {
				return errors.New("hh:mm:ss is missing")
			}
			parts[i] = v
		}
		l.Time = strconv.Itoa(parts[0]*3600+parts[1]*60+parts[2]) + "s"
		return nil
	}
	if v, err := strconv.ParseUint(rest, 10, 40); err != nil || v == 0 {
		return errors.New(strconv.Quote(rest) + " is no number")
	}
	switch word {
	case "rlimit-nofile":
		l.OpenFiles = rest
	case "rlimit-nproc":
		l.Processes = rest
	case "rlimit-fsize":
		l.FileSize = rest
	case "rlimit-cpu":
		l.CPUTime = rest + "s"
	}
	return nil
}
