package systemd

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"sbx/policy"
	"sbx/policy/capability"
	"sbx/policy/seccomp"
)

// isLifecycle reports whether a setting is about when, how often and what to
// run, not about what that may do.
func isLifecycle(key string) bool {
	for _, prefix := range []string{"Exec", "Restart", "Timeout", "Syslog", "Standard", "Log", "TTY", "Watchdog", "IOSchedul", "CPUSchedul", "Listen", "FileDescriptor", "Success", "NotifyAccess", "Start", "Stop"} {
		if strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return slices.Contains(strings.Fields(`Type PIDFile BusName KillMode KillSignal SendSIGHUP SendSIGKILL RemainAfterExit GuessMainPID
		Nice OOMScoreAdjust OOMPolicy NonBlocking Sockets Accept Delegate Slice Where What Options Service WorkingDirectory
		IgnoreSIGPIPE UMask ReloadSignal ExitType`), key)
}

// take reads one setting. Not known: a policy cannot say it.
func (m *importer) take(s setting) (known bool, err error) {
	switch s.key {
	case "SystemCallFilter":
		return true, m.callFilter(s)
	case "SystemCallErrorNumber":
		m.refused = seccomp.Action{}
		if s.value != "" {
			m.refused, err = answer(s.value)
		}
		return true, err
	case "SystemCallArchitectures":
		return true, m.architectures(s.value)
	case "RestrictAddressFamilies":
		return true, m.families(s.value)
	case "CapabilityBoundingSet", "AmbientCapabilities":
		return true, m.capabilitySet(s)
	case "User", "Group", "DynamicUser", "SupplementaryGroups":
		m.user = m.user || s.key == "User" && s.value != "" && s.value != "root" && s.value != "0" || s.key == "DynamicUser"
		return false, nil // sbx runs as its caller
	case "Environment", "PassEnvironment":
		return true, m.environment(s)
	case "TasksMax", "LimitNPROC":
		return m.number(s)
	case "MemoryMax":
		if s.value == "" || s.value == "infinity" || strings.HasSuffix(s.value, "%") {
			return s.value == "", nil
		}
		m.p.Limits.Memory = s.value
		return true, nil
	case "CPUQuota", "LimitCPU", "LimitFSIZE", "LimitNOFILE", "LimitCORE", "AppArmorProfile", "SELinuxContext":
		return m.wall(s), nil
	case "NoExecPaths":
		return m.noExec(s)
	case "RuntimeMaxSec":
		return m.time(s.value)
	case "ProtectProc", "ProcSubset":
		return true, nil // in its own pid namespace a target sees but itself
	case "ProtectSystem", "ProtectHome", "RestrictNamespaces":
		return m.mode(s)
	}
	if known, err := m.paths(s); known || err != nil {
		return known, err
	}
	return m.toggle(s)
}

// toggle takes the settings that are yes or no.
func (m *importer) toggle(s setting) (known bool, err error) {
	on, err := truth(s.value)
	n := &m.p.Namespaces
	switch s.key {
	case "NoNewPrivileges", "MountAPIVFS":
		return on || err != nil, err // always so, and never not
	case "PrivateDevices", "ProtectKernelTunables", "ProtectControlGroups", "RemoveIPC":
		return true, err // a policy shows as little of /dev, /proc and /sys anyway
	case "PrivateNetwork":
		if n.Net = "host"; on {
			n.Net = "new"
		}
	case "PrivateUsers":
		if on {
			n.User = "new"
		}
	case "PrivateIPC", "PrivatePIDs", "PrivateMounts":
		return true, err // new namespaces are a policy's default
	case "PrivateTmp":
		if on {
			m.p.Files.Tmpfs = append(m.p.Files.Tmpfs, "/tmp", "/var/tmp")
		}
	case "MemoryDenyWriteExecute", "LockPersonality", "RestrictRealtime", "RestrictSUIDSGID", "ProtectKernelModules",
		"ProtectKernelLogs", "ProtectClock", "ProtectHostname":
		if on {
			m.refuse(s.key)
		}
	default:
		return false, nil
	}
	return true, err
}

func (m *importer) mode(s setting) (known bool, err error) {
	v := s.value
	if on, err := truth(v); err == nil {
		if v = "no"; on {
			v = "yes"
		}
	}
	allowed := map[string][]string{
		"ProtectSystem": {"yes", "no", "full", "strict"}, "ProtectHome": {"yes", "no", "read-only", "tmpfs"}, "RestrictNamespaces": {"yes"},
	}[s.key]
	if !slices.Contains(allowed, v) {
		if s.key == "RestrictNamespaces" {
			return false, nil // a policy has no namespaces inside, or all
		}
		return false, fmt.Errorf("%q is none of %s", s.value, strings.Join(allowed, ", "))
	}
	switch s.key {
	case "ProtectSystem":
		m.system = v
	case "ProtectHome":
		m.home = v
	}
	return true, nil
}

// paths takes the settings that list paths.
func (m *importer) paths(s setting) (known bool, err error) {
	below := map[string]string{
		"StateDirectory": "/var/lib", "CacheDirectory": "/var/cache", "LogsDirectory": "/var/log", "RuntimeDirectory": "/run",
		"ConfigurationDirectory": "/etc",
	}[s.key]
	var to *[]string
	switch s.key {
	case "ReadWritePaths", "BindPaths", "StateDirectory", "CacheDirectory", "LogsDirectory", "RuntimeDirectory":
		to = &m.write
	case "ReadOnlyPaths", "BindReadOnlyPaths", "ConfigurationDirectory":
		to = &m.readOnly
	case "InaccessiblePaths":
		to = &m.p.Files.Hide
	case "TemporaryFileSystem":
		to = &m.p.Files.Tmpfs
	default:
		return false, nil
	}
	if s.value == "" {
		*to = nil
		return true, nil
	}
	list, err := words(s.value)
	if err != nil {
		return false, err
	}
	for _, w := range list {
		mark := ""
		for strings.HasPrefix(w, "-") || strings.HasPrefix(w, "+") {
			if w[0] == '-' {
				mark = "?"
			}
			w = w[1:]
		}
		w, rest, _ := strings.Cut(w, ":")
		w, said, ok := m.pathOptions(s.key, w, rest)
		if !ok {
			m.lose("%s=%s:%s: a policy has no word for it", s.key, w, rest)
			continue
		}
		if below != "" {
			w = path.Join(below, w)
		}
		if !path.IsAbs(w) || strings.ContainsAny(w, "*?$") {
			return false, fmt.Errorf("%q is no plain absolute path", w)
		}
		if s.key == "TemporaryFileSystem" {
			mark = ""
		}
		if w = path.Clean(w); said != (policy.PathOptions{}) {
			m.say(w, said)
		}
		*to = append(*to, mark+w)
	}
	return true, nil
}

func (m *importer) capabilitySet(s setting) error {
	list, invert := strings.CutPrefix(s.value, "~")
	names, err := words(list)
	if err != nil {
		return err
	}
	set := map[string]bool{}
	for _, n := range names {
		plain, ok := strings.CutPrefix(strings.ToLower(n), "cap_")
		if !ok || !slices.Contains(capability.Names(), plain) {
			return fmt.Errorf("unknown capability %q", n)
		}
		set[plain] = true
	}
	if s.key == "AmbientCapabilities" {
		if invert {
			return fmt.Errorf("a list of what not to give is not understood here")
		}
		if s.value == "" {
			m.ambient = nil
		}
		for c := range set {
			m.ambient = append(m.ambient, c)
		}
		return nil
	}
	switch {
	case s.value == "":
		clear(m.bounding)
	case invert:
		if !m.bounded { // all but these
			for _, c := range capability.Names() {
				m.bounding[c] = true
			}
		}
		for c := range set {
			delete(m.bounding, c)
		}
	default:
		for c := range set {
			m.bounding[c] = true
		}
	}
	m.bounded = true
	return nil
}

func (m *importer) environment(s setting) error {
	list, err := words(s.value)
	if err != nil {
		return err
	}
	for _, w := range list {
		name, _, assigned := strings.Cut(w, "=")
		if assigned != (s.key == "Environment") || name == "" || strings.Contains(w, "$") {
			return fmt.Errorf("%q is not understood", w)
		}
		e := &m.p.Process.Env
		*e = slices.DeleteFunc(*e, func(have string) bool { return have == name || strings.HasPrefix(have, name+"=") })
		*e = append(*e, w)
	}
	return nil
}

func (m *importer) number(s setting) (known bool, err error) {
	n, err := strconv.ParseUint(s.value, 10, 31)
	if err != nil || n == 0 {
		return false, nil // infinity, a share of the machine
	}
	m.p.Limits.Processes = strconv.FormatUint(n, 10)
	return true, nil
}

// time takes RuntimeMaxSec=, whose spans may have more units than a policy's.
func (m *importer) time(value string) (known bool, err error) {
	if value == "" || value == "infinity" {
		return value == "", nil
	}
	v := strings.ReplaceAll(strings.ReplaceAll(value, " ", ""), "min", "m")
	if _, err := strconv.Atoi(v); err == nil {
		v += "s"
	}
	m.p.Limits.Time = v
	return true, nil
}
