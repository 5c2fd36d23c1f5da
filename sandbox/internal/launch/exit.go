package launch

import (
	"golang.org/x/sys/unix"

	"sbx/policy/explain"
	"sbx/policy/learn"
)

// Exit is how a target ended.
type Exit struct {
	// Status is the target's wait status; see wait(2).
	Status unix.WaitStatus
	// Left is how many processes the target left running, which were ended
	// then.
	Left int
	// Notes say what happened besides: to the user, who cannot see it.
	Notes []string
	// Limits are the limits that were reached, by their names in the policy.
	Limits []string
	// Missing are optional protections that turned out to be missing at the start, beside
	// those of the plan; see plan.Protections.
	Missing []string
	// Usage is what the sandbox has used.
	Usage Usage
	// New are paths of the host that the policy guards and that came to be, or
	// changed, while the sandbox ran: other programs run or obey them.
	New []string
	// Lost are paths that were not as the policy says any more, because somebody
	// on the host had replaced their files. Run alone watches for that.
	Lost []Lost

	// Explained is what the target was denied, if that was to be told.
	Explained *explain.Record
	// Seen is what the target did, if that was to be recorded.
	Seen *learn.Seen

	// job says that a key at a terminal of the target's own ended it, which at
	// the caller's would have been for all of the caller's job.
	job bool
}

// Code is the target's exit status, or 128+n when signal n killed it.
func (e Exit) Code() int {
	if e.Status.Signaled() {
		return 128 + int(e.Status.Signal())
	}
	return e.Status.ExitStatus()
}
