package seccomp

// Policy is the [seccomp] table of a policy. Deny beats allow, always.
type Policy struct {
	// Default answers known system calls that nothing here names. Unset:
	// errno:EPERM.
	Default Action
	// Unknown answers numbers that no call of our table has and, unless
	// Default is allow or log, young system calls (since Linux 5.1) that are
	// not listed: what an older kernel would have said. Unset: errno:ENOSYS.
	Unknown Action
	// Allow and Deny list system calls and @groups. "@nest", "@terminal-input"
	// and "clone3" in Allow also lift built-in rules: see Builtins.
	Allow, Deny []string
	// Rules say more about a call's arguments.
	Rules []Rule
	// Architectures lists ABIs besides the machine's own that are filtered
	// by the same policy; all others are killed.
	Architectures []string
	// Log, SpecAllow and WaitKillable are SECCOMP_FILTER_FLAG_LOG,
	// _SPEC_ALLOW and _WAIT_KILLABLE_RECV.
	Log, SpecAllow, WaitKillable *bool
}

// Rule is one [[seccomp.rule]].
type Rule struct {
	Syscalls []string
	// When holds conditions such as "arg0 == AF_UNIX" or
	// "arg1 & 0xff == 1"; any of them is enough. None: always.
	When   []string
	Action Action
}

// ActionKind is what the kernel does with a call.
type ActionKind uint8

// The kinds of action, the zero value meaning "not said".
const (
	Unset ActionKind = iota
	Allow
	Errno
	KillProcess
	KillThread
	Trap
	Log
	Notify
)

// Action is a kind with its errno (1..4095), which only Errno has.
type Action struct {
	Kind  ActionKind
	Errno uint16
}

// Program is one classic BPF program as the kernel takes it: sock_filter
// structures of 8 bytes each in the machine's byte order.
type Program []byte
