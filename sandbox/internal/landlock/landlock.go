// Package landlock has the steps that enforce the policy's [files] a second time,
// independently of the mounts, as a Landlock domain: see landlock(7).
package landlock

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/internal/text"
)

// Access is a set of LANDLOCK_ACCESS_FS_* rights.
type Access uint64

// The rights in groups, as policies use them. No group allows making device
// files.
const (
	Read  Access = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	files Access = unix.LANDLOCK_ACCESS_FS_WRITE_FILE | truncate | ioctlDev
	Write Access = Read | files | refer | unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE |
		unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_MAKE_SOCK |
		unix.LANDLOCK_ACCESS_FS_MAKE_FIFO | unix.LANDLOCK_ACCESS_FS_MAKE_SYM
	// Devices is for /dev: using the device files that are there.
	Devices Access = Read | files
	// Sockets allows connecting to Unix sockets outside the domain. Those that were
	// bound inside it need no right.
	Sockets Access = unix.LANDLOCK_ACCESS_FS_RESOLVE_UNIX

	refer    = unix.LANDLOCK_ACCESS_FS_REFER
	truncate = unix.LANDLOCK_ACCESS_FS_TRUNCATE
	ioctlDev = unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	// fileOnly are the rights that a rule on a file may name.
	fileOnly = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | files | Sockets
)

// The versions of Landlock (ABI) that brought what sbx uses. ABI 8 (Linux 7.0) can
// restrict all threads of a process, but a target has only one.
const (
	ABITruncate = 3 // truncate(2), Linux 6.2
	ABIPorts    = 4 // TCP by port, Linux 6.7
	ABIIoctl    = 5 // ioctl(2) on devices, Linux 6.10
	ABIScopes   = 6 // signals and abstract sockets, Linux 6.12
	ABILog      = 7 // logging of denials, Linux 6.15
	ABISockets  = 9 // Unix sockets by path, Linux 7.1
)

// handled are the rights that an ABI knows. A domain denies those of them that no
// rule grants.
func handled(abi int) Access {
	h := Access(1<<13 - 1) // ABI 1, Linux 5.13
	if abi >= 2 {          // 5.19
		h |= refer
	}
	if abi >= ABITruncate {
		h |= truncate
	}
	if abi >= ABIIoctl {
		h |= ioctlDev
	}
	if abi >= ABISockets {
		h |= Sockets
	}
	return h
}

// Ruleset makes a ruleset without rules, of all rights that the ABI knows.
//
// From ABI 6 on (Linux 6.12) the target cannot send signals out of its domain. It
// needs that at a terminal, where it shares its process group with the launcher
// and the shell: a signal to a group is not limited to a pid namespace. On older
// kernels package fallbackfilter has a filter for this.
type Ruleset struct {
	ABI int
	// ScopeAbstract keeps the target from abstract Unix sockets outside the domain
	// (ABI 6, Linux 6.12). On older kernels only a network namespace does that.
	ScopeAbstract bool
	// Bind and Connect deny all TCP ports except those of Port steps. The plan has
	// checked that the ABI supports this.
	Bind, Connect bool
	// Required says that there can be no launch without the domain.
	Required bool
}

func (r Ruleset) String() string {
	s := fmt.Sprintf("make a Landlock domain, ABI %d", r.ABI)
	at := r.attr()
	if at.scoped != 0 {
		s += ", no signals out of it"
	}
	if at.scoped&unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET != 0 {
		s += ", no abstract sockets outside it"
	}
	if at.fs&Sockets != 0 {
		s += ", no Unix sockets outside it"
	}
	if at.net&unix.LANDLOCK_ACCESS_NET_BIND_TCP != 0 {
		s += ", no TCP port to bind"
	}
	if at.net&unix.LANDLOCK_ACCESS_NET_CONNECT_TCP != 0 {
		s += ", none to connect to"
	}
	return s
}

// attr is struct landlock_ruleset_attr. The kernel gets its first size bytes.
type attr struct {
	fs          Access
	net, scoped uint64
	size        int
}

// attr is the part of the ruleset that the ABI supports.
func (r Ruleset) attr() attr {
	at := attr{fs: handled(r.ABI), size: 8}
	if r.ABI >= ABIPorts {
		at.size = 16
		if r.Bind {
			at.net |= unix.LANDLOCK_ACCESS_NET_BIND_TCP
		}
		if r.Connect {
			at.net |= unix.LANDLOCK_ACCESS_NET_CONNECT_TCP
		}
	}
	if r.ABI >= ABIScopes {
		at.size = 24
		at.scoped = unix.LANDLOCK_SCOPE_SIGNAL
		if r.ScopeAbstract {
			at.scoped |= unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET
		}
	}
	return at
}

func (Ruleset) Kind() string { return "landlock-ruleset" }

func (r Ruleset) Hint(error) string { return hint(r.Required) }

func hint(required bool) string {
	if required {
		return "without namespaces Landlock is what restricts files: have an outer sandbox allow landlock_create_ruleset, " +
			"landlock_add_rule and landlock_restrict_self"
	}
	return withoutHint
}

// withoutHint is how to run on a kernel without Landlock.
const withoutHint = "say landlock = \"off\" in the policy's [process] to run without this protection"

// Compile leaves the ruleset in step.SlotRuleset.
func (r Ruleset) Compile(a *step.Asm) {
	at := r.attr()
	b := binary.NativeEndian.AppendUint64(nil, uint64(at.fs))
	b = binary.NativeEndian.AppendUint64(b, at.net)
	b = binary.NativeEndian.AppendUint64(b, at.scoped)
	a.Sys(unix.SYS_LANDLOCK_CREATE_RULESET, a.Bytes(b[:at.size]), step.Int(at.size), step.Int(0)).To(step.SlotRuleset)
}

// Rule grants rights on a path inside the sandbox and all below it.
type Rule struct {
	ABI  int
	Path string
	// Allow are the rights. Those that the ABI does not know are left out, and for a
	// File those that only directories have.
	Allow Access
	File  bool
}

func (r Rule) String() string {
	what := "read"
	switch {
	case r.Allow == Devices:
		what = "use devices at"
	case r.Allow == Sockets:
		what = "connect to sockets at"
	case r.Allow == unix.LANDLOCK_ACCESS_FS_READ_DIR:
		what = "list"
	case r.Allow&unix.LANDLOCK_ACCESS_FS_WRITE_FILE != 0:
		what = "write"
	}
	return fmt.Sprintf("add a Landlock rule to %s %s", what, text.Quote(r.Path))
}

func (Rule) Kind() string { return "landlock-rule" }

func (Rule) Hint(error) string { return withoutHint }

// Compile opens the path and adds the rule. No link is followed, because the old
// root may still lie over the new one, and a ".." in a link would lead there.
func (r Rule) Compile(a *step.Asm) {
	allow := r.Allow & handled(r.ABI)
	if r.File {
		allow &= fileOnly
	}
	fd := a.Temp()
	open(a, r.Path).To(fd)
	addRule(a, allow, fd.Arg())
	a.Sys(unix.SYS_CLOSE, fd.Arg())
}

// open appends a call that opens a path, following no link.
func open(a *step.Asm, path string) *step.Call {
	return a.Openat2(step.Fd(unix.AT_FDCWD), path, unix.O_PATH|unix.O_CLOEXEC|unix.O_NOFOLLOW,
		unix.RESOLVE_NO_SYMLINKS|unix.RESOLVE_NO_MAGICLINKS)
}

// addRule appends a landlock_add_rule(2): allow these rights at and below the file
// that fd is open to.
func addRule(a *step.Asm, allow Access, fd step.Arg) *step.Call {
	// struct landlock_path_beneath_attr: 64 bits of rights, then a 32-bit descriptor.
	attr := a.Bytes(append(binary.NativeEndian.AppendUint64(nil, uint64(allow)), 0, 0, 0, 0))
	a.Store(attr.At(8), fd)
	return a.Sys(unix.SYS_LANDLOCK_ADD_RULE, step.SlotRuleset.Arg(),
		step.Int(unix.LANDLOCK_RULE_PATH_BENEATH), attr, step.Int(0))
}

// StdioRule grants, on the file behind a standard stream, the rights that the
// stream itself has. So the file can be opened again through /dev/stdin and the
// like, wherever it lies.
type StdioRule struct {
	ABI, FD     int
	Read, Write bool
}

func (r StdioRule) String() string {
	return fmt.Sprintf("add a Landlock rule to reopen descriptor %d", r.FD)
}

func (StdioRule) Kind() string { return "landlock-stdio-rule" }

// Compile adds the rule on the descriptor itself.
func (r StdioRule) Compile(a *step.Asm) {
	allow := Access(ioctlDev)
	if r.Read {
		allow |= unix.LANDLOCK_ACCESS_FS_READ_FILE
	}
	if r.Write {
		allow |= unix.LANDLOCK_ACCESS_FS_WRITE_FILE | truncate
	}
	if allow &= handled(r.ABI); allow == 0 {
		return
	}
	// EBADFD: it is of a file system of the kernel's own, such as a memfd, which Landlock leaves alone.
	addRule(a, allow, step.Fd(r.FD)).Or(unix.EBADFD)
}

// ABI is the kernel's Landlock version, or 0 where it has none or has it switched
// off. Any other errno is an error: a seccomp filter, for one, denies the call.
func ABI() (int, error) {
	n, _, errno := unix.RawSyscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	switch errno {
	case 0:
		return int(n), nil
	case unix.ENOSYS, unix.EOPNOTSUPP:
		return 0, nil
	}
	return 0, errno
}
