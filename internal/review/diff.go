package review

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"sbx/internal/text"
)

// Files of more bytes, or with a NUL, are not compared line by line.
const (
	diffMost    = 1 << 20
	diffContext = 3
	// diffEdits bounds how many lines may differ until a file counts as replaced as a whole.
	diffEdits = 2000
)

// Diff writes the difference of the selected changes, or of all, in the unified format. With
// escape, what a terminal could obey is written as text.
func (r *Review) Diff(w io.Writer, paths []Selected, escape bool) error {
	if len(paths) == 0 {
		paths = r.all()
	}
	return r.Changes(func(c *Change) error {
		if self, _ := selects(paths, c.Root, c.Path); !self {
			return nil
		}
		return r.diff(w, c, escape)
	})
}

// Selects says whether a selection, or none, has the change.
func Selects(paths []Selected, c *Change) bool {
	self, _ := selects(paths, c.Root, c.Path)
	return self || len(paths) == 0
}

func (r *Review) diff(w io.Writer, c *Change, escape bool) error {
	if c.Kind == Mode || c.Kind == Times || c.Type == "directory" && c.Old == "" || c.Old == "directory" {
		_, err := fmt.Fprintf(w, "# %s\n", c.Line())
		return err
	}
	t, err := r.tree(c.Root)
	if err != nil {
		return err
	}
	defer t.close()
	before, after := c.Path, c.Path
	if c.From != "" {
		before = c.From
	}
	a, plainA, err := lines(t.lower, before, c.Old != "" || c.From != "", c.OldSize)
	if err != nil {
		return err
	}
	b, plainB, err := lines(t.upper, after, c.Kind != Deleted, c.Size)
	if err != nil {
		return err
	}
	name := func(prefix, rel string, there bool) string {
		if !there {
			return "/dev/null"
		}
		return text.Quote(prefix + rel)
	}
	old, fresh := name("a/", before, c.Old != "" || c.From != ""), name("b/", after, c.Kind != Deleted)
	head := "--- " + old + "\n+++ " + fresh + "\n"
	if !plainA || !plainB {
		_, err := fmt.Fprintf(w, "# %s: no text, or too large\n%s", c.Line(), head)
		return err
	}
	if c.Type == "link" || c.Old == "link" || c.Refused != "" || c.Conflict != "" || c.From != "" {
		head = "# " + c.Line() + "\n" + head
	}
	if _, err := io.WriteString(w, head); err != nil {
		return err
	}
	return unified(w, a, b, escape)
}

// lines are the lines of a file, or where a link leads. plain says that it is text.
func lines(root int, rel string, there bool, size int64) (list []string, plain bool, err error) {
	if !there {
		return nil, true, nil
	}
	dir, name := split(rel)
	fd, err := openDir(root, dir)
	if missing(err) {
		return nil, true, nil // a whiteout, or a directory that is not there
	}
	if err != nil {
		return nil, false, err
	}
	defer closeFD(fd)
	st, ok, err := statOrNone(fd, name)
	switch {
	case err != nil:
		return nil, false, err
	case !ok:
		return nil, true, nil
	case typeOf(st.Mode) == "link":
		to, err := readlink(fd, name)
		return []string{to}, true, err
	case typeOf(st.Mode) != "file" || st.Size > diffMost || size > diffMost:
		return nil, false, nil
	}
	f, err := openFile(fd, name)
	if err != nil {
		return nil, false, unreadable(err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	data, err := io.ReadAll(io.LimitReader(f, diffMost))
	if err != nil || bytes.IndexByte(data, 0) >= 0 {
		return nil, false, err
	}
	for line := range strings.Lines(string(data)) {
		list = append(list, line)
	}
	return list, true, nil
}

// edit is a part of both files: lines of a that go, and lines of b that come, which follow
// on lines that stay.
type edit struct{ a, aEnd, b, bEnd int }

// unified writes the hunks.
func unified(w io.Writer, a, b []string, escape bool) error {
	edits := compare(a, b)
	var out strings.Builder
	put := func(sign byte, s string) {
		out.WriteByte(sign)
		body, ended := strings.CutSuffix(s, "\n")
		if escape {
			body = printable(body)
		}
		out.WriteString(body + "\n")
		if !ended {
			out.WriteString("\\ No newline at end of file\n")
		}
	}
	for i := 0; i < len(edits); {
		last := i
		for last+1 < len(edits) && edits[last+1].a-edits[last].aEnd <= 2*diffContext {
			last++
		}
		from, to := max(edits[i].a-diffContext, 0), min(edits[last].aEnd+diffContext, len(a))
		start := edits[i].b - (edits[i].a - from)
		end := edits[last].bEnd + (to - edits[last].aEnd)
		fmt.Fprintf(&out, "@@ -%s +%s @@\n", span(from, to), span(start, end))
		at := from
		for ; i <= last; i++ {
			for ; at < edits[i].a; at++ {
				put(' ', a[at])
			}
			for ; at < edits[i].aEnd; at++ {
				put('-', a[at])
			}
			for n := edits[i].b; n < edits[i].bEnd; n++ {
				put('+', b[n])
			}
		}
		for ; at < to; at++ {
			put(' ', a[at])
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func span(from, to int) string {
	switch n := to - from; n {
	case 0:
		return fmt.Sprintf("%d,0", from)
	case 1:
		return fmt.Sprint(from + 1)
	default:
		return fmt.Sprintf("%d,%d", from+1, n)
	}
}

// printable is s with what is not printable as an escape, but for tabs.
func printable(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\t' || unicode.IsPrint(r):
			b.WriteRune(r)
		case r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		i += size
	}
	return b.String()
}

// compare finds the lines that differ, by the greedy algorithm of Myers ("An O(ND)
// difference algorithm and its variations", 1986).
func compare(a, b []string) (list []edit) {
	head := 0
	for head < len(a) && head < len(b) && a[head] == b[head] {
		head++
	}
	endA, endB := len(a), len(b)
	for endA > head && endB > head && a[endA-1] == b[endB-1] {
		endA--
		endB--
	}
	if head == endA && head == endB {
		return nil
	}
	x, y := a[head:endA], b[head:endB]
	trace, found := shortest(x, y)
	if !found {
		return []edit{{head, endA, head, endB}}
	}
	// Back from the end.
	i, j := len(x), len(y)
	add := func(e edit) {
		e = edit{e.a + head, e.aEnd + head, e.b + head, e.bEnd + head}
		if n := len(list); n > 0 && list[n-1].a == e.aEnd && list[n-1].b == e.bEnd {
			list[n-1].a, list[n-1].b = e.a, e.b
			return
		}
		list = append(list, e)
	}
	for d := len(trace) - 1; d >= 0 && (i > 0 || j > 0); d-- {
		v, k := trace[d], i-j
		get := func(k int) int { return v[k+d] }
		if d == 0 {
			break
		}
		up := k == -d || k != d && get(k-1) < get(k+1)
		pk := k - 1
		if up {
			pk = k + 1
		}
		pi := get(pk)
		pj := pi - pk
		if up {
			add(edit{pi, pi, pj, pj + 1})
		} else {
			add(edit{pi, pi + 1, pj, pj})
		}
		i, j = pi, pj
	}
	for l, r := 0, len(list)-1; l < r; l, r = l+1, r-1 {
		list[l], list[r] = list[r], list[l]
	}
	return list
}

// shortest runs the algorithm forwards. trace[d] has, for the diagonals -d to d, how far
// paths with d-1 edits came.
func shortest(x, y []string) (trace [][]int, found bool) {
	v := map[int]int{1: 0}
	for d := 0; d <= min(len(x)+len(y), diffEdits); d++ {
		row := make([]int, 2*d+1)
		for k := -d; k <= d; k++ {
			row[k+d] = v[k]
		}
		trace = append(trace, row)
		for k := -d; k <= d; k += 2 {
			i := 0
			if k == -d || k != d && v[k-1] < v[k+1] {
				i = v[k+1]
			} else {
				i = v[k-1] + 1
			}
			for j := i - k; i < len(x) && j < len(y) && x[i] == y[j]; j++ {
				i++
			}
			v[k] = i
			if i >= len(x) && i-k >= len(y) {
				return trace, true
			}
		}
	}
	return nil, false
}
