// Package policy is what a policy says, as pure data: parsing, resolving of
// extends, expansion of variables, comparison. It reads no file it is not
// handed, asks the machine nothing and decides nothing about how a restriction is
// put in place.
//
// # The language, version 1
//
// A policy is one TOML file. Nothing in it is ignored: what is not known is an
// error. It says its version, and all else only where it wants it; tables come in
// any order. Schema lists all keys. "version = 1" pins the vocabulary: what a name
// or @group means under it never changes.
//
// Paths are absolute or begin with ~/ (the home), ./ (the project that the
// caller stands in) or a variable: ${HOME}, ${CWD}, ${XDG_CONFIG_HOME},
// ${XDG_CACHE_HOME}, ${XDG_DATA_HOME}, ${XDG_STATE_HOME}, ${XDG_RUNTIME_DIR},
// ${SSH_AUTH_SOCK}; ${USER}, ${UID}, ${DISPLAY} (the number of an X display of
// this machine) and ${WAYLAND_DISPLAY} may stand anywhere in them. They have no "..", and
// patterns only in files.hide. "?" in front of a path says that it may be
// missing, in front of a writable one also that it may not be the caller's to
// write, in front of a capability that the caller may not have it, and in
// front of a pattern that the search for it may be cut short.
//
// extends lists policies, left to right. Lists add up; single values override;
// "!x" takes out x, which must have been inherited; a system call, or those of a
// group, also out of inherited groups. Of "x" and "?x" the first
// counts; of a path that is read and written, the writing; of two values for
// an environment variable, the later. A rule whose syscalls all begin with "!"
// takes those out of the rules inherited. "none" lifts a limit inherited.
//
// Three tables in [files] have paths for keys, written as in the lists but
// without marks:
//
//	file."/etc/resolv.conf" = """
//	nameserver 1.1.1.1
//	"""
//	symlink."/bin" = "usr/bin"
//	path."/tmp" = { size = "64M", mode = "1777", exec = false }
//
// A file's text is taken as it stands: lines, tabs, and no other control
// characters. A link's target is any text, with variables. path says more of a
// path that a list names: from (another path, or "fd:7") and exec of what is
// read, written or overlaid, size, mode and exec of a tmpfs, mode of a
// directory, upper and work, both or neither, of an overlay; for another kind,
// or of a path that no list names, that is an error. Of files and links what
// is said later replaces what is inherited; of path it does so key by key.
// false in the place of the value takes the inherited entry out. A file or link
// counts more than a path that is read; else no path may be two of read or
// written, tmpfs, overlay, directory, file and link.
//
// network.bind and connect, once anybody says them, are all the ports there
// are: an empty list allows none, and only saying nothing leaves them open. A new
// network namespace has no ports to name: there only empty lists make sense.
// There network.hosts names what may be reached all the same, and network.listen what the
// host accepts for the program: see package network.
// Ports may be written as numbers, and so may counts in [limits]. "?" in front
// of a limit says that it may be given up on where it cannot be held.
package policy

import "sbx/policy/seccomp"

// Policy is one policy. As parsed it holds what one file says; as resolved
// (see Resolve) the sum of it and everything it extends, with Extends empty
// and every list flattened.
type Policy struct {
	// Name is the name the policy was found under, or its file's path.
	Name string
	// Version is the vocabulary's version: 1. Names and groups never change
	// their meaning under a version.
	Version int
	// Summary is one line for people.
	Summary string
	// Extends names the policies this one adds to, left to right.
	Extends []string

	Namespaces Namespaces
	Files      Files
	Network    Network
	Process    Process
	Limits     Limits
	Seccomp    seccomp.Policy
	Report     Report
	Expect     Expect

	// OCI is the path of a container runtime's seccomp profile, which stands
	// in the place of all that is inherited for [seccomp]: see SetProfile.
	// Resolved policies have what it says in Seccomp, and no OCI.
	OCI string

	// origins says where each entry was written; see Origin.
	origins map[string]Origin
	sources []Source
	profile Profile
	// idle says what in the profile has no effect, for Lint.
	idle []string
}

// Namespaces says for each kind "new", "host" or the path of an nsfs file to
// join. User may also be "auto": new exactly if the caller needs one to be
// allowed the others. Empty means the default: "auto" for User, "host" for
// Time, "new" for all the rest. See namespaces(7).
type Namespaces struct {
	// All "host" means that no namespace is made, as where the kernel or an outer sandbox
	// forbids it. Landlock and filters do then what they can: see docs/no-namespaces.md. Of
	// the others "new" is what the target is to be kept from all the same: a new Net is no
	// network. Empty and "new" mean nothing.
	All                                           string
	User, Mount, PID, Net, IPC, UTS, Cgroup, Time string
	// UID and GID are the caller's ids inside a new user namespace; nil means
	// the same as on the host. In a joined one they are the ids to take there, and
	// both must be said. With an explicit User "new" and UID 0, Capabilities
	// are those of the new namespace.
	UID, GID *int
	// Ranges also maps the ranges that /etc/subuid and /etc/subgid give the
	// caller, by newuidmap(1) and newgidmap(1). Nil means no: one id alone.
	Ranges *bool
	// Hostname is the new UTS namespace's; empty: the host's stays.
	Hostname string
	// Monotonic and Boottime are the new time namespace's offsets to these
	// clocks, as "90s", "1h30m" or "-2h"; see time_namespaces(7).
	Monotonic, Boottime string
}

// None says that no namespace is made.
func (n *Namespaces) None() bool { return n.All == "host" }

// OwnMounts says that the mount namespace is a new one.
func (n *Namespaces) OwnMounts() bool { return !n.None() && (n.Mount == "" || n.Mount == "new") }

// Files is the target's root file system: an empty one, then what is
// named here. Paths are absolute or begin with "~/", "./" or a variable; a
// leading "?" marks one that may be missing.
type Files struct {
	// Read lists what is shown read-only, Write what may be written.
	Read, Write []string
	// Hide lists what is covered inside what is shown: paths, or patterns
	// (path.Match) without a slash, which are looked for at the top of each
	// shown project directory, or behind "**/" at any depth. A pattern covers
	// what is there at the start. A path without a "?" that is not there is
	// covered where the target could make it, and an error where others could.
	Hide []string
	// Unhide lists exceptions from the patterns of Hide: names, as patterns, at any
	// depth; with a "/" behind them directories in which nothing is looked for; and
	// paths. Inspect lists names, as patterns, of files that are looked into: they
	// are hidden if they hold a private key or a credential, and shown if they are
	// known to hold none. What can be neither said is left to Hide.
	Unhide, Inspect []string
	// Guard lists names, as patterns, that are read-only in what is shown
	// writable: at the top of each shown project directory, or behind "**/" at
	// any depth; a "/" behind means directories only. Unguard lists exceptions
	// from those of them that have a star, and with a "/" behind also directories in
	// which nothing is looked for. A guarded ".git" is followed: what
	// its configuration and its links name inside the project is read-only too.
	// What is not there at the start cannot be held; it is reported at the end.
	Guard, Unguard []string
	// Tmpfs lists directories that are private, empty and writable.
	Tmpfs []string
	// Overlay lists directories that can be written while the host's stay
	// as they are: an overlayfs (userxattr, Linux 5.11) over them, whose
	// changes are thrown away at the end or go where Paths says.
	Overlay []string
	// Directories lists empty directories of our own: read-only, but in a tmpfs.
	Directories []string
	// Devices lists device files of the host, or directories with such, below
	// /dev, that may be used as their modes allow. They need Dev.
	Devices []string
	// Sockets lists Unix sockets of the host, or directories with such,
	// that may be connected to; "/" is all. Others under shown paths cannot
	// be. See docs/landlock.md.
	Sockets []string
	// OwnSockets lets programs have Unix sockets among themselves also where
	// the kernel's Landlock is older than ABI 9 (Linux 7.1). There, sockets that
	// the host makes in shown directories after the start are open to them, and
	// without OwnSockets or Sockets no Unix socket can be had but by
	// socketpair(2). Nil means no.
	OwnSockets *bool
	// Inline are files of the sandbox's own, read-only: path to content.
	Inline map[string]string
	// Symlinks are symbolic links of the sandbox's own: path to target.
	Symlinks map[string]string
	// Paths says more about single paths of the lists above.
	Paths map[string]PathOptions
	// Proc and Dev say whether /proc (masked, read-only) and a minimal /dev
	// are there. Nil means yes.
	Proc, Dev *bool
	// SetID says whether the target may leave files with the set-user-ID or the
	// set-group-ID bit in directories of the host. Nil means yes.
	SetID *bool
}

// PathOptions says more about one path of [files]: files.path."/tmp".size.
type PathOptions struct {
	// From is what is shown at the path, for one of Read, Write or Overlay: another
	// path of the host, or "fd:N", a descriptor the caller hands over.
	// Empty: the path itself.
	From string
	// Exec false mounts the path noexec. Nil means true.
	Exec *bool
	// Size bounds a tmpfs, or what an overlay takes, as "64M"; empty:
	// Limits.Tmp, else the kernel's default, half of the memory. Mode is the mode of a tmpfs or of an entry
	// of Directories, in octal, as "1777".
	Size, Mode string
	// Owner is the user that a tmpfs or an entry of Directories belongs to, by
	// name or number, instead of the one who starts sbx. "?" in front: if there
	// is such a user and sbx may give it away, as root may.
	Owner string
	// Upper and Work are an overlay's upperdir and workdir, existing
	// directories of the host on one file system: changes are kept there.
	// Empty: on a tmpfs that is gone afterwards.
	Upper, Work string
}

// Network says what may be reached. Bind and Connect are about the host's network;
// they restrict TCP by port, by Landlock (ABI 4, Linux 6.7), and with that leave no
// other way out: no UDP (and so no DNS but by TCP), MPTCP, TCP Fast Open or other
// families; sockets that were handed over stay what they are. Nil lists restrict
// nothing; an empty one allows no port.
type Network struct {
	// Bind and Connect list the ports that may be bound and connected to, in
	// decimal. Bind's "0" is any that the kernel picks. A program that may
	// listen can have such a one without asking: listen(2) on a socket that
	// has no port yet is nothing that Landlock checks. So with an empty Bind
	// no socket listens at all, Unix sockets neither.
	Bind, Connect []string
	// Hosts lists what may be reached by TCP from a new network namespace, by name or
	// address; see package network. Port is the port of entries that name none.
	Hosts []string
	Port  string
	// Listen lists where the host accepts connections that lead to ports inside.
	Listen []string
}

// Process says what the target's process is given.
type Process struct {
	// Capabilities are kept (names without "cap_", see capabilities(7));
	// everything else goes, from all five sets. A leading "?" keeps it only
	// if the caller has it.
	Capabilities []string
	// Ambient makes the kept capabilities ambient too, so that a program
	// without file capabilities has them when it is not root's. Nil means no.
	Ambient *bool
	// Env lists what of the environment crosses: "NAME", "PREFIX_*", or
	// "NAME=value" to set one.
	Env []string
	// Nest allows user namespaces inside, and sandboxes in them: /proc is whole
	// and writable, and there is no Landlock. Nil means no.
	Nest *bool
	// Landlock is "auto" (default: the rules of Files once more beneath the
	// mounts, where the kernel has Landlock), "require" or "off".
	Landlock string
	// LandlockLog lets the kernel's audit log tell what Landlock denied the
	// target (ABI 7, Linux 6.15). Nil means no.
	LandlockLog *bool
	// Supervise false has sbx itself become the target, in the same process, where the
	// policy asks for nothing that takes a process beside it. Nil means that sbx stays.
	Supervise *bool
	// Terminal is "inherit" (default: the caller's, with its job control);
	// "new-session" (no controlling terminal: the streams stay, and the keys
	// Ctrl-C and Ctrl-Z still work, through sbx); or "pty": one of the target's
	// own in the place of each standard stream that is a terminal, relayed. It
	// needs Dev and a new mount namespace. Where the caller is at no terminal, "pty" is "new-session".
	Terminal string
	// AppArmor names the profile, SELinux the context, that the target is
	// executed under; a security module that is not there is an error. A
	// profile is stacked on sbx's own, if that confines it.
	AppArmor, SELinux string
}

// Limits bound what the target uses. Empty: no bound. A leading "?" marks one
// that may be given up on where it cannot be held; the run then says so.
type Limits struct {
	// Processes is the most processes and threads at a time.
	Processes string
	// Memory is the most memory, in bytes with K, M, G or T behind.
	Memory string
	// CPU is the share of processor time, in percent of one: "50%", "200%".
	CPU string
	// IO is the most bytes a second read from, and written to, each disk.
	IO string
	// Time is the longest run in real time, CPUTime the most
	// processor time of each process.
	Time, CPUTime string
	// FileSize bounds each file written, Core a core dump ("0": none).
	FileSize, Core string
	// OpenFiles is the most descriptors that a process has open.
	OpenFiles string
	// Tmp bounds each tmpfs that has no size of its own.
	Tmp string
}

// Report is what is told of a run.
type Report struct {
	// Keep keeps what the run was denied for "sbx explain --last".
	Keep *bool
}

// Expect lists what must hold inside. `sbx policy check` tries what the policy alone
// decides: system calls, variables, capabilities.
//
// A line is "read", "write" or "exec" and a path, "connect" or "bind" and an
// address, "env" or "capability" and a name, or "syscall", a name and, if the answer
// depends on them, arguments: "syscall unshare CLONE_NEWUSER".
type Expect struct {
	Allow, Deny []string
}
