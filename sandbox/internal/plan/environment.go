package plan

import (
	"strconv"
	"strings"

	"sbx/policy"
	"sbx/sandbox/internal/host"
)

// targetPID is the target's pid in its own pid namespace: it is the first process that
// the init, pid 1, forks.
const targetPID = "2"

// Handed is how many descriptors, from 3 on, systemd hands over to the process with that
// pid; see sd_listen_fds(3).
func Handed(env []string, pid int) int {
	_, n := environment(&policy.Policy{}, host.Target{Env: env, PID: pid})
	return n
}

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

// environment is the part of the caller's environment that the target gets, and the number
// of descriptors that systemd's LISTEN_FDS hands over. A pid in it becomes the one that the
// target has inside.
func environment(p *policy.Policy, t host.Target) (env []string, listen int) {
	for _, v := range t.Env {
		name, value, ok := strings.Cut(v, "=")
		if !ok || name == "" || isSet(p.Process.Env, name) {
			continue
		}
		meant, managers := fromManager(t, name)
		switch {
		case managers && !meant:
			continue
		case name == "LISTEN_PID" || name == "WATCHDOG_PID":
			v = name + "=" + targetPID
		case name == "LISTEN_FDS":
			n, err := strconv.Atoi(value)
			if err != nil || n <= 0 {
				continue
			}
			listen = n
		case !managers && !crosses(p.Process.Env, name):
			continue
		}
		env = append(env, v)
	}
	for _, rule := range p.Process.Env {
		if strings.Contains(rule, "=") {
			env = append(env, rule)
		}
	}
	return env, listen
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
