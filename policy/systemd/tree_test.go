package systemd

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"sbx/policy"
	"sbx/policy/seccomp"
)

// laid shows a policy's lists of paths in one line: r, w, t, d and h for read,
// write, tmpfs, directories and hide; "x" behind a path that is noexec, "<" in
// front of what is shown there.
func laid(p *policy.Policy) string {
	var out []string
	for _, l := range []struct {
		kind string
		list []string
	}{{"r", p.Files.Read}, {"w", p.Files.Write}, {"t", p.Files.Tmpfs}, {"d", p.Files.Directories}, {"h", p.Files.Hide}} {
		for _, e := range l.list {
			text := l.kind + ":" + e
			o := p.Files.Paths[bare(e)]
			if o.Exec != nil && !*o.Exec {
				text += " x"
			}
			if o.From != "" {
				text += " <" + o.From
			}
			out = append(out, text)
		}
	}
	return strings.Join(out, ", ")
}

// imported reads a unit that a policy must be able to say and that resolves.
func imported(t *testing.T, text string) (*policy.Policy, []string) {
	t.Helper()
	p, losses, _, err := Import("x.service", []byte(text+"\n"), Options{Native: seccomp.AMD64})
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	again, err := policy.Parse("x", p.Print())
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if _, err := policy.Resolve(again, nil); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return p, losses
}

// TestTree: what settings say together of paths, as systemd.exec(5) and
// systemd 252 have it.
func TestTree(t *testing.T) {
	for text, want := range map[string]string{
		"":                   "r:?/sys, w:?/",
		"ProtectSystem=yes":  "r:?/boot, r:?/efi, r:?/sys, r:?/usr, w:?/",
		"ProtectSystem=full": "r:?/boot, r:?/efi, r:?/etc, r:?/sys, r:?/usr, w:?/",
		// The homes are ProtectHome='s, and /sys stays as it is for a cgroup's sake.
		"ProtectSystem=strict":                                  "r:/, w:?/home, w:?/root, w:?/run/user",
		"ProtectSystem=strict\nProtectHome=yes":                 "r:/, h:?/home, h:?/root, h:?/run/user",
		"ProtectSystem=strict\nProtectHome=read-only":           "r:/",
		"ProtectSystem=strict\nProtectSystem=no":                "r:?/sys, w:?/",
		"ProtectSystem=strict\nProtectSystem=\nProtectHome=yes": "r:/, h:?/home, h:?/root, h:?/run/user",
		"ProtectHome=tmpfs":                                     "r:?/sys, w:?/, d:?/home, d:?/root, d:?/run/user",
		"ProtectHome=tmpfs\nBindPaths=/home/a": "r:?/sys, w:?/, w:/home/a, t:/home, d:?/root, " +
			"d:?/run/user",
		"ProtectHome=yes\nReadWritePaths=/home/a":                  "r:?/sys, w:?/, h:?/home, h:?/root, h:?/run/user",
		"ProtectHome=tmpfs\nReadWritePaths=-/home/a":               "r:?/sys, w:?/, d:?/home, d:?/root, d:?/run/user",
		"ProtectHome=tmpfs\nReadWritePaths=-%h/a":                  "r:?/sys, w:?/, d:?/home, d:?/root, d:?/run/user",
		"ProtectSystem=strict\nProtectHome=yes\nBindPaths=%h/a:/b": "r:/, w:/b <${HOME}/a, h:?/home, h:?/root, h:?/run/user",
		// Read-only beats writable for one path, and for the root.
		"ReadOnlyPaths=/\nReadWritePaths=/var/lib":                       "r:/, w:/var/lib, h:/dev/shm",
		"ReadOnlyPaths=/\nReadWritePaths=/":                              "r:/, h:/dev/shm",
		"ReadWritePaths=/srv\nReadOnlyPaths=/srv":                        "r:/srv, r:?/sys, w:?/",
		"ReadOnlyPaths=/srv/\nReadWritePaths=//srv/.":                    "r:/srv, r:?/sys, w:?/",
		"ReadOnlyPaths=/srv\nReadWritePaths=-/srv":                       "r:/srv, r:?/sys, w:?/",
		"ProtectSystem=full\nReadWritePaths=/etc":                        "r:?/boot, r:?/efi, r:/etc, r:?/sys, r:?/usr, w:?/",
		"ProtectSystem=strict\nProtectHome=yes\nReadWritePaths=/etc/a":   "r:/, w:/etc/a, h:?/home, h:?/root, h:?/run/user",
		"ReadOnlyPaths=/srv\nStateDirectory=a\nReadOnlyPaths=/var/lib/a": "r:/srv, r:?/sys, r:/var/lib/a, w:?/",
		"ReadOnlyPaths=/srv\nReadOnlyPaths=":                             "r:?/sys, w:?/",
		"InaccessiblePaths=/srv\nReadWritePaths=/srv/a":                  "r:?/sys, w:?/, h:/srv",
		"ReadWriteDirectories=/var/a\nReadOnlyDirectories=/\nInaccessibleDirectories=-/srv": "r:/, w:/var/a, h:/dev/shm, " +
			"h:?/srv",
		"ProtectSystem=strict\nProtectHome=yes\nReadWritePaths=/var/run/a /var/lock/b": "r:/, w:/run/a, w:/run/lock/b, " +
			"h:?/home, h:?/root, h:?/run/user",
		// The kernel's switches.
		"ProtectKernelTunables=yes":                          "r:?/sys, w:?/, h:?/proc/kallsyms",
		"ProtectControlGroups=yes\nReadWritePaths=/sys":      "r:?/sys/fs/cgroup, w:?/",
		"ProtectControlGroups=strict\nReadWritePaths=/sys":   "r:?/sys/fs/cgroup, w:?/",
		"ProtectKernelTunables=yes\nReadWritePaths=/sys":     "r:/sys, w:?/, h:?/proc/kallsyms",
		"ProtectKernelTunables=yes\nReadWritePaths=/sys/bus": "r:?/sys, w:?/, w:/sys/bus, h:?/proc/kallsyms",
		"ProtectKernelModules=yes":                           "r:?/sys, w:?/, h:?/lib/modules, h:?/usr/lib/modules",
		"ProtectKernelModules=yes\nProtectKernelModules=no":  "r:?/sys, w:?/",
		// What is private, and what lies below it.
		"PrivateTmp=yes":                                    "r:?/sys, w:?/, t:/tmp, t:/var/tmp",
		"PrivateTmp=disconnected":                           "r:?/sys, w:?/, t:/tmp, t:/var/tmp",
		"PrivateTmp=yes\nPrivateTmp=no":                     "r:?/sys, w:?/",
		"PrivateTmp=yes\nReadWritePaths=/tmp":               "r:?/sys, w:?/, t:/tmp, t:/var/tmp",
		"PrivateTmp=yes\nReadOnlyPaths=/tmp":                "r:?/sys, w:?/, t:/var/tmp, d:/tmp",
		"PrivateTmp=yes\nReadOnlyPaths=-/tmp/a":             "r:?/sys, w:?/, t:/tmp, t:/var/tmp",
		"PrivateTmp=yes\nBindPaths=/srv:/tmp":               "r:?/sys, w:?/, w:/tmp </srv, t:/var/tmp",
		"PrivateTmp=yes\nBindPaths=/tmp/a":                  "r:?/sys, w:?/, w:/tmp/a, t:/tmp, t:/var/tmp",
		"TemporaryFileSystem=/var\nReadOnlyPaths=-/var/lib": "r:?/sys, w:?/, t:/var",
		"TemporaryFileSystem=/var:ro\nBindPaths=/var/lib":   "r:?/sys, w:?/, w:/var/lib, t:/var",
		"TemporaryFileSystem=/var:ro,nr_inodes=7":           "r:?/sys, w:?/, d:?/var",
		"TemporaryFileSystem=/:ro\nBindReadOnlyPaths=/usr":  "r:/usr",
		"TemporaryFileSystem=/\nStateDirectory=a":           "w:?/var/lib/a",
		"TemporaryFileSystem=/:ro\nReadWritePaths=/srv":     "",
		"BindPaths=/a:/b:norbind":                           "r:?/sys, w:?/, h:?/b",
		"BindPaths=/a:/b\nReadOnlyPaths=/b/c":               "r:/b/c </a/c, r:?/sys, w:?/, w:/b </a",
		"BindPaths=/a:/b\nBindReadOnlyPaths=":               "r:?/sys, w:?/",
		"RootDirectory=/r\nReadOnlyPaths=/r/usr +/etc /srv": "r:/etc </r/etc, r:?/sys </r/sys, r:/usr </r/usr, w:?/ </r",
		"RootDirectory=/r\nProtectSystem=full\nBindPaths=/srv": "r:?/boot </r/boot, r:?/efi </r/efi, r:?/etc </r/etc, " +
			"r:?/sys </r/sys, r:?/usr </r/usr, w:?/ </r, w:/srv",
		"RootImage=/r\nReadOnlyPaths=/srv\nBindPaths=/a": "w:/a",
		// Directories of the unit's own.
		"ProtectSystem=strict\nProtectHome=yes\nLogsDirectory=a " +
			"b\nRuntimeDirectory=c/d": "r:/, w:?/run/c/d, w:?/var/log/a, w:?/var/log/b, h:?/home, h:?/root, h:?/run/user",
		"ProtectSystem=strict\nProtectHome=yes\nCacheDirectory=a\nCacheDirectory=": "r:/, h:?/home, h:?/root, h:?/run/user",
		"ProtectSystem=full\nConfigurationDirectory=a": "r:?/boot, r:?/efi, r:?/etc, r:?/sys, " +
			"r:?/usr, w:?/, w:?/etc/a",
		"ProtectSystem=strict\nProtectHome=yes\nStateDirectory=a::ro": "r:/, h:?/home, h:?/root, h:?/run/user",
		"DynamicUser=yes\nStateDirectory=a\nProtectHome=no":           "r:/, w:?/var/lib/a, t:/tmp, t:/var/tmp",
		"DynamicUser=yes\nProtectSystem=no\nPrivateTmp=no":            "r:/, t:/tmp, t:/var/tmp",
		"DynamicUser=yes\nDynamicUser=no":                             "r:?/sys, w:?/",
		// What can be executed.
		"NoExecPaths=/\nExecPaths=/usr":                       "r:?/sys x, w:?/ x, w:?/usr, t:/dev/shm x",
		"ReadOnlyPaths=/\nNoExecPaths=/\nExecPaths=/usr /lib": "r:/ x, r:/usr, h:/dev/shm",
		"NoExecPaths=/\nExecPaths=/lib\nPrivateTmp=yes": "r:?/sys x, w:?/ x, w:?/usr/lib, " +
			"t:/dev/shm x, t:/tmp x, t:/var/tmp x",
		"NoExecPaths=/srv\nExecPaths=/srv":                "r:?/sys, w:?/, w:/srv x",
		"NoExecPaths=/\nExecPaths=/usr\nNoExecPaths=":     "r:?/sys, w:?/",
		"NoExecPaths=/\nBindPaths=/a:/b\nExecPaths=/b/c":  "r:?/sys x, w:?/ x, w:/b x </a, w:?/b/c </a/c, t:/dev/shm x",
		"TemporaryFileSystem=/t:noexec,size=1m,mode=0755": "r:?/sys, w:?/, t:/t x",
		"ProtectSystem=strict\nProtectHome=yes\nNoExecPaths=/\nExecPaths=/a": "r:/ x, r:/a, t:/dev/shm x, h:?/home, " +
			"h:?/root, h:?/run/user",
		// /dev and /proc are the sandbox's own.
		"ReadOnlyPaths=/dev":                                              "r:?/sys, w:?/, h:/dev/shm",
		"ReadOnlyPaths=/dev/shm":                                          "r:?/sys, w:?/, h:/dev/shm",
		"InaccessiblePaths=/dev/shm":                                      "r:?/sys, w:?/, h:/dev/shm",
		"InaccessiblePaths=/dev/mem /proc/meminfo":                        "r:?/sys, w:?/, h:?/dev/mem, h:?/proc/meminfo",
		"ReadWritePaths=/dev/kvm /proc/sys":                               "r:?/sys, w:?/",
		"InaccessiblePaths=/proc":                                         "r:?/sys, w:?/, h:?/proc",
		"BindReadOnlyPaths=/x:/proc/cpuinfo":                              "r:?/sys, w:?/, h:?/proc/cpuinfo",
		"TemporaryFileSystem=/dev/shm:ro":                                 "r:?/sys, w:?/, h:/dev/shm",
		"StateDirectory=a\nReadWritePaths=/var/lib/a\nReadOnlyPaths=/var": "r:?/sys, r:/var, w:?/, w:?/var/lib/a",
		"TemporaryFileSystem=/dev/shm":                                    "r:?/sys, w:?/, t:/dev/shm",
		"ReadWritePaths=%S/a %C/b %t/c %L/d %E/e\nReadOnlyPaths=/": "r:/, w:/etc/e, w:/run/c, w:/var/cache/b, " +
			"w:/var/lib/a, w:/var/log/d, h:/dev/shm",
	} {
		p, _ := imported(t, text)
		if got := laid(p); got != want {
			t.Errorf("%q\ngot  %s\nwant %s", text, got, want)
		}
	}
	p, _ := imported(t, "ProcSubset=pid")
	for _, name := range []string{"meminfo", "kallsyms", "sys", "cpuinfo"} {
		if !strings.Contains(laid(p), "h:?/proc/"+name) {
			t.Errorf("ProcSubset=pid shows %s", name)
		}
	}
}

// TestImplied: what switches imply besides files.
func TestImplied(t *testing.T) {
	eperm := seccomp.Action{Kind: seccomp.Errno, Errno: 1}
	allow := seccomp.Action{Kind: seccomp.Allow}
	const all = "CapabilityBoundingSet=CAP_MKNOD CAP_SYS_RAWIO CAP_SYS_MODULE CAP_SYSLOG CAP_SYS_TIME CAP_WAKE_ALARM " +
		"CAP_KILL\n"
	for _, c := range []struct {
		text, caps, call string
		want             seccomp.Action
	}{
		{all, "[?kill ?mknod ?sys_module ?sys_rawio ?sys_time ?syslog ?wake_alarm]", "iopl", allow},
		{all + "PrivateDevices=yes", "[?kill ?sys_module ?sys_time ?syslog ?wake_alarm]", "iopl", eperm},
		{all + "PrivateDevices=yes\nPrivateDevices=no", "[?kill ?mknod ?sys_module ?sys_rawio ?sys_time ?syslog ?wake_alarm]",
			"ioperm", allow},
		{all + "ProtectKernelModules=yes", "[?kill ?mknod ?sys_rawio ?sys_time ?syslog ?wake_alarm]", "finit_module", eperm},
		{all + "ProtectKernelLogs=yes", "[?kill ?mknod ?sys_module ?sys_rawio ?sys_time ?wake_alarm]", "syslog", eperm},
		{all + "ProtectClock=yes", "[?kill ?mknod ?sys_module ?sys_rawio ?syslog]", "clock_settime", eperm},
		{all + "ProtectClock=yes\nProtectClock=off", "[?kill ?mknod ?sys_module ?sys_rawio ?sys_time ?syslog ?wake_alarm]",
			"clock_settime", allow},
		{"CapabilityBoundingSet=~CAP_MKNOD\nCapabilityBoundingSet=CAP_MKNOD CAP_KILL\nCapabilityBoundingSet=", "[]",
			"read", allow},
		{"CapabilityBoundingSet=\nCapabilityBoundingSet=CAP_KILL CAP_CHOWN\nCapabilityBoundingSet=~CAP_KILL", "[?chown]",
			"read", allow},
		{"User=a\nAmbientCapabilities=CAP_SYS_TIME CAP_KILL\nProtectClock=yes", "[?kill]", "read", allow},
		{"AmbientCapabilities=CAP_KILL\nAmbientCapabilities=", "[]", "read", allow},
		{"User=a\nUser=\n" + all + "User=root", "[?kill ?mknod ?sys_module ?sys_rawio ?sys_time ?syslog ?wake_alarm]",
			"read", allow},
		{all + "DynamicUser=yes", "[]", "openat2", seccomp.Action{Kind: seccomp.Errno, Errno: 38}},
		{"ProtectHostname=private", "[]", "sethostname", eperm},
		{"RestrictRealtime=yes\nRestrictRealtime=no", "[]", "sched_setattr", allow},
		{"", "[]", "keyctl", eperm}, // a unit has a keyring of its own
		{"KeyringMode=inherit", "[]", "keyctl", allow},
		{"RestrictAddressFamilies=AF_UNIX", "[]", "socket", seccomp.Action{Kind: seccomp.Errno, Errno: 97}},
		{"RestrictAddressFamilies=none\nRestrictAddressFamilies=", "[]", "socket", allow},
	} {
		p, _ := imported(t, c.text)
		if got := fmt.Sprint(p.Process.Capabilities); got != c.caps {
			t.Errorf("%s: keeps %s, want %s", c.text, got, c.caps)
		}
		check(t, p, c.call, [6]uint64{0, 0, 0, 0, 0, 0}, c.want)
	}
	p, _ := imported(t, "LockPersonality=yes")
	check(t, p, "personality", [6]uint64{0xffffffff}, eperm) // systemd refuses the question, too
	p, _ = imported(t, "CapabilityBoundingSet=CAP_KILL\nCapabilityBoundingSet=~")
	if len(p.Process.Capabilities) < 38 {
		t.Errorf("~ keeps %v", p.Process.Capabilities)
	}
}

// TestFamilies: lists of families add up and take back, as lists of calls do.
func TestFamilies(t *testing.T) {
	refused, allow := seccomp.Action{Kind: seccomp.Errno, Errno: 97}, seccomp.Action{Kind: seccomp.Allow}
	const unix, inet, netlink, packet = 1, 2, 16, 17
	for text, granted := range map[string][]uint64{
		"AF_UNIX|AF_INET":             {unix, inet},
		"AF_UNIX AF_INET|~AF_INET":    {unix},
		"AF_UNIX|~AF_UNIX":            {},
		"~AF_PACKET|~AF_NETLINK":      {unix, inet},
		"~AF_PACKET AF_UNIX|AF_UNIX":  {unix, inet, netlink},
		"none|AF_INET":                {inet},
		"AF_UNIX||~AF_INET":           {unix, netlink, packet},
		"AF_UNIX|none":                {},
		`"AF_UNIX" 'AF_INET'|AF_UNIX`: {unix, inet},
	} {
		unit := "RestrictAddressFamilies=" + strings.ReplaceAll(text, "|", "\nRestrictAddressFamilies=")
		p, losses := imported(t, unit)
		if len(losses) > 0 {
			t.Errorf("%s: %q", text, losses)
		}
		for _, family := range []uint64{unix, inet, netlink, packet} {
			want := refused
			for _, g := range granted {
				if g == family {
					want = allow
				}
			}
			check(t, p, "socket", [6]uint64{family, 1}, want)
		}
	}
}

// TestLimits: of two limits on processes the smaller counts, sizes and times
// are read as systemd reads them, and never rounded up.
func TestLimits(t *testing.T) {
	for text, want := range map[string]policy.Limits{
		"TasksMax=10\nLimitNPROC=100000":          {Processes: "10"},
		"LimitNPROC=10\nTasksMax=100000":          {Processes: "10"},
		"TasksMax=10\nTasksMax=infinity":          {},
		"TasksMax=10\nTasksMax=":                  {},
		"TasksMax=infinity\nLimitNPROC=7":         {Processes: "7"},
		"LimitNPROC=5:9":                          {Processes: "5"},
		"LimitNOFILE=infinity:9":                  {OpenFiles: "9"},
		"LimitNOFILE=5:infinity":                  {OpenFiles: "5"},
		"MemoryMax=1.5G":                          {Memory: "1610612736"},
		"MemoryMax=512M\nMemoryMax=infinity":      {},
		"MemoryLimit=512M\nMemorySwapMax=0":       {Memory: "512M"},
		"MemoryMax=10E":                           {},
		"LimitCORE=0":                             {Core: "0"},
		"LimitCORE=0:infinity":                    {Core: "0"},
		"LimitFSIZE=10":                           {FileSize: "10"},
		"RuntimeMaxSec=1h 30min":                  {Time: "90m"},
		"RuntimeMaxSec=2d":                        {Time: "48h"},
		"RuntimeMaxSec=90":                        {Time: "90s"},
		"RuntimeMaxSec=2.5s":                      {Time: "2s"},
		"RuntimeMaxSec=1500ms":                    {Time: "1s"},
		"LimitCPU=5 min":                          {CPUTime: "5m"},
		"LimitCPU=60:120":                         {CPUTime: "1m"},
		"CPUQuota=150%":                           {CPU: "150%"},
		"CPUQuota=20.9%":                          {CPU: "20%"},
		"CPUQuota=20%\nCPUQuota=":                 {},
		"TasksMax=99999999999\nLimitNPROC=4":      {Processes: "4"},
		"RuntimeMaxSec=5\nRuntimeMaxSec=infinity": {},
	} {
		if p, _ := imported(t, text); p.Limits != want {
			t.Errorf("%q: %+v", text, p.Limits)
		}
	}
}

// TestNetworkAddresses: what is lost is what the unit allows, in the words of network.hosts,
// which sbx takes with a port. A unit that may reach nothing loses nothing.
func TestNetworkAddresses(t *testing.T) {
	for text, want := range map[string]string{
		"IPAddressDeny=any": "",
		"IPAddressDeny=any\nIPAddressAllow=10.1.2.3/8 2001:db8::/32": `"10.0.0.0/8:PORT", "[2001:db8::/32]:PORT"`,
		"IPAddressDeny=any\nIPAddressAllow=localhost 192.0.2.7":      `"127.0.0.0/8:PORT", "[::1]:PORT", "192.0.2.7:PORT"`,
		"IPAddressDeny=any\nIPAddressAllow=link-local multicast":     `"169.254.0.0/16:PORT", "[fe80::/64]:PORT"`,
		"IPAddressDeny=10.0.0.0/8":                                   "and not those that may not",
		"RestrictNetworkInterfaces=eth0":                             "no interfaces",
		"RestrictNetworkInterfaces=eth0\nIPAddressDeny=any":          "",
	} {
		p, losses := imported(t, text)
		said := strings.Join(losses, "\n")
		if (said == "") != (want == "") || !strings.Contains(said, want) || p.Namespaces.Net != "new" {
			t.Errorf("%q: net %s, lost %q, want %q", text, p.Namespaces.Net, said, want)
		}
		if _, list, ok := strings.Cut(said, "network.hosts = ["); ok {
			list, _, _ = strings.Cut(list, "]\n")
			for entry := range strings.SplitSeq(strings.TrimSuffix(list, "]"), ", ") {
				entry = strings.ReplaceAll(strings.Trim(entry, `"`), "PORT", "443")
				if err := p.AddHost(entry); err != nil {
					t.Errorf("%q: %v", text, err)
				}
			}
		}
	}
}

// TestNetworkLists: addresses and interfaces that are restricted cost the
// network, since a policy cannot say them without ports; ports it has.
func TestNetworkLists(t *testing.T) {
	for text, want := range map[string]string{
		"":                  "host []",
		"IPAddressDeny=any": "new []",
		"IPAddressDeny=any\nIPAddressAllow=localhost":                           "new []",
		"IPAddressDeny=10.0.0.0/8\nIPAddressAllow=any":                          "host []",
		"IPAddressDeny=any\nIPAddressDeny=":                                     "host []",
		"IPAddressAllow=localhost":                                              "host []",
		"RestrictNetworkInterfaces=eth0":                                        "new []",
		"PrivateNetwork=yes\nNetworkNamespacePath=/run/netns/a":                 "/run/netns/a []",
		"PrivateNetwork=yes\nPrivateNetwork=no":                                 "host []",
		"SocketBindDeny=any\nSocketBindAllow=tcp:443 tcp:80":                    "host [80 443]",
		"SocketBindDeny=any\nSocketBindAllow=tcp:80-82\nSocketBindAllow=udp:53": "host [80 81 82]",
		"SocketBindDeny=ipv4:tcp:25":                                            "host []",
	} {
		p, losses := imported(t, text)
		if got := fmt.Sprintf("%s %v", p.Namespaces.Net, p.Network.Bind); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
		if strings.Contains(text, "Deny=any\nIPAddressAllow=l") && len(losses) == 0 {
			t.Errorf("%q: nothing is said", text)
		}
		if strings.Contains(text, "SocketBindDeny") && p.Network.Bind == nil {
			t.Errorf("%q: all ports can be bound", text)
		}
	}
}

// TestInterfaces: where the unit has another network than the host, the host's /sys, which
// names its interfaces, is a difference.
func TestInterfaces(t *testing.T) {
	const says = "/sys shows the names of the host's network interfaces"
	for text, want := range map[string]bool{
		"PrivateNetwork=yes":                                   true,
		"NetworkNamespacePath=/run/netns/a":                    true,
		"PrivateNetwork=yes\nProtectSystem=strict":             true,
		"PrivateNetwork=yes\nInaccessiblePaths=/sys":           false,
		"PrivateNetwork=yes\nInaccessiblePaths=-/sys":          false,
		"PrivateNetwork=yes\nInaccessiblePaths=/sys/class/net": false,
		"PrivateNetwork=yes\nTemporaryFileSystem=/sys":         false,
		"PrivateNetwork=no":                                    false,
		"IPAddressDeny=any":                                    false,
	} {
		_, losses := imported(t, text)
		if got := slices.ContainsFunc(losses, func(s string) bool { return strings.Contains(s, says) }); got != want {
			t.Errorf("%q: it is said: %v, in %q", text, got, losses)
		}
	}
}

// TestByteOrderMark: editors put one in front.
func TestByteOrderMark(t *testing.T) {
	p, _ := imported(t, "\xef\xbb\xbf[Service]\nProtectSystem=strict\nProtectHome=yes")
	if p.Files.Read[0] != "/" {
		t.Errorf("%+v", p.Files)
	}
}

// TestLossyCalls: unknown calls are skipped in a list of what is allowed only.
func TestLossyCalls(t *testing.T) {
	o := Options{Native: seccomp.AMD64, Lossy: true}
	for _, text := range []string{
		"SystemCallFilter=read warp_drive @warp", "SystemCallFilter=read\nSystemCallFilter=~warp_drive",
	} {
		p, losses, _, err := Import("x.service", []byte(text+"\n"), o)
		if err != nil || len(losses) == 0 || !strings.Contains(losses[0], "warp") {
			t.Errorf("%s: %q, %v", text, losses, err)
			continue
		}
		check(t, p, "read", [6]uint64{}, seccomp.Action{Kind: seccomp.Allow})
		check(t, p, "mount", [6]uint64{}, seccomp.Action{Kind: seccomp.KillProcess})
	}
	for _, text := range []string{"SystemCallFilter=~warp_drive", "SystemCallFilter=read\nSystemCallFilter=~@warp"} {
		if _, _, _, err := Import("x.service", []byte(text+"\n"), o); err == nil {
			t.Errorf("%s: skipped", text)
		}
	}
}
