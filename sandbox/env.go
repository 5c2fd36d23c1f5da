package sandbox

import (
	"strconv"
	"strings"

	"sbx/policy"
)

// targetPID is the target's pid in its own pid namespace: the first process
// that the init, pid 1, forks.
const targetPID = "2"

// Handed is how many descriptors, from 3 on, systemd hands over to the process
// with that pid; see sd_listen_fds(3).
func Handed(env []string, pid int) int {
	_, n := environment(&policy.Policy{}, Target{Env: env, PID: pid})
	return n
}

// environment is what of the caller's environment crosses, and how many
// descriptors systemd's LISTEN_FDS hands over.
//
// The variables of sd_listen_fds(3), sd_watchdog_enabled(3) and sd_notify(3)
// cross whatever the policy lists, if they are meant for this process, with
// the pid rewritten to the one that the target sees.
func environment(p *policy.Policy, t Target) (env []string, listen int) {
	self := strconv.Itoa(t.PID)
	forUs := func(name string) bool { v, ok := lookup(t.Env, name); return ok && v == self }
	listens, watched := forUs("LISTEN_PID"), forUs("WATCHDOG_PID")
	set := make(map[string]bool)
	for _, rule := range p.Process.Env {
		if name, _, ok := strings.Cut(rule, "="); ok {
			set[name] = true
		}
	}
	for _, v := range t.Env {
		name, value, ok := strings.Cut(v, "=")
		if !ok || name == "" || set[name] {
			continue
		}
		switch name {
		case "LISTEN_PID", "WATCHDOG_PID":
			if name == "LISTEN_PID" && listens || name == "WATCHDOG_PID" && watched {
				env = append(env, name+"="+targetPID)
			}
			continue
		case "LISTEN_FDS":
			if listens {
				if n, err := strconv.Atoi(value); err == nil && n > 0 {
					listen = n
					env = append(env, v)
				}
			}
			continue
		case "LISTEN_FDNAMES":
			if listens {
				env = append(env, v)
			}
			continue
		case "WATCHDOG_USEC":
			if _, ok := lookup(t.Env, "WATCHDOG_PID"); watched || !ok {
				env = append(env, v)
			}
			continue
		case "NOTIFY_SOCKET":
			env = append(env, v)
			continue
		}
		if crosses(p.Process.Env, name) {
			env = append(env, v)
		}
	}
	for _, rule := range p.Process.Env {
		if strings.Contains(rule, "=") {
			env = append(env, rule)
		}
	}
	return env, listen
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

func lookup(env []string, name string) (string, bool) {
	for _, v := range env {
		if len(v) > len(name) && v[len(name)] == '=' && v[:len(name)] == name {
			return v[len(name)+1:], true
		}
	}
	return "", false
}

func notifySocket(env []string) string {
	s, _ := lookup(env, "NOTIFY_SOCKET")
	return s
}
