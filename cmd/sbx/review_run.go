package main

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"sbx/internal/review"
	"sbx/internal/text"
	"sbx/sandbox"
)

// The values of --review. Where nobody can be asked, ask is later.
const (
	reviewAsk       = "ask"
	reviewKeep      = "keep"
	reviewDiscard   = "discard"
	reviewLater     = "later"
	reviewOnSuccess = "keep-on-success"
)

// reviewing is a launch with --review.
type reviewing struct {
	decide string
	apart  sandbox.Review
	open   *review.Review // nil before it begins, and where there is nothing to review
	// terminal says that there is somebody to ask.
	terminal bool
	// list says that the changes are to be told in a receipt.
	list bool
}

// reviewReport is the receipt's part about a review.
type reviewReport struct {
	ID string `json:"id"`
	// Decision is kept, discarded, or later.
	Decision string `json:"decision"`
	// Changes are the first of all changes, and More how many there are besides.
	Changes []*review.Change `json:"changes"`
	More    int              `json:"more,omitempty"`
	// Kept is how many were kept, and Left says that some are in the review still.
	Kept int  `json:"kept,omitempty"`
	Left bool `json:"left,omitempty"`
	// Error is why something could not be done.
	Error string `json:"error,omitempty"`
}

// reportedChanges bounds the list in a receipt.
const reportedChanges = 10_000

// newReviewing is what --review says.
func newReviewing(l *launch) *reviewing {
	if l.Review == "" {
		return nil
	}
	return &reviewing{decide: l.Review, terminal: isTerminal(0) && isTerminal(2), list: l.Report != ""}
}

// begin makes the review of a plan that was made without one. Without an error the plan
// can be made anew, for execution.
func (x *reviewing) begin(plan *sandbox.Plan, target []string) error {
	var dirs []review.Dir
	for _, d := range plan.Reviewed() {
		dirs = append(dirs, review.Dir{
			File: !d.Source.Dir(), Path: d.Path, Real: d.Source.Real,
			Dev: unix.Mkdev(d.Source.Major, d.Source.Minor), Ino: d.Source.Ino, Held: d.Held,
		})
	}
	x.apart.Layers = map[string][2]string{}
	if len(dirs) == 0 {
		say("note", "there is nothing to review: the policy lets nothing of the host be written")
		return nil
	}
	store, err := openReviews(true)
	if err != nil {
		return err
	}
	defer store.Close()
	given := review.Record{Policy: plan.Name, Guard: plan.Policy.Files.Guard, Unguard: plan.Policy.Files.Unguard}
	open, layers, err := store.New(given, target, dirs)
	if err != nil {
		return err
	}
	open.Obeyed = obeyedIn(open)
	x.open = open
	for real, l := range layers {
		x.apart.Layers[real] = l
	}
	return nil
}

// openReviews opens the caller's reviews.
func openReviews(create bool) (*review.Store, error) {
	dir, err := openState(create)
	if err != nil {
		return nil, fmt.Errorf("open the reviews in sbx's state directory: %w", err)
	}
	defer unix.Close(dir)
	store, err := review.Open(dir, create)
	if err != nil {
		return nil, fmt.Errorf("open the reviews in sbx's state directory: %w", err)
	}
	return store, nil
}

// end asks or decides what to do, when nothing of the sandbox is left. It tells errors
// itself, since the program's exit status stays what it is.
func (x *reviewing) end(exit sandbox.Exit, failed error) *reviewReport {
	if x == nil || x.open == nil {
		return nil
	}
	r := x.open
	defer r.Close()
	var late *sandbox.LateError
	if failed != nil && !errors.As(failed, &late) {
		if err := r.Discard(); err != nil { // nothing has run
			say("error", "remove the empty review "+r.ID+": "+err.Error())
		}
		return nil
	}
	out := &reviewReport{ID: r.ID, Decision: reviewLater, Changes: []*review.Change{}}
	if failed == nil {
		if err := r.End(exit.Code()); err != nil {
			return out.fail(r, err)
		}
	}
	var count review.Count
	err := r.Changes(func(c *review.Change) error {
		count.Add(c)
		switch {
		case !x.list:
		case len(out.Changes) < reportedChanges:
			out.Changes = append(out.Changes, c)
		default:
			out.More++
		}
		return nil
	})
	if err != nil {
		return out.fail(r, err)
	}
	if count.All == 0 {
		say("note", "review: the program changed nothing")
		out.Decision = "discarded"
		if err := r.Discard(); err != nil {
			return out.fail(r, err)
		}
		return out
	}
	switch decide := x.decide; {
	case failed != nil: // it was ended before it was done
		x.later(r, &count)
	case decide == reviewAsk && x.terminal:
		err = ask(r, out)
	case decide == reviewKeep, decide == reviewOnSuccess && exit.Code() == 0:
		err = keepAll(r, &count, out)
	case decide == reviewDiscard:
		x.tell(r)
		if err = r.Discard(); err == nil {
			out.Decision = "discarded"
			say("note", "review: discarded "+count.String())
		}
	default:
		x.later(r, &count)
	}
	if err != nil {
		return out.fail(r, err)
	}
	return out
}

// later says how to go on with the review.
func (x *reviewing) later(r *review.Review, count *review.Count) {
	say("note", fmt.Sprintf("review %s: %s; look with: sbx review show %[1]s; then: sbx review keep %[1]s, or discard",
		r.ID, count))
}

// tell prints the changes that are going to be discarded: the list is all that comes of a
// dry run.
func (x *reviewing) tell(r *review.Review) {
	if err := r.Print(&review.Printer{W: os.Stderr}, nil); err != nil {
		say("error", "list the changes: "+err.Error())
	}
}

// fail says what went wrong. The review stays.
func (out *reviewReport) fail(r *review.Review, err error) *reviewReport {
	out.Error = err.Error()
	say("error", fmt.Sprintf("review %s: %s", r.ID, out.Error))
	say("hint", "sbx review show "+r.ID+" shows what there is; nothing is lost")
	return out
}

// keepAll keeps all changes, and discards what was nothing.
func keepAll(r *review.Review, count *review.Count, out *reviewReport) error {
	result, err := r.Keep(nil, false)
	if err != nil {
		return err
	}
	out.Decision, out.Kept, out.Left = "kept", result.Kept, result.Left
	if count != nil && result.OK() {
		say("note", "review: kept "+count.String())
	}
	if !sayResult(r, result) {
		out.Error = "not all was kept"
	}
	return clearIfEmpty(r, result)
}

// clearIfEmpty removes a review of which nothing is left.
func clearIfEmpty(r *review.Review, result *review.Result) error {
	if result.Left {
		return nil
	}
	return r.Discard()
}

// sayResult says what was not kept, and whether all was.
func sayResult(r *review.Review, x *review.Result) bool {
	for _, c := range x.Conflicts {
		say("error", "not kept: "+text.Quote(c.Path)+": "+c.Conflict)
	}
	for _, c := range x.Refused {
		say("error", "not kept: "+text.Quote(c.Path)+": "+c.Refused)
	}
	for _, err := range x.Failed {
		say("error", err.Error())
	}
	if x.More > 0 {
		say("error", fmt.Sprintf("and %d more were not kept", x.More))
	}
	switch {
	case len(x.Conflicts) > 0:
		say("hint", fmt.Sprintf("compare with: sbx review diff %s; to overwrite the host's: sbx review keep --force %[1]s",
			r.ID))
	case !x.OK() && x.Left:
		say("hint", fmt.Sprintf("they are in the review still: sbx review show %s", r.ID))
	}
	return x.OK()
}
