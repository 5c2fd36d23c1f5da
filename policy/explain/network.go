package explain

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/text"
	"sbx/policy"
	"sbx/policy/network"
	"sbx/policy/seccomp"
)

// rare are calls that connect, or are about other processes.
var rare = [...]string{"connect", "bind", "kill", "ptrace"}

// IsRare says that the call is one of them.
func IsRare(name string) bool { return slices.Contains(rare[:], name) }

// Signals says that the call is about another process.
func Signals(name string) bool { return name == "kill" || name == "ptrace" }

// Process is the process that such a call is about, 0 where it is none, or a group.
func Process(name string, args [6]uint64) int32 {
	pid := int32(args[0])
	if name == "ptrace" {
		if r := uint32(args[0]); r != unix.PTRACE_ATTACH && r != unix.PTRACE_SEIZE {
			return 0
		}
		pid = int32(args[1])
	}
	return max(pid, 0)
}

// rareCalls are observed in each explained run: they are made so seldom that it costs
// nothing that could be measured.
func rareCalls() []string {
	list := append([]string(nil), rare[:]...)
	for _, name := range capabilityCalls {
		if !IsFileCall(name) { // chown, which root's tar makes for each file
			list = append(list, name)
		}
	}
	return list
}

// Rare are their numbers.
func Rare(a seccomp.Arch) []uint32 { return Numbers(rareCalls(), a) }

// Numbers are those of the calls that the architecture has.
func Numbers(names []string, a seccomp.Arch) (list []uint32) {
	for _, name := range names {
		s, err := seccomp.LookupSyscall(name)
		if err != nil {
			continue // a test holds that each is there
		}
		if nr, ok := s.Number(a); ok {
			list = append(list, nr)
		}
	}
	return list
}

// Attempt is a call that the filters allow, and that fails for another reason: there is no
// network, or a capability is missing.
type Attempt struct {
	// Call is the call's name, Address its socket address, if it has one.
	Call, Address string
	// Needs is the capability that the call takes, or "".
	Needs string
	// Idle says that nothing in the sandbox listens at the address, which is of its own
	// loopback.
	Idle bool
	// Outside says that it is about a process that is not in the sandbox, and Limit which
	// limit it has reached, or is "".
	Outside bool
	Limit   string
	// Said is the call with its arguments, or "".
	Said string
	// Told says that a Denial tells of it.
	Told bool
	Exe  string
	PID  int
	// Count is how often.
	Count uint64
}

// attempts judges them. Where the kernel's rules leave it open whether a call has failed,
// nothing is said.
func (j *Judge) attempts(list []Attempt) (out []Item) {
	for _, a := range list {
		if a.Told {
			continue
		}
		item := Item{
			What: "network", Call: a.Call + " " + short(a.Address), Name: a.Call, Exe: text.OneLine(Redact(a.Exe)),
			PID: a.PID, Count: a.Count, Flag: true,
		}
		var ok bool
		switch a.Call {
		case "connect":
			ok = j.connect(a, &item)
		case "bind":
			ok = j.bind(a, &item)
		case "kill", "ptrace":
			ok = a.Outside && j.outside(a, &item)
		default:
			item.Call = cmp.Or(a.Said, a.Call)
			if a.Limit != "" {
				ok = j.limit(a.Limit, &item)
				break
			}
			ok = a.Needs != "" && j.credentials(a.Needs, &item)
		}
		if ok {
			out = append(out, item)
		}
	}
	return out
}

// connect is a connection in a network of the sandbox's own, which has a loopback only.
func (j *Judge) connect(a Attempt, item *Item) bool {
	to, err := netip.ParseAddrPort(a.Address)
	if len(j.Policy.Network.Hosts) > 0 && j.Policy.Namespaces.Net == "new" && (err != nil || !to.Addr().IsLoopback()) {
		// The launcher has put a name in the place of an address that stands for one.
		host, number, _ := strings.Cut(a.Address, ":")
		if err == nil {
			host, number = to.Addr().Unmap().String(), strconv.Itoa(int(to.Port()))
		}
		port, err := policy.ParsePort(number)
		return err == nil && port != 0 && j.byName(a, host, port, item)
	}
	if err != nil || j.Policy.Namespaces.Net != "new" || j.keeps("net_admin") {
		return false
	}
	const dns = 53
	loopback := to.Addr().Unmap().IsLoopback()
	switch {
	case loopback && !a.Idle:
		return false
	case loopback:
		item.Answer = "ECONNREFUSED"
		item.Why = "nothing listens there in the sandbox, whose loopback is its own"
	case to.Addr().IsUnspecified():
		return false
	default:
		item.Answer = "ENETUNREACH"
		item.Why = "policy " + text.Quote(j.Policy.Name) + " has no network but a loopback of its own"
	}
	if to.Port() == dns {
		item.Why = "to look up a name; " + item.Why
	}
	item.Allow = "--net host"
	if j.Source != nil {
		if o, ok := j.Source.Origin("namespaces.net", ""); ok {
			item.Where = origin(o)
		}
	}
	return true
}

// host is a host that the policy's network does not lead to.
func (j *Judge) host(d Denial) Item {
	h := d.Host
	item := Item{What: "network", Call: "connect " + text.OneLine(h.target()), Name: "connect", Answer: "ECONNRESET",
		Exe: text.OneLine(Redact(d.Exe)), PID: d.PID, Count: d.Count, Why: text.OneLine(h.Why)}
	switch {
	case h.Proto != "":
		item.Call, item.Name, item.Answer = h.Proto+" to "+text.OneLine(h.target()), "send", "ECONNREFUSED"
		if h.Proto == "ICMP" {
			item.Answer = "" // the sandbox's own loopback has it
		}
		item.Why = "of policy " + text.Quote(j.Policy.Name) + " with network.hosts only TCP leaves the sandbox"
	case h.Port == 0:
		item.Call, item.Name, item.Answer = "look up "+text.OneLine(h.Name), "look up", "NXDOMAIN"
	case h.Refused:
		item.Answer = "ECONNREFUSED"
	}
	if h.Why == "" && h.Proto == "" {
		item.Why = "policy " + text.Quote(j.Policy.Name) + " does not name it in network.hosts"
		item.Allow, item.Flag = "--host "+text.OneLine(h.flag()), true
	}
	if j.Source != nil && len(j.Policy.Network.Hosts) > 0 {
		if o, ok := j.Source.Origin("network.hosts", j.Policy.Network.Hosts[0]); ok {
			item.Where = origin(o)
		}
	}
	return item
}

// target is the host and its port, if that is known, and flag the entry that allows it.
func (h *Host) target() string {
	if h.Port == 0 {
		return h.Name
	}
	return net(h.Name, h.Port)
}

func (h *Host) flag() string {
	if h.Port == 0 {
		return h.Name + ":PORT"
	}
	return net(h.Name, h.Port)
}

func net(host string, port uint16) string {
	if a, err := netip.ParseAddr(host); err == nil {
		return netip.AddrPortFrom(a, port).String()
	}
	return fmt.Sprintf("%s:%d", host, port)
}

// byName is a connection where the policy names hosts. Those to the ports that it names
// come to the launcher, which tells of them itself.
func (j *Judge) byName(a Attempt, host string, port uint16, item *Item) bool {
	rules, err := j.Policy.Network.Rules()
	if err != nil || port == 53 || slices.ContainsFunc(rules, func(r network.Rule) bool { return r.Port == port }) {
		return false
	}
	*item = j.host(Denial{Host: &Host{Name: host, Port: port}, Exe: a.Exe, PID: a.PID, Count: a.Count})
	item.Answer = "ECONNREFUSED"
	return true
}

// bind is a port that takes a capability.
func (j *Judge) bind(a Attempt, item *Item) bool {
	at, err := netip.ParseAddrPort(a.Address)
	first := uint16(firstPort)
	if j.Policy.Namespaces.Net == "host" {
		first = j.FirstPort
	}
	if err != nil || at.Port() == 0 || at.Port() >= first {
		return false
	}
	return j.capability("net_bind_service", unix.EACCES, item)
}

// firstPort is the first port that takes no capability, in a network namespace in which
// nobody has changed it.
const firstPort = 1024

// capability is a call that takes one, if the policy does not keep it.
func (j *Judge) capability(name string, answer unix.Errno, item *Item) bool {
	if j.keeps(name) {
		return false
	}
	item.What, item.Flag, item.Answer = "capability", false, unix.ErrnoName(answer)
	item.Why = "it takes CAP_" + strings.ToUpper(name) + ", which the policy does not keep"
	if !j.Root {
		item.Against = "only sbx run by root can leave a program a capability"
		if name == "net_bind_service" {
			item.Against += "; a port from 1024 on takes none"
		}
		return true
	}
	item.Allow = fmt.Sprintf("capabilities = [%q] in [process]", name)
	item.Against = map[string]string{
		"setgid":     "a program that may change its groups can reach what other groups own",
		"setuid":     "a program that may become another user can reach what is that user's",
		"chown":      "a program that may give files away can make set-id files of them",
		"sys_admin":  "a program that may mount can uncover what is hidden, and much else",
		"mknod":      "a program that makes devices has the machine's hardware",
		"net_raw":    "a program with raw sockets sees and makes packets of others",
		"sys_nice":   "a program with a high priority can take the processors from all others",
		"sys_chroot": "a program that may change its root can leave another one that it has changed to",
	}[name]
	return true
}

// credentials is a call about users and groups. Without root's help the sandbox has the
// caller's alone, and the kernel knows no others there.
func (j *Judge) credentials(name string, item *Item) bool {
	answer := unix.EPERM
	if !j.Root && item.Name != "setgroups" && slices.Contains([]string{"setuid", "setgid", "chown"}, name) {
		answer = unix.EINVAL
	}
	if item.Name == "setpriority" {
		answer = unix.EACCES
	}
	return j.capability(name, answer, item)
}

// keeps says that the policy keeps the capability, or may.
func (j *Judge) keeps(name string) bool {
	return slices.ContainsFunc(j.Policy.Process.Capabilities, func(c string) bool {
		return strings.TrimPrefix(c, "?") == name
	})
}
