package systemd

import (
	"path"
	"slices"
	"strings"

	"sbx/policy"
)

// homes are the directories that ProtectHome= is about.
func homes() []string { return []string{"/home", "/root", "/run/user"} }

// files puts together what the settings say of the file system.
func (m *importer) files() {
	m.tree = tree{}
	m.rootDirectory()
	m.protect()
	for _, key := range []string{"ReadWritePaths", "ReadOnlyPaths", "InaccessiblePaths", "ExecPaths", "NoExecPaths"} {
		for _, p := range m.places[key] {
			at, ok := m.inside(p)
			if ok && key == "ExecPaths" && topLink(at) {
				// Where it is no link, it stays without leave.
				at, p.optional = "/usr"+at, true
			}
			if ok {
				m.tree.at(at, p.by, p.optional).mark(key)
			}
		}
	}
	for _, p := range m.places["BindPaths"] {
		m.bind(p)
	}
	for _, p := range m.places["TemporaryFileSystem"] {
		n := m.tree.at(p.path, p.by, true)
		if n.show(private, "") {
			n.size, n.mode = p.size, p.mode
		}
		n.ro, n.noexec = n.ro || p.ro && n.content == private, n.noexec || p.noexec
	}
	m.ownDirectories()
	m.sys()
	m.procSubset()
	m.layout()
	f := &m.p.Files
	for _, list := range []*[]string{&f.Read, &f.Write, &f.Tmpfs, &f.Hide, &f.Directories} {
		*list = tidy(*list)
	}
	m.interfaces()
}

// interfaces says what /sys still tells of the network that the unit is kept from: systemd mounts
// another one.
func (m *importer) interfaces() {
	if !m.p.ShowsInterfaces() {
		return
	}
	for _, key := range []string{"PrivateNetwork", "NetworkNamespacePath"} {
		if m.on[key] || m.modes[key] != "" {
			m.loseAt(m.said[key], "/sys shows the names of the host's network interfaces; if the program needs no /sys: "+
				"hide = [\"?/sys\"] in [files]")
		}
	}
}

// mark adds what one of the lists says may be done.
func (n *node) mark(key string) {
	switch key {
	case "ReadWritePaths":
		n.rw = true
	case "ReadOnlyPaths":
		n.ro = true
	case "InaccessiblePaths":
		n.hide = true
	case "ExecPaths":
		n.exec = true
	case "NoExecPaths":
		n.noexec = true
	}
}

// bind adds an entry of BindPaths= or BindReadOnlyPaths=.
func (m *importer) bind(p place) {
	n := m.tree.at(p.path, p.by, p.optional)
	if p.covered {
		n.hide, n.optional = true, true
		return
	}
	if !n.show(bound, p.from) && n.from != p.from {
		m.loseAt(p.by, "%s shows %s already", p.path, n.from)
	}
	n.ro = n.ro || p.ro
}

// rootDirectory says what the root shows.
func (m *importer) rootDirectory() {
	n := m.tree.at("/", setting{}, true)
	switch {
	case m.image.key != "":
		n.show(private, "")
		n.ro = true
		m.loseAt(m.image, "a policy has no images: nothing is shown in its place")
	case m.root != "" && m.root != "/":
		n.show(bound, m.root)
	}
}

// inside gives the path inside of an entry that, without a "+", is the host's.
func (m *importer) inside(p place) (string, bool) {
	if p.inUnit || m.root == "" || m.root == "/" {
		return p.path, true
	}
	if !policy.Within(p.path, m.root) {
		return "", false // it is not in the unit's root at all
	}
	return path.Join("/", strings.TrimPrefix(p.path, m.root)), true
}

// protect adds what ProtectSystem= and the other switches stand for: see
// systemd.exec(5), and for the paths systemd's src/core/namespace.c.
func (m *importer) protect() {
	ro := func(by string, paths ...string) {
		for _, p := range paths {
			m.tree.at(p, m.said[by], true).ro = true
		}
	}
	switch m.system() {
	case "strict":
		m.tree.at("/", m.said["ProtectSystem"], true).ro = true
		// Other switches are about these.
		for _, p := range append(homes(), "/dev") {
			m.tree.at(p, m.said["ProtectSystem"], true).free = true
		}
	case "full":
		ro("ProtectSystem", "/usr", "/boot", "/efi", "/etc")
	case "yes":
		ro("ProtectSystem", "/usr", "/boot", "/efi")
	}
	for _, p := range homes() {
		switch by := m.said["ProtectHome"]; m.home() {
		case "yes":
			m.tree.at(p, by, true).hide = true
		case "read-only":
			m.tree.at(p, by, true).ro = true
		case "tmpfs":
			if home := m.tree.at(p, by, true); home.show(private, "") {
				home.ro = true
			}
		}
	}
	if m.on["ProtectKernelTunables"] {
		ro("ProtectKernelTunables", "/sys", "/sys/fs/bpf", "/sys/kernel/debug", "/sys/kernel/tracing")
		// The rest of /proc is read-only anyway.
		m.tree.at("/proc/kallsyms", m.said["ProtectKernelTunables"], true).hide = true
	}
	if m.on["ProtectControlGroups"] {
		ro("ProtectControlGroups", "/sys/fs/cgroup")
	}
	if m.on["ProtectKernelModules"] {
		for _, p := range []string{"/usr/lib/modules", "/lib/modules"} {
			m.tree.at(p, m.said["ProtectKernelModules"], true).hide = true
		}
	}
	if m.on["PrivateTmp"] || m.on["DynamicUser"] {
		for _, p := range []string{"/tmp", "/var/tmp"} {
			m.tree.at(p, m.said["PrivateTmp"], true).show(private, "")
		}
	}
}

// system is ProtectSystem= as it counts, home ProtectHome=.
func (m *importer) system() string {
	if m.on["DynamicUser"] {
		return "strict"
	}
	return m.modes["ProtectSystem"]
}

func (m *importer) home() string {
	if h := m.modes["ProtectHome"]; h != "" && h != "no" || !m.on["DynamicUser"] {
		return h
	}
	return "read-only"
}

// sys makes /sys read-only unless the unit names it: limits are held by a
// cgroup that the target cannot write to.
func (m *importer) sys() {
	n := m.tree.at("/sys", setting{}, true)
	if n.content == asBefore && !n.ro && !n.rw && !n.hide {
		n.ro = true
	}
}

// procSubset hides what ProcSubset=pid leaves out of /proc.
func (m *importer) procSubset() {
	if m.modes["ProcSubset"] != "pid" {
		return
	}
	by := m.said["ProcSubset"]
	for _, name := range strings.Fields(`acpi asound buddyinfo bus cgroups cmdline config.gz consoles cpuinfo crypto
		device-tree devices diskstats dma driver dynamic_debug execdomains fb filesystems fs interrupts iomem ioports irq
		kallsyms kcore key-users keys kmsg kpagecgroup kpagecount kpageflags latency_stats loadavg locks mdstat meminfo
		misc modules mtrr pagetypeinfo partitions pressure schedstat scsi slabinfo softirqs stat swaps sys sysrq-trigger
		sysvipc timer_list tty uptime version version_signature vmallocinfo vmstat zoneinfo`) {
		m.tree.at("/proc/"+name, by, true).hide = true
	}
	m.loseAt(by, "a policy hides the names in /proc that are known, not those that a kernel to come may add")
}

// ownDirectories adds StateDirectory= and its like, and the variables that
// name them.
func (m *importer) ownDirectories() {
	for _, key := range []string{
		"RuntimeDirectory", "StateDirectory", "CacheDirectory", "LogsDirectory", "ConfigurationDirectory",
	} {
		_, variable := below(key)
		var names []string
		for _, p := range m.places[key] {
			n := m.tree.at(p.path, p.by, true)
			n.show(bound, p.path)
			n.ro = n.ro || p.ro
			n.optional = n.optional || !n.ro // systemd would have made it
			if slices.Contains(names, p.path) {
				continue
			}
			names = append(names, p.path)
			end := ""
			if key == "RuntimeDirectory" && m.modes["RuntimeDirectoryPreserve"] != "yes" {
				end = ", and remove it after the end"
			}
			mode := m.modes[key+"Mode"]
			if mode == "" {
				mode = "0755"
			}
			m.loseAt(p.by, "a policy makes no directory on the host: make %s before the start, with mode %s%s",
				p.path, mode, end)
		}
		if len(names) > 0 {
			m.ownEnv = append(m.ownEnv, variable+"="+strings.Join(names, ":"))
		}
	}
}

func bare(e string) string { return strings.TrimPrefix(e, "?") }

// tidy sorts a list of paths; one that must be there goes before the same that
// may be missing.
func tidy(list []string) []string {
	slices.SortFunc(list, func(a, b string) int {
		if c := strings.Compare(bare(a), bare(b)); c != 0 {
			return c
		}
		return len(a) - len(b)
	})
	return slices.CompactFunc(list, func(a, b string) bool { return bare(a) == bare(b) })
}
