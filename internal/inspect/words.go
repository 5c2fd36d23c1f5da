package inspect

import (
	"fmt"
	"slices"
	"strings"
)

// Could says in words what the process could still do. denies says whether its filters
// are known to deny a system call; nil: they are not known.
func (p *Process) Could(denies func(call string) bool) (list []string) {
	say := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	if !p.NoNewPrivs {
		say("gain privileges by set-id programs and file capabilities (no_new_privs is not set)")
	}
	switch {
	case p.Seccomp == "none":
		say("make every system call (no seccomp filter)")
	case denies == nil:
	default:
		for _, x := range [...]struct{ call, what string }{
			{"io_uring_setup", "open and connect past other filters, by io_uring"}, {"bpf", "load BPF programs"},
			{"unshare", "make namespaces"}, {"mount", "mount, with the capability for it"},
			{"ptrace", "trace its own processes"}, {"perf_event_open", "use performance counters"},
			{"keyctl", "use the kernel's keyrings, which are nobody's namespace"}, {"userfaultfd", "use userfaultfd"},
			{"init_module", "load kernel modules, with the capability for it"}, {"kexec_load", "load another kernel"},
		} {
			if !denies(x.call) {
				say("%s (%s passes its filters)", x.what, x.call)
			}
		}
	}
	for _, x := range [...]struct{ name, what string }{
		{"sys_admin", "mount, enter namespaces and much else"}, {"sys_ptrace", "trace and read processes of others"},
		{"dac_override", "read and write files of others"}, {"dac_read_search", "read files of others"},
		{"sys_module", "load kernel modules"}, {"sys_rawio", "reach the hardware"}, {"net_admin", "change the network"},
		{"net_raw", "send forged packets"}, {"setuid", "become any user that is mapped"}, {"chown", "give files away"},
		{"bpf", "load BPF programs"}, {"sys_boot", "restart the machine"}, {"mknod", "make device files"},
	} {
		if slices.Contains(p.Effective, x.name) {
			where := ""
			if !p.ours("user") {
				where = ", as far as its user namespace owns it"
			}
			say("%s (CAP_%s%s)", x.what, strings.ToUpper(x.name), where)
		}
	}
	for _, x := range [...]struct{ kind, what string }{
		{"pid", "see this user's processes and signal them, unless Landlock or a filter forbids it"},
		{"net", "use this network: whatever listens on 127.0.0.1, and abstract sockets"},
		{"ipc", "use System V IPC and message queues of this machine"},
		{"mnt", "see the files that you see, unless Landlock forbids it"},
	} {
		if p.ours(x.kind) {
			say("%s (the %s namespace is yours)", x.what, x.kind)
		}
	}
	var host []string
	for _, m := range p.Writable {
		if !slices.Contains([]string{"tmpfs", "proc", "devpts", "mqueue", "sysfs", "cgroup2", "devtmpfs", "ramfs"}, m.Type) {
			host = append(host, m.Path)
		}
	}
	if n := len(host); n > 0 && !p.ours("mnt") {
		more := ""
		if n > 5 {
			host, more = host[:5], fmt.Sprintf(" and %d more", n-5)
		}
		say("write to file systems of a disk: %s%s, as far as permissions and Landlock let it",
			strings.Join(host, ", "), more)
	}
	for _, d := range p.Descriptors {
		switch d.What {
		case "directory outside its root":
			say("leave its root by descriptor %d, open to %s", d.FD, d.Name)
		case "device":
			say("use the device of descriptor %d, %s", d.FD, d.Name)
		case "pty":
			if d.FD <= 2 {
				say("read from and write to the terminal of descriptor %d, %s", d.FD, d.Name)
			}
		}
	}
	if len(p.Secrets) > 0 {
		say("use what its environment holds: %s", strings.Join(p.Secrets, ", "))
	}
	if p.Dumpable != nil && *p.Dumpable {
		say("be traced by other processes of its user, and be read by them")
	}
	return list
}

// ours says whether the namespace is the caller's, where that is known.
func (p *Process) ours(kind string) bool {
	return slices.ContainsFunc(p.Namespaces, func(n Namespace) bool { return n.Kind == kind && n.Ours })
}
