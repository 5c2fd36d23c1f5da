package policy

import (
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
	action func(*Policy) *seccomp.Action

	// check says what is wrong with a string or a list's entry, else gives
	// its canonical form. Entries come without their "!".
	check func(string) (string, *fault)
	// id is what makes two entries the same one; nil: the entry itself.
	id func(string) string
	// whole says that the file may give the string as a whole number too.
	whole bool
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
	return []string{"namespaces", "files", "process", "limits", "seccomp", "expect"}
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
	paths := func(key, doc string, wide, narrow bool, check func(string) (string, *fault), at func(*Policy) *[]string) field {
		return field{
			key: "files." + key, doc: doc, list: at, check: check, id: withoutMark,
			removable: true, wide: wide, narrow: narrow,
		}
	}
	flag := func(key, doc string, at func(*Policy) **bool) field { return field{key: key, doc: doc, truth: at} }
	return []field{
		{key: "version", doc: "vocabulary of the file: 1", num: func(p *Policy) *int { return &p.Version }},
		{key: "summary", doc: "one line for people", str: func(p *Policy) *string { return &p.Summary }, check: checkSummary},
		{key: "extends", doc: "policies this one adds to, left to right", list: func(p *Policy) *[]string { return &p.Extends }, check: checkExtends},

		ns("user", "auto", "user namespace: new, host, auto (new if the caller needs one) or the path of one to join", func(p *Policy) *string { return &p.Namespaces.User }),
		ns("mount", "new", "mount namespace: new, host or the path of one to join", func(p *Policy) *string { return &p.Namespaces.Mount }),
		ns("pid", "new", "pid namespace: new, host or the path of one to join", func(p *Policy) *string { return &p.Namespaces.PID }),
		ns("net", "new", "network namespace: new, host or the path of one to join", func(p *Policy) *string { return &p.Namespaces.Net }),
		ns("ipc", "new", "IPC namespace: new, host or the path of one to join", func(p *Policy) *string { return &p.Namespaces.IPC }),
		ns("uts", "new", "UTS namespace: new, host or the path of one to join", func(p *Policy) *string { return &p.Namespaces.UTS }),
		ns("cgroup", "new", "cgroup namespace: new, host or the path of one to join", func(p *Policy) *string { return &p.Namespaces.Cgroup }),
		ns("time", "host", "time namespace: new, host or the path of one to join", func(p *Policy) *string { return &p.Namespaces.Time }),

		paths("read", "paths shown read-only; ? in front: may be missing", wide, false, checkPath, func(p *Policy) *[]string { return &p.Files.Read }),
		paths("write", "paths shown writable; ? in front: may be missing, or not the caller's to write", wide, false, checkPath, func(p *Policy) *[]string { return &p.Files.Write }),
		paths("hide", "paths, or patterns without a slash, covered inside what is shown", false, narrow, checkHide, func(p *Policy) *[]string { return &p.Files.Hide }),
		paths("tmpfs", "directories that are private, empty and writable", wide, false, checkPath, func(p *Policy) *[]string { return &p.Files.Tmpfs }),
		flag("files.proc", "whether there is a /proc, masked and read-only (default true)", func(p *Policy) **bool { return &p.Files.Proc }),
		flag("files.dev", "whether there is a minimal /dev (default true)", func(p *Policy) **bool { return &p.Files.Dev }),

		{key: "process.capabilities", doc: "capabilities kept; ? in front: only if the caller has it", list: func(p *Policy) *[]string { return &p.Process.Capabilities }, check: checkCapability, id: withoutMark, values: capabilityNames, removable: true, wide: true},
		{key: "process.env", doc: "environment that crosses: NAME, PREFIX_* or NAME=value", list: func(p *Policy) *[]string { return &p.Process.Env }, check: checkEnv, id: envName, removable: true, wide: true},
		flag("process.nest", "whether user namespaces may be made inside (default false)", func(p *Policy) **bool { return &p.Process.Nest }),
		{key: "process.landlock", doc: "the rules of files once more by Landlock: auto, require or off", str: func(p *Policy) *string { return &p.Process.Landlock }, check: oneOf("landlock", landlockModes()), values: landlockModes, deflt: "auto"},

		{key: "limits.processes", doc: "most processes at a time, or \"none\"", str: func(p *Policy) *string { return &p.Limits.Processes }, check: checkCount, whole: true},
		{key: "limits.memory", doc: "most memory, as 512M or 2G, or \"none\"", str: func(p *Policy) *string { return &p.Limits.Memory }, check: checkSize},
		{key: "limits.time", doc: "longest run, as 90s or 1h30m, or \"none\"", str: func(p *Policy) *string { return &p.Limits.Time }, check: checkTime},

		{key: "seccomp.oci", doc: "container runtime's seccomp profile, in the place of all that is inherited here", str: func(p *Policy) *string { return &p.OCI }, check: checkProfile},
		{key: "seccomp.default", doc: "answer to known system calls that nothing names (default errno:EPERM)", action: func(p *Policy) *seccomp.Action { return &p.Seccomp.Default }, deflt: "errno:EPERM"},
		{key: "seccomp.unknown", doc: "answer to system calls younger than the table (default errno:ENOSYS)", action: func(p *Policy) *seccomp.Action { return &p.Seccomp.Unknown }, deflt: "errno:ENOSYS"},
		{key: "seccomp.allow", doc: "system calls and @groups allowed", list: func(p *Policy) *[]string { return &p.Seccomp.Allow }, check: checkSyscall, removable: true, wide: true},
		{key: "seccomp.deny", doc: "system calls and @groups denied, whatever is allowed", list: func(p *Policy) *[]string { return &p.Seccomp.Deny }, check: checkSyscall, removable: true, narrow: true},
		{key: "seccomp.architectures", doc: "ABIs besides the machine's own; all others are killed", list: func(p *Policy) *[]string { return &p.Seccomp.Architectures }, check: checkArchitecture, removable: true, wide: true},
		flag("seccomp.log", "log every answer but allow (SECCOMP_FILTER_FLAG_LOG)", func(p *Policy) **bool { return &p.Seccomp.Log }),
		flag("seccomp.spec_allow", "no Spectre mitigation for the sake of the filter (SECCOMP_FILTER_FLAG_SPEC_ALLOW)", func(p *Policy) **bool { return &p.Seccomp.SpecAllow }),
		flag("seccomp.wait_killable", "notifications wait killably (SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV)", func(p *Policy) **bool { return &p.Seccomp.WaitKillable }),

		{key: "expect.allow", doc: "what must work inside", list: func(p *Policy) *[]string { return &p.Expect.Allow }, check: checkExpect, removable: true},
		{key: "expect.deny", doc: "what must fail inside", list: func(p *Policy) *[]string { return &p.Expect.Deny }, check: checkExpect, removable: true},
	}
}

// ruleKeys are the keys of one [[seccomp.rule]].
func ruleKeys() []string { return []string{"syscalls", "when", "action"} }

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
