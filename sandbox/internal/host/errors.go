package host

import (
	"fmt"
	"path"

	"golang.org/x/sys/unix"

	"sbx/internal/text"
)

// Reason is why something is refused, for programs and tests. The text of an error is
// for people and may change. errors.Is of a *NeedError finds its reason.
type Reason string

// The reasons.
const (
	// Invalid is a value that is wrong on every machine. Incomplete is a value that needs
	// another one.
	Invalid    Reason = "invalid"
	Incomplete Reason = "incomplete"
	// Conflict are settings of the policy or flags that contradict each other.
	Conflict Reason = "conflict"
	// Impossible is what no kernel, or no code in sbx, can do.
	Impossible Reason = "impossible"
	// WrongNamespace is what needs another namespace than the policy has: mostly one of the
	// sandbox's own, or the host's.
	WrongNamespace Reason = "wrong-namespace"
	// NotOwned is a namespace that is somebody else's.
	NotOwned Reason = "not-owned"
	// NoCapability is a right that the caller or the target does not have.
	NoCapability Reason = "no-capability"
	// NoLandlock is a kernel whose Landlock is missing or too old.
	NoLandlock Reason = "no-landlock"
	// KernelLacks is another part of the kernel that is missing or switched off.
	KernelLacks Reason = "kernel-lacks"
	// NoLimit is a limit that nothing can enforce.
	NoLimit Reason = "no-limit"
	// NoIDs is a caller who may not map further ids.
	NoIDs Reason = "no-ids"
	// NoProc is a /proc that is not mounted, or is not a proc file system.
	NoProc Reason = "no-proc"
	// NoTerminal is a caller without a terminal that could be relayed.
	NoTerminal Reason = "no-terminal"
	// NothingRuns is a policy under which no program can be executed.
	NothingRuns Reason = "nothing-runs"
	// NotShown is a directory that the sandbox does not have.
	NotShown Reason = "not-shown"
	// NotWritable is a file that the target could not write to.
	NotWritable Reason = "not-writable"
	// Absent is a missing file. A missing path to be shown is a *MissingError.
	Absent Reason = "absent"
	// NoPlace is a path that cannot be made because the host's directory is shown there.
	NoPlace Reason = "no-place"
	// Occupied is a path at which there is something else already.
	Occupied Reason = "occupied"
	// WrongFile is a file of another kind than is needed.
	WrongFile Reason = "wrong-file"
	// BehindLink is a path whose meaning a symbolic link changes.
	BehindLink Reason = "behind-link"
	// Untrusted is a path that goes through a symbolic link of another user's, or
	// of a program's in a sandbox.
	Untrusted Reason = "untrusted"
	// LeadsOut is a descriptor by which the target could leave the sandbox.
	LeadsOut Reason = "leads-out"
)

// Error is the reason's name.
func (r Reason) Error() string { return string(r) }

// NeedError is a protection, right or file that is needed and not available.
type NeedError struct {
	Reason Reason
	// What was being done, and why it is not possible.
	What string
	// Fix is what to do about it, or "" where that is not known.
	Fix string
}

// Refuse is a NeedError without a known fix.
func Refuse(r Reason, format string, args ...any) *NeedError {
	return &NeedError{Reason: r, What: fmt.Sprintf(format, args...)}
}

func (e *NeedError) Error() string { return e.What }

// Unwrap returns the reason.
func (e *NeedError) Unwrap() error { return e.Reason }

// Hint is what to do about it, or "" where that is not known.
func (e *NeedError) Hint() string { return e.Fix }

// MissingError is a path that the policy or a flag names and that does not exist.
type MissingError struct {
	Path string
	// Write says that it is to be written, Socket that it is to be connected to.
	Write, Socket bool
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("show %s: no such file or directory", text.Quote(e.Path))
}

// Unwrap makes it an ENOENT.
func (e *MissingError) Unwrap() error { return unix.ENOENT }

// Hint says how to have it there, or how to make it optional. What is written to
// one that is left out is lost, or an error, so that is no fix.
func (e *MissingError) Hint() string {
	dir := path.Dir(e.Path)
	var st unix.Stat_t
	switch {
	case e.Socket:
		return "start first what makes it, or name the directory that it is to be in: " + text.Quote(dir) +
			"; with a ? in front it would be left out, and could not be connected to later"
	case e.Write && unix.Stat(dir, &st) != nil:
		return "make it first: mkdir -p " + text.Quote(dir) + ", then touch or mkdir" +
			"; with a ? in front it would be left out, and what is written there lost"
	case e.Write:
		return "make it first (touch or mkdir), or name the directory that it is to be in: " + text.Quote(dir) +
			"; with a ? in front it would be left out, and what is written there lost"
	}
	return "put a ? in front of a path that may be missing: " + text.Quote("?"+e.Path)
}
