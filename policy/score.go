package policy

import (
	"fmt"
	"slices"
	"strings"

	"sbx/policy/seccomp"
)

// Open is a line of a score: something that a policy leaves open.
type Open struct {
	Area string `json:"area"`
	// What remains open, in words, and the Key that would close it.
	What string `json:"what"`
	Key  string `json:"key"`
	// Points are its part of the score, and Of what it could be at most.
	Points float64 `json:"points"`
	Of     float64 `json:"of"`
}

// Score is how much a policy leaves open, from 0 (nothing) to 10 (as without a
// sandbox), and what, the most first. A policy that allows more by Compare never has
// a lower one. It says nothing of what is hidden by a pattern, nor of how good a
// program is.
func (p *Policy) Score(on seccomp.Arch) (score float64, open []Open, err error) {
	// As the policy says it, which is what Compare looks at: what other keys make of it
	// has lines of its own.
	calls, err := p.Seccomp.Answers(on)
	if err != nil {
		return 0, nil, err
	}
	x := &scorer{p: p, tree: p.Tree(), calls: calls}
	x.all()
	for i := range x.lines {
		x.lines[i].Points = x.lines[i].Points * 10 / x.total
		x.lines[i].Of = x.lines[i].Of * 10 / x.total
		score += x.lines[i].Points
		if x.lines[i].Points > 0 {
			open = append(open, x.lines[i])
		}
	}
	slices.SortStableFunc(open, func(a, b Open) int {
		switch {
		case a.Points > b.Points:
			return -1
		case a.Points < b.Points:
			return 1
		}
		return strings.Compare(a.What, b.What)
	})
	return score, open, nil
}

// scorer collects the lines.
type scorer struct {
	p     *Policy
	tree  *Tree
	calls *seccomp.Answers
	lines []Open
	total float64
}

func (x *scorer) all() {
	x.kernel()
	x.files()
	x.network()
	x.privileges()
	x.processes()
	x.environment()
	x.limits()
}

// add says that a share, from 0 to 1, of something of that weight is open.
func (x *scorer) add(area string, weight, share float64, key, format string, args ...any) {
	x.total += weight
	x.lines = append(x.lines, Open{Area: area, What: fmt.Sprintf(format, args...), Key: key, Points: weight * share,
		Of: weight})
}

func share(open bool) float64 {
	if open {
		return 1
	}
	return 0
}

// passes says whether the filter lets a call through for some arguments.
func (x *scorer) passes(name string) bool {
	s, err := seccomp.LookupSyscall(name)
	if err != nil {
		return false
	}
	a, ok := x.calls.Lookup(s)
	if !ok {
		return false
	}
	for i, c := range a.Clauses {
		if c.Action.Passes() && a.Reached(i) {
			return true
		}
	}
	return false
}

// with says whether it lets the call through with these first arguments.
func (x *scorer) with(name string, words ...string) bool {
	s, err := seccomp.LookupSyscall(name)
	if err != nil {
		return false
	}
	a, ok := x.calls.Lookup(s)
	if !ok {
		return false
	}
	var args [6]uint64
	for i, w := range words {
		if args[i], err = seccomp.ParseValue(w, x.calls.Arch); err != nil {
			return false
		}
	}
	for _, c := range a.Clauses {
		if c.Holds(args) {
			return c.Action.Passes()
		}
	}
	return false
}

// kernel weighs groups of system calls by what was found in them over the years.
func (x *scorer) kernel() {
	const area, key = "kernel", "seccomp.deny"
	for _, g := range [...]struct {
		weight float64
		what   string
		calls  []string
	}{
		{40, "io_uring, a second way to most calls, with many faults", []string{"io_uring_setup", "io_uring_enter"}},
		{30, "BPF programs", []string{"bpf"}},
		{25, "performance counters", []string{"perf_event_open"}},
		{15, "userfaultfd, which makes races in the kernel easy to win", []string{"userfaultfd"}},
		{25, "keyrings, which belong to no namespace", []string{"keyctl", "add_key", "request_key"}},
		{20, "the mount API", []string{"mount", "fsopen", "move_mount", "mount_setattr", "umount2"}},
		{15, "tracing", []string{"ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd"}},
		{20, "modules and other kernels", []string{"init_module", "finit_module", "kexec_load", "kexec_file_load"}},
		{10, "old and rare calls", []string{"modify_ldt", "uselib", "iopl", "ioperm", "vm86", "quotactl", "acct"}},
		{10, "handles that lead past paths", []string{"open_by_handle_at"}},
		{5, "the clock", []string{"settimeofday", "clock_settime", "clock_adjtime"}},
	} {
		n := 0
		var open []string
		for _, c := range g.calls {
			if x.passes(c) {
				n++
				open = append(open, c)
			}
		}
		x.add(area, g.weight, float64(n)/float64(len(g.calls)), key, "%s (%s)", g.what, strings.Join(open, ", "))
	}
	x.add(area, 40, share(IsTrue(x.p.Process.Nest)), "process.nest",
		"user namespaces inside, by which more of the kernel is reached")
	var families []string
	rare := []string{"AF_ALG", "AF_VSOCK", "AF_PACKET", "AF_TIPC", "AF_CAN", "AF_KEY", "AF_RDS"}
	for _, f := range rare {
		if x.with("socket", f) || x.with("socket", f, "SOCK_DGRAM") || x.with("socket", f, "SOCK_RAW") ||
			x.with("socket", f, "SOCK_SEQPACKET") {
			families = append(families, f)
		}
	}
	x.add(area, 20, float64(len(families))/float64(len(rare)), "seccomp.rule", "rare families of sockets (%s)",
		strings.Join(families, ", "))
	x.add(area, 5, share(x.with("ioctl", "0", "TIOCSTI")), key, "typing into terminals")
	n := 0
	for _, a := range x.calls.Calls {
		if x.passes(a.Syscall.Name()) {
			n++
		}
	}
	x.add(area, 30, float64(n)/float64(len(x.calls.Calls)), "seccomp.allow", "%d of %d system calls", n,
		len(x.calls.Calls))
	x.add(area, 5, float64(min(len(x.p.Seccomp.Architectures), 2))/2, "seccomp.architectures",
		"programs of other architectures, by other entries to the kernel")
}

// files weighs what can be read and written by places that stand for others.
func (x *scorer) files() {
	const area = "files"
	for _, g := range [...]struct {
		read, write float64
		what, name  string
	}{
		{35, 35, "the home", "${HOME}/x"}, {20, 25, "keys and settings in the home", "${HOME}/.ssh/x"},
		{10, 20, "the current directory", "${CWD}/x"}, {15, 20, "settings of the system", "/etc/x"},
		{10, 15, "secrets of the system", "/etc/shadow"}, {5, 20, "installed programs", "/usr/bin/x"},
		{10, 10, "data of services", "/var/lib/x"}, {10, 5, "other homes", "/home/other/x"},
		{5, 10, "the kernel's settings", "/sys/x"}, {10, 10, "the rest of the root", "/srv/other"},
	} {
		at := x.tree.At(g.name)
		hidden := slices.ContainsFunc(x.tree.Hidden, func(h Path) bool { return Within(g.name, h.Name) })
		reads := at.Kind.FromHost() && !hidden
		x.add(area, g.read, share(reads), "files.read", "%s can be read", g.what)
		x.add(area, g.write, share(reads && at.Kind == KindWrite), "files.write", "%s can be written", g.what)
	}
	sockets, devices := x.p.Files.Sockets, x.p.Files.Devices
	all := slices.ContainsFunc(sockets, func(s string) bool { return withoutMark(s) == "/" })
	x.add(area, 15, max(share(all), min(float64(len(sockets))/10, 0.9)), "files.sockets",
		"%d sockets of the host's services", len(sockets))
	x.add(area, 10, min(float64(len(devices))/5, 1), "files.devices", "%d devices", len(devices))
	x.add(area, 5, share(NotFalse(x.p.Files.SetID)), "files.set_id", "set-id files may be left on the host")
}

// network weighs whom a program can call.
func (x *scorer) network() {
	const area = "network"
	n := &x.p.Network
	host := x.p.Namespaces.Net != "" && x.p.Namespaces.Net != "new"
	ports := func(list []string) float64 { return min(float64(len(list))/20, 0.9) }
	reach := func(list []string) float64 {
		switch {
		case !host:
			return 0
		case list == nil:
			return 1
		}
		return ports(list)
	}
	limited := n.Bind != nil || n.Connect != nil
	connect := max(reach(n.Connect), min(float64(len(n.Hosts))/50, 0.9))
	x.add(area, 70, connect, "network.connect", "connections to others")
	x.add(area, 30, max(reach(n.Bind), min(float64(len(n.Listen))/20, 0.9)), "network.bind", "ports that others can call")
	x.add(area, 20, share(host && !limited), "network.connect", "UDP and other protocols")
	x.add(area, 15, share(host), "namespaces.net", "what listens on 127.0.0.1, and abstract sockets")
}

// Weight is how much an area counts in a score, of 10.
type Weight struct{ Area, Text string }

// ScoreWeights are those of all areas, for the documentation.
func (p *Policy) ScoreWeights(on seccomp.Arch) (list []Weight, err error) {
	calls, err := p.Seccomp.Answers(on)
	if err != nil {
		return nil, err
	}
	x := &scorer{p: p, tree: p.Tree(), calls: calls}
	x.all()
	sums := map[string]float64{}
	var areas []string
	for _, l := range x.lines {
		if sums[l.Area] == 0 {
			areas = append(areas, l.Area)
		}
		sums[l.Area] += l.Of
	}
	for _, a := range areas {
		list = append(list, Weight{a, fmt.Sprintf("%.1f", sums[a]*10/x.total)})
	}
	return list, nil
}

// CapabilityNames are those that a policy can keep.
func CapabilityNames() []string { return capabilityNames() }
