package oci

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"sbx/policy/seccomp"
)

// The JSON of a profile as it is written.
type (
	profileJSON struct {
		DefaultAction   string     `json:"defaultAction"`
		DefaultErrnoRet *uint16    `json:"defaultErrnoRet,omitempty"`
		Architectures   []string   `json:"architectures"`
		Flags           []string   `json:"flags"`
		Syscalls        []ruleJSON `json:"syscalls"`
	}
	ruleJSON struct {
		Names    []string  `json:"names"`
		Action   string    `json:"action"`
		ErrnoRet *uint16   `json:"errnoRet,omitempty"`
		Args     []argJSON `json:"args,omitempty"`
	}
	argJSON struct {
		Index    int    `json:"index"`
		Value    uint64 `json:"value"`
		ValueTwo uint64 `json:"valueTwo"`
		Op       string `json:"op"`
	}
)

// Export writes the profile that makes a runtime answer each call as the policy
// does on a machine of architecture native. losses say what no profile can
// say, and what stands there in its place.
//
// The default action is the policy's answer to unknown calls; all known ones
// are listed. So it does not matter how a runtime treats numbers above the
// last: runc gives them ENOSYS, crun the default.
func Export(p *seccomp.Policy, native seccomp.Arch) (data []byte, losses []string, err error) {
	x := &exporter{
		policy: p, native: native, names: map[seccomp.Action][]string{}, answers: map[seccomp.Arch]*seccomp.Answers{},
	}
	if x.abis, err = p.ABIs(native); err != nil {
		return nil, nil, err
	}
	for _, a := range x.abis {
		if x.answers[a], err = p.Answers(a); err != nil {
			return nil, nil, err
		}
		x.out.Architectures = append(x.out.Architectures, archName(a))
	}
	x.unknown = x.say("unknown calls", x.answers[native].Unknown.Action)
	x.out.DefaultAction, x.out.DefaultErrnoRet = action(x.unknown)
	x.flags()
	for s := range seccomp.Syscalls() {
		x.call(s)
	}
	x.group()
	if slices.Contains(x.abis, seccomp.I386) {
		x.lose("architectures: socketcall and ipc of 386 are taken apart by libseccomp, which allows calls whose " +
			"arguments it cannot see")
	}
	data, err = json.MarshalIndent(x.out, "", "\t")
	return append(data, '\n'), x.losses, err
}

type exporter struct {
	policy  *seccomp.Policy
	native  seccomp.Arch
	abis    []seccomp.Arch
	answers map[seccomp.Arch]*seccomp.Answers
	unknown seccomp.Action
	// names are the calls that always have one answer, ruled the others' rules.
	names  map[seccomp.Action][]string
	ruled  []ruleJSON
	out    profileJSON
	losses []string
}

func (x *exporter) lose(format string, args ...any) {
	if s := fmt.Sprintf(format, args...); !slices.Contains(x.losses, s) {
		x.losses = append(x.losses, s)
	}
}

// say is the action if a profile has it, else one as strict.
func (x *exporter) say(what string, a seccomp.Action) seccomp.Action {
	if a.Kind == seccomp.Errno && a.Errno == seccomp.MaxErrno {
		x.lose("seccomp: libseccomp takes no errno above %d: %s answer EPERM, not %s", seccomp.MaxErrno-1, what, a)
		return seccomp.Action{Kind: seccomp.Errno, Errno: 1}
	}
	if a.Kind != seccomp.Notify {
		return a
	}
	x.lose("seccomp: notify needs a listener, and the profile names none: %s answer ENOSYS", what)
	return seccomp.Action{Kind: seccomp.Errno, Errno: enosys}
}

func (x *exporter) flags() {
	x.out.Flags = []string{} // none at all would have runc set SPEC_ALLOW
	if b := x.policy.Log; b != nil && *b {
		x.out.Flags = append(x.out.Flags, "SECCOMP_FILTER_FLAG_LOG")
	}
	if b := x.policy.SpecAllow; b != nil && *b {
		x.out.Flags = append(x.out.Flags, "SECCOMP_FILTER_FLAG_SPEC_ALLOW")
	}
	if b := x.policy.WaitKillable; b != nil && *b {
		x.lose("seccomp.wait_killable: it needs a listener, and the profile names none")
	}
	if x.patched() {
		x.lose("seccomp.unknown: runc answers ENOSYS, not %s, to numbers above all that the profile lists", x.unknown)
	}
}

// patched reports whether runc answers ENOSYS instead of the default to numbers
// above all that are listed, with whatever action.
func (x *exporter) patched() bool {
	k := x.unknown.Kind
	return k != seccomp.Allow && k != seccomp.Log && x.unknown.Errno != enosys
}

// call writes what is answered to one call.
func (x *exporter) call(s seccomp.Syscall) {
	var clauses []seccomp.Clause
	for _, a := range x.abis {
		nr, ok := s.Number(a)
		if !ok || a == seccomp.I386 && (s.Name() == "socketcall" || s.Name() == "ipc") {
			continue
		}
		i := slices.IndexFunc(x.answers[a].Calls, func(c seccomp.Answer) bool { return c.Number == nr })
		there := x.answers[a].Calls[i].Clauses
		if clauses == nil {
			clauses = there
		} else if !alike(clauses, there, a) {
			x.lose("%s: on %s it is answered otherwise, and a profile says the same for all architectures", s.Name(), a)
		}
	}
	if clauses == nil {
		return
	}
	if len(clauses) == 1 {
		a := x.say(s.Name(), clauses[0].Action)
		x.names[a] = append(x.names[a], s.Name())
		return
	}
	x.conditional(s.Name(), clauses)
}

// alike reports whether a's clauses say what those of the architecture before
// do.
func alike(before, there []seccomp.Clause, a seccomp.Arch) bool {
	x, okX := clauseCubes(before)
	y, okY := clauseCubes(there)
	if !okX || !okY {
		return false
	}
	union := func(sets []cubes, clauses []seccomp.Clause, act seccomp.Action) (out cubes) {
		for i, c := range clauses {
			if c.Action == act && i < len(sets) {
				out = append(out, sets[i]...)
			}
		}
		if !a.Wide() {
			out = out.narrow()
		}
		return out
	}
	for _, c := range slices.Concat(before, there) {
		if !union(x, before, c.Action).same(union(y, there, c.Action)) {
			return false
		}
	}
	return true
}

// conditional writes rules that are apart from one another.
func (x *exporter) conditional(name string, clauses []seccomp.Clause) {
	clauses = x.oneAction(name, clauses)
	short, folded := folds(clauses)
	sets, ok := clauseCubes(short)
	if !ok || !x.alikeFirst(name, short, sets) {
		sets, ok = clauseCubes(clauses)
		folded = [6]*fold{}
	}
	if !ok {
		strict := clauses[0].Action
		for _, c := range clauses {
			if c.Action.Stricter(strict) {
				strict = c.Action
			}
		}
		strict = x.say(name, strict)
		x.lose("%s: its conditions are more than a profile can hold; it always answers %s", name, strict)
		x.names[strict] = append(x.names[strict], name)
		return
	}
	for i, c := range clauses {
		act := x.say(name, c.Action)
		if act == x.unknown {
			continue // what no rule is about
		}
		for _, k := range sets[i] {
			var args []argJSON
			for arg, b := range k {
				switch f := folded[arg]; {
				case b.mask == 0:
				case f != nil:
					args = append(args, argJSON{arg, f.value, 0, f.operator(b.value == 1)})
				default:
					args = append(args, argJSON{arg, b.mask, b.value, maskedEqual})
				}
			}
			x.ruled = append(x.ruled, newRule([]string{name}, act, args))
		}
	}
}

// alikeFirst reports whether the rules about a call all begin with the same
// argument. Where they do not, libseccomp 2.5.4 makes programs of plain
// comparisons that answer the default although a rule holds.
func (x *exporter) alikeFirst(name string, clauses []seccomp.Clause, sets []cubes) bool {
	first := -1
	for i, c := range clauses {
		if x.say(name, c.Action) == x.unknown {
			continue
		}
		for _, k := range sets[i] {
			arg := slices.IndexFunc(k[:], func(b bits) bool { return b.mask != 0 })
			if first >= 0 && arg != first {
				return false
			}
			first = arg
		}
	}
	return true
}

// oneAction leaves one action besides the default, where the architecture 386
// makes the call through socketcall or ipc as well: there libseccomp sees no
// arguments, and takes no second action for the same number.
func (x *exporter) oneAction(name string, clauses []seccomp.Clause) []seccomp.Clause {
	if !slices.Contains(x.abis, seccomp.I386) || !seccomp.Multiplexed(seccomp.I386, name) {
		return clauses
	}
	var others []seccomp.Action
	var keep seccomp.Action
	refuses := x.unknown.Kind != seccomp.Allow && x.unknown.Kind != seccomp.Log
	for _, c := range clauses {
		act := x.say(name, c.Action)
		switch {
		case act == x.unknown || slices.Contains(others, act):
			continue
		case len(others) == 0, refuses && act.Kind == seccomp.Allow,
			act.Stricter(keep) && (!refuses || keep.Kind != seccomp.Allow):
			keep = act
		}
		others = append(others, act)
	}
	if len(others) < 2 {
		return clauses
	}
	instead := x.unknown
	if !refuses {
		instead = keep // the strictest: what is refused stays refused
	}
	clauses = slices.Clone(clauses)
	for i := range clauses {
		if act := x.say(name, clauses[i].Action); act != x.unknown && act != keep {
			x.lose("%s: 386 makes it through another call, for which a profile has one action besides the default: %s, not %s",
				name, instead, act)
			clauses[i].Action = instead
		}
	}
	return clauses
}

// group writes the rules without conditions, one for each action, and then the
// others.
func (x *exporter) group() {
	actions := make([]seccomp.Action, 0, len(x.names))
	for a := range x.names {
		if a != x.unknown || x.patched() {
			actions = append(actions, a)
		}
	}
	slices.SortFunc(actions, func(a, b seccomp.Action) int { return strings.Compare(a.String(), b.String()) })
	x.out.Syscalls = []ruleJSON{}
	for _, a := range actions {
		slices.Sort(x.names[a])
		x.out.Syscalls = append(x.out.Syscalls, newRule(x.names[a], a, nil))
	}
	x.out.Syscalls = append(x.out.Syscalls, x.ruled...)
}

func newRule(names []string, a seccomp.Action, args []argJSON) ruleJSON {
	r := ruleJSON{Names: names, Args: args}
	r.Action, r.ErrnoRet = action(a)
	return r
}

// action is an action in a profile's words.
func action(a seccomp.Action) (name string, errnoRet *uint16) {
	switch a.Kind {
	case seccomp.Allow:
		return "SCMP_ACT_ALLOW", nil
	case seccomp.Errno:
		return "SCMP_ACT_ERRNO", &a.Errno
	case seccomp.Log:
		return "SCMP_ACT_LOG", nil
	case seccomp.Trap:
		return "SCMP_ACT_TRAP", nil
	case seccomp.KillThread:
		return "SCMP_ACT_KILL_THREAD", nil
	}
	return "SCMP_ACT_KILL_PROCESS", nil
}

// archName is an architecture in a profile's words.
func archName(a seccomp.Arch) string {
	for _, name := range archNames() {
		if b, err := seccomp.ParseArch(name); err == nil && a == b {
			return name
		}
	}
	return a.String()
}
