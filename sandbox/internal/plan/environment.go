package plan

import (
	"strconv"
	"strings"

	"sbx/policy"
	"sbx/sandbox/internal/host"
)

// managerVariables are the variables of a service manager: sd_listen_fds(3),
// sd_watchdog_enabled(3), sd_notify(3). The target gets them whatever the policy lists, if
// they are meant for this process. The variable pid tells that. Without it, optional ones
// are meant for every process.
var managerVariables = [...]struct {
	name, pid string
	optional  bool
}{
	{"LISTEN_PID", "LISTEN_PID", false},
	{"LISTEN_FDS", "LISTEN_PID", false},
	{"LISTEN_FDNAMES", "LISTEN_PID", false},
	{"WATCHDOG_PID", "WATCHDOG_PID", false},
	{"WATCHDOG_USEC", "WATCHDOG_PID", true},
	{"NOTIFY_SOCKET", "", false},
}

// environment is what of the caller's environment crosses, with the policy's
// own, where listen descriptors of LISTEN_FDS do. own are variables that get the pid that
// the target sees as its own, which is known when there is a target.
//
// Each variable stands there once, or programs would not agree on what it says:
// shells take the last one, getenv(3) the first. Of the caller's it is the first
// one, of the policy's rules the last, for flags come after the policy.
//
// kept are variables that say where packages come from, and that do not cross.
func environment(p *policy.Policy, t host.Target, listen int) (env, own, kept []string) {
	seen, service := make(map[string]bool, len(t.Env)), t.IsService()
	for _, v := range t.Env {
		name, _, ok := strings.Cut(v, "=")
		if !ok || name == "" || seen[name] || isSet(p.Process.Env, name) {
			continue
		}
		seen[name] = true
		meant, managers := fromManager(t, name)
		switch {
		case managers && !meant:
			continue
		case name == "NOTIFY_SOCKET":
			place, _ := t.NotifyPlace(p)
			v = name + "=" + place
		case name == "LISTEN_PID" || name == "WATCHDOG_PID" || service && name == "SYSTEMD_EXEC_PID":
			if !executesInPlace(p) {
				own = append(own, name)
				continue
			}
			v = name + "=" + strconv.Itoa(t.PID)
		case service && host.ServiceVariable(name):
		case name == "SYSTEMD_EXEC_PID":
			continue // another process's
		case name == "LISTEN_FDS" && listen == 0:
			continue
		case name == "LISTEN_FDS":
			v = name + "=" + strconv.Itoa(listen)
		case len(p.Network.Hosts) > 0 && proxyVariable(name):
			continue
		case !managers && !crosses(p.Process.Env, name):
			if host.IndexVariable(name) {
				kept = append(kept, name)
			}
			continue
		case !managers && keptBack(p, t, name, v[len(name)+1:]):
			kept = append(kept, name)
			continue
		}
		env = append(env, v)
	}
	for i, rule := range p.Process.Env {
		if name, _, ok := strings.Cut(rule, "="); ok && name != "" && !isSet(p.Process.Env[i+1:], name) {
			env = append(env, rule)
		}
	}
	return env, own, kept
}

// fromManager says whether the variable is a service manager's, and whether it is meant for
// this process.
func fromManager(t host.Target, name string) (meant, managers bool) {
	for _, m := range managerVariables {
		if m.name != name {
			continue
		}
		if m.pid == "" {
			return true, true
		}
		pid, ok := host.Lookup(t.Env, m.pid)
		return !ok && m.optional || ok && pid == strconv.Itoa(t.PID), true
	}
	return false, false
}

// FromManager says whether "NAME=value" is a variable by which a service manager speaks to
// the process that it has started, and to no other.
func FromManager(v string) bool {
	name, _, _ := strings.Cut(v, "=")
	for _, m := range managerVariables {
		if m.name == name {
			return true
		}
	}
	return false
}

// isSet says whether a rule sets the variable, as "NAME=value".
func isSet(rules []string, name string) bool {
	for _, r := range rules {
		if len(r) > len(name) && r[len(name)] == '=' && r[:len(name)] == name {
			return true
		}
	}
	return false
}

// crosses says whether a rule names the variable, or its prefix with "*".
func crosses(rules []string, name string) bool {
	for _, r := range rules {
		if prefix, ok := strings.CutSuffix(r, "*"); r == name || ok && strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}
