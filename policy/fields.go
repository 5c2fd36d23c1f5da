package policy

import (
	"maps"
	"slices"
	"strings"

	"sbx/policy/seccomp"
)

// field is one key of the language: where it is kept, what it may hold and
// what it means. Parsing, merging, printing, comparing and the JSON Schema
// all read the one list that fields returns. Exactly one of the accessors is
// set.
type field struct {
	key string // dotted: "files.read"
	doc string // one line, for the schema

	list   func(*Policy) *[]string
	str    func(*Policy) *string
	num    func(*Policy) *int
	truth  func(*Policy) **bool
	id32   func(*Policy) **int // a user or group id
	action func(*Policy) *seccomp.Action
	// texts and options are by path.
	texts   func(*Policy) *map[string]string
	options func(*Policy) *map[string]PathOptions

	// check says what is wrong with a string or a list's entry, else gives
	// its canonical form. Entries come without their "!".
	check func(string) (string, *fault)
	// id is what makes two entries the same one; nil: the entry itself.
	id func(string) string
	// whole says that the file may give the string, or a list's entry, as a
	// whole number too.
	whole bool
	// closed says of a list that an empty one forbids all, while none at all
	// forbids nothing.
	closed bool
	// deflt is what a string means when nothing is said.
	deflt string
	// values, if not nil, lists all that check takes.
	values func() []string
	// removable says that "!x" takes x out.
	removable bool
	// wide says that more entries allow more, narrow that they allow less.
	wide, narrow bool
}

// tables are the names of the tables, in the order they are printed in.
func tables() []string {
	return []string{"namespaces", "files", "network", "process", "limits", "seccomp", "report", "expect"}
}

// fields lists every key but seccomp.rule, in the order they are printed in.
// It is a function so that starting the program does not build it.
func fields() []field {
	const wide, narrow = true, true
	ns := func(key, deflt, doc string, at func(*Policy) *string) field {
		values := []string{"new", "host"}
		if key == "user" {
			values = append(values, "auto")
		}
		return field{
			key: "namespaces." + key, doc: doc, str: at, deflt: deflt,
			check:  func(s string) (string, *fault) { return checkNamespace(s, values) },
			values: func() []string { return values },
		}
	}
	paths := func(
		key, doc string, wide, narrow bool, check func(string) (string, *fault), at func(*Policy) *[]string,
	) field {
		return field{
			key: "files." + key, doc: doc, list: at, check: check, id: withoutMark,
			removable: true, wide: wide, narrow: narrow,
		}
	}
	flag := func(key, doc string, at func(*Policy) **bool) field { return field{key: key, doc: doc, truth: at} }
	limit := func(key, doc string, check func(string) (string, *fault), at func(*Policy) *string) field {
		return field{key: "limits." + key, doc: doc + ", or \"none\"; ? in front: may be given up on", str: at, check: check}
	}
	number := func(f field) field {
		f.whole = true
		return f
	}
	count, size, span := checkLimit(ParseCount), checkLimit(ParseSize), checkLimit(ParseTime)
	return []field{
		{key: "version", doc: "vocabulary of the file: 1", num: func(p *Policy) *int { return &p.Version }},
		{key: "summary", doc: "one line for people", str: func(p *Policy) *string { return &p.Summary }, check: checkSummary},
		{key: "extends", doc: "policies this one adds to, left to right",
			list: func(p *Policy) *[]string { return &p.Extends }, check: checkExtends},

		{key: "namespaces.all", doc: "host: make no namespace at all, as where they are forbidden; new: as the others say",
			str: func(p *Policy) *string { return &p.Namespaces.All }, check: oneOf("all", []string{"new", "host"}),
			values: func() []string { return []string{"new", "host"} }},
		ns("user", "auto", "user namespace: new, host, auto (new if the caller needs one) or the path of one to join",
			func(p *Policy) *string { return &p.Namespaces.User }),
		ns("mount", "new", "mount namespace: new, host or the path of one to join",
			func(p *Policy) *string { return &p.Namespaces.Mount }),
		ns("pid", "new", "pid namespace: new, host or the path of one to join",
			func(p *Policy) *string { return &p.Namespaces.PID }),
		ns("net", "new", "network namespace: new, host or the path of one to join",
			func(p *Policy) *string { return &p.Namespaces.Net }),
		ns("ipc", "new", "IPC namespace: new, host or the path of one to join",
			func(p *Policy) *string { return &p.Namespaces.IPC }),
		ns("uts", "new", "UTS namespace: new, host or the path of one to join",
			func(p *Policy) *string { return &p.Namespaces.UTS }),
		ns("cgroup", "new", "cgroup namespace: new, host or the path of one to join",
			func(p *Policy) *string { return &p.Namespaces.Cgroup }),
		ns("time", "host", "time namespace: new, host or the path of one to join",
			func(p *Policy) *string { return &p.Namespaces.Time }),

		{key: "namespaces.uid", doc: "the caller's user id in a new user namespace",
			id32: func(p *Policy) **int { return &p.Namespaces.UID }},
		{key: "namespaces.gid", doc: "the caller's group id in a new user namespace",
			id32: func(p *Policy) **int { return &p.Namespaces.GID }},
		flag("namespaces.ranges", "whether the caller's ranges in /etc/subuid and subgid are mapped too (default false)",
			func(p *Policy) **bool { return &p.Namespaces.Ranges }),
		{key: "namespaces.hostname", doc: "hostname in a new UTS namespace",
			str: func(p *Policy) *string { return &p.Namespaces.Hostname }, check: checkHostname},
		{key: "namespaces.monotonic", doc: "offset of CLOCK_MONOTONIC in a new time namespace, as 1h30m or -2h",
			str: func(p *Policy) *string { return &p.Namespaces.Monotonic }, check: checkOffset},
		{key: "namespaces.boottime", doc: "offset of CLOCK_BOOTTIME in a new time namespace, as 1h30m or -2h",
			str: func(p *Policy) *string { return &p.Namespaces.Boottime }, check: checkOffset},

		paths("read", "paths shown read-only; ? in front: may be missing", wide, false, checkPath,
			func(p *Policy) *[]string { return &p.Files.Read }),
		paths("write", "paths shown writable; ? in front: may be missing, or not the caller's to write", wide, false,
			checkPath, func(p *Policy) *[]string { return &p.Files.Write }),
		paths("hide", "paths, or patterns without a slash, covered inside what is shown", false, narrow, checkHide,
			func(p *Policy) *[]string { return &p.Files.Hide }),
		paths("unhide", "exceptions from the patterns in hide: names, trees with a / behind, or paths", wide, false,
			checkUnhide, func(p *Policy) *[]string { return &p.Files.Unhide }),
		paths("inspect", "names of files that are hidden if they hold a private key or a credential", false, false,
			checkInspect, func(p *Policy) *[]string { return &p.Files.Inspect }),
		paths("guard", "names, as patterns, that are read-only in a writable project", false, narrow, checkGuard,
			func(p *Policy) *[]string { return &p.Files.Guard }),
		paths("unguard", "exceptions from the patterns with a star in guard", wide, false, checkGuard,
			func(p *Policy) *[]string { return &p.Files.Unguard }),
		paths("tmpfs", "directories that are private, empty and writable", wide, false, checkPath,
			func(p *Policy) *[]string { return &p.Files.Tmpfs }),
		paths("overlay", "directories that can be written while the host's stay as they are", wide, false, checkPath,
			func(p *Policy) *[]string { return &p.Files.Overlay }),
		paths("directories", "empty, read-only directories", wide, false, checkPath,
			func(p *Policy) *[]string { return &p.Files.Directories }),
		paths("devices", "device files below /dev, or directories with such, that may be used", wide, false, checkDevice,
			func(p *Policy) *[]string { return &p.Files.Devices }),
		paths("sockets", "Unix sockets, or directories with such, that may be connected to", wide, false, checkPath,
			func(p *Policy) *[]string { return &p.Files.Sockets }),
		flag("files.own_sockets", "whether programs have Unix sockets among themselves before Linux 7.1 too (default false)",
			func(p *Policy) **bool { return &p.Files.OwnSockets }),
		{key: "files.file", doc: "read-only files by path: their text",
			texts: func(p *Policy) *map[string]string { return &p.Files.Inline }, check: checkContent},
		{key: "files.symlink", doc: "symbolic links by path: their target",
			texts: func(p *Policy) *map[string]string { return &p.Files.Symlinks }, check: checkLink},
		{key: "files.path", doc: "more about single paths of the lists",
			options: func(p *Policy) *map[string]PathOptions { return &p.Files.Paths }},
		flag("files.proc", "whether there is a /proc, masked and read-only (default true)",
			func(p *Policy) **bool { return &p.Files.Proc }),
		flag("files.dev", "whether there is a minimal /dev (default true)", func(p *Policy) **bool { return &p.Files.Dev }),
		flag("files.set_id", "whether set-id files may be left in directories of the host (default true)",
			func(p *Policy) **bool { return &p.Files.SetID }),

		{key: "network.bind", doc: "TCP ports that may be bound, 0: those the kernel picks; none at all if empty",
			list: func(p *Policy) *[]string { return &p.Network.Bind }, check: checkPort(0), removable: true, wide: true,
			whole: true, closed: true},
		{key: "network.connect", doc: "TCP ports that may be connected to; none at all if empty",
			list: func(p *Policy) *[]string { return &p.Network.Connect }, check: checkPort(1), removable: true, wide: true,
			whole: true, closed: true},
		{key: "network.hosts", doc: "hosts that may be reached: NAME:PORT, *.NAME:PORT, ADDRESS[/BITS]:PORT or a @group",
			list: func(p *Policy) *[]string { return &p.Network.Hosts }, check: checkHost, removable: true, wide: true},
		number(field{key: "network.port", doc: "TCP port of entries of hosts that name none",
			str: func(p *Policy) *string { return &p.Network.Port }, check: checkPort(1)}),
		{key: "network.listen",
			doc:  "where the host accepts connections, and where they lead: [ADDRESS:]PORT[:PORT] or unix:PATH[:PORT]",
			list: func(p *Policy) *[]string { return &p.Network.Listen }, check: checkListen, removable: true, wide: true},

		{key: "process.capabilities", doc: "capabilities kept; ? in front: only if the caller has it",
			list: func(p *Policy) *[]string { return &p.Process.Capabilities }, check: checkCapability, id: withoutMark,
			values: capabilityNames, removable: true, wide: true},
		{key: "process.env", doc: "environment that crosses: NAME, PREFIX_* or NAME=value",
			list: func(p *Policy) *[]string { return &p.Process.Env }, check: checkEnv, id: envName,
			removable: true, wide: true},
		flag("process.ambient", "whether the capabilities kept are ambient too (default false)",
			func(p *Policy) **bool { return &p.Process.Ambient }),
		flag("process.nest", "whether user namespaces may be made inside (default false)",
			func(p *Policy) **bool { return &p.Process.Nest }),
		{key: "process.landlock", doc: "the rules of files once more by Landlock: auto, require or off",
			str: func(p *Policy) *string { return &p.Process.Landlock }, check: oneOf("landlock", landlockModes()),
			values: landlockModes, deflt: "auto"},
		flag("process.landlock_log", "whether what Landlock denies is logged (default false)",
			func(p *Policy) **bool { return &p.Process.LandlockLog }),
		flag("process.supervise", "whether sbx stays beside the program; false: it becomes the program (default true)",
			func(p *Policy) **bool { return &p.Process.Supervise }),
		{key: "process.terminal", doc: "the caller's terminal: inherit, new-session (none) or pty (one of its own)",
			str: func(p *Policy) *string { return &p.Process.Terminal }, check: oneOf("terminal", terminalModes()),
			values: terminalModes, deflt: "inherit"},
		{key: "process.apparmor", doc: "AppArmor profile to execute under",
			str: func(p *Policy) *string { return &p.Process.AppArmor }, check: checkLabel},
		{key: "process.selinux", doc: "SELinux context to execute under",
			str: func(p *Policy) *string { return &p.Process.SELinux }, check: checkLabel},

		number(limit("processes", "most processes at a time", count, func(p *Policy) *string { return &p.Limits.Processes })),
		limit("memory", "most memory, as 512M or 2G", size, func(p *Policy) *string { return &p.Limits.Memory }),
		limit("cpu", "share of one processor's time, as 50% or 200%", checkLimit(ParsePercent),
			func(p *Policy) *string { return &p.Limits.CPU }),
		limit("io", "most bytes a second to and from each disk, as 10M", size,
			func(p *Policy) *string { return &p.Limits.IO }),
		limit("time", "longest run, as 90s or 1h30m", span, func(p *Policy) *string { return &p.Limits.Time }),
		limit("cpu_time", "most processor time of each process, as 90s or 1h30m", span,
			func(p *Policy) *string { return &p.Limits.CPUTime }),
		limit("file_size", "largest file written, as 512M or 2G", size,
			func(p *Policy) *string { return &p.Limits.FileSize }),
		number(limit("open_files", "most descriptors open in a process", count, func(p *Policy) *string {
			return &p.Limits.OpenFiles
		})),
		number(limit("core", "largest core dump, 0 for none", checkLimit(ParseCore), func(p *Policy) *string {
			return &p.Limits.Core
		})),
		limit("tmp", "size of each tmpfs that has none of its own, as 64M", size,
			func(p *Policy) *string { return &p.Limits.Tmp }),

		{key: "seccomp.oci", doc: "container runtime's seccomp profile, in the place of all that is inherited here",
			str: func(p *Policy) *string { return &p.OCI }, check: checkProfile},
		{key: "seccomp.default", doc: "answer to known system calls that nothing names (default errno:EPERM)",
			action: func(p *Policy) *seccomp.Action { return &p.Seccomp.Default }, deflt: "errno:EPERM"},
		{key: "seccomp.unknown", doc: "answer to system calls younger than the table (default errno:ENOSYS)",
			action: func(p *Policy) *seccomp.Action { return &p.Seccomp.Unknown }, deflt: "errno:ENOSYS"},
		{key: "seccomp.allow", doc: "system calls and @groups allowed",
			list: func(p *Policy) *[]string { return &p.Seccomp.Allow }, check: checkSyscall, removable: true, wide: true},
		{key: "seccomp.deny", doc: "system calls and @groups denied, whatever is allowed",
			list: func(p *Policy) *[]string { return &p.Seccomp.Deny }, check: checkSyscall, removable: true, narrow: true},
		{key: "seccomp.architectures", doc: "ABIs besides the machine's own; all others are killed",
			list: func(p *Policy) *[]string { return &p.Seccomp.Architectures }, check: checkArchitecture,
			removable: true, wide: true},
		flag("seccomp.log", "log every answer but allow (SECCOMP_FILTER_FLAG_LOG)",
			func(p *Policy) **bool { return &p.Seccomp.Log }),
		flag("seccomp.spec_allow", "no Spectre mitigation for the sake of the filter (SECCOMP_FILTER_FLAG_SPEC_ALLOW)",
			func(p *Policy) **bool { return &p.Seccomp.SpecAllow }),
		flag("seccomp.wait_killable", "notifications wait killably (SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV)",
			func(p *Policy) **bool { return &p.Seccomp.WaitKillable }),

		flag("report.keep", "whether what a run was denied is kept for sbx explain --last (default false)",
			func(p *Policy) **bool { return &p.Report.Keep }),
		{key: "expect.allow", doc: "what must work inside", list: func(p *Policy) *[]string { return &p.Expect.Allow },
			check: checkExpect, id: withoutMark, removable: true},
		{key: "expect.deny", doc: "what must fail inside", list: func(p *Policy) *[]string { return &p.Expect.Deny },
			check: checkExpect, id: withoutMark, removable: true},
	}
}

// option is one key of files.path's tables.
type option struct {
	key, doc string
	str      func(*PathOptions) *string
	truth    func(*PathOptions) **bool
	check    func(string) (string, *fault)
	// kinds are the lists of [files] whose paths may have it.
	kinds string
}

// pathOptions lists what files.path can say, in the order it is printed in.
func pathOptions() []option {
	return []option{
		{key: "from", doc: "what is shown there: another path, or a descriptor as fd:7",
			str: func(o *PathOptions) *string { return &o.From }, check: checkFrom, kinds: "read write overlay"},
		{key: "exec", doc: "whether files there can be executed (default true)",
			truth: func(o *PathOptions) **bool { return &o.Exec }, kinds: "read write tmpfs overlay"},
		{key: "size", doc: "size of a tmpfs, or of what an overlay takes, as 64M",
			str: func(o *PathOptions) *string { return &o.Size }, check: checkTmpfsSize, kinds: "tmpfs overlay"},
		{key: "owner", doc: "user that a tmpfs or a directory belongs to; ? in front: if there is one and root starts sbx",
			str: func(o *PathOptions) *string { return &o.Owner }, check: checkOwner, kinds: "tmpfs directories"},
		{key: "mode", doc: "mode of a tmpfs or a directory, in octal, as 1777",
			str: func(o *PathOptions) *string { return &o.Mode }, check: checkMode, kinds: "tmpfs directories"},
		{key: "upper", doc: "directory that an overlay's changes are kept in",
			str: func(o *PathOptions) *string { return &o.Upper }, check: checkPlace, kinds: "overlay"},
		{key: "work", doc: "empty directory on the same file system, for the overlay's work",
			str: func(o *PathOptions) *string { return &o.Work }, check: checkPlace, kinds: "overlay"},
	}
}

// ruleKeys are the keys of one [[seccomp.rule]].
func ruleKeys() []string { return []string{"syscalls", "when", "action"} }

func terminalModes() []string { return []string{"inherit", "new-session", "pty"} }

func landlockModes() []string { return []string{"auto", "require", "off"} }

// withoutMark strips the "?" of an optional entry.
func withoutMark(s string) string {
	if s != "" && s[0] == '?' {
		return s[1:]
	}
	return s
}

// envName is the variable or pattern that an entry of process.env is about.
func envName(s string) string {
	for i := 0; i < len(s); i++ {
		if s[i] == '=' {
			return s[:i]
		}
	}
	return s
}

func (f *field) identity(entry string) string {
	if f.id == nil {
		return entry
	}
	return f.id(entry)
}

// place is the table the key is in, "" for the top, and its name there.
func (f *field) place() (table, key string) {
	if table, key, ok := strings.Cut(f.key, "."); ok {
		return table, key
	}
	return "", f.key
}

// most is how many entries a list may have.
func (f *field) most() int {
	if f.key == "network.hosts" {
		return MaxHosts
	}
	return MaxEntries
}

// isMap says whether the key is a table by path.
func (f *field) isMap() bool { return f.texts != nil || f.options != nil }

// paths are a table's keys, in order.
func (f *field) paths(p *Policy) []string {
	if f.texts != nil {
		return slices.Sorted(maps.Keys(*f.texts(p)))
	}
	return slices.Sorted(maps.Keys(*f.options(p)))
}

// len is how many paths a table by path has.
func (f *field) len(p *Policy) int {
	switch {
	case f.texts != nil:
		return len(*f.texts(p))
	case f.options != nil:
		return len(*f.options(p))
	}
	return 0
}
