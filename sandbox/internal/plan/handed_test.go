package plan

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sbx/policy"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/landlock"
	"sbx/sandbox/internal/plantest"
	"sbx/sandbox/internal/process"
)

// TestHanded holds what is closed for sockets that are handed over: by which
// filters, by which rights of Landlock, and what is refused instead.
func TestHanded(t *testing.T) {
	socket := func(family, kind, protocol int) host.Handed {
		return host.Handed{FD: 3, Mode: unix.S_IFSOCK, Listen: true, Socket: host.Socket{Family: family, Type: kind,
			Protocol: protocol}}
	}
	listening := func(f host.Handed) host.Handed { f.Socket.Listening = true; return f }
	connected := func(f host.Handed) host.Handed { f.Socket.Connected = true; return f }
	const mptcp, smc = 262, 43
	var (
		tcp, tcp6 = socket(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_TCP), socket(unix.AF_INET6, unix.SOCK_STREAM,
			unix.IPPROTO_TCP)
		udp, udp6 = socket(unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_UDP), socket(unix.AF_INET6, unix.SOCK_DGRAM,
			unix.IPPROTO_UDP)
		unixStream      = socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		unixDgram       = socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
		multipath       = socket(unix.AF_INET, unix.SOCK_STREAM, mptcp)
		sctp            = socket(unix.AF_INET, unix.SOCK_SEQPACKET, unix.IPPROTO_SCTP)
		raw, packet     = socket(unix.AF_INET, unix.SOCK_RAW, 1), socket(unix.AF_PACKET, unix.SOCK_DGRAM, 3)
		netlink, nobody = socket(unix.AF_NETLINK, unix.SOCK_RAW, 0), socket(0, 0, 0)
		file            = host.Handed{FD: 3, Mode: unix.S_IFREG}
		byPath          = host.Handed{FD: 3, Mode: unix.S_IFSOCK, Path: true}
	)
	const (
		open, connect, listen, address = "no connection by sending", "no connect and no bind", "no listen",
			"no sending to an address"
		ports, abstract = "ports", "abstract"
	)
	off := func(p *policy.Policy) { p.Process.Landlock = "off" }
	own := func(p *policy.Policy) { yes := true; p.Files.OwnSockets = &yes }
	network := func(p *policy.Policy) { p.Namespaces.Net = "host" }
	named := func(p *policy.Policy) { p.Namespaces.Net, p.Network.Connect = "host", []string{"443"} }
	words := &refusals{}
	for _, c := range []struct {
		name    string
		sockets []host.Handed
		abi     int
		edit    func(*policy.Policy)
		want    []string
		refused bool
	}{
		{"nothing", nil, 7, nil, nil, false},
		{"a file", []host.Handed{file}, 7, nil, nil, false},
		{"a path", []host.Handed{byPath}, 7, nil, nil, false},
		{"a listener", []host.Handed{listening(tcp)}, 7, nil, []string{ports, open}, false},
		{"a listener, IPv6", []host.Handed{listening(tcp6)}, 4, nil, []string{ports, open}, false},
		{"a connection", []host.Handed{connected(tcp)}, 7, nil, []string{ports, open, listen}, false},
		{"a connection, IPv6", []host.Handed{connected(tcp6)}, 7, nil, []string{ports, open, listen}, false},
		{"both", []host.Handed{connected(tcp), listening(tcp6)}, 7, nil, []string{ports, open}, false},
		{"a listener before ABI 4", []host.Handed{listening(tcp)}, 3, nil, []string{open, connect}, false},
		{"a connection without Landlock", []host.Handed{connected(tcp)}, 0, nil, []string{open, connect, listen}, false},
		{"a listener, Landlock off", []host.Handed{listening(tcp)}, 7, off, []string{open, connect}, false},
		{"a listener and nest", []host.Handed{listening(tcp)}, 7,
			func(p *policy.Policy) { p.Process.Nest = plantest.Ptr(true) }, []string{open, connect}, false},
		{"a listener, MPTCP", []host.Handed{listening(multipath)}, 7, nil, []string{open, connect}, false},
		{"a listener, SMC", []host.Handed{listening(socket(smc, unix.SOCK_STREAM, 0))}, 7, nil, []string{open, connect},
			false},
		{"a virtual machine's", []host.Handed{connected(socket(unix.AF_VSOCK, unix.SOCK_STREAM, 0))}, 7, nil,
			[]string{open, connect, listen}, false},
		{"datagrams", []host.Handed{udp}, 7, nil, []string{connect, address}, false},
		{"datagrams, IPv6, connected", []host.Handed{connected(udp6)}, 7, nil, []string{connect, address}, false},
		{"datagrams, Landlock off", []host.Handed{udp}, 7, off, []string{connect, address}, false},
		{"a listener and datagrams", []host.Handed{listening(tcp), udp}, 7, nil, []string{ports, open, connect, address},
			false},
		{"SCTP", []host.Handed{sctp}, 7, nil, []string{connect, address}, false},
		{"raw", []host.Handed{raw}, 7, nil, nil, true},
		{"packets", []host.Handed{packet}, 7, nil, nil, true},
		{"netlink", []host.Handed{netlink}, 7, nil, nil, true},
		{"of a kind that the kernel does not tell", []host.Handed{nobody}, 7, nil, nil, true},
		{"the host's network", []host.Handed{listening(tcp), udp, raw, netlink, connected(unixStream)}, 7, network, nil,
			false},
		{"ports and a listener", []host.Handed{listening(tcp)}, 7, named, nil, false},
		{"ports and datagrams", []host.Handed{udp}, 7, named, nil, true},
		{"ports and MPTCP", []host.Handed{listening(multipath)}, 7, named, nil, true},
		{"ports and a Unix socket", []host.Handed{connected(unixStream)}, 7, named, nil, false},
		{"Unix, connected", []host.Handed{connected(unixStream)}, 7, nil, []string{abstract}, false},
		{"Unix, connected, without Landlock", []host.Handed{connected(unixStream)}, 0, nil, nil, false},
		{"Unix, listening, Landlock off", []host.Handed{listening(unixStream)}, 7, off, nil, false},
		{"Unix, neither", []host.Handed{unixStream}, 7, nil, []string{abstract, connect}, false},
		{"Unix, neither, Landlock 9", []host.Handed{unixStream}, 9, nil, []string{abstract}, false},
		{"Unix datagrams", []host.Handed{connected(unixDgram)}, 7, nil, []string{abstract, connect, address}, false},
		{"Unix datagrams, Landlock 9", []host.Handed{unixDgram}, 9, nil, []string{abstract}, false},
		{"Unix datagrams, Landlock 9 but off", []host.Handed{unixDgram}, 9, off, []string{connect, address}, false},
		{"Unix datagrams, sockets of its own", []host.Handed{unixDgram}, 7, own, []string{abstract}, false},
		{"Unix datagrams, sockets of its own, old Landlock", []host.Handed{unixDgram}, 5, own,
			[]string{connect, address}, false},
		{"Unix datagrams, the host's network", []host.Handed{unixDgram}, 7, network, []string{connect, address}, false},
		{"Unix datagrams, some sockets named, old Landlock", []host.Handed{unixDgram}, 5,
			func(p *policy.Policy) { p.Files.Sockets = []string{"?/run/s"} }, []string{connect, address}, false},
		{"Unix datagrams, some sockets named", []host.Handed{unixDgram}, 7,
			func(p *policy.Policy) { p.Files.Sockets = []string{"?/run/s"} }, []string{abstract}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := plantest.Shipped(t, "default")
			p.Files.OwnSockets = nil
			if c.edit != nil {
				c.edit(p)
			}
			h := plantest.Debian(p, 1000)
			h.LSM.Landlock, h.Handed = c.abi, c.sockets
			plan, err := Build(p, plantest.AllowAll, host.Target{Path: "x", Args: []string{"x"}, Dir: "/tmp"}, h)
			words.add(c.name, err)
			if c.refused {
				if !errors.Is(err, host.LeadsOut) {
					t.Errorf("refused with %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, s := range plan.Target {
				switch s := s.(type) {
				case landlock.Ruleset:
					if s.Bind != s.Connect && p.Network.Connect == nil {
						t.Errorf("half of the ports: %+v", s)
					}
					if s.Bind {
						got = append(got, ports)
					}
					if s.ScopeAbstract && p.Namespaces.Net != "host" && c.abi >= landlock.ABIScopes {
						got = append(got, abstract)
					}
				case process.Seccomp:
					if strings.HasPrefix(s.Name, "no ") && !strings.HasPrefix(s.Name, "no Unix") &&
						!strings.HasPrefix(s.Name, "no signals") && !strings.HasPrefix(s.Name, "no set-id") {
						got = append(got, s.Name)
					}
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("closed are %q, want %q", got, c.want)
			}
			said := slices.IndexFunc(plan.Notes, func(s string) bool { return strings.HasPrefix(s, "descriptor") })
			if closed := slices.DeleteFunc(slices.Clone(c.want),
				func(s string) bool { return s == abstract }); (said >= 0) != (len(closed) > 0) {
				t.Errorf("closed are %q, and the notes say %q", closed, plan.Notes)
			}
		})
	}
	golden(t, "refusals-handed.txt", words.String())
}

// TestHandedNote holds the words that the run says what is lost in.
func TestHandedNote(t *testing.T) {
	for want, x := range map[string]handedPlan{
		"": {},
		"descriptor 3 is a socket of the host: refused are connect and bind of TCP, also for the target's own sockets": {
			tcp: true, fastOpen: true, listen: true, listening: true, from: []string{"3"}},
		"descriptors 0, 1 are sockets of the host: refused are connect and bind, listen, sending to an address, " +
			"also for the target's own sockets": {connect: true, listen: true, addresses: true, from: []string{"0", "1"}},
	} {
		if got := x.note(); got != want {
			t.Errorf("%+v: %q, want %q", x, got, want)
		}
	}
}

// TestLeadsOut: what acts for its maker crosses only on purpose, and a ring never does.
func TestLeadsOut(t *testing.T) {
	const never, asked, always = "never", "asked", "always"
	words := &refusals{}
	for _, c := range []struct {
		f    host.Handed
		when string
	}{
		{host.Handed{Mode: unix.S_IFREG}, always}, {host.Handed{Mode: unix.S_IFIFO}, always},
		{host.Handed{Mode: unix.S_IFDIR}, asked}, {host.Handed{Mode: unix.S_IFREG, Path: true}, asked},
		{host.Handed{Path: true}, asked},
		{host.Handed{Anonymous: "eventfd"}, always}, {host.Handed{Anonymous: "eventpoll"}, asked},
		{host.Handed{Anonymous: "timerfd"}, always}, {host.Handed{Anonymous: "signalfd"}, always},
		{host.Handed{Anonymous: "inotify"}, asked}, {host.Handed{Anonymous: "landlock-ruleset"}, asked},
		{host.Handed{Mode: unix.S_IFREG, Memory: true, Write: true}, always},
		{host.Handed{Mode: unix.S_IFREG, Memory: true}, never},
		{host.Handed{Mode: unix.S_IFREG, Anonymous: "namespace"}, asked},
		{host.Handed{Anonymous: "pidfd"}, asked}, {host.Handed{Anonymous: "userfaultfd"}, asked},
		{host.Handed{Anonymous: "fanotify"}, asked}, {host.Handed{Anonymous: "bpf-map"}, asked},
		{host.Handed{Anonymous: "fscontext"}, asked}, {host.Handed{Anonymous: "of another kernel"}, asked},
		{host.Handed{Anonymous: "?"}, asked}, {host.Handed{Anonymous: "io_uring"}, never},
	} {
		for _, how := range []string{"0", "LISTEN_FDS", "--keep-fd"} {
			f, name := c.f, fmt.Sprintf("mode %o, %q, %v, by %s", c.f.Mode, c.f.Anonymous, c.f.Path, how)
			if how != "0" {
				f.FD, f.Listen = 3, how == "LISTEN_FDS"
			}
			p := plantest.Shipped(t, "default")
			h := plantest.Debian(p, 1000)
			h.Handed = []host.Handed{f}
			_, err := Build(p, plantest.AllowAll, host.Target{Path: "x", Args: []string{"x"}, Dir: "/tmp"}, h)
			words.add(name, err)
			if ok := c.when == always || c.when == asked && how == "--keep-fd"; ok != (err == nil) ||
				!ok && !errors.Is(err, host.LeadsOut) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	golden(t, "refusals-leads-out.txt", words.String())
}
