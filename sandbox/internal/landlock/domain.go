package landlock

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
)

// ruleNetPort is LANDLOCK_RULE_NET_PORT, which x/sys does not define.
const ruleNetPort = 2

// Port allows a TCP port in a domain that restricts them: ABI 4, Linux 6.7.
// Binding port 0 means any port that the kernel picks.
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
	return fmt.Sprintf("add a Landlock rule to %s TCP port %d", what, p.Port)
}

func (Port) Kind() string { return "landlock-port-rule" }

func (Port) Hint(error) string {
	return "this kernel's Landlock knows no ports; " +
		"say net = \"new\" in the policy's [namespaces] instead of [network]"
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

// Restrict enters the domain. The process cannot leave it again.
type Restrict struct {
	ABI int
	// Log makes the kernel log denied accesses to the audit log. Without it, denials
	// in domains that the target makes itself are not logged either: the target
	// could fill the log with them.
	Log bool
	// Required is as in Ruleset.
	Required bool
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

// flags are none before ABI 7 (Linux 6.15), which logs no denials.
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

func (r Restrict) Hint(error) string { return hint(r.Required) }

// Compile is one landlock_restrict_self(2); no_new_privs is set by then.
func (r Restrict) Compile(a *step.Asm) {
	a.Sys(unix.SYS_LANDLOCK_RESTRICT_SELF, step.SlotRuleset.Arg(), step.Int(r.flags()))
}
