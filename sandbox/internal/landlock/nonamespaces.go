package landlock

import (
	"encoding/binary"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/internal/text"
)

// The rules of a launch without namespaces: a Landlock rule counts for all below a
// directory, and none takes rights away. So where something in a directory is hidden,
// what is beside it has rules of its own.

// File identifies a file.
type File struct {
	Major, Minor uint32
	Ino          uint64
}

// FoundRule is Rule for a file that was found while planning. Another file in its
// place is an error, and the plan is made anew.
type FoundRule struct {
	ABI  int
	Path string
	ID   File
	// Allow and File are as in Rule.
	Allow Access
	File  bool
}

func (r FoundRule) String() string {
	return Rule{Path: r.Path, Allow: r.Allow}.String()
}

func (FoundRule) Kind() string { return "landlock-found-rule" }

// Compile opens the path, compares what is there, and adds the rule.
func (r FoundRule) Compile(a *step.Asm) {
	allow := r.Allow & handled(r.ABI)
	if r.File {
		allow &= fileOnly
	}
	fd := a.Temp()
	open(a, r.Path).To(fd)
	same(a, fd, r.ID)
	addRule(a, allow, fd.Arg())
	a.Sys(unix.SYS_CLOSE, fd.Arg())
}

// same checks that the descriptor is open to the file.
func same(a *step.Asm, fd step.Slot, id File) {
	const inoAt, devAt = 32, 136 // struct statx
	buf := a.Scratch()
	a.Sys(unix.SYS_STATX, fd.Arg(), a.Str(""), step.Int(unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC),
		step.Int(unix.STATX_INO), buf)
	dev := binary.NativeEndian.AppendUint32(nil, id.Major)
	a.Compare(buf.At(inoAt), binary.NativeEndian.AppendUint64(nil, id.Ino))
	a.Compare(buf.At(devAt), binary.NativeEndian.AppendUint32(dev, id.Minor))
}

// Hidden checks, once the rules are made, that what has none is where it was found: one
// that was moved meanwhile may lie in what has a rule.
type Hidden struct {
	Path string
	ID   File
}

func (h Hidden) String() string {
	return "check that " + text.Quote(h.Path) + ", which no rule allows, is where it was found"
}

func (Hidden) Kind() string { return "landlock-check-hidden" }

// Compile compares the file with the one that was found.
func (h Hidden) Compile(a *step.Asm) {
	fd := a.Temp()
	open(a, h.Path).To(fd)
	same(a, fd, h.ID)
	a.Sys(unix.SYS_CLOSE, fd.Arg())
}

// PrivateRule is Rule for a directory in the private directory that the launcher makes.
type PrivateRule struct {
	ABI  int
	Name string
	// Allow is as in Rule.
	Allow Access
}

func (r PrivateRule) String() string {
	return "add a Landlock rule to write the private directory " + text.Quote(r.Name)
}

func (PrivateRule) Kind() string { return "landlock-private-rule" }

// Compile opens the directory by the descriptor of the one that it is in.
func (r PrivateRule) Compile(a *step.Asm) {
	fd := a.Temp()
	a.Openat2(step.Fd(a.Private.FD), r.Name, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NOFOLLOW,
		unix.RESOLVE_BENEATH|unix.RESOLVE_NO_SYMLINKS).To(fd)
	addRule(a, r.Allow&handled(r.ABI), fd.Arg())
	a.Sys(unix.SYS_CLOSE, fd.Arg())
}

// ProcRule allows reading single files of the kernel's in /proc, and those about the
// target's own first process. Names that the kernel does not have are left out. It needs
// step.SlotProc.
type ProcRule struct {
	ABI int
	// System are names in /proc, Self in /proc/self.
	System, Self []string
}

func (r ProcRule) String() string {
	return fmt.Sprintf("add Landlock rules to read %s in /proc, and %s in the target's own part of it",
		strings.Join(r.System, " "), strings.Join(r.Self, " "))
}

func (ProcRule) Kind() string { return "landlock-proc-rules" }

// Compile opens the process's own directory and the files one by one. Without the
// rights of a directory first, which the kernel refuses for a file.
func (r ProcRule) Compile(a *step.Asm) {
	self := a.Temp()
	if len(r.Self) > 0 {
		a.Sys(unix.SYS_OPENAT, step.SlotProc.Arg(), a.Str("self"),
			step.Int(unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC)).To(self)
	}
	fd := a.Temp()
	for _, part := range [...]struct {
		dir   step.Slot
		names []string
	}{{step.SlotProc, r.System}, {self, r.Self}} {
		for _, name := range part.names {
			name, isDir := strings.CutSuffix(name, "/")
			allow := Access(unix.LANDLOCK_ACCESS_FS_READ_FILE)
			if isDir {
				allow |= unix.LANDLOCK_ACCESS_FS_READ_DIR
			}
			// EBADF: it was not opened. EINVAL: somebody has put a file in the directory's place.
			a.Openat2(part.dir.Arg(), name, unix.O_PATH|unix.O_CLOEXEC|unix.O_NOFOLLOW,
				unix.RESOLVE_NO_SYMLINKS|unix.RESOLVE_BENEATH).To(fd).Or(unix.ENOENT).Or(unix.EXDEV)
			addRule(a, allow, fd.Arg()).Or(unix.EBADF).Or(unix.EINVAL)
			a.Sys(unix.SYS_CLOSE, fd.Arg()).Or(unix.EBADF)
		}
	}
	if len(r.Self) > 0 {
		a.Sys(unix.SYS_CLOSE, self.Arg())
	}
}

// Verify checks that the domain is in force, where nothing else restricts files: a signal
// to the sandbox's init, which is outside of it, must be refused (ABI 6, Linux 6.12). It
// needs step.SlotInit.
type Verify struct{}

func (Verify) String() string { return "verify that the Landlock domain is in force" }

func (Verify) Kind() string { return "verify-landlock" }

// Compile is one kill(2) without a signal. That it succeeds is the mismatch.
func (Verify) Compile(a *step.Asm) {
	const impossible = 1
	a.Sys(unix.SYS_KILL, step.SlotInit.Arg(), step.Int(0)).Or(unix.EPERM).Expect(impossible)
}

// VerifyRoot checks the same by opening the root directory, which must be refused. It is
// for a target that has no process outside of the domain to signal.
type VerifyRoot struct{}

func (VerifyRoot) String() string { return Verify{}.String() + ": the root directory cannot be read" }

func (VerifyRoot) Kind() string { return "verify-landlock-root" }

// Compile is one open(2). That it succeeds is the mismatch.
func (VerifyRoot) Compile(a *step.Asm) {
	const impossible = 1
	a.Sys(unix.SYS_OPENAT, step.Fd(unix.AT_FDCWD), a.Str("/"),
		step.Int(unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC)).Or(unix.EACCES).Expect(impossible)
}
