package policy

import (
	"strings"

	"sbx/policy/capability"
)

// capabilityNames are those that a policy can keep.
func capabilityNames() []string { return capability.Names() }

// expectVerbs are the things a line of [expect] can try.
func expectVerbs() []string {
	return []string{"read", "write", "exec", "connect", "bind", "syscall", "env", "capability"}
}

// checkExpect takes "VERB OBJECT".
func checkExpect(s string) (string, *fault) {
	verb, object, _ := strings.Cut(s, " ")
	if object == "" || strings.TrimSpace(object) != object {
		return "", faultf("%q is no expectation", s).or(`as "read /etc/shadow" or "syscall keyctl"`)
	}
	var f *fault
	switch verb {
	case "read", "write", "exec":
		object, f = canonicalPath(object)
	case "connect", "bind":
		f = checkAddress(object)
	case "syscall":
		if strings.HasPrefix(object, "@") {
			return "", faultf("%q: an expectation names one system call", s)
		}
		object, f = checkCall(object)
	case "env":
		if strings.ContainsAny(object, "=*") {
			return "", faultf("%q: an expectation names one variable", s)
		}
		object, f = checkEnv(object)
	case "capability":
		if strings.HasPrefix(object, "?") {
			return "", faultf("%q: an expectation names one capability", s)
		}
		object, f = checkCapability(object)
	default:
		return "", faultf("unknown expectation %q", verb).like(verb, expectVerbs())
	}
	if f != nil {
		return "", f
	}
	return verb + " " + object, nil
}

// checkAddress takes HOST:PORT and [IPv6]:PORT.
func checkAddress(s string) *fault {
	i := strings.LastIndexByte(s, ':')
	if i <= 0 || strings.ContainsAny(s, " /") {
		return faultf("%q is no address", s).or(`as "127.0.0.1:22" or "[::1]:22"`)
	}
	if port, err := ParsePort(s[i+1:]); err != nil || port == 0 {
		return faultf("%q has no port from 1 to 65535", s)
	}
	return nil
}
