package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"sbx/internal/review"
	"sbx/internal/text"
	"sbx/policy"
	"sbx/sandbox"
)

// reviewCmd is "sbx review ...": what programs would change that ran with --review.
type reviewCmd struct {
	List    reviewListCmd    `cmd:"" help:"List the reviews of which something is left to decide."`
	Show    reviewShowCmd    `cmd:"" help:"List the changes of a review."`
	Diff    reviewDiffCmd    `cmd:"" help:"Print the differences that keeping would make, in the unified format."`
	Keep    reviewKeepCmd    `cmd:"" help:"Make changes of a review on the host, or go on with an interrupted keep."`
	Discard reviewDiscardCmd `cmd:"" help:"Forget changes of a review, or all of it."`
	GC      reviewGCCmd      `cmd:"" name:"gc" help:"Remove reviews without changes and the remains of interrupted ones."`
}

// errNotKept is a keep that did not keep all; it has been told.
var errNotKept = errors.New("not all was kept")

// obeyedIn says what of a review other programs run or obey by themselves: what its policy
// guards, and what has such a name at any depth.
func obeyedIn(r *review.Review) func(*review.Root, string, bool) bool {
	guard := sandbox.NewGuard(r.Guard, r.Unguard)
	return func(root *review.Root, rel string, dir bool) bool {
		guarded, free := guard.Guards(rel, dir)
		if guarded || free {
			return guarded
		}
		if policy.Obeyed(path.Base(rel), dir) {
			return true
		}
		for at := path.Join(path.Base(root.Where()), path.Dir(rel)); at != "."; at = path.Dir(at) {
			if policy.Obeyed(path.Base(at), true) {
				return true
			}
		}
		return false
	}
}

// reviewArgs are the arguments that most of these commands have.
type reviewArgs struct {
	ID   string   `arg:"" help:"The review: its ID, or how it begins."`
	Path []string `arg:"" optional:"" complete:"path" help:"Only these paths, and what is below them."`
}

// find opens the review and reads the paths.
func (a *reviewArgs) find() (*review.Review, []review.Selected, error) {
	store, err := openReviews(false)
	if errors.Is(err, unix.ENOENT) {
		return nil, nil, &usageError{"find review " + text.Quote(a.ID) + ": there are no reviews",
			"sbx --review -- PROGRAM makes one"}
	}
	if err != nil {
		return nil, nil, err
	}
	defer store.Close()
	r, err := store.Find(a.ID)
	if err != nil {
		return nil, nil, err
	}
	r.Obeyed = obeyedIn(r)
	paths, err := selection(r, a.Path)
	if err != nil {
		r.Close()
		return nil, nil, err
	}
	return r, paths, nil
}

type reviewListCmd struct {
	JSON bool `help:"Print JSON."`
}

// Run lists the reviews.
func (c *reviewListCmd) Run() error {
	store, err := openReviews(false)
	var list []review.Summary
	if err == nil {
		defer store.Close()
		list, err = store.List()
	}
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	if c.JSON {
		return printJSON(os.Stdout, describeReviews(list))
	}
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, x := range describeReviews(list) {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", x.ID, x.State, x.Started, strings.Join(quoteAll(x.Paths), " "),
			strings.Join(quoteAll(x.Command), " ")) // Flush reports it
	}
	return t.Flush()
}

// reviewEntry is a review in the list.
type reviewEntry struct {
	ID      string   `json:"id"`
	State   string   `json:"state"`
	Started string   `json:"started,omitempty"`
	Policy  string   `json:"policy,omitempty"`
	Status  *int     `json:"status,omitempty"`
	Paths   []string `json:"paths"`
	Command []string `json:"command"`
	Error   string   `json:"error,omitempty"`
}

func describeReviews(list []review.Summary) []reviewEntry {
	out := []reviewEntry{}
	for _, x := range list {
		e := reviewEntry{ID: x.ID, State: "ended", Policy: x.Policy, Paths: []string{}, Command: []string{}}
		switch {
		case x.Err != nil:
			e.State, e.Error = "error", x.Err.Error()
		case x.Running:
			e.State = "running"
		case x.Unfinished:
			e.State = "interrupted" // keeping or discarding was
		case !x.Ended:
			e.State = "killed" // sbx was, and all in the sandbox
		default:
			e.State, e.Status = "ended "+strconv.Itoa(x.Status), &x.Status
		}
		if !x.Started.IsZero() {
			e.Started = x.Started.Format(time.RFC3339)
		}
		for _, root := range x.Roots {
			e.Paths = append(e.Paths, root.Where())
		}
		for _, w := range x.Command {
			e.Command = append(e.Command, string(w))
		}
		out = append(out, e)
	}
	return out
}

func quoteAll(list []string) (out []string) {
	for _, s := range list {
		out = append(out, text.Quote(s))
	}
	return out
}

type reviewShowCmd struct {
	reviewArgs
	JSON bool `help:"Print JSON: a line for each change."`
}

// Run lists the changes.
func (c *reviewShowCmd) Run() error {
	r, paths, err := c.find()
	if err != nil {
		return err
	}
	defer r.Close()
	w := bufio.NewWriter(os.Stdout)
	if c.JSON {
		if err := r.PrintJSON(w, paths); err != nil {
			return err
		}
		return w.Flush()
	}
	p := &review.Printer{W: w}
	if err := r.Print(p, paths); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	say("note", fmt.Sprintf("review %s: %s", r.ID, &p.Count))
	if r.Unfinished() {
		say("note", "keeping or discarding it was interrupted; sbx review keep "+r.ID+" goes on, or discard")
	}
	return nil
}

type reviewDiffCmd struct {
	reviewArgs
}

// Run prints the differences.
func (c *reviewDiffCmd) Run() error {
	r, paths, err := c.find()
	if err != nil {
		return err
	}
	defer r.Close()
	w := bufio.NewWriter(os.Stdout)
	// To a pager or a file the text goes as it is.
	if err := r.Diff(w, paths, isTerminal(1)); err != nil {
		return err
	}
	return w.Flush()
}

type reviewKeepCmd struct {
	reviewArgs
	Force bool `help:"Also overwrite what has changed on the host meanwhile."`
}

// Run keeps changes.
func (c *reviewKeepCmd) Run() error {
	r, paths, err := c.find()
	if err != nil {
		return err
	}
	defer r.Close()
	if r.Unfinished() {
		say("note", "the keep that was interrupted goes on")
	}
	result, err := r.Keep(paths, c.Force)
	if err != nil {
		return err
	}
	say("note", fmt.Sprintf("review %s: kept %d", r.ID, result.Kept))
	all := sayResult(r, result)
	if err := clearIfEmpty(r, result); err != nil {
		return err
	}
	if !all {
		return errNotKept
	}
	return nil
}

type reviewDiscardCmd struct {
	reviewArgs
}

// Run discards changes.
func (c *reviewDiscardCmd) Run() error {
	r, paths, err := c.find()
	if err != nil {
		return err
	}
	defer r.Close()
	if len(paths) == 0 {
		return r.Discard()
	}
	if err := r.DiscardPaths(paths); err != nil {
		return err
	}
	empty, err := r.Empty()
	if err != nil || !empty {
		return err
	}
	return r.Discard()
}

type reviewGCCmd struct {
	Days int `help:"Also discard reviews that are older than so many days." placeholder:"N"`
}

// Run removes what is no review any more.
func (c *reviewGCCmd) Run() error {
	if c.Days < 0 {
		return misread("--days: a number of days is wanted", "sbx review gc --days 30")
	}
	store, err := openReviews(false)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	defer store.Close()
	return store.Garbage(time.Duration(c.Days)*24*time.Hour, func(id, why string) {
		fmt.Printf("%s: %s\n", text.Quote(id), why)
	})
}
