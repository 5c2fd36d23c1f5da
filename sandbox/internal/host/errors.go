package host

import (
	"fmt"

	"golang.org/x/sys/unix"

	"sbx/internal/text"
)

// Reason is why something is refused, for programs and tests: the words of an
// error are for people, and change. A *NeedError is its reason by errors.Is.
type Reason string

// The reasons.
const (
	// Invalid is a value that no machine could hold; Incomplete lacks another.
	Invalid    Reason = "invalid"
	Incomplete Reason = "incomplete"
	// Conflict is what the policy or the flags say against one another.
	Conflict Reason = "conflict"
	// Impossible is what no kernel, or nothing in sbx, can do.
	Impossible Reason = "impossible"
	// WrongNamespace is what takes another namespace than the policy has: one of
	// the sandbox's own mostly, or the host's.
	WrongNamespace Reason = "wrong-namespace"
	// NotOwned is a namespace that is somebody else's.
	NotOwned Reason = "not-owned"
	// NoCapability is a right that the caller or the target does not have.
	NoCapability Reason = "no-capability"
	// NoLandlock is a kernel whose Landlock is missing or too old.
	NoLandlock Reason = "no-landlock"
	// KernelLacks is another part of the kernel that is not there, or off.
	KernelLacks Reason = "kernel-lacks"
	// NoLimit is a limit that nothing can hold.
	NoLimit Reason = "no-limit"
	// NoIDs is a caller who may not map further ids.
	NoIDs Reason = "no-ids"
	// NoProc is a /proc that is not mounted, or not the kernel's.
	NoProc Reason = "no-proc"
	// NoTerminal is a caller without one that could be relayed.
	NoTerminal Reason = "no-terminal"
	// NothingRuns is a policy that no program can be executed under.
	NothingRuns Reason = "nothing-runs"
	// NotShown is a directory that the sandbox does not have.
	NotShown Reason = "not-shown"
	// NotWritable is a file that the target could not write to.
	NotWritable Reason = "not-writable"
	// Absent is what is not there; a path to be shown is a *MissingError.
	Absent Reason = "absent"
	// NoPlace is a path that cannot be made because the host shows what is there.
	NoPlace Reason = "no-place"
	// Occupied is a path that has something else already.
	Occupied Reason = "occupied"
	// WrongFile is a file of another kind than is needed.
	WrongFile Reason = "wrong-file"
	// BehindLink is a path that a symbolic link changes the meaning of.
	BehindLink Reason = "behind-link"
	// LeadsOut is a descriptor by which the target could leave the sandbox.
	LeadsOut Reason = "leads-out"
)

// Error is the reason's name.
func (r Reason) Error() string { return string(r) }

// NeedError is a protection or right that cannot be had.
type NeedError struct {
	Reason Reason
	// What was being done, and why it cannot be.
	What string
	// Fix is what to do about it, if that is known.
	Fix string
}

// Refuse is a NeedError that nobody knows a fix for.
func Refuse(r Reason, format string, args ...any) *NeedError {
	return &NeedError{Reason: r, What: fmt.Sprintf(format, args...)}
}

func (e *NeedError) Error() string { return e.What }

// Unwrap gives the reason.
func (e *NeedError) Unwrap() error { return e.Reason }

// Hint is what to do about it.
func (e *NeedError) Hint() string { return e.Fix }

// MissingError is a path that the policy or a flag names and that is not there.
type MissingError struct{ Path string }

func (e *MissingError) Error() string {
	return fmt.Sprintf("show %s: no such file or directory", text.Quote(e.Path))
}

// Unwrap makes it an ENOENT.
func (e *MissingError) Unwrap() error { return unix.ENOENT }

// Hint names the mark that makes the path optional.
func (e *MissingError) Hint() string {
	return "put a ? in front of a path that may be missing: " + text.Quote("?"+e.Path)
}
