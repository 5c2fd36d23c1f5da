package compile

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"sbx/policy/seccomp"
)

// naive answers calls by reading the policy anew for each, as a person would,
// with nothing shared with the compiler but the tables. It is what "correct"
// means in these tests.
type naive struct {
	p      *seccomp.Policy
	native seccomp.Arch
}

var strict = []seccomp.ActionKind{
	seccomp.Allow, seccomp.Log, seccomp.Notify, seccomp.Errno, seccomp.Trap, seccomp.KillThread, seccomp.KillProcess,
}

func rank(a seccomp.Action) int { return slices.Index(strict, a.Kind) }

func (v naive) answer(audit, nr uint32, args [6]uint64) seccomp.Action {
	a, ok := seccomp.LookupArch(audit, nr)
	listed := a == v.native || v.native.Runs(a) && slices.Contains(v.p.Architectures, a.String())
	if !ok || !listed {
		return seccomp.Action{Kind: seccomp.KillProcess}
	}
	s, ok := byNumber(a, nr)
	if !ok {
		return v.p.Unknown
	}
	return v.named(s, a, args)
}

// named answers a call by name. What it finds is compared by rank; of two
// equal ones the later found counts.
func (v naive) named(s seccomp.Syscall, a seccomp.Arch, args [6]uint64) seccomp.Action {
	var best seccomp.Action
	found, ruled, errnoRule := false, false, false
	take := func(x seccomp.Action) {
		if !found || rank(x) >= rank(best) {
			best, found = x, true
		}
	}
	if in(v.p.Deny, s.Name()) {
		if rank(v.p.Default) >= rank(seccomp.Action{Kind: seccomp.Errno}) {
			take(v.p.Default)
		} else {
			take(seccomp.Action{Kind: seccomp.Errno, Errno: 1})
		}
	}
	for _, r := range v.p.Rules {
		if !in(r.Syscalls, s.Name()) {
			continue
		}
		ruled = ruled || r.Action.Kind == seccomp.Allow
		if len(r.When) == 0 || slices.ContainsFunc(r.When, func(w string) bool { return holds(w, s, a, args) }) {
			take(r.Action)
			errnoRule = errnoRule || r.Action.Kind == seccomp.Errno
		}
	}
	if in(v.p.Allow, s.Name()) && !ruled {
		take(seccomp.Action{Kind: seccomp.Allow})
	}
	otherwise := v.p.Default
	young := s.Since().Major > 5 || s.Since().Major == 5 && s.Since().Minor >= 1
	if young && otherwise.Kind != seccomp.Allow && otherwise.Kind != seccomp.Log {
		otherwise = v.p.Unknown
	}
	if !found {
		best = otherwise
	}
	perm, nosys := seccomp.Action{Kind: seccomp.Errno, Errno: 1}, seccomp.Action{Kind: seccomp.Errno, Errno: 38}
	nest, grants := slices.Contains(v.p.Allow, "@nest"), rank(best) < 3
	switch low := uint32(args[0]); {
	case s.Name() == "clone" && !nest && grants && low&0x7e020000 != 0,
		s.Name() == "unshare" && !nest && grants && low&0x7e020080 != 0,
		s.Name() == "setns" && !nest && grants:
		return perm
	case s.Name() == "clone3" && !nest && !slices.Contains(v.p.Allow, "clone3"):
		if grants || best.Kind == seccomp.Errno && !errnoRule {
			return nosys
		}
	case s.Name() == "ioctl" && grants && !slices.Contains(v.p.Allow, "@terminal-input"):
		if r := uint32(args[1]); r == 0x5412 || r == 0x541c || r == 0x5423 {
			return perm
		}
	}
	return best
}

func in(list []string, name string) bool {
	return slices.ContainsFunc(list, func(e string) bool {
		calls, err := seccomp.Expand(e)
		return err == nil && slices.Contains(calls, name)
	})
}

var comparison = regexp.MustCompile(`^\s*arg(\d)(?::(\d+))?\s*(?:&\s*([\w|() ]+?))?\s*(==|!=|<=|>=|<|>|not ` +
	`in|in)\s*(.*?)\s*$`)

// holds evaluates one string of a rule's when.
func holds(when string, s seccomp.Syscall, a seccomp.Arch, args [6]uint64) bool {
	for part := range strings.SplitSeq(when, "&&") {
		m := comparison.FindStringSubmatch(part)
		arg, _ := strconv.Atoi(m[1])
		bits := widthOf(s, a, arg)
		if m[2] != "" {
			bits, _ = strconv.Atoi(m[2])
		}
		if !a.Wide() {
			bits = min(bits, 32)
		}
		x := args[arg] & (1<<bits - 1)
		if m[3] != "" {
			x &= valueOf(m[3], a, bits)
		}
		ok := false
		switch m[4] {
		case "==":
			ok = x == valueOf(m[5], a, bits)
		case "!=":
			ok = x != valueOf(m[5], a, bits)
		case "<":
			ok = x < valueOf(m[5], a, bits)
		case "<=":
			ok = x <= valueOf(m[5], a, bits)
		case ">":
			ok = x > valueOf(m[5], a, bits)
		case ">=":
			ok = x >= valueOf(m[5], a, bits)
		case "in", "not in":
			for e := range strings.SplitSeq(strings.Trim(m[5], "{}"), ",") {
				lo, hi, ranged := strings.Cut(e, "..")
				if !ranged {
					hi = lo
				}
				ok = ok || valueOf(lo, a, bits) <= x && x <= valueOf(hi, a, bits)
			}
			ok = ok == (m[4] == "in")
		}
		if !ok {
			return false
		}
	}
	return true
}

func valueOf(text string, a seccomp.Arch, bits int) (v uint64) {
	for w := range strings.SplitSeq(strings.Trim(text, "() "), "|") {
		w = strings.TrimSpace(w)
		if n, err := strconv.ParseInt(w, 0, 64); err == nil && n < 0 {
			return uint64(n) & (1<<bits - 1)
		}
		n, err := strconv.ParseUint(w, 0, 64)
		if err != nil {
			if n, err = seccomp.LookupConstant(w, a); err != nil {
				panic(err)
			}
		}
		v |= n
	}
	return v
}

// widthOf tells the width of arguments that the tests compare, from the
// manual pages.
func widthOf(s seccomp.Syscall, a seccomp.Arch, arg int) int {
	switch name := s.Name(); name {
	case "socket", "socketpair", "personality", "kill", "fcntl", "prctl", "setns", "clone3":
		if arg < 3 && (name != "prctl" || arg == 0) && (name != "fcntl" || arg < 2) && name != "clone3" {
			return 32
		}
	case "ioctl":
		if arg < 2 {
			return 32
		}
	case "mmap", "mmap2":
		if arg == 2 || arg == 3 || arg == 4 {
			return 32
		}
	case "mprotect":
		if arg == 2 {
			return 32
		}
	case "clone", "migrate_pages", "move_pages", "sched_setaffinity", "sched_setattr", "sched_setparam",
		"sched_setscheduler":
		if arg == 0 {
			return 32
		}
	case "setpriority", "ioprio_set", "setsockopt":
		if arg < 3 {
			return 32
		}
	case "prlimit64", "renameat2", "sendto", "sendmmsg", "sendmsg":
		if name == "prlimit64" && arg == 0 || name == "renameat2" && arg == 4 || name == "sendmsg" && arg == 2 ||
			name[:4] == "send" && arg == 3 {
			return 32
		}
	case "chmod", "fchmod", "creat", "mknod":
		if arg == 1 {
			return 16
		}
	case "fchmodat", "fchmodat2", "mknodat":
		if arg == 2 {
			return 16
		}
	case "open":
		switch arg {
		case 1:
			return 32
		case 2:
			return 16
		}
	case "openat":
		switch arg {
		case 0, 2:
			return 32
		case 3:
			return 16
		}
	}
	return 64
}

var numbersOf = map[seccomp.Arch]map[uint32]seccomp.Syscall{}

func byNumber(a seccomp.Arch, nr uint32) (seccomp.Syscall, bool) {
	if numbersOf[a] == nil {
		m := map[uint32]seccomp.Syscall{}
		for s := range seccomp.Syscalls() {
			if n, ok := s.Number(a); ok {
				m[n] = s
			}
		}
		numbersOf[a] = m
	}
	s, ok := numbersOf[a][nr]
	return s, ok
}
