package sandbox

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"sbx/internal/text"

	"sbx/internal/step"
	"sbx/ns"
	"sbx/policy"
	"sbx/sandbox/internal/landlock"
)

// kind is how a path of the inside comes to be.
type kind uint8

const (
	dirKind     kind = iota // made by us on our own tmpfs
	fileKind                // a file of ours, read-only
	linkKind                // a symbolic link of ours
	emptyKind               // a directory of ours over one of the outside
	tmpfsKind               // a private tmpfs: directories below are made by us too
	readKind                // from the outside
	writeKind               // from the outside, writable
	overlayKind             // from the outside, with what is written kept apart
)

// shown says that what lies in it is the outside's, where we make nothing.
func (k kind) shown() bool { return k >= readKind }

// entry is one place of the view.
type entry struct {
	path     string
	kind     kind
	from     string // what is shown there, if named otherwise; see policy.PathOptions
	src      File
	mode     uint32 // tmpfs, directory
	size     string // tmpfs
	text     string // a file's content, a link's target
	noexec   bool
	device   bool
	optional bool
	fixed    bool     // shown by another entry; bound so that it cannot be renamed
	layers   *[2]File // an overlay's upper and work, if they are kept
}

// view turns lists of paths into mounts: parents first, by depth of path, so
// that the order of a policy's lines does not matter.
type view struct {
	policy  *policy.Policy
	host    *Host
	entries []entry
	special map[string]entry // of placed, those with options
	made    map[string]kind  // what is there so far, by path
	steps   []step.Step
	placed  []entry         // the mounts, where they came to be
	covered map[string]bool // what hide covered, by path inside
	pinned  map[string]bool // directories of ours that cannot be renamed
	named   []string        // the real paths of the sockets that may be connected to
	tmp     string          // the size of each tmpfs that has none of its own
	notes   []string        // see Plan.Notes
	users   bool            // there is a user namespace of the target's own
	root    bool            // the outside's root is the inside's
}

// link takes in an entry that is a symbolic link, or has one on its way, inside
// a directory that is shown itself. What such a link leads to was decided by
// whoever could write there, a hostile project above all, not by the policy:
// so it is never shown for that. If it is shown anyway, the entry's wall is
// drawn there; the link itself can be replaced by who may write beside it.
func (v *view) link(p *policy.Policy, e entry, seen map[string]bool) error {
	name, real := text.Quote(e.path), text.Quote(e.src.Real)
	follow := e.kind == readKind && listed(p, e.src.Real)
	replaceable := writes(p, path.Dir(e.path))
	switch {
	case !e.optional && (!follow || replaceable):
		return &NeedError{What: fmt.Sprintf("show %s: it is a symbolic link in a directory that is shown, to %s", name, real),
			Fix: "name what it leads to"}
	case !follow:
		v.notes = append(v.notes, fmt.Sprintf("%s is a symbolic link out of what is shown: not followed", name))
		return nil
	case replaceable:
		v.notes = append(v.notes, fmt.Sprintf("%s is a symbolic link, which the target can replace; only what it leads to is read-only", name))
	}
	if !seen[e.src.Real] {
		seen[e.src.Real] = true
		e.path, e.src.Link = e.src.Real, ""
		v.entries = append(v.entries, e)
	}
	return nil
}

// build places the entries.
func (v *view) build() error {
	v.made = map[string]kind{"/": dirKind}
	// By depth, so that a parent is there before what lies in it.
	slices.SortStableFunc(v.entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(depth(a.path), depth(b.path)), cmp.Compare(a.path, b.path))
	})
	for _, e := range v.entries {
		place := v.place
		if e.kind < tmpfsKind {
			place = v.placeOwn
		}
		if err := place(e); err != nil {
			return err
		}
	}
	return nil
}

func (v *view) place(e entry) error {
	if e.path == "/" {
		if e.kind == tmpfsKind {
			return errors.New("place a tmpfs at /: the root is one already")
		}
		v.root = true
		v.made["/"] = e.kind
		v.note(e)
		v.steps = append(v.steps, ns.RootBind{Bind: e.bind()})
		return nil
	}
	if e.from == "" && e.src.Link != "" && v.shows(e.src.Real) {
		// What it points to is inside, so a link of our own will do.
		if !v.outside(path.Dir(e.path)) {
			if err := v.parents(e.path); err != nil {
				return err
			}
			v.made[e.path] = linkKind
			v.steps = append(v.steps, ns.Symlink{Target: e.src.Link, Path: e.path})
		}
		return nil
	}
	up, upKind := v.above(e.path)
	if e.from == "" && (upKind == linkKind || e.src.Link != "" && v.outside(up)) {
		// Its place is a link, ours or of the outside: use what that means.
		e.path = e.src.Real
		up, upKind = v.above(e.path)
	}
	over := v.over(e.path)
	if upKind == e.kind && e.src.Real == e.path && over.noexec == e.noexec && over.from == "" && !e.device && !e.fixed && (upKind == readKind || upKind == writeKind) {
		return nil // shown already, in the same way
	}
	below := v.outside(up)
	if below && (e.from != "" || over.from != "") {
		if f, err := v.spot(e); err != nil || f.Mode == 0 {
			return err
		}
	}
	if !below {
		if err := v.parents(e.path); err != nil {
			return err
		}
		if e.src.Dir() || e.kind == tmpfsKind {
			v.steps = append(v.steps, ns.Dir{Path: e.path, Mode: 0o755})
		} else {
			v.steps = append(v.steps, ns.File{Path: e.path})
		}
	}
	if e.fixed {
		e.noexec = over.noexec
	}
	v.made[e.path] = e.kind
	v.note(e)
	switch e.kind {
	case tmpfsKind:
		v.steps = append(v.steps, ns.Tmpfs{Path: e.path, Mode: e.mode, Size: cmp.Or(e.size, v.tmp), NoExec: e.noexec, Below: below})
	case overlayKind:
		v.steps = append(v.steps, v.overlay(e, below))
	default:
		b := e.bind()
		b.Below = below
		v.steps = append(v.steps, b)
	}
	return nil
}

func (e entry) bind() ns.Bind {
	b := ns.Bind{Source: e.src.Real, Dest: e.path, Major: e.src.Major, Minor: e.src.Minor, Ino: e.src.Ino,
		Write: e.kind == writeKind, Device: e.device, NoExec: e.noexec}
	if e.from != "" && e.from != e.src.Real {
		b.Via = e.from
	}
	return b
}

// note writes down that the entry has its place.
func (v *view) note(e entry) {
	v.placed = append(v.placed, e)
	if e.from != "" || e.noexec {
		if v.special == nil {
			v.special = make(map[string]entry)
		}
		v.special[e.path] = e
	}
}

// above is the nearest path over p that is there, and what it is.
func (v *view) above(p string) (string, kind) {
	for {
		if p == "/" {
			return p, v.made[p]
		}
		p = path.Dir(p)
		if k, ok := v.made[p]; ok {
			return p, k
		}
	}
}

// outside says whether what lies in p is the outside's, where we make
// nothing.
func (v *view) outside(p string) bool {
	k, ok := v.made[p]
	if !ok {
		_, k = v.above(p)
	}
	return k.shown()
}

// shows says whether a real path will be inside through one of the entries.
func (v *view) shows(real string) bool {
	for _, e := range v.entries {
		if (e.kind == readKind || e.kind == writeKind) && e.src.Link == "" && e.src.Real == e.path && policy.Within(real, e.path) {
			return true
		}
	}
	return false
}

// parents makes the directories over p that are not there.
func (v *view) parents(p string) error {
	dir := path.Dir(p)
	switch k, ok := v.made[dir]; {
	case ok && (k == dirKind || k == tmpfsKind):
		return nil
	case ok:
		return fmt.Errorf("make a place for %s: %s is no directory of the sandbox", text.Quote(p), text.Quote(dir))
	}
	if err := v.parents(dir); err != nil {
		return err
	}
	v.made[dir] = dirKind
	v.steps = append(v.steps, ns.Dir{Path: dir, Mode: 0o755})
	return nil
}

// dir makes sure that p is a directory of ours, or one of the outside.
func (v *view) dir(p string) error {
	if _, ok := v.made[p]; ok || v.outside(p) {
		return nil
	}
	if err := v.parents(p); err != nil {
		return err
	}
	v.made[p] = dirKind
	v.steps = append(v.steps, ns.Dir{Path: p, Mode: 0o755})
	return nil
}

// rules are the Landlock rules that say the same.
func (v *view) rules(abi int) []step.Step {
	rules := []step.Step{landlock.Rule{ABI: abi, Path: "/", Allow: landlock.Read}}
	for _, e := range v.placed {
		switch {
		case e.device || e.fixed || v.isCovered(e.path):
		case e.kind == writeKind || e.kind == overlayKind:
			rules = append(rules, landlock.Rule{ABI: abi, Path: e.path, Allow: landlock.Write, File: !e.src.Dir()})
		case e.kind == tmpfsKind:
			rules = append(rules, landlock.Rule{ABI: abi, Path: e.path, Allow: landlock.Write})
		}
	}
	return rules
}

func depth(p string) int {
	if p == "/" {
		return 0
	}
	return strings.Count(p, "/")
}

// allWritable says whether the outside's root is inside, to be written.
func (v *view) allWritable() bool {
	return v.made["/"] == writeKind && v.placed[0].src.Real == "/"
}

// names says whether the policy lists the path itself.
func (v *view) names(p string) bool {
	for _, e := range v.entries {
		if e.path == p {
			return true
		}
	}
	return false
}

// cwd makes sure that there is a directory to start in.
func (v *view) cwd(dir string) error {
	if !path.IsAbs(dir) {
		return fmt.Errorf("start in %s: not an absolute path", text.Quote(dir))
	}
	if k, ok := v.made[dir]; ok && k != fileKind && k != linkKind || v.outside(dir) {
		return nil
	}
	if _, k := v.above(dir); k == tmpfsKind {
		return nil
	}
	return &NeedError{What: fmt.Sprintf("start in %s: the policy does not show it", text.Quote(dir)),
		Fix: "show it with --read or --write, or start elsewhere with --dir"}
}
