// Package explain says of the calls that a run was denied what they were, what of the
// policy decided, and how they could be allowed, or why they should not be. It is
// pure: what was denied is handed to it; see package notify.
package explain

import (
	"sbx/policy/seccomp"
)

// Denial is one kind of denied call: calls that differ in nothing that a reader would
// want to know are counted in one.
type Denial struct {
	Arch   seccomp.Arch
	Number uint32
	// Args are the arguments of the first such call. Text is what those that are
	// addresses led to then, where that was read.
	Args [6]uint64
	Text [6]string
	// Answer is what the call was answered.
	Answer seccomp.Action
	// Filter is what denied it: the name of a filter beside the policy's, or "".
	Filter string
	// Exe is the program that made the call, "" where that could not be read. PID is
	// its pid inside, or 0.
	Exe string
	PID int
	// Count is how many such calls there were.
	Count uint64
	// Host is a host that was not to be reached, or nil. It was no call that was denied
	// then, and of the above only Exe, PID and Count say something.
	Host *Host
}

// Host is a host that a target in a network of its own was not let through to.
type Host struct {
	// Name is its name or its address. Port is the port, or 0 where the name was looked up.
	Name string
	Port uint16
	// Proto is what else than TCP was tried, as UDP, ICMP or "protocol 132", or "".
	Proto string
	// Refused says that nothing caught it, so the sandbox's own network answered.
	Refused bool
	// Why is why a host that the policy names could not be reached, or "".
	Why string
}

// Record is all that was seen of a run.
type Record struct {
	Denials []Denial
	// Files are the paths that could not be used, if files were observed.
	Files []File
	// Attempts are calls that may have failed for want of a network or a capability.
	Attempts []Attempt
	// Limits are the limits that the sandbox has reached, by their names in the policy.
	Limits []string
	// Dropped is how many denied calls are in no Denial, because there were too many
	// different ones.
	Dropped uint64
	// Untold is how many denied calls were not told as they happened, since the last one
	// that was; see notify.Listener.
	Untold uint64
	// Coarse says that so many calls were denied that the later ones were no longer
	// looked at closely: what their arguments point to was not read.
	Coarse bool
	// Why is why denied calls could not be seen, or "".
	Why string
}
