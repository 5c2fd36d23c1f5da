package review

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"sbx/internal/text"
)

// Count is how many changes there are of each kind.
type Count struct {
	All, Conflicts, Refused, Obeyed int
	kinds                           map[string]int
}

// Add counts a change.
func (n *Count) Add(c *Change) {
	if n.kinds == nil {
		n.kinds = map[string]int{}
	}
	n.All++
	n.kinds[c.Kind]++
	if c.Conflict != "" {
		n.Conflicts++
	}
	if c.Refused != "" {
		n.Refused++
	}
	if c.Obeyed {
		n.Obeyed++
	}
}

func (n *Count) String() string {
	if n.All == 0 {
		return "no changes"
	}
	s := fmt.Sprintf("%d changes", n.All)
	if n.All == 1 {
		s = "1 change"
	}
	sep := ": "
	for _, kind := range [...]string{Added, Modified, Deleted, Renamed, Mode, Times} {
		what := kind
		if kind == Times {
			what = "with new times only"
		}
		if n.kinds[kind] > 0 {
			s += fmt.Sprintf("%s%d %s", sep, n.kinds[kind], what)
			sep = ", "
		}
	}
	if n.Conflicts > 0 {
		s += fmt.Sprintf("; %d in conflict with the host", n.Conflicts)
	}
	if n.Refused > 0 {
		s += fmt.Sprintf("; %d refused", n.Refused)
	}
	if n.Obeyed > 0 {
		s += fmt.Sprintf("; %d that other programs run or obey", n.Obeyed)
	}
	return s
}

// letters stand for the kinds in the tree.
func letter(kind string) string {
	switch kind {
	case Added:
		return "+"
	case Modified:
		return "M"
	case Deleted:
		return "-"
	case Renamed:
		return "R"
	case Mode:
		return "m"
	case Times:
		return "t"
	}
	return "!"
}

// Line is the change in one line.
func (c *Change) Line() string {
	name := c.Path
	if name == "" {
		name = "."
	}
	return letter(c.Kind) + " " + c.name(name) + c.details()
}

func (c *Change) name(name string) string {
	name = text.Quote(name)
	if c.Type == "directory" || c.Type == "" && c.Old == "directory" {
		name += "/"
	}
	return name
}

// details say what stands behind the name.
func (c *Change) details() string {
	var list []string
	add := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	if c.Old != "" && c.Type != "" && c.Old != c.Type {
		add("%s becomes %s", c.Old, c.Type)
	} else if c.Type != "file" && c.Type != "directory" && c.Type != "" {
		add("%s", c.Type)
	}
	switch {
	case c.To != "" && c.Type == "link":
		add("to %s", text.Quote(c.To))
	case c.To != "":
		add("renamed to %s", text.Quote(c.To))
	}
	if c.From != "" {
		add("from %s", text.Quote(c.From))
	}
	switch {
	case c.Kind == Modified && c.Type == "file" && c.Old == "file" && c.Size != c.OldSize:
		add("%s, was %s", Size(c.Size), Size(c.OldSize))
	case c.Kind == Deleted && c.Old == "directory" && c.Entries == 2:
		add("with 1 entry")
	case c.Kind == Deleted && c.Old == "directory":
		add("with %d entries", c.Entries-1)
	case c.Kind == Deleted && c.Old == "file":
		add("%s", Size(c.OldSize))
	case c.Type == "file" && c.Kind != Mode && c.Kind != Times:
		add("%s", Size(c.Size))
	}
	if c.Type == "file" && c.Disk+4096 < c.Size/2 {
		add("%s on disk", Size(c.Disk))
	}
	if c.Old != "" && c.Type != "" && c.Type != "link" && c.Mode != c.OldMode {
		add("mode %04o, was %04o", c.Mode, c.OldMode)
	} else if c.Kind == Mode && c.Mode == c.OldMode {
		add("owner, group or attributes")
	}
	if c.Kind == Times {
		add("times only")
	}
	if c.Links > 1 {
		add("%d hard links", c.Links)
	}
	s := ""
	if len(list) > 0 {
		s = "  (" + strings.Join(list, ", ") + ")"
	}
	if c.Obeyed {
		s += "  OBEYED: other programs run or obey it by themselves"
	}
	if c.Conflict != "" {
		s += "  CONFLICT: " + c.Conflict
	}
	if c.Refused != "" {
		s += "  REFUSED: " + c.Refused
	}
	return s
}

// Size is a number of bytes for people.
func Size(n int64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%dB", n)
	}
	f, i := float64(n)/1024, 0
	for f >= 1024 && i < len(units)-1 {
		f /= 1024
		i++
	}
	if f < 10 {
		return fmt.Sprintf("%.1f%c", f, units[i])
	}
	return fmt.Sprintf("%.0f%c", f, units[i])
}

// Printer writes changes as a tree, as they come.
type Printer struct {
	W io.Writer
	// Most is how many lines it writes, 0: all. Count is of all.
	Most  int
	Count Count

	review *Review
	root   int
	dirs   []string // those that the last line lies in
	lines  int
}

// Print writes all changes that are selected.
func (r *Review) Print(p *Printer, paths []Selected) error {
	p.review, p.root = r, -1
	err := r.Changes(func(c *Change) error {
		if !Selects(paths, c) {
			return nil
		}
		p.Count.Add(c)
		return p.put(c)
	})
	if err == nil && p.Most > 0 && p.lines > p.Most {
		_, err = fmt.Fprintf(p.W, "  ... and %d more lines: sbx review show %s\n", p.lines-p.Most, r.ID)
	}
	return err
}

func (p *Printer) line(depth int, s string) error {
	p.lines++
	if p.Most > 0 && p.lines > p.Most {
		return nil
	}
	_, err := fmt.Fprintf(p.W, "%s%s\n", strings.Repeat("  ", min(depth, 20)), s)
	return err
}

func (p *Printer) put(c *Change) error {
	if c.Root != p.root {
		p.root, p.dirs = c.Root, nil
		if err := p.line(0, text.Quote(string(p.review.Roots[c.Root].Real))+":"); err != nil {
			return err
		}
	}
	parts := strings.Split(c.Path, "/")
	dirs, name := parts[:len(parts)-1], parts[len(parts)-1]
	same := 0
	for same < len(dirs) && same < len(p.dirs) && dirs[same] == p.dirs[same] {
		same++
	}
	for i := same; i < len(dirs); i++ {
		if err := p.line(i+1, "  "+text.Quote(dirs[i])+"/"); err != nil {
			return err
		}
	}
	p.dirs = dirs
	if name == "" {
		name = "."
	}
	if c.descend {
		p.dirs = parts // its own line stands for it
	}
	return p.line(len(parts), letter(c.Kind)+" "+c.name(name)+c.details())
}

// PrintJSON writes each selected change as a line of JSON.
func (r *Review) PrintJSON(w io.Writer, paths []Selected) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return r.Changes(func(c *Change) error {
		if !Selects(paths, c) {
			return nil
		}
		return e.Encode(c)
	})
}
