package seccomp

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// MaxErrno is the largest errno a filter can answer; the kernel caps what is
// above.
const MaxErrno = 4095

var kindNames = [...]string{"", "allow", "errno", "kill-process", "kill-thread", "trap", "log", "notify"}

// String is the kind as a policy writes it, errno without its number.
func (k ActionKind) String() string {
	if int(k) >= len(kindNames) {
		return "unknown"
	}
	return kindNames[k]
}

// strictness orders kinds as the kernel does among several filters' answers:
// the highest wins. See seccomp(2).
func (k ActionKind) strictness() int {
	switch k {
	case KillProcess:
		return 7
	case KillThread:
		return 6
	case Trap:
		return 5
	case Errno:
		return 4
	case Notify:
		return 3
	case Log:
		return 2
	case Allow:
		return 1
	}
	return 0
}

// Stricter reports whether the kernel would take a rather than b from two
// filters. Two errnos are equally strict.
func (a Action) Stricter(b Action) bool { return a.Kind.strictness() > b.Kind.strictness() }

// String is the action as a policy writes it: "allow", "errno:EPERM", ...
func (a Action) String() string {
	if a.Kind != Errno {
		return a.Kind.String()
	}
	return "errno:" + ErrnoName(int(a.Errno))
}

// Return is the value that a filter returns for the action, SECCOMP_RET_*.
func (a Action) Return() uint32 {
	switch a.Kind {
	case Allow:
		return 0x7fff0000
	case Log:
		return 0x7ffc0000
	case Notify:
		return 0x7fc00000
	case Errno:
		return 0x00050000 | uint32(a.Errno)
	case Trap:
		return 0x00030000
	case KillThread:
		return 0
	}
	return 0x80000000
}

// ActionOf is the action that a filter's return value stands for; not ok for
// those we have none for, such as SECCOMP_RET_TRACE. The kernel takes an
// action that it does not know for kill-process.
func ActionOf(ret uint32) (a Action, ok bool) {
	switch ret & 0xffff0000 {
	case 0x7fff0000:
		return Action{Kind: Allow}, true
	case 0x7ffc0000:
		return Action{Kind: Log}, true
	case 0x7fc00000:
		return Action{Kind: Notify}, true
	case 0x00050000:
		return Action{Errno, uint16(min(ret&0xffff, MaxErrno))}, true
	case 0x00030000:
		return Action{Kind: Trap}, true
	case 0:
		return Action{Kind: KillThread}, true
	case 0x80000000:
		return Action{Kind: KillProcess}, true
	}
	return Action{}, false
}

// ParseAction reads an action: "allow", "errno:NAME", "errno:NUMBER" (1 to
// 4095), "kill-process", "kill-thread", "trap", "log" or "notify".
func ParseAction(s string) (Action, error) {
	if name, ok := strings.CutPrefix(s, "errno:"); ok {
		n, err := LookupErrno(name)
		return Action{Errno, uint16(n)}, err
	}
	if s == "errno" {
		return Action{}, fmt.Errorf("action %q lacks its number, as in errno:EPERM", s)
	}
	for k, name := range kindNames {
		if name == s && s != "" {
			return Action{Kind: ActionKind(k)}, nil
		}
	}
	return Action{}, unknown("action", s, slices.Values([]string{
		"allow", "errno:EPERM", "errno:ENOSYS", "kill-process", "kill-thread", "trap", "log", "notify",
	}))
}

// MarshalText writes what String does; an unset action is an error.
func (a Action) MarshalText() ([]byte, error) {
	if a.Kind == Unset || a.Kind.strictness() == 0 {
		return nil, fmt.Errorf("action is not set")
	}
	return []byte(a.String()), nil
}

// UnmarshalText reads what ParseAction does.
func (a *Action) UnmarshalText(text []byte) error {
	v, err := ParseAction(string(text))
	if err != nil {
		return err
	}
	*a = v
	return nil
}

// errno is a name and its number.
type errno struct {
	name  string
	value uint16
}

// LookupErrno reads an errno by name, or as a number from 1 to 4095: a filter
// that answers 0 would fake success. An unknown name's error is a *NameError.
func LookupErrno(s string) (int, error) {
	if s != "" && s[0] >= '0' && s[0] <= '9' {
		n, err := strconv.ParseUint(s, 10, 16)
		if err != nil || n < 1 || n > MaxErrno || s[0] == '0' {
			return 0, fmt.Errorf("errno %q is not a number from 1 to %d", s, MaxErrno)
		}
		return int(n), nil
	}
	i, ok := slices.BinarySearchFunc(errnos[:], s, func(e errno, s string) int { return cmp.Compare(e.name, s) })
	if !ok {
		return 0, unknown("errno", s, func(yield func(string) bool) {
			for _, e := range errnos {
				if !yield(e.name) {
					return
				}
			}
		})
	}
	return int(errnos[i].value), nil
}

// ErrnoName is the name of an errno, or its number where it has none.
func ErrnoName(n int) string {
	for _, e := range errnos {
		// Of two names for one number the one that errno(3) prefers.
		if int(e.value) == n && e.name != "EWOULDBLOCK" && e.name != "EDEADLOCK" && e.name != "ENOTSUP" {
			return e.name
		}
	}
	return strconv.Itoa(n)
}
