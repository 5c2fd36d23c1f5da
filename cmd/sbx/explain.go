package main

import (
	"fmt"
	"os"
	"strings"

	"sbx/internal/text"
	"sbx/policy/explain"
	"sbx/policy/seccomp"
	"sbx/sandbox"
)

// explain prints what the run was denied, as one block, and returns it for the receipt;
// nil if nothing was to be explained.
func (l *launch) explain(plan *sandbox.Plan, exit sandbox.Exit, failed error) *explain.Report {
	seen := exit.Explained
	switch {
	case seen != nil:
	case plan != nil && plan.Unexplained != "" && !l.DryRun && failed == nil:
		seen = &explain.Record{Why: plan.Unexplained}
	default:
		return nil
	}
	j := explain.Judge{Policy: plan.Policy, Native: seccomp.Native()}
	// What was found ready does not know its lines. Without them there is less to say.
	if p, err := parsed(l.Policy); err == nil {
		j.Source = p
	}
	r, err := j.Report(*seen)
	if err != nil {
		say("error", err.Error())
		return nil
	}
	var b strings.Builder
	for i, line := range r.Lines(l.Verbose) {
		if i == 0 {
			b.WriteString("sbx: explain: ")
		}
		b.WriteString(text.OneLine(line) + "\n")
	}
	fmt.Fprint(os.Stderr, b.String()) // in one write
	return r
}
