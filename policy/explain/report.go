package explain

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"sbx/internal/text"
)

// maxLines is how long a report for people is at most, maxFindings how many denials the
// one for programs has.
const (
	maxLines    = 200
	maxFindings = 500
)

// Report is what there is to say of a run. Its fields are documented in docs/json.md.
type Report struct {
	// Policy is the policy's name.
	Policy string `json:"policy"`
	// Denials are what was denied, the most important first: what is harmless comes last.
	Denials []Item `json:"denials"`
	// Dropped is how many denied calls are in none of them.
	Dropped uint64 `json:"dropped,omitempty"`
	// Coarse says that later calls were counted without a closer look.
	Coarse bool `json:"coarse,omitempty"`
	// Unavailable is why denied calls could not be seen, or "".
	Unavailable string `json:"unavailable,omitempty"`
}

// Item is one kind of denial, judged.
type Item struct {
	// What is "system call", and Call the call with its arguments.
	What string `json:"what"`
	Call string `json:"call"`
	Name string `json:"name"`
	// Answer is what the program saw: an errno's name, "killed", or "" where the sandbox's
	// own network has answered.
	Answer string `json:"answer"`
	Exe    string `json:"exe,omitempty"`
	PID    int    `json:"pid,omitempty"`
	Count  uint64 `json:"count"`
	Why    string `json:"why"`
	Where  string `json:"where,omitempty"`
	Allow  string `json:"allow,omitempty"`
	// Against is why it should not be allowed; Harmless why that it was denied does not
	// matter.
	Against  string `json:"against,omitempty"`
	Harmless string `json:"harmless,omitempty"`
	// Beside says that a filter beside the policy's denied it.
	Beside bool `json:"beside,omitempty"`
	// Flag says that Allow is a flag of a launch, and not lines of a policy.
	Flag bool `json:"flag,omitempty"`

	path string // of a file, as it is
}

// Report judges what was recorded.
func (j *Judge) Report(r Record) (*Report, error) {
	out := &Report{Policy: j.Policy.Name, Denials: []Item{}, Dropped: r.Dropped, Coarse: r.Coarse, Unavailable: r.Why}
	for _, d := range r.Denials {
		if len(out.Denials) == maxFindings {
			out.Dropped += d.Count
			continue
		}
		item, err := j.Item(d)
		if err != nil {
			return nil, err
		}
		out.Denials = append(out.Denials, item)
	}
	for _, item := range slices.Concat(j.limits(r.Limits), j.attempts(r.Attempts), j.files(r.Files)) {
		if len(out.Denials) == maxFindings {
			out.Dropped += item.Count
			continue
		}
		out.Denials = append(out.Denials, item)
	}
	slices.SortStableFunc(out.Denials, func(a, b Item) int {
		return cmp.Compare(b2i(a.Harmless != ""), b2i(b.Harmless != ""))
	})
	return out, nil
}

// Item is the denial, judged.
func (j *Judge) Item(d Denial) (Item, error) {
	if d.Host != nil {
		return j.host(d), nil
	}
	f, err := j.Judge(d)
	return Item{
		What: "system call", Call: d.Call(), Name: d.Name(), Answer: saw(d), Exe: text.OneLine(Redact(d.Exe)),
		PID: d.PID, Count: d.Count, Why: f.Why, Where: f.Where, Allow: f.Allow, Against: f.Against, Harmless: Harmless(d),
		Beside: d.Filter != "", Flag: d.Filter != "" && f.Allow != "",
	}, err
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// saw is what the program saw of the denial.
func saw(d Denial) string {
	a := d.Answer.String()
	if errno, ok := strings.CutPrefix(a, "errno:"); ok {
		return errno
	}
	if a == "notify" {
		return "ENOSYS" // of the kernel, without a listener
	}
	return "killed"
}

// Lines are the report for people, at most 200. With verbose what is harmless is shown
// like all else.
func (r *Report) Lines(verbose bool) []string {
	var out, harmless []string
	calls, kinds, files, others, limits, signals, traced, left := uint64(0), 0, 0, 0, 0, 0, 0, 0
	for _, d := range r.Denials {
		if d.Harmless != "" && !verbose {
			name := d.Name
			if d.What == "file" {
				name = d.Call
			}
			if !slices.Contains(harmless, name) {
				harmless = append(harmless, name)
			}
			continue
		}
		switch d.What {
		case "file":
			files++
		case "system call":
			kinds++
			calls += d.Count
		case "limit":
			limits++
		case "signal":
			signals++
		case "ptrace":
			traced++
		default:
			others++
		}
		if lines := d.lines(r.Policy); len(out)+len(lines) <= maxLines-4 { // for what stands around them
			out = append(out, lines...)
		} else {
			left++
		}
	}
	head := fmt.Sprintf("policy %s denied no system call", text.Quote(r.Policy))
	if kinds > 0 {
		head = fmt.Sprintf("policy %s denied %s of system calls, %s in all", text.Quote(r.Policy), plural(uint64(kinds),
			"kind"),
			plural(calls, "call"))
	}
	if r.Unavailable != "" {
		head = "denied system calls could not be seen: " + text.OneLine(r.Unavailable)
	}
	for _, x := range [...]struct {
		n           int
		what, which string
	}{{limits, "limit", "reached"}, {signals, "signal", "for a process outside"}, {traced, "process", "not traced"}} {
		if x.n > 0 {
			head += fmt.Sprintf(", %s %s", plural(uint64(x.n), x.what), x.which)
		}
	}
	if others > 0 {
		head += fmt.Sprintf(", and %s failed for want of a network or a capability", plural(uint64(others), "attempt"))
	}
	if files > 0 {
		head += fmt.Sprintf(", and %s could not be used", plural(uint64(files), "file"))
	}
	out = append([]string{head}, out...)
	if left > 0 {
		out = append(out, fmt.Sprintf("  and %s more, which --report lists", plural(uint64(left), "kind")))
	}
	if r.Dropped > 0 {
		out = append(out, "  and "+plural(r.Dropped, "call")+" more, too many and too different to be kept")
	}
	if r.Coarse {
		out = append(out, "  so many that the later ones were only counted, by the call's name")
	}
	if n := len(harmless); n > 0 {
		const most = 12
		more := ""
		if n > most {
			more = fmt.Sprintf(" and %d more", n-most)
		}
		out = append(out, fmt.Sprintf("  not shown, since programs do without: %s%s; -v shows them",
			strings.Join(harmless[:min(n, most)], ", "), more))
	}
	return out
}

func (d *Item) lines(policy string) []string {
	who := ""
	if d.Exe != "" {
		who = ", by " + text.Quote(d.Exe)
	}
	if d.PID != 0 {
		who += fmt.Sprintf(", pid %d", d.PID)
	}
	how := "failed with " + d.Answer
	switch d.Answer {
	case "killed":
		how = "killed the process"
	case "":
		how = "did not leave the sandbox"
	}
	if d.What == "limit" && strings.HasPrefix(d.Call, "limit ") {
		how = "was reached"
	}
	where := ""
	if d.Where != "" {
		where = " (" + text.Quote(d.Where) + ")"
	}
	if d.What == "file" {
		how = "was answered with " + d.Answer
	}
	second := "    " + d.Why + where
	switch {
	case d.Harmless != "":
		second += "; harmless: " + d.Harmless
	case d.Flag && d.Against != "":
		second += "; think before you allow it: " + d.Against + "; " + d.Allow
	case d.Flag:
		second += "; to allow it: " + d.Allow
	case d.What != "system call" && d.Allow == "" && d.Against != "":
		second += "; " + d.Against
	case d.What != "system call" && d.Allow == "":
	case d.Allow != "" && d.Against != "":
		second += "; think before you allow it: " + d.Against + "; " + extension(policy, d.Allow)
	case d.Against != "" && d.Beside:
		second += "; nothing allows it: " + d.Against
	case d.Against != "":
		second += "; think before you allow it: " + d.Against + "; " + another(policy)
	case d.Allow != "":
		second += "; to allow it: " + extension(policy, d.Allow)
	default:
		second += "; to allow it: " + another(policy)
	}
	return []string{
		fmt.Sprintf("  %s %s, %s%s", d.Call, how, times(d.Count), who),
		text.OneLine(second),
	}
}

// extension is the policy that says the lines.
func extension(policy, lines string) string {
	return fmt.Sprintf("a policy with extends = [\"%s\"] and %s", policy, lines)
}

// another is what to do where no line of a policy that extends this one allows the call.
func another(policy string) string {
	return "a policy of your own without that; sbx policy resolve " + text.Quote(policy) + " prints one to change"
}

func times(n uint64) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

func plural(n uint64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
