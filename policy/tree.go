package policy

import (
	"maps"
	"path"
	"slices"
)

// Kind is what an entry of [files] makes of its path.
type Kind uint8

// The kinds, by the list of [files] that an entry stands in.
const (
	// NoEntry is the kind of a path that no entry is at or over.
	NoEntry Kind = iota
	// KindWrite and KindRead show a path of the host.
	KindWrite
	KindRead
	// KindOverlay shows a directory of the host and keeps changes apart.
	KindOverlay
	// KindTmpfs is a private directory, KindDirectory an empty one.
	KindTmpfs
	KindDirectory
	// KindFile and KindSymlink are a file and a symbolic link of the sandbox's own.
	KindFile
	KindSymlink
)

// String is the kind's list in [files], "" for NoEntry.
func (k Kind) String() string {
	return [...]string{"", "write", "read", "overlay", "tmpfs", "directories", "file", "symlink"}[k]
}

// FromHost says that what lies at and below such an entry is the host's.
func (k Kind) FromHost() bool { return k == KindWrite || k == KindRead || k == KindOverlay }

// Writes says that the target may write there: to the host's file or to a copy.
func (k Kind) Writes() bool { return k == KindWrite || k == KindOverlay || k == KindTmpfs }

// Path is an entry without its mark.
type Path struct {
	// Name is absolute and clean.
	Name string
	// Optional says that the entry had a "?" in front: it may be missing.
	Optional bool
}

// ParsePath takes the mark off an entry of a list.
func ParsePath(entry string) Path {
	name := withoutMark(entry)
	return Path{name, len(name) != len(entry)}
}

// Entry is one path that [files] names, with all that the policy says of it.
type Entry struct {
	Path
	Kind Kind
	// Options are what files.path says; their zero value is the default.
	Options PathOptions
	// Text is a file's content or a link's target.
	Text string
}

// Source is the path of the host that the entry shows: its own, unless the
// policy names another.
func (e Entry) Source() string {
	if e.Options.From != "" {
		return e.Options.From
	}
	return e.Name
}

// NoExec says that nothing can be executed at the entry.
func (e Entry) NoExec() bool { return e.Options.Exec != nil && !*e.Options.Exec }

// Tree is what the lists of [files] say of each path inside: the entry that is
// at the path, or else the deepest one over it, whatever list it stands in. It
// knows nothing of a machine: links, and what is missing, are for those who
// resolve it there.
type Tree struct {
	// Entries are those of all lists but hide, list by list.
	Entries []Entry
	// Doubled are entries whose path another one has as well, and that count
	// for nothing. Of two entries the first of write, read, overlay, tmpfs,
	// directories, file and symlink counts.
	Doubled []Entry
	// Hidden are the paths of hide, without its patterns. They are covered
	// with all that lies in them.
	Hidden []Path
	index  map[string]int
}

// kindList is a list of paths that are of one kind.
type kindList struct {
	kind Kind
	list []string
}

// lists are the lists of paths, in the order in which an entry for a path that stands in
// several of them is found.
func (f *Files) lists() [5]kindList {
	return [...]kindList{
		{KindWrite, f.Write}, {KindRead, f.Read}, {KindOverlay, f.Overlay}, {KindTmpfs, f.Tmpfs},
		{KindDirectory, f.Directories},
	}
}

// Tree sorts the policy's [files]. The policy is expanded: its paths are
// absolute and clean, with no variables in them.
func (p *Policy) Tree() *Tree {
	f := &p.Files
	n := len(f.Write) + len(f.Read) + len(f.Overlay) + len(f.Tmpfs) + len(f.Directories) + len(f.Inline) + len(f.Symlinks)
	t := &Tree{Entries: make([]Entry, 0, n), index: make(map[string]int, n)}
	for _, l := range f.lists() {
		for _, s := range l.list {
			e := Entry{Path: ParsePath(s), Kind: l.kind}
			if len(f.Paths) > 0 {
				e.Options = f.Paths[e.Name]
			}
			t.add(e)
		}
	}
	for _, m := range [...]struct {
		kind  Kind
		texts map[string]string
	}{{KindFile, f.Inline}, {KindSymlink, f.Symlinks}} {
		for _, name := range slices.Sorted(maps.Keys(m.texts)) {
			t.add(Entry{Path: Path{Name: name}, Kind: m.kind, Options: f.Paths[name], Text: m.texts[name]})
		}
	}
	for _, s := range f.Hide {
		if x := ParsePath(s); path.IsAbs(x.Name) && !f.unhides(x.Name) {
			t.Hidden = append(t.Hidden, x)
		}
	}
	return t
}

// unhides says whether unhide names the path or a directory over it.
func (f *Files) unhides(name string) bool {
	for _, s := range f.Unhide {
		if x := ParsePath(s); path.IsAbs(x.Name) && Within(name, x.Name) {
			return true
		}
	}
	return false
}

func (t *Tree) add(e Entry) {
	i, have := t.index[e.Name]
	switch {
	case !have:
		t.index[e.Name] = len(t.Entries)
		t.Entries = append(t.Entries, e)
	case t.Entries[i].Kind == e.Kind:
		// A required entry beats an optional one of its own list.
		t.Entries[i].Optional = t.Entries[i].Optional && e.Optional
	default:
		t.Doubled = append(t.Doubled, e)
	}
}

// replace takes the entry in the place of what is there.
func (t *Tree) replace(e Entry) {
	if i, have := t.index[e.Name]; have {
		t.Entries[i] = e
		return
	}
	t.add(e)
}

// Get is the entry at the path itself.
func (t *Tree) Get(name string) (Entry, bool) {
	if i, ok := t.index[name]; ok {
		return t.Entries[i], true
	}
	return Entry{}, false
}

// At is the entry at the path or else the deepest one over it. Its Kind is
// NoEntry if there is none.
func (t *Tree) At(name string) Entry {
	for {
		if i, ok := t.index[name]; ok {
			return t.Entries[i]
		}
		if name == "/" {
			return Entry{}
		}
		if name = path.Dir(name); name == "." {
			name = "/" // an entry that begins with a variable, before it is expanded
		}
	}
}

// Over is the deepest entry over the path, without the one at it.
func (t *Tree) Over(name string) Entry {
	if name == "/" {
		return Entry{}
	}
	return t.At(path.Dir(name))
}

// BehindLink is the path of the link of the policy's own that name lies behind, or
// "". What lies there is at another place, which the policy does not name.
func (t *Tree) BehindLink(name string) string {
	for name != "/" && name != "." {
		e := t.Over(name)
		if e.Kind == KindSymlink {
			return e.Name
		}
		name = e.Name
		if name == "" {
			break
		}
	}
	return ""
}

// Covers says whether hide names the path or a directory over it.
func (t *Tree) Covers(name string) bool {
	return slices.ContainsFunc(t.Hidden, func(h Path) bool { return Within(name, h.Name) })
}

// Shows says whether the target sees the host's own content at the path.
func (f *Files) Shows(name string) bool { return f.At(name).Kind.FromHost() }

// At is what the policy's Tree has at the path, for who asks once or twice: nothing is
// made for that.
func (f *Files) At(name string) Entry {
	for {
		if e, ok := f.get(name); ok {
			return e
		}
		if name == "/" {
			return Entry{}
		}
		if name = path.Dir(name); name == "." {
			name = "/" // as in Tree.At
		}
	}
}

// get is Tree.Get.
func (f *Files) get(name string) (e Entry, ok bool) {
	for _, l := range f.lists() {
		for _, s := range l.list {
			if withoutMark(s) != name {
				continue
			}
			if optional := ParsePath(s).Optional; !ok {
				e, ok = Entry{Path: Path{name, optional}, Kind: l.kind, Options: f.Paths[name]}, true
			} else {
				e.Optional = e.Optional && optional
			}
		}
		if ok {
			return e, true
		}
	}
	for _, m := range [...]struct {
		kind  Kind
		texts map[string]string
	}{{KindFile, f.Inline}, {KindSymlink, f.Symlinks}} {
		if text, have := m.texts[name]; have {
			return Entry{Path: Path{Name: name}, Kind: m.kind, Options: f.Paths[name], Text: text}, true
		}
	}
	return Entry{}, false
}

// ShowsInterfaces says that /sys shows the names of the host's network interfaces, whatever
// network the program has.
func (p *Policy) ShowsInterfaces() bool {
	const names = "/sys/class/net"
	return p.Files.Shows(names) && !p.Tree().Covers(names)
}
