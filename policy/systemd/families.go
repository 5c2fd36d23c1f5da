package systemd

import (
	"slices"
	"strings"

	"sbx/policy/seccomp"
)

// families writes which families of sockets can be had, if not all: the one
// thing about arguments that units can say. It reports whether it did, and some
// can.
func (x *exporter) families(answers *seccomp.Answers) bool {
	i := slices.IndexFunc(answers.Calls, func(a seccomp.Answer) bool { return a.Syscall.Name() == "socket" })
	if i < 0 || len(answers.Calls[i].Clauses) < 2 {
		return false
	}
	call := answers.Calls[i]
	granted := func(family uint64) bool {
		for _, args := range combinations(call.Clauses, family) {
			switch answers.Decide(call.Number, args).Action.Kind {
			case seccomp.Allow, seccomp.Log, seccomp.Notify:
				return true
			}
		}
		return false
	}
	const beyond = 250 // no family has it
	if granted(beyond) {
		return false // a list would leave out more than the policy does
	}
	names := []string{}
	for family := range uint64(beyond) {
		if !granted(family) || family == 0 {
			continue // AF_UNSPEC makes no socket
		}
		name := familyName(family, answers.Arch)
		if name == "" {
			continue // none that units could name: refused, and so stricter
		}
		names = append(names, name)
	}
	some := len(names) > 0
	if !some {
		names = []string{"none"}
	}
	x.line("RestrictAddressFamilies=%s", strings.Join(names, " "))
	return some
}

// familyName is the name that units have for a family.
func familyName(family uint64, a seccomp.Arch) string {
	for _, name := range seccomp.ConstantNames("AF_", family, a) {
		switch name {
		case "AF_LOCAL", "AF_FILE", "AF_ROUTE", "AF_MAX": // second names, and none
		default:
			return name
		}
	}
	return ""
}

// combinations are arguments of socket(2) with a family, at and beside every
// bound that clauses set to its type and protocol.
func combinations(clauses []seccomp.Clause, family uint64) (out [][6]uint64) {
	values := [3][]uint64{{family}, {0, 1}, {0}}
	for _, c := range clauses {
		for _, all := range c.Any {
			for _, k := range all {
				if k.Arg != 1 && k.Arg != 2 {
					continue
				}
				for _, r := range k.In {
					values[k.Arg] = append(values[k.Arg], r.Lo, r.Hi, (r.Lo-1)&k.Mask, (r.Hi+1)&k.Mask)
				}
			}
		}
	}
	for _, typ := range values[1] {
		for _, protocol := range values[2] {
			out = append(out, [6]uint64{family, typ, protocol})
		}
	}
	return out
}

// restrictsSetID says whether no file can be given a set-id bit, in the way of
// RestrictSUIDSGID=: refused are the bits, not the calls.
func restrictsSetID(answers *seccomp.Answers) bool {
	grants := func(name string, args [6]uint64) bool {
		s, err := seccomp.LookupSyscall(name)
		if err != nil {
			return false
		}
		nr, _ := s.Number(answers.Arch)
		return answers.Decide(nr, args).Action.Kind == seccomp.Allow
	}
	const create = 0o100 // O_CREAT
	return grants("fchmod", [6]uint64{}) && !grants("fchmod", [6]uint64{0, 0o4000}) &&
		!grants("fchmod", [6]uint64{0, 0o2000}) &&
		!grants("openat", [6]uint64{0, 0, create, 0o4000}) && !grants("openat2", [6]uint64{})
}
