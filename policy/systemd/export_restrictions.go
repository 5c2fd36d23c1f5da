package systemd

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"sbx/policy"
)

// restrictions writes the ports, labels and terminal.
func (x *exporter) restrictions() {
	n, r := x.p.Namespaces, x.p.Process
	for _, l := range []struct {
		said      bool
		key, what string
	}{
		{n.UID != nil, "namespaces.uid", "a unit's ids inside are the host's"},
		{n.GID != nil, "namespaces.gid", "a unit's ids inside are the host's"},
		{policy.IsTrue(n.Ranges), "namespaces.ranges", "units map no ranges"},
		{n.Hostname != "", "namespaces.hostname", "units before systemd 258 set no hostname"},
		{n.Monotonic != "" || n.Boottime != "", "namespaces.time", "units shift no clocks"},
		{len(x.p.Files.Overlay) > 0, "files.overlay", "units have no overlays on directories: " + some(x.p.Files.Overlay)},
		{len(x.p.Files.Inline) > 0, "files.file", "units have no files of their own: " +
			some(slices.Sorted(maps.Keys(x.p.Files.Inline)))},
		{len(x.p.Files.Symlinks) > 0, "files.symlink", "units have no links of their own: " +
			some(slices.Sorted(maps.Keys(x.p.Files.Symlinks)))},
		{len(x.p.Files.Sockets) > 0, "files.sockets", "units let every socket that is shown be connected to"},
		{len(x.p.Files.Devices) > 0, "files.devices", "a unit that has devices of the machine has all of /dev"},
		{x.p.Network.Connect != nil, "network.connect", "units restrict addresses, not ports, to connect to"},
		{len(x.p.Network.Hosts) > 0, "network.hosts", "units restrict addresses, not names: " + some(x.p.Network.Hosts)},
		{len(x.p.Network.Listen) > 0, "network.listen", "units forward no ports: " + some(x.p.Network.Listen)},
		{policy.IsTrue(r.LandlockLog), "process.landlock_log", "units have no Landlock"},
		{r.Terminal == "pty", "process.terminal", "a unit has no terminal to relay"},
	} {
		if l.said {
			x.lose("%s: %s", l.key, l.what)
		}
	}
	if ports := x.p.Network.Bind; ports != nil {
		for _, p := range ports {
			if p == "0" {
				x.lose("network.bind: units cannot allow the ports that the kernel picks")
				continue
			}
			x.line("SocketBindAllow=tcp:%s", p)
		}
		x.line("SocketBindDeny=any")
	}
	if r.AppArmor != "" {
		x.line("AppArmorProfile=%s", escape(r.AppArmor))
	}
	if r.SELinux != "" {
		x.line("SELinuxContext=%s", escape(r.SELinux))
	}
	var noexec []string
	for _, path := range slices.Sorted(maps.Keys(x.p.Files.Paths)) {
		if e := x.p.Files.Paths[path].Exec; e != nil && !*e {
			noexec = append(noexec, path)
		}
	}
	if x.p.Namespaces.Mount == "new" {
		x.paths("files.path", "NoExecPaths", noexec)
	}
}

// withOptions adds to the path of a setting what files.path and limits say of
// it; not ok: that cannot be said, and so the path is left out.
func (x *exporter) withOptions(key, setting, path, entry string) (_ string, ok bool) {
	o := x.p.Files.Paths[bare(entry)]
	switch setting {
	case "TemporaryFileSystem":
		var options []string
		size, _ := policy.Optional(x.p.Limits.Tmp)
		if o.Size != "" {
			size = o.Size
		}
		if key == "files.directories" {
			options, size = append(options, "ro"), ""
		}
		if size != "" {
			options = append(options, "size="+size)
		}
		if o.Mode != "" {
			options = append(options, "mode="+o.Mode)
		}
		if owner, optional := policy.Optional(o.Owner); owner != "" {
			if _, err := strconv.Atoi(owner); err != nil || optional {
				x.lose("files.path: units cannot say that %s belongs to %s", bare(entry), o.Owner)
			} else {
				options = append(options, "uid="+owner)
			}
		}
		if len(options) > 0 {
			path += ":" + strings.Join(options, ",")
		}
	case "BindPaths", "BindReadOnlyPaths":
		if o.From == "" {
			break
		}
		from, ok := specifiers(o.From)
		if !ok || strings.HasPrefix(from, "fd:") || strings.ContainsAny(from, " \t\"'\\:") {
			x.lose("files.path: units cannot show %s at %s", o.From, bare(entry))
			return "", false
		}
		mark := path[:len(path)-len(strings.TrimPrefix(path, "-"))]
		path = mark + from + ":" + path[len(mark):]
	}
	return path, true
}

func (x *exporter) limits() {
	l := x.p.Limits
	for _, s := range []struct {
		value string
		write func(string) (string, error)
	}{
		{l.Processes, func(v string) (string, error) { return "TasksMax=" + v, nil }},
		{l.Memory, func(v string) (string, error) { return "MemoryMax=" + v + "\nMemorySwapMax=0", nil }},
		{l.CPU, func(v string) (string, error) { return "CPUQuota=" + v, nil }},
		{l.Time, func(v string) (string, error) { return "RuntimeMaxSec=" + strings.Replace(v, "m", "min", 1), nil }},
		{l.CPUTime, func(v string) (string, error) {
			d, err := policy.ParseTime(v)
			return "LimitCPU=" + strconv.Itoa(int(d.Seconds())), err
		}},
		{l.FileSize, func(v string) (string, error) { return "LimitFSIZE=" + v, nil }},
		{l.OpenFiles, func(v string) (string, error) { return "LimitNOFILE=" + v, nil }},
		{l.Core, func(v string) (string, error) { return "LimitCORE=" + v, nil }},
	} {
		value, _ := policy.Optional(s.value)
		if value == "" {
			continue
		}
		line, err := s.write(value)
		if err != nil {
			x.lose("limits: %v", err)
			continue
		}
		x.line("%s", line)
	}
	if l.IO != "" {
		x.lose("limits.io: units bound each disk by its name: IOReadBandwidthMax= and IOWriteBandwidthMax=")
	}
}
