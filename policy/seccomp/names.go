package seccomp

import (
	"fmt"
	"iter"
)

// NameError says that a policy names what there is not.
type NameError struct {
	// Kind is what was looked for: "system call", "group", "errno", ...
	Kind string
	// Name is what the policy says.
	Name string
	// Near is the nearest valid name, or empty if none is near.
	Near string
}

func (e *NameError) Error() string {
	if e.Near == "" {
		return fmt.Sprintf("unknown %s %q", e.Kind, e.Name)
	}
	return fmt.Sprintf("unknown %s %q, did you mean %q?", e.Kind, e.Name, e.Near)
}

// unknown makes the error for a name that is not among the valid ones.
func unknown(kind, name string, valid iter.Seq[string]) error {
	return &NameError{kind, name, Nearest(name, valid)}
}

// Nearest finds the valid name that a misspelt one was likely meant to be:
// the one with the fewest letters to insert, delete, replace or swap, if
// those are few. It returns "" if none is near.
func Nearest(name string, valid iter.Seq[string]) string {
	if len(name) > 64 {
		return ""
	}
	best, near := max(1, len(name)/3)+1, ""
	for v := range valid {
		if d := distance(name, v, best); d < best {
			best, near = d, v
		}
	}
	return near
}

// distance counts the edits between a and b, or returns limit if there are
// that many or more.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return min(last[len(b)], limit)
}
