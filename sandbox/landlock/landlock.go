// Package landlock draws the policy's [files] a second time, beneath the
// mounts, as a Landlock domain: see landlock(7).
package landlock

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"

	"sbx/sandbox/step"
)

// Access is a set of LANDLOCK_ACCESS_FS_* rights.
type Access uint64

// The rights in groups, as policies use them. Making device files is in none.
const (
	Read  Access = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	files Access = unix.LANDLOCK_ACCESS_FS_WRITE_FILE | truncate | ioctlDev
	Write Access = Read | files | refer | unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE |
		unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_MAKE_SOCK |
		unix.LANDLOCK_ACCESS_FS_MAKE_FIFO | unix.LANDLOCK_ACCESS_FS_MAKE_SYM
	// Devices is for /dev: use what is there.
	Devices Access = Read | files

	refer    = unix.LANDLOCK_ACCESS_FS_REFER
	truncate = unix.LANDLOCK_ACCESS_FS_TRUNCATE
	ioctlDev = unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	// fileOnly are the rights that a rule on a file may name.
	fileOnly = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | files
)

// handled are the rights that an ABI knows: what a domain does not grant of
// these is denied.
func handled(abi int) Access {
	h := Access(1<<13 - 1) // ABI 1, Linux 5.13
	if abi >= 2 {          // 5.19
		h |= refer
	}
	if abi >= 3 { // 6.2
		h |= truncate
	}
	if abi >= 5 { // 6.10
		h |= ioctlDev
	}
	return h
}

// Ruleset makes an empty domain.
//
// From ABI 6 on (Linux 6.12) the target cannot send signals out of it: at a
// terminal it shares its process group with the launcher and the shell, and a
// group knows no pid namespaces.
type Ruleset struct {
	ABI int
	// ScopeAbstract keeps the target from abstract Unix sockets outside
	// (ABI 6, Linux 6.12). Older kernels: no such wall; the network
	// namespace is.
	ScopeAbstract bool
}

func (r Ruleset) String() string {
	s := fmt.Sprintf("make a Landlock domain, ABI %d", r.ABI)
	if r.scoped() != 0 {
		s += ", no signals out of it"
	}
	if r.scoped()&unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET != 0 {
		s += ", no abstract sockets of the outside"
	}
	return s
}

func (r Ruleset) scoped() uint64 {
	switch {
	case r.ABI < 6:
		return 0
	case r.ScopeAbstract:
		return unix.LANDLOCK_SCOPE_SIGNAL | unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET
	}
	return unix.LANDLOCK_SCOPE_SIGNAL
}

// Compile leaves the ruleset in step.SlotRuleset.
func (r Ruleset) Compile(a *step.Asm) {
	attr := binary.NativeEndian.AppendUint64(nil, uint64(handled(r.ABI)))
	attr = binary.NativeEndian.AppendUint64(attr, 0)
	attr = binary.NativeEndian.AppendUint64(attr, r.scoped())
	size := 8
	if r.ABI >= 4 { // 6.7
		size = 16
	}
	if r.ABI >= 6 {
		size = 24
	}
	a.Sys(unix.SYS_LANDLOCK_CREATE_RULESET, a.Bytes(attr[:size]), step.Int(size), step.Int(0)).To(step.SlotRuleset)
}

// Rule grants rights on a path of the inside and all below it.
type Rule struct {
	ABI  int
	Path string
	// Allow is what is granted; rights that the ABI does not know are left
	// out, and on a File those that only directories have.
	Allow Access
	File  bool
}

func (r Rule) String() string {
	what := "read"
	switch r.Allow {
	case Write:
		what = "write"
	case Devices:
		what = "use devices"
	}
	return fmt.Sprintf("allow Landlock %s at %s", what, step.Quote(r.Path))
}

// Compile opens the path and adds the rule. No link is followed, for the old
// root may still lie over the new one, where a ".." in a link would lead.
func (r Rule) Compile(a *step.Asm) {
	allow := r.Allow & handled(r.ABI)
	if r.File {
		allow &= fileOnly
	}
	fd := a.Temp()
	attr := binary.NativeEndian.AppendUint64(nil, uint64(allow))
	p := a.Bytes(append(attr, 0, 0, 0, 0))
	how := binary.NativeEndian.AppendUint64(nil, unix.O_PATH|unix.O_CLOEXEC|unix.O_NOFOLLOW)
	how = binary.NativeEndian.AppendUint64(how, 0)
	how = binary.NativeEndian.AppendUint64(how, unix.RESOLVE_NO_SYMLINKS|unix.RESOLVE_NO_MAGICLINKS)
	a.Sys(unix.SYS_OPENAT2, step.Fd(unix.AT_FDCWD), a.Str(r.Path), a.Bytes(how), step.Int(len(how))).To(fd)
	a.Store(p.At(8), fd.Arg())
	a.Sys(unix.SYS_LANDLOCK_ADD_RULE, step.SlotRuleset.Arg(), step.Int(unix.LANDLOCK_RULE_PATH_BENEATH), p, step.Int(0))
	a.Sys(unix.SYS_CLOSE, fd.Arg())
}

// StdioRule grants on the file behind a standard stream what the stream itself
// already can, so that it may be opened once more through /dev/stdin and its
// like, wherever it lies.
type StdioRule struct {
	ABI, FD     int
	Read, Write bool
}

func (r StdioRule) String() string {
	return fmt.Sprintf("allow Landlock to open descriptor %d again", r.FD)
}

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
	attr := binary.NativeEndian.AppendUint64(nil, uint64(allow))
	attr = binary.NativeEndian.AppendUint32(attr, uint32(r.FD))
	a.Sys(unix.SYS_LANDLOCK_ADD_RULE, step.SlotRuleset.Arg(), step.Int(unix.LANDLOCK_RULE_PATH_BENEATH), a.Bytes(attr), step.Int(0))
}

// Restrict enters the domain for good.
type Restrict struct{}

func (Restrict) String() string { return "enter the Landlock domain" }

// Compile is one landlock_restrict_self(2); no_new_privs is set by then.
func (Restrict) Compile(a *step.Asm) {
	a.Sys(unix.SYS_LANDLOCK_RESTRICT_SELF, step.SlotRuleset.Arg(), step.Int(0))
}

// ABI is the kernel's Landlock version, 0 where it has none or has it switched
// off. Any other errno is an error: somebody forbids the question.
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
