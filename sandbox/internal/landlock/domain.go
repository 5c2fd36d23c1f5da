package landlock

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
)

// ruleNetPort is LANDLOCK_RULE_NET_PORT, which x/sys has not.
const ruleNetPort = 2

// Port opens a TCP port in a domain that closes them: ABI 4, Linux 6.7. Port 0
// to bind is any that the kernel picks.
type Port struct {
	Port          uint16
	Bind, Connect bool
}

func (p Port) String() string {
	what := "bind"
	switch {
	case p.Bind && p.Connect:
		what = "bind and connect to"
	case p.Connect:
		what = "connect to"
	}
	return fmt.Sprintf("allow Landlock to %s TCP port %d", what, p.Port)
}

func (Port) Kind() string { return "landlock-port-rule" }

func (Port) Hint(error) string {
	return "this kernel's Landlock knows no ports; say net = \"new\" in the policy's [namespaces] in the place of [network]"
}

// Compile adds the rule, struct landlock_net_port_attr.
func (p Port) Compile(a *step.Asm) {
	var allow uint64
	if p.Bind {
		allow |= unix.LANDLOCK_ACCESS_NET_BIND_TCP
	}
	if p.Connect {
		allow |= unix.LANDLOCK_ACCESS_NET_CONNECT_TCP
	}
	attr := binary.NativeEndian.AppendUint64(nil, allow)
	attr = binary.NativeEndian.AppendUint64(attr, uint64(p.Port))
	a.Sys(unix.SYS_LANDLOCK_ADD_RULE, step.SlotRuleset.Arg(), step.Int(ruleNetPort), a.Bytes(attr), step.Int(0))
}

// Restrict enters the domain for good.
type Restrict struct {
	ABI int
	// Log lets the kernel's audit log tell what was denied. Without it not
	// even domains that the target makes of its own are told of, by which it
	// could fill the log.
	Log bool
}

func (r Restrict) String() string {
	switch r.flags() {
	case unix.LANDLOCK_RESTRICT_SELF_LOG_NEW_EXEC_ON:
		return "enter the Landlock domain, log what it denies"
	case unix.LANDLOCK_RESTRICT_SELF_LOG_SUBDOMAINS_OFF:
		return "enter the Landlock domain, log nothing"
	}
	return "enter the Landlock domain"
}

// flags are none before ABI 7 (Linux 6.15), which logs nothing.
func (r Restrict) flags() int {
	switch {
	case r.ABI < ABILog:
		return 0
	case r.Log:
		return unix.LANDLOCK_RESTRICT_SELF_LOG_NEW_EXEC_ON
	}
	return unix.LANDLOCK_RESTRICT_SELF_LOG_SUBDOMAINS_OFF
}

func (Restrict) Kind() string { return "landlock-restrict-self" }

func (Restrict) Hint(error) string { return withoutHint }

// Compile is one landlock_restrict_self(2); no_new_privs is set by then.
func (r Restrict) Compile(a *step.Asm) {
	a.Sys(unix.SYS_LANDLOCK_RESTRICT_SELF, step.SlotRuleset.Arg(), step.Int(r.flags()))
}
