// Package doctor tries each feature of the kernel that sandboxes are made of, for real,
// in a forked child, and says what to do about those that do not work.
package doctor

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"sbx/caps"
	"sbx/policy"
	"sbx/sandbox/internal/attempt"
)

// Feature is what was found out about one.
type Feature struct {
	Name  string `json:"feature"`
	Works bool   `json:"works"`
	// Why says what the kernel answered, or what was read.
	Why string `json:"why,omitempty"`
	// Fix is what to do about it, exactly.
	Fix string `json:"fix,omitempty"`
	// Needs says whether a policy cannot do without it. Wants says that it uses it where
	// it is there. Second says that it is a way for policies that lack another feature.
	Needs  func(*policy.Policy) bool `json:"-"`
	Wants  func(*policy.Policy) bool `json:"-"`
	Second bool                      `json:"-"`
}

// bench tries things.
type bench struct {
	*attempt.Runner
	// inUser says that the caller needs a user namespace for all others, and blocked that
	// it cannot have one.
	inUser, blocked bool
	place           Place
	list            []Feature
}

// Look tries all features. The order is that of a launch.
func Look() ([]Feature, Place, error) {
	run, err := attempt.New()
	if err != nil {
		return nil, Place{}, err
	}
	b := &bench{Runner: run, place: look()}
	b.user()
	b.namespaces()
	b.mounts()
	for i := range b.list { // a launch without namespaces takes nothing of that
		needs := b.list[i].Needs
		b.list[i].Needs = func(p *policy.Policy) bool { return !p.Namespaces.None() && needs(p) }
	}
	b.filters()
	b.landlock()
	b.others()
	return b.list, b.place, nil
}

// add tries the calls, with those of a user namespace in front of them.
func (b *bench) add(name string, needs func(*policy.Policy) bool, fix func(unix.Errno) string, flags uintptr,
	calls ...attempt.Call) bool {
	if b.blocked {
		b.list = append(b.list, Feature{Name: name, Needs: needs, Why: "it takes a user namespace here"})
		b.Forget()
		return false
	}
	var own []attempt.Call
	if b.inUser {
		own = b.mapping()
		flags |= unix.CLONE_NEWUSER
	}
	offset := len(own)
	all := append(own, calls...)
	for i := offset; i < len(all); i++ {
		all[i].Of += offset
	}
	o := b.Run(flags, all...)
	f := Feature{Name: name, Works: o.Works, Needs: needs}
	if !o.Works {
		f.Why, f.Fix = why(o), fix(o.Errno)
	}
	b.list = append(b.list, f)
	b.Forget()
	return o.Works
}

func why(o attempt.Outcome) string {
	switch {
	case o.Signal != 0:
		return "the process that tried was ended by " + unix.SignalName(o.Signal)
	case o.Errno != 0:
		return o.Errno.Error()
	}
	return o.Untried
}

func sys(nr uintptr, args ...uintptr) attempt.Call {
	c := attempt.Call{Nr: nr, From: -1}
	copy(c.Args[:], args)
	return c
}

// on is a call whose first argument is what call number of gave.
func on(of int, nr uintptr, args ...uintptr) attempt.Call {
	c := sys(nr, append([]uintptr{0}, args...)...)
	c.From, c.Of = 0, of
	return c
}

const at = ^uintptr(99) // AT_FDCWD

// always is what each sandbox takes.
func always(*policy.Policy) bool { return true }

// user tries user namespaces and their maps.
func (b *bench) user() {
	// Root uses none, but who is root by a container's map may.
	effective, _, err := caps.Own()
	plain := err != nil || effective&caps.Admin == 0
	needs := func(p *policy.Policy) bool {
		u := p.Namespaces.User
		return u == "new" || plain && (u == "" || u == "auto")
	}
	works := b.add("user namespace", needs, b.namespaceFix, unix.CLONE_NEWUSER)
	if works {
		works = b.add("user namespace, ids mapped", needs, b.mapFix, unix.CLONE_NEWUSER, b.mapping()...)
	}
	b.inUser, b.blocked = works && plain, !works && plain
}

// mapping maps the caller's own ids, as the child does.
func (b *bench) mapping() []attempt.Call {
	var calls []attempt.Call
	for _, x := range [...][2]string{
		{"/proc/self/setgroups", "deny"},
		{"/proc/self/uid_map", mapLine(unix.Geteuid())},
		{"/proc/self/gid_map", mapLine(unix.Getegid())},
	} {
		calls = append(calls, sys(unix.SYS_OPENAT, at, b.Text(x[0]), unix.O_WRONLY),
			on(len(calls), unix.SYS_WRITE, b.Text(x[1]), uintptr(len(x[1]))))
	}
	return calls
}

// namespaces tries each of the others.
func (b *bench) namespaces() {
	for _, x := range [...]struct {
		name string
		flag uintptr
		says func(*policy.Policy) string
		host bool // the policy's default is the host's
	}{
		{"mount", unix.CLONE_NEWNS, func(p *policy.Policy) string { return p.Namespaces.Mount }, false},
		{"pid", unix.CLONE_NEWPID, func(p *policy.Policy) string { return p.Namespaces.PID }, false},
		{"network", unix.CLONE_NEWNET, func(p *policy.Policy) string { return p.Namespaces.Net }, false},
		{"IPC", unix.CLONE_NEWIPC, func(p *policy.Policy) string { return p.Namespaces.IPC }, false},
		{"UTS", unix.CLONE_NEWUTS, func(p *policy.Policy) string { return p.Namespaces.UTS }, false},
		{"cgroup", unix.CLONE_NEWCGROUP, func(p *policy.Policy) string { return p.Namespaces.Cgroup }, false},
		{"time", unix.CLONE_NEWTIME, func(p *policy.Policy) string { return p.Namespaces.Time }, true},
	} {
		needs := func(p *policy.Policy) bool {
			s := x.says(p)
			return s == "new" || s == "" && !x.host
		}
		if x.name != "time" {
			b.add(x.name+" namespace", needs, b.namespaceFix, x.flag)
			continue
		}
		b.add(x.name+" namespace", needs, b.namespaceFix, 0, sys(unix.SYS_UNSHARE, x.flag)) // no flag of clone(2)
	}
	ifreq := make([]byte, 40)
	copy(ifreq, "lo")
	ifreq[16] = unix.IFF_UP
	b.add("loopback", func(p *policy.Policy) bool { return p.Namespaces.Net == "" || p.Namespaces.Net == "new" }, b.denied,
		unix.CLONE_NEWNET, sys(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_DGRAM),
		on(0, unix.SYS_IOCTL, unix.SIOCSIFFLAGS, b.Bytes(ifreq)))
}

// mounts tries what the root file system is made of.
func (b *bench) mounts() {
	new := func(p *policy.Policy) bool { return p.Namespaces.Mount == "" || p.Namespaces.Mount == "new" }
	and := func(more func(*policy.Policy) bool) func(*policy.Policy) bool {
		return func(p *policy.Policy) bool { return new(p) && more(p) }
	}
	attr := b.Bytes(mountAttr(unix.MOUNT_ATTR_RDONLY))
	b.add("mounts (open_tree, mount_setattr, Linux 5.12)", new, b.mountFix, unix.CLONE_NEWNS,
		sys(unix.SYS_OPEN_TREE, at, b.Text("/"), unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE),
		on(0, unix.SYS_MOUNT_SETATTR, b.Text(""), unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, attr, 32))
	fs := func(name, kind string, needs func(*policy.Policy) bool, flags uintptr, fix func(unix.Errno) string) {
		b.add(name, needs, fix, unix.CLONE_NEWNS|flags,
			sys(unix.SYS_FSOPEN, b.Text(kind), unix.FSOPEN_CLOEXEC),
			on(0, unix.SYS_FSCONFIG, unix.FSCONFIG_CMD_CREATE, 0, 0, 0),
			on(0, unix.SYS_FSMOUNT, unix.FSMOUNT_CLOEXEC, 0))
	}
	fs("tmpfs", "tmpfs", new, 0, b.mountFix)
	fs("proc in a pid namespace", "proc", and(func(p *policy.Policy) bool {
		return policy.NotFalse(p.Files.Proc) && (p.Namespaces.PID == "" || p.Namespaces.PID == "new")
	}), unix.CLONE_NEWPID, b.procFix)
	fs("devpts", "devpts", and(func(p *policy.Policy) bool { return policy.NotFalse(p.Files.Dev) }), 0, b.mountFix)
	private := sys(unix.SYS_MOUNT, 0, b.Text("/"), 0, unix.MS_REC|unix.MS_PRIVATE, 0)
	private.Pass = unix.EINVAL // the root of a chroot is no mount
	tmp, options := b.Text("/tmp"), b.Text("lowerdir=/tmp/l,upperdir=/tmp/u,workdir=/tmp/w,userxattr")
	b.add("overlay with userxattr (Linux 5.11)", and(func(p *policy.Policy) bool { return len(p.Files.Overlay) > 0 }),
		b.overlayFix, unix.CLONE_NEWNS,
		private,
		sys(unix.SYS_MOUNT, b.Text("tmpfs"), tmp, b.Text("tmpfs"), 0, 0),
		sys(unix.SYS_MKDIRAT, at, b.Text("/tmp/l"), 0o700), sys(unix.SYS_MKDIRAT, at, b.Text("/tmp/u"), 0o700),
		sys(unix.SYS_MKDIRAT, at, b.Text("/tmp/w"), 0o700),
		sys(unix.SYS_MOUNT, b.Text("overlay"), b.Text("/tmp/l"), b.Text("overlay"), 0, options))
}

// filters tries seccomp.
func (b *bench) filters() {
	program := func() uintptr {
		return b.Bytes(filterProgram(b.Bytes([]byte{unix.BPF_RET | unix.BPF_K, 0, 0, 0, 0, 0, 0xff, 0x7f})))
	}
	nnp := sys(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	in, blocked := b.inUser, b.blocked
	b.inUser, b.blocked = false, false // it takes no namespace
	b.add("seccomp filter", always, b.filterFix, 0, nnp,
		sys(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, program()))
	b.add("seccomp user notification (Linux 5.0)", func(p *policy.Policy) bool { return policy.IsTrue(p.Report.Keep) },
		b.listenerFix, 0, nnp, sys(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
			unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, program()))
	b.add("pidfd (Linux 5.3)", always, b.denied, 0, sys(unix.SYS_GETPID), on(0, unix.SYS_PIDFD_OPEN, 0))
	b.calls()
	b.inUser, b.blocked = in, blocked
}

// calls tries system calls of each launch that outer filters may not know. That they reach the
// kernel is enough.
func (b *bench) calls() {
	clone := sys(unix.SYS_CLONE3, b.Text(""), 0)
	clone.Pass = unix.EINVAL // no struct is that small
	// Without namespaces clone(2) stands in for it.
	b.add("clone3 (Linux 5.5)", func(p *policy.Policy) bool { return !p.Namespaces.None() }, b.denied, 0, clone)
	how := binary.NativeEndian.AppendUint64(nil, unix.O_PATH|unix.O_CLOEXEC)
	how = append(how, make([]byte, unix.SizeofOpenHow-len(how))...)
	b.add("openat2 and close_range (Linux 5.9)", always, b.denied, 0,
		sys(unix.SYS_OPENAT2, at, b.Text("/"), b.Bytes(how), unix.SizeofOpenHow),
		sys(unix.SYS_CLOSE_RANGE, 3, 3, 0))
}
