package policy

import (
	"slices"
	"strings"

	"sbx/policy/capability"
)

// privileges weighs capabilities.
func (x *scorer) privileges() {
	const area, key = "privileges", "process.capabilities"
	var grave, others []string
	worst := []string{
		"sys_admin", "sys_module", "sys_rawio", "sys_ptrace", "bpf", "dac_override", "dac_read_search", "sys_boot",
		"mac_admin", "net_admin", "setfcap", "setpcap", "mknod", "perfmon",
	}
	for _, c := range x.p.Process.Capabilities {
		if name := withoutMark(c); slices.Contains(worst, name) {
			grave = append(grave, name)
		} else {
			others = append(others, name)
		}
	}
	all := len(capability.Names())
	x.add(area, 80, float64(len(grave))/float64(len(worst)), key, "capabilities by which a sandbox is left (%s)",
		strings.Join(grave, ", "))
	x.add(area, 30, min(float64(len(others))/float64(all-len(worst)), 1), key, "other capabilities (%s)",
		strings.Join(others, ", "))
	x.add(area, 10, share(IsTrue(x.p.Process.Ambient)), "process.ambient", "capabilities pass to programs without them")
	x.add(area, 25, share(IsTrue(x.p.Process.Nest)), "process.nest", "sandboxes inside: no Landlock, and a writable /proc")
}

// processes weighs what is shared with the host's processes.
func (x *scorer) processes() {
	const area = "processes"
	n := &x.p.Namespaces
	for _, g := range [...]struct {
		weight          float64
		says, key, what string
	}{
		{30, n.PID, "pid", "the host's processes"}, {15, n.IPC, "ipc", "System V IPC and message queues"},
		{3, n.UTS, "uts", "the host's name"}, {3, n.Cgroup, "cgroup", "the host's cgroups"},
		{25, n.Mount, "mount", "the host's mounts: Landlock alone holds files"},
	} {
		x.add(area, g.weight, share(n.None() || g.says != "" && g.says != "new"), "namespaces."+g.key, "%s", g.what)
	}
	x.add(area, 15, share(x.p.Process.Landlock == "off"), "process.landlock", "no Landlock beneath the mounts")
}

// environment weighs variables.
func (x *scorer) environment() {
	const area, key = "environment", "process.env"
	names, secrets, everything := 0, 0, false
	for _, e := range x.p.Process.Env {
		if strings.Contains(e, "=") {
			continue // its value is the policy's
		}
		names++
		everything = everything || e == "*"
		prefix, star := strings.CutSuffix(e, "*")
		if isSecretName(e) || star && slices.ContainsFunc(secretVariables[:], func(s string) bool {
			return strings.HasPrefix(s, prefix)
		}) {
			secrets++
		}
	}
	x.add(area, 30, share(everything), key, "the whole environment")
	x.add(area, 15, max(share(everything), min(float64(secrets)/10, 0.9)), key, "%d rules that let names of secrets cross",
		secrets)
	x.add(area, 5, max(share(everything), min(float64(names)/200, 0.9)), key, "%d rules that let variables cross", names)
}

// limits weighs what may be used up.
func (x *scorer) limits() {
	const area = "limits"
	l := &x.p.Limits
	for _, g := range [...]struct {
		weight      float64
		value, name string
	}{
		{12, l.Memory, "memory"}, {12, l.Processes, "processes"}, {6, l.CPU, "cpu"}, {6, l.Time, "time"}, {4, l.IO, "io"},
	} {
		value, _ := Optional(g.value)
		x.add(area, g.weight, share(value == "" || value == "none"), "limits."+g.name, "no limit on %s", g.name)
	}
}
