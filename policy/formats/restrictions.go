package formats

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"sbx/policy"
)

// restrictions lists what a policy restricts by other means than the call filter,
// and how to say it to docker and bwrap, where they have a word for it.
func restrictions(
	p *policy.Policy, lose func(key, format string, args ...any), flag func(docker, bwrap string) string,
) {
	n, r := p.Namespaces, p.Process
	for _, id := range []struct {
		key string
		id  *int
		arg string
	}{{"namespaces.uid", n.UID, "--uid "}, {"namespaces.gid", n.GID, "--gid "}} {
		if id.id != nil {
			lose(id.key, "%d%s", *id.id, flag("", id.arg+strconv.Itoa(*id.id)))
		}
	}
	if policy.IsTrue(n.Ranges) {
		lose("namespaces.ranges", "the caller's ranges of ids")
	}
	if n.Hostname != "" {
		lose("namespaces.hostname", "%s%s", n.Hostname, flag("--hostname="+n.Hostname, "--hostname "+n.Hostname))
	}
	for _, c := range []struct{ key, offset string }{
		{"namespaces.monotonic", n.Monotonic}, {"namespaces.boottime", n.Boottime},
	} {
		if c.offset != "" {
			lose(c.key, "%s", c.offset)
		}
	}
	for _, m := range []struct {
		key   string
		paths []string
	}{
		{"files.file", slices.Sorted(maps.Keys(p.Files.Inline))},
		{"files.symlink", slices.Sorted(maps.Keys(p.Files.Symlinks))},
		{"files.path", slices.Sorted(maps.Keys(p.Files.Paths))},
	} {
		if len(m.paths) > 0 {
			lose(m.key, "%s", some(m.paths))
		}
	}
	for _, l := range []struct {
		key   string
		ports []string
	}{{"network.bind", p.Network.Bind}, {"network.connect", p.Network.Connect}} {
		if l.ports != nil && len(l.ports) == 0 {
			lose(l.key, "no TCP port")
		} else if l.ports != nil {
			lose(l.key, "no TCP port but %s", some(l.ports))
		}
	}
	if len(p.Network.Hosts) > 0 {
		lose("network.hosts", "no host but %s", some(p.Network.Hosts))
	}
	if len(p.Network.Listen) > 0 {
		lose("network.listen", "%s", some(p.Network.Listen))
	}
	if policy.IsTrue(r.Ambient) {
		lose("process.ambient", "the capabilities kept are ambient too")
	}
	if r.Terminal != "" && r.Terminal != "inherit" {
		lose("process.terminal", "%s%s", r.Terminal, flag("", map[string]string{"new-session": "--new-session"}[r.Terminal]))
	}
	if r.AppArmor != "" {
		lose("process.apparmor", "%s%s", r.AppArmor, flag("--security-opt=apparmor="+r.AppArmor, ""))
	}
	if r.SELinux != "" {
		lose("process.selinux", "%s%s", r.SELinux, flag("", "--exec-label "+r.SELinux))
	}
	limits(&p.Limits, lose, flag)
}

func limits(l *policy.Limits, lose func(key, format string, args ...any), flag func(docker, bwrap string) string) {
	for _, x := range []struct {
		key, value string
		docker     func(string) string // nil: it has no word for it
	}{
		{"processes", l.Processes, func(v string) string { return "--pids-limit=" + v }},
		{"memory", l.Memory, func(v string) string { return "--memory=" + strings.ToLower(v) }},
		{"cpu", l.CPU, cpus},
		{"io", l.IO, nil},
		{"time", l.Time, nil},
		{"cpu_time", l.CPUTime, func(v string) string { return ulimit("cpu", seconds(v)) }},
		{"file_size", l.FileSize, func(v string) string { return ulimit("fsize", bytesOf(v)) }},
		{"open_files", l.OpenFiles, func(v string) string { return ulimit("nofile", v) }},
		{"core", l.Core, func(v string) string { return ulimit("core", bytesOf(v)) }},
		{"tmp", l.Tmp, nil},
	} {
		value, _ := policy.Optional(x.value)
		if value == "" {
			continue
		}
		say := ""
		if x.docker != nil {
			say = x.docker(value)
		}
		lose("limits."+x.key, "%s%s", value, flag(say, ""))
	}
}

func ulimit(name, value string) string {
	if value == "" {
		return ""
	}
	return "--ulimit=" + name + "=" + value
}

// cpus is docker's word for a share of processor time: processors.
func cpus(v string) string {
	n, err := policy.ParsePercent(v)
	if err != nil {
		return ""
	}
	return "--cpus=" + strconv.FormatFloat(float64(n)/100, 'f', -1, 64)
}

func seconds(v string) string {
	d, err := policy.ParseTime(v)
	if err != nil {
		return ""
	}
	return strconv.Itoa(int(d.Seconds()))
}

func bytesOf(v string) string {
	n, err := policy.ParseCore(v)
	if err != nil {
		return ""
	}
	return strconv.FormatUint(n, 10)
}
