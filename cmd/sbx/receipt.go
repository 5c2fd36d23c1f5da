package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"sbx/internal/text"
	"sbx/policy/explain"
	"sbx/sandbox"
)

// receipt is what --report writes, when nothing of the sandbox is left that
// could change it.
type receipt struct {
	Receipt int    `json:"receipt"` // the version of these fields, 1
	Sbx     string `json:"sbx"`     // sbx's own version
	// Ran says that every step of the plan had succeeded before the target's
	// first instruction, and that this may have been executed.
	Ran    bool `json:"ran"`
	Status int  `json:"status"` // sbx's exit status
	// Exit is the target's own exit status; null where a signal ended it, or it did not run.
	Exit   *int   `json:"exit"`
	Signal string `json:"signal,omitempty"` // what killed the target
	Error  string `json:"error,omitempty"`  // why it did not run, or was ended
	// Left is how many processes the target left running, which were ended.
	Left int `json:"left,omitempty"`
	// Notes are what happened besides, such as a limit that was hit.
	Notes []string `json:"notes,omitempty"`
	// Limits are the limits that were reached, and Usage is what was used.
	Limits []string      `json:"limits,omitempty"`
	Usage  *receiptUsage `json:"usage,omitempty"`
	// New are guarded paths that came to be while the target ran.
	New []string `json:"new,omitempty"`
	// Lost are paths that were not as the policy says any more.
	Lost []sandbox.Lost `json:"lost,omitempty"`
	// Review is what came of --review.
	Review *reviewReport `json:"review,omitempty"`
	// Explained is what was denied, with --explain.
	Explained *explain.Report `json:"explained,omitempty"`
	// Policy is what the sandbox was made of, and Protections are what of it was in force.
	Policy      *receiptPolicy       `json:"policy,omitempty"`
	Protections *sandbox.Protections `json:"protections,omitempty"`
	// Plan is what --dry-run --json prints; null where there came to be none.
	Plan *sandbox.Plan `json:"plan"`
}

// receiptPolicy names a policy: with the flags, and as it is for this caller.
type receiptPolicy struct {
	Name   string `json:"name"`
	Digest string `json:"digest"` // SHA-256 of its canonical form
}

// receiptUsage is what the sandbox has used, in seconds and bytes.
type receiptUsage struct {
	Wall          float64 `json:"wall"`
	User          float64 `json:"user"`
	System        float64 `json:"system"`
	MaxRSS        uint64  `json:"max_rss"`
	MemoryPeak    uint64  `json:"memory_peak,omitempty"`
	ProcessesPeak uint64  `json:"processes_peak,omitempty"`
}

// checkReceipt makes sure that a receipt, or the flag's other noun, can be written to the
// descriptor, and by nobody inside.
func checkReceipt(flag, noun string, fd int, kept []int, handed int) error {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	switch {
	case fd < 3 || slices.Contains(kept, fd) || fd < 3+handed:
		return &usageError{fmt.Sprintf("%s to descriptor %d: the target has it too, and could forge the %s", flag, fd, noun),
			fmt.Sprintf("open another for it, as in: sbx --%s 9 ... 9>%s.json", flag, noun)}
	case errors.Is(err, unix.EBADF):
		return &usageError{fmt.Sprintf("%s to descriptor %d: it is not open", flag, fd),
			fmt.Sprintf("open it, as in: sbx --%s %d ... %[2]d>%[3]s.json", flag, fd, noun)}
	case err != nil:
		return fmt.Errorf("%s to descriptor %d: %w", flag, fd, err)
	case flags&unix.O_ACCMODE == unix.O_RDONLY || flags&unix.O_PATH != 0:
		return fmt.Errorf("%s to descriptor %d: it is not open for writing", flag, fd)
	}
	return checkSame(flag, noun, fd, kept, handed)
}

// checkSame makes sure that the target has no other descriptor of the same file, by which
// it could write there as well.
func checkSame(flag, noun string, fd int, kept []int, handed int) error {
	var own, st unix.Stat_t
	if err := unix.Fstat(fd, &own); err != nil {
		return fmt.Errorf("%s to descriptor %d: %w", flag, fd, err)
	}
	if own.Mode&unix.S_IFMT == unix.S_IFCHR && own.Rdev == unix.Mkdev(1, 3) {
		return nil // /dev/null: nobody reads there
	}
	others := append([]int{0, 1, 2}, kept...)
	for n := range handed {
		others = append(others, 3+n)
	}
	for _, n := range others {
		if unix.Fstat(n, &st) == nil && st.Dev == own.Dev && st.Ino == own.Ino {
			return &usageError{
				fmt.Sprintf("%s to descriptor %d: descriptor %d of the target is the same file, and could forge the %s",
					flag, fd, n, noun),
				fmt.Sprintf("open a file of its own for it, as in: sbx --%s %d ... %[2]d>%[3]s.json", flag, fd, noun),
			}
		}
	}
	return nil
}

// writeReceipt says to the descriptor how it ended; that it cannot is said on
// standard error, since the target's status has to stay what it is.
func writeReceipt(fd int, plan *sandbox.Plan, exit sandbox.Exit, explained *explain.Report,
	reviewed *reviewReport, failed error) {
	r := receipt{
		Receipt: 1, Sbx: version, Ran: true, Status: exit.Code(), Left: exit.Left, Notes: exit.Notes, New: exit.New,
		Lost: exit.Lost, Limits: exit.Limits, Review: reviewed, Explained: explained, Plan: plan,
	}
	if u := exit.Usage; failed == nil {
		r.Usage = &receiptUsage{
			u.Wall.Seconds(), u.User.Seconds(), u.System.Seconds(), u.MaxRSS, u.MemoryPeak, u.ProcessesPeak,
		}
	}
	if plan != nil {
		r.Policy = &receiptPolicy{plan.Policy.Name, plan.Policy.Digest()}
		protections := plan.Protections()
		protections.Missing = append(protections.Missing, exit.Missing...)
		r.Protections = &protections
	}
	if failed == nil && !exit.Status.Signaled() {
		code := exit.Code()
		r.Exit = &code
	}
	if failed != nil {
		var late *sandbox.LateError
		r.Ran = errors.As(failed, &late)
		r.Status, r.Error = outcome(failed)
	} else if exit.Status.Signaled() {
		r.Signal = unix.SignalName(exit.Status.Signal())
	}
	line, err := json.Marshal(r)
	if err == nil {
		_, err = os.NewFile(uintptr(fd), "receipt").Write(append(line, '\n'))
	}
	if err != nil {
		if cause := errors.Unwrap(err); cause != nil {
			err = cause
		}
		fmt.Fprintf(os.Stderr, "sbx: error: write the receipt to descriptor %d: %s\n", fd, text.OneLine(err.Error()))
		return
	}
	// A program that runs beside this one, in a sandbox of its own, may write to the
	// directory.
	var st unix.Stat_t
	if unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG && st.Nlink == 0 {
		fmt.Fprintln(os.Stderr,
			"sbx: error: write the receipt: its file was removed meanwhile, and what has its name now is not the receipt")
	}
}
