package seccomp

// SetIDRules keep a process from making files with the set-user-ID or the
// set-group-ID bit. A filter sees no file types, so they hold for directories
// too; mkdir(2) by itself gives those bits to nothing. A mode counts where a
// file may be made: 0o20000000 is O_TMPFILE's own bit.
//
// openat2(2) has its mode in memory, where no filter can look. With openat2 it
// is refused altogether, as on a kernel before Linux 5.6.
func SetIDRules(openat2 bool) []Rule {
	const (
		bits    = " & (S_ISUID|S_ISGID) != 0"
		creates = " & (O_CREAT|0o20000000) != 0 && "
		perm    = 1
		noCall  = 38
	)
	rule := func(errno uint16, when string, calls ...string) Rule {
		r := Rule{Syscalls: calls, Action: Action{Kind: Errno, Errno: errno}}
		if when != "" {
			r.When = []string{when}
		}
		return r
	}
	rules := []Rule{
		rule(perm, "arg1"+bits, "chmod", "fchmod", "creat", "mknod"),
		rule(perm, "arg2"+bits, "fchmodat", "fchmodat2", "mknodat"),
		rule(perm, "arg1"+creates+"arg2"+bits, "open"),
		rule(perm, "arg2"+creates+"arg3"+bits, "openat"),
	}
	if openat2 {
		rules = append(rules, rule(noCall, "", "openat2"))
	}
	return rules
}
