package policy

import (
	"strings"

	"sbx/policy/capability"
)

// capabilityNames are those that a policy can keep.
func capabilityNames() []string { return capability.Names() }

// expectVerbs are the things a line of [expect] can try.
func expectVerbs() []string {
	return []string{
		"read", "write", "create", "exec", "connect", "bind", "resolve", "syscall", "env", "capability", "device",
		"see-process", "signal", "limit",
	}
}

// checkExpect takes "VERB OBJECT", with "?" in front where it may be left untried.
func checkExpect(s string) (string, *fault) {
	if bare, marked := strings.CutPrefix(s, "?"); marked {
		canonical, f := checkExpect(bare)
		return "?" + canonical, f
	}
	verb, object, _ := strings.Cut(s, " ")
	if object == "" || strings.TrimSpace(object) != object {
		return "", faultf("%q is no expectation", s).or(`as "read /etc/shadow" or "syscall keyctl"`)
	}
	var f *fault
	switch verb {
	case "read", "write", "create", "exec":
		object, f = canonicalPath(object)
	case "device":
		object, f = canonicalPath(object)
		if f == nil && !Within(object, "/dev") {
			f = faultf("%q: a device lies below /dev", s)
		}
	case "connect", "bind":
		if object[0] == '@' && !strings.ContainsAny(object, " \t") && len(object) > 1 {
			break
		}
		if strings.ContainsAny(object[:1], "/~.$") {
			object, f = canonicalPath(object)
			break
		}
		f = checkAddress(object)
	case "resolve":
		f = checkHostName(object)
	case "see-process", "signal":
		if strings.ContainsAny(object, "/ ") || len(object) > 15 {
			f = faultf("%q: neither \"outside\" nor a command's name, of 15 characters at most", s)
		}
	case "limit":
		object, f = checkLimitExpectation(object)
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

// checkHostName takes what the domain name system can be asked for.
func checkHostName(s string) *fault {
	for label := range strings.SplitSeq(strings.TrimSuffix(s, "."), ".") {
		if label == "" || len(label) > 63 || len(s) > 253 || strings.ContainsAny(label, " \t:/[]@") {
			return faultf("%q is no name of a host", s)
		}
	}
	return nil
}

// checkLimitExpectation takes "NAME" and "NAME VALUE", as [limits] has them.
func checkLimitExpectation(s string) (string, *fault) {
	name, value, valued := strings.Cut(s, " ")
	for _, f := range fields() {
		if f.key != "limits."+name {
			continue
		}
		if !valued {
			return s, nil
		}
		if strings.HasPrefix(value, "?") || value == "none" {
			return "", faultf("%q: an expectation names one value", s)
		}
		canonical, bad := f.check(value)
		return name + " " + canonical, bad
	}
	return "", faultf("there is no limit %q", name)
}

// Expectation is a line of [expect].
type Expectation struct {
	// Deny says that it stands in expect.deny, Optional that it may be left untried.
	Deny, Optional bool
	Verb, Object   string
	// Line is the line as it was written, and Where its place, if that is known.
	Line  string
	Where Origin
}

// Expectations are the lines of [expect] in their order, first those of allow.
func (p *Policy) Expectations() (list []Expectation) {
	for _, of := range []struct {
		key   string
		lines []string
		deny  bool
	}{{"expect.allow", p.Expect.Allow, false}, {"expect.deny", p.Expect.Deny, true}} {
		for _, line := range of.lines {
			e := Expectation{Deny: of.deny, Line: line}
			e.Where, _ = p.Origin(of.key, line)
			line, e.Optional = strings.CutPrefix(line, "?")
			e.Verb, e.Object, _ = strings.Cut(line, " ")
			list = append(list, e)
		}
	}
	return list
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
