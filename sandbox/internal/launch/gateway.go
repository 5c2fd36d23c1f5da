package launch

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/internal/text"
	"sbx/policy/explain"
	"sbx/sandbox/internal/gateway"
	"sbx/sandbox/internal/notify"
)

// hostsPassed is what leads out of the sandbox's network.
type hostsPassed struct {
	gateway *gateway.Gateway // nil for none, and when it has ended
	denied  []gateway.Denied // by it, when it has ended
	named   func(netip.Addr) (string, bool)
	tell    func(explain.Denial, uint64) // of what is denied as it happens, or nil
	news    int                          // a descriptor that can be read when there is more to tell, or 0
}

// newGateway makes it, if the plan has one.
func (ps *Process) newGateway() (err error) {
	if ps.plan.Gateway != nil {
		c := *ps.plan.Gateway
		c.Socket = ps.askSocket
		if ps.listener != nil {
			c.Who = func(tcp bool, port uint16) (string, int) { return notify.Sender(ps.pid, tcp, port) }
		}
		ps.gateway, err = gateway.New(&c)
	}
	return err
}

// askSocket asks the init for a Unix socket of the sandbox's network.
func (ps *Process) askSocket() error {
	return unix.Sendto(ps.notify, []byte{step.MsgSocket}, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, nil)
}

// onNetwork takes a socket of the sandbox's network from the init.
func (ps *Process) onNetwork(kind byte, rights []byte) error {
	fd, err := receivedFD(rights)
	if err == nil {
		err = ps.gateway.Add(kind, fd)
	}
	if err != nil {
		return fmt.Errorf("receive a socket of the sandbox's network: %w", err)
	}
	return nil
}

// endGateway ends what leads out of the sandbox's network, once. It says why that had ended
// before, if it had.
func (ps *Process) endGateway() (notes []string) {
	g := ps.gateway
	if g == nil {
		return nil
	}
	ps.tellHosts()
	if err := g.Close(); err != nil {
		notes = append(notes, err.Error())
	}
	ps.denied, ps.named, ps.gateway = g.Denied(), g.Name, nil
	return notes
}

// gatewaySource are hosts that the target was denied, which are told as it happens.
type gatewaySource struct{ ps *Process }

func (s gatewaySource) fds(list []unix.PollFd) ([]unix.PollFd, int) {
	if s.ps.gateway == nil || s.ps.news == 0 {
		return list, -1
	}
	return append(list, unix.PollFd{Fd: int32(s.ps.news), Events: unix.POLLIN}), -1
}

func (s gatewaySource) ready([]unix.PollFd) (bool, error) {
	s.ps.tellHosts()
	return false, nil
}

// tellHosts tells of hosts that were denied since the last time.
func (ps *Process) tellHosts() {
	if ps.gateway == nil || ps.news == 0 {
		return
	}
	for _, d := range ps.gateway.News() {
		d.Count = 1
		ps.tell(hostDenial(d), 0)
	}
}

func hostDenial(d gateway.Denied) explain.Denial {
	return explain.Denial{Exe: d.Exe, PID: d.PID, Count: d.Count,
		Host: &explain.Host{Name: d.Host, Port: d.Port, Proto: d.Proto, Refused: d.Refused, Why: d.Why}}
}

// explainHosts adds the hosts that were denied to what is to be explained, with the program
// that was seen to connect there, and names in the place of the addresses inside.
func (ps *Process) explainHosts(r *explain.Record) {
	if ps.named == nil {
		return
	}
	var merged []explain.Attempt // a name has two addresses, and an address of IPv4 two forms
	for _, a := range r.Attempts {
		if to, err := netip.ParseAddrPort(a.Address); err == nil {
			a.Address = netip.AddrPortFrom(to.Addr().Unmap(), to.Port()).String()
			if name, ok := ps.named(to.Addr()); ok {
				a.Address = name + ":" + strconv.Itoa(int(to.Port()))
			}
		}
		i := slices.IndexFunc(merged, func(b explain.Attempt) bool {
			return a.Call == b.Call && a.Address == b.Address && a.Exe == b.Exe && a.Idle == b.Idle
		})
		if i < 0 {
			merged = append(merged, a)
		} else {
			merged[i].Count += a.Count
		}
	}
	r.Attempts = merged
	for _, d := range ps.denied {
		denial := hostDenial(d)
		for i, a := range r.Attempts {
			if a.Call != "connect" || a.Address != d.Target() {
				continue
			}
			if d.Refused {
				// It is one of these: told of by what was seen on the network, which knows the
				// protocol.
				r.Attempts[i].Told = true
			}
			if denial.Exe == "" {
				denial.Exe, denial.PID = a.Exe, a.PID
			}
		}
		r.Denials = append(r.Denials, denial)
	}
}

// deniedNotes say what a target that failed was not let through to.
func (ps *Process) deniedNotes(exit Exit) (notes []string) {
	if exit.Code() == 0 {
		return nil
	}
	const most = 5
	for i, d := range ps.denied {
		if i == most {
			notes = append(notes, fmt.Sprintf("no connection to %d hosts more", len(ps.denied)-most))
			break
		}
		notes = append(notes, deniedNote(d))
	}
	return notes
}

func deniedNote(d gateway.Denied) string {
	switch {
	case d.Proto != "":
		return fmt.Sprintf("no %s to %s: only TCP leaves the sandbox's network", d.Proto, text.OneLine(d.Target()))
	case d.Why != "":
		return fmt.Sprintf("no connection to %s: %s", text.OneLine(d.Target()), text.OneLine(d.Why))
	}
	return fmt.Sprintf("no connection to %s: the policy does not name it; --host %s allows it", text.OneLine(d.Target()),
		text.OneLine(d.Flag()))
}
