package doctor

import (
	"encoding/binary"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/ns"
	"sbx/policy"
	"sbx/sandbox/internal/cgroup"
)

// landlock tries each group of rights. A launch without namespaces needs those of ABI 6,
// Linux 6.12: nothing else holds what they do.
func (b *bench) landlock() {
	auto := func(p *policy.Policy) bool { return p.Process.Landlock != "off" && !policy.IsTrue(p.Process.Nest) }
	none := func(p *policy.Policy) bool { return p.Namespaces.None() }
	required := func(p *policy.Policy) bool { return p.Process.Landlock == "require" }
	ports := func(p *policy.Policy) bool { return p.Network.Bind != nil || p.Network.Connect != nil }
	shared := func(p *policy.Policy) bool { return p.Namespaces.PID != "" && p.Namespaces.PID != "new" }
	never := func(*policy.Policy) bool { return false }
	in, blocked := b.inUser, b.blocked
	defer func() { b.inUser, b.blocked = in, blocked }()
	b.inUser, b.blocked = false, false
	lacks := Feature{Name: "without namespaces (--no-namespaces, Linux 6.12)", Works: true, Needs: none, Second: true}
	for _, x := range [...]struct {
		name            string
		fs, net, scoped uint64
		since           string
		needs           func(*policy.Policy) bool
	}{
		{"files", 1<<13 - 1, 0, 0, "5.13", required},
		{"moving between directories", unix.LANDLOCK_ACCESS_FS_REFER, 0, 0, "5.19", never},
		{"truncate", unix.LANDLOCK_ACCESS_FS_TRUNCATE, 0, 0, "6.2", never},
		{"TCP ports", 0, 3, 0, "6.7", ports},
		{"ioctl on devices", unix.LANDLOCK_ACCESS_FS_IOCTL_DEV, 0, 0, "6.10", never},
		{"abstract sockets", 0, 0, unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET, "6.12", never},
		{"signals", 0, 0, unix.LANDLOCK_SCOPE_SIGNAL, "6.12", shared},
		{"Unix sockets by path", unix.LANDLOCK_ACCESS_FS_RESOLVE_UNIX, 0, 0, "7.1", never},
	} {
		attr := binary.NativeEndian.AppendUint64(nil, x.fs)
		size := uintptr(8)
		if x.net|x.scoped != 0 {
			attr, size = binary.NativeEndian.AppendUint64(attr, x.net), 16
		}
		if x.scoped != 0 {
			attr, size = binary.NativeEndian.AppendUint64(attr, x.scoped), 24
		}
		b.add("Landlock: "+x.name+" (Linux "+x.since+")", x.needs, func(e unix.Errno) string {
			switch e {
			case unix.EOPNOTSUPP:
				return "boot with landlock in the lsm= list of the kernel's command line"
			case unix.ENOSYS:
				if !ns.Filtered() {
					return "Linux " + x.since + " or newer, with CONFIG_SECURITY_LANDLOCK"
				}
			case unix.EINVAL, unix.E2BIG:
				return "Linux " + x.since + " or newer"
			}
			return b.denied(e)
		}, 0, sys(unix.SYS_LANDLOCK_CREATE_RULESET, b.Bytes(attr), size, 0))
		f := &b.list[len(b.list)-1]
		f.Wants = auto
		if x.since == "7.1" {
			continue
		}
		f.Needs = func(p *policy.Policy) bool { return none(p) || x.needs(p) }
		if !f.Works {
			lacks.Works, lacks.Why = false, "it takes all of Landlock up to signals"
		}
	}
	b.list = append(b.list, lacks)
}

// others reads what is not tried.
func (b *bench) others() {
	b.read("/proc", func(p *policy.Policy) bool { return true }, procMounted(), "mount -t proc proc /proc")
	children := ""
	if _, err := os.Stat("/proc/thread-self/children"); err != nil {
		children = "/proc does not list them"
	}
	b.read("a process's children in /proc (Linux 4.2)", func(p *policy.Policy) bool {
		return p.Namespaces.None() || p.Namespaces.PID != "" && p.Namespaces.PID != "new"
	}, children, "a kernel with CONFIG_PROC_CHILDREN; in a sandbox of sbx without namespaces --read /proc")
	b.cgroup()
	never := func(*policy.Policy) bool { return false }
	for _, x := range [...]struct{ file, bad, why, fix string }{
		{"user/max_user_namespaces", "0", "no user namespaces at all", "sysctl user.max_user_namespaces=15000"},
		{"kernel/unprivileged_userns_clone", "0", "none for users", "sysctl kernel.unprivileged_userns_clone=1"},
		{"kernel/apparmor_restrict_unprivileged_userns", "1", "none for users without a profile",
			"an AppArmor profile for sbx with userns, as the packages bring"},
		{"kernel/yama/ptrace_scope", "0", "processes of one user may trace each other, sbx's launcher excepted",
			"sysctl kernel.yama.ptrace_scope=1"},
		{"dev/tty/legacy_tiocsti", "1", "programs may type into terminals; sbx's filters refuse it",
			"sysctl dev.tty.legacy_tiocsti=0"},
		{"vm/memfd_noexec", "2", "nothing in memory may be executed, sbx's own copy for sbx policy test too",
			"sysctl vm.memfd_noexec=1"},
	} {
		value := ns.Sysctl(x.file)
		if value == "" {
			continue
		}
		name := "sysctl " + strings.ReplaceAll(x.file, "/", ".") + " = " + value
		f := Feature{Name: name, Works: value != x.bad, Needs: never}
		if !f.Works {
			f.Why, f.Fix = x.why, x.fix
		}
		b.list = append(b.list, f)
	}
	if most := ns.Sysctl("fs/mount-max"); most != "" {
		var n int
		_, err := fmt.Sscan(most, &n)
		b.read("sysctl fs.mount-max = "+most, never, truth(err == nil && n >= 1000, "a sandbox has a hundred mounts or more"),
			"sysctl fs.mount-max=100000")
	}
	apparmor, selinux := "", ""
	if _, err := os.Stat("/sys/kernel/security/apparmor"); err != nil &&
		ns.Sysctl("kernel/apparmor_restrict_unprivileged_userns") == "" {
		apparmor = "it is not on in this kernel"
	}
	if _, err := os.Stat("/sys/fs/selinux/enforce"); err != nil {
		selinux = "it is not on in this kernel"
	}
	b.read("AppArmor", func(p *policy.Policy) bool { return p.Process.AppArmor != "" }, apparmor,
		"boot with apparmor in the lsm= list")
	b.read("SELinux", func(p *policy.Policy) bool { return p.Process.SELinux != "" }, selinux,
		"boot with selinux=1 and selinux in the lsm= list")
}

// read adds a feature that does not work if why is not empty.
func (b *bench) read(name string, needs func(*policy.Policy) bool, why, fix string) {
	f := Feature{Name: name, Works: why == "", Why: why, Needs: needs}
	if why != "" {
		f.Fix = fix
	}
	b.list = append(b.list, f)
}

func truth(ok bool, why string) string {
	if ok {
		return ""
	}
	return why
}

func procMounted() string {
	var st unix.Statfs_t
	switch err := unix.Statfs("/proc", &st); {
	case err != nil:
		return err.Error()
	case st.Type != unix.PROC_SUPER_MAGIC:
		return "it is not mounted"
	}
	return ""
}

// cgroup looks for one below which the caller may make others, by controller.
func (b *bench) cgroup() {
	places, all, why := cgroup.Find()
	var have cgroup.Set
	for _, p := range places {
		have |= p.Have
		unix.Close(p.FD)
	}
	for _, x := range [...]struct {
		name string
		set  cgroup.Set
		says func(*policy.Policy) string
	}{
		{"memory", cgroup.Memory, func(p *policy.Policy) string { return p.Limits.Memory }},
		{"pids", cgroup.Pids, func(p *policy.Policy) string { return p.Limits.Processes }},
		{"cpu", cgroup.CPU, func(p *policy.Policy) string { return p.Limits.CPU }},
		{"io", cgroup.IO, func(p *policy.Policy) string { return p.Limits.IO }},
	} {
		no, fix := "", "start sbx in a cgroup of its own: systemd-run --user --scope -p Delegate=yes -- sbx ..., or "+
			"Delegate=yes in the unit; docker run --cgroupns=private with a writable /sys/fs/cgroup"
		switch {
		case have&x.set != 0:
		case all&x.set == 0:
			no, fix = "this machine's cgroup v2 does not have it", "boot with systemd.unified_cgroup_hierarchy=1; for memory "+
				"perhaps cgroup_enable=memory"
		case why != "":
			no = why
		default:
			no = "it is not delegated to the caller"
		}
		b.read("cgroup controller "+x.name, func(p *policy.Policy) bool {
			value, optional := policy.Optional(x.says(p))
			other := x.name == "memory" || x.name == "pids" && !p.Namespaces.None() // held in another way, too
			return value != "" && value != "none" && !optional && !other
		}, no, fix)
	}
}
