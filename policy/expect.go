package policy

import (
	"slices"
	"strings"

	"sbx/policy/seccomp"
)

// verdict is what the policy alone says of a line of [expect].
type verdict struct {
	known bool   // else only a run can tell
	works bool   // what the line tries
	why   string // what of the policy decides
}

// expectations reports the lines of [expect] that the policy itself shows to be
// wrong, and gives the number of those that only a run can try.
//
// A system call is judged by the filter's answer on this machine: with the
// arguments that the line gives, those left out being 0; without any, allow says
// that some arguments are let through, and deny that none are. On ABIs that the
// policy lists besides, what is denied must be denied as well.
func (l *linter) expectations(calls *seccomp.Policy, answers []*seccomp.Answers) (untried int) {
	p := l.whole
	for _, list := range []struct {
		key   string
		lines []string
		works bool
	}{{"allow", p.Expect.Allow, true}, {"deny", p.Expect.Deny, false}} {
		for _, line := range list.lines {
			verb, object, _ := strings.Cut(withoutMark(line), " ")
			var v verdict
			switch verb {
			case "syscall":
				v = p.expectCall(calls, answers, object, list.works)
			case "env":
				v = p.expectEnv(object)
			case "capability":
				v = p.expectCapability(object, list.works)
			}
			switch {
			case !v.known:
				untried++
			case v.works != list.works:
				is := "works"
				if list.works {
					is = "does not work"
				}
				l.add("expectation", "expect."+list.key, line, "expect.%s says %q, but that %s: %s", list.key, line, is, v.why)
			}
		}
	}
	return untried
}

// expectCall judges "NAME [ARGUMENT...]".
func (p *Policy) expectCall(calls *seccomp.Policy, answers []*seccomp.Answers, object string, works bool) verdict {
	words := strings.Fields(object)
	call, err := seccomp.LookupSyscall(words[0])
	if err != nil {
		return verdict{known: true, works: !works, why: err.Error()}
	}
	var out verdict
	for i, on := range answers {
		answer, ok := on.Lookup(call)
		if !ok {
			if i == 0 {
				out = verdict{known: true, why: on.Arch.String() + " has no such system call"}
			}
			continue
		}
		v, err := p.answered(calls, on.Arch, answer, words[1:], works)
		if err != nil {
			return verdict{} // a constant that other machines have
		}
		if i == 0 || v.works && !works {
			out = v
		}
		if i > 0 && v.works && !works {
			out.why += ", on " + on.Arch.String()
		}
		if works || v.works {
			break
		}
	}
	return out
}

// answered is what the filter says of a call with these arguments. Without any
// it is the most that is let through.
func (p *Policy) answered(
	calls *seccomp.Policy, on seccomp.Arch, answer seccomp.Answer, words []string, works bool,
) (verdict, error) {
	var args [6]uint64
	for i, w := range words {
		n, err := seccomp.ParseValue(w, on)
		if err != nil {
			return verdict{}, err
		}
		if args[i] = n; !on.Wide() {
			args[i] = uint64(uint32(n))
		}
	}
	var decides seccomp.Clause
	partly := ""
	for i, c := range answer.Clauses {
		if len(words) > 0 && c.Holds(args) {
			decides = c
			break
		}
		if len(words) > 0 || !answer.Reached(i) {
			continue
		}
		if decides.Action.Kind == seccomp.Unset || decides.Action.Stricter(c.Action) {
			decides = c
		}
	}
	if len(words) == 0 && len(answer.Clauses) > 1 && decides.Action.Passes() && !works {
		partly = " for some arguments"
	}
	v := verdict{known: decides.Action.Kind != seccomp.Notify, works: decides.Action.Passes()}
	v.why = decides.Action.String() + partly + " by " + p.Because(calls, decides.Why)
	return v, nil
}

// TryArgs are arguments by which to try a call that a line of [expect] names without
// any: such as pass says are let through, if there are any, else zeros. answer is what
// the policy says of the call.
func TryArgs(answer seccomp.Answer, pass func(args [6]uint64) bool) (args [6]uint64) {
	if pass(args) {
		return args
	}
	var found [6]uint64
	points(answer.Clauses, func(try [6]uint64) bool {
		if pass(try) {
			found = try
			return true
		}
		return false
	})
	return found
}

// Because is what of the policy decides, in words, with its place where that is
// known. calls is what Calls gave.
func (p *Policy) Because(calls *seccomp.Policy, r seccomp.Reason) string {
	text := r.String()
	o, ok := Origin{}, false
	switch {
	case r.List != "":
		o, ok = p.Origin("seccomp."+r.List, r.Entry)
	case p.isSetIDRule(calls, r):
		return "files.set_id = false"
	case r.Rule > 0:
		o, ok = p.RuleOrigin(calls.Rules[r.Rule-1])
	}
	if !ok {
		return text
	}
	return text + " (" + o.String() + ")"
}

// isSetIDRule says that what decides is one of the rules against set-id files, which
// Calls has last.
func (p *Policy) isSetIDRule(calls *seccomp.Policy, r seccomp.Reason) bool {
	return r.Rule > len(p.LaunchCalls().Rules) && r.Rule <= len(calls.Rules) && !NotFalse(p.Files.SetID)
}

// expectEnv judges the name of a variable. Those that systemd hands over with a
// socket or a deadline cross if they are meant for this process.
func (p *Policy) expectEnv(name string) verdict {
	switch name {
	case "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID", "WATCHDOG_USEC", "NOTIFY_SOCKET":
		return verdict{}
	}
	entry := p.Process.EnvEntry(name)
	if entry == "" {
		return verdict{known: true, why: "process.env does not name it"}
	}
	return verdict{known: true, works: true, why: "process.env has " + quote(entry) + p.written("process.env", entry)}
}

// EnvEntry is the entry of Env by which a variable crosses or is set, or "".
func (r *Process) EnvEntry(name string) string {
	i := slices.IndexFunc(r.Env, func(e string) bool {
		prefix, all := strings.CutSuffix(e, "*")
		return envName(e) == name || all && !strings.Contains(e, "=") && strings.HasPrefix(name, prefix)
	})
	if i < 0 {
		return ""
	}
	return r.Env[i]
}

// expectCapability judges a capability's name. Whether one that is marked "?" is
// there is up to the caller: that it may be is enough against deny.
func (p *Policy) expectCapability(name string, works bool) verdict {
	list := p.Process.Capabilities
	i := slices.IndexFunc(list, func(e string) bool { return withoutMark(e) == name })
	if i < 0 {
		return verdict{known: true, why: "process.capabilities does not keep it"}
	}
	if optional := list[i] != name; optional && works {
		return verdict{}
	}
	return verdict{
		known: true,
		works: true,
		why:   "process.capabilities has " + quote(list[i]) + p.written("process.capabilities", list[i]),
	}
}

// written is where an entry was written, in parentheses, or "".
func (p *Policy) written(key, entry string) string {
	if o, ok := p.Origin(key, entry); ok {
		return " (" + o.String() + ")"
	}
	return ""
}
