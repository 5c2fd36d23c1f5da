package sandbox

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/caps"
	"sbx/ns"
	"sbx/policy"
	"sbx/sandbox/landlock"
	"sbx/sandbox/step"
)

// kind is how a path of the inside comes to be.
type kind uint8

const (
	dirKind   kind = iota // made by us on our own tmpfs
	fileKind              // likewise, to be mounted on
	linkKind              // a symbolic link of ours
	tmpfsKind             // a private tmpfs: directories below are made by us too
	readKind              // from the outside
	writeKind             // from the outside, writable
)

// entry is one place of the view.
type entry struct {
	path     string
	kind     kind
	src      File
	mode     uint32 // tmpfs
	device   bool
	optional bool
	fixed    bool // shown by another entry; bound so that it cannot be renamed
}

// view turns lists of paths into mounts: parents first, by depth of path, so
// that the order of a policy's lines does not matter.
type view struct {
	host    *Host
	entries []entry
	made    map[string]kind // what is there so far, by path
	steps   []step.Step
	placed  []entry         // the mounts, where they came to be
	covered map[string]bool // what hide covered, by path inside
	notes   []string        // see Plan.Notes
	root    bool            // the outside's root is the inside's
}

// collect reads the policy's lists. Of two that name one path the more
// particular counts: write, then read, then tmpfs.
//
// What must be writable, and would not be for the target with the
// capabilities it keeps, is an error now rather than a riddle later.
func (v *view) collect(p *policy.Policy, keep caps.Set) error {
	seen := make(map[string]bool)
	add := func(list []string, k kind) error {
		for _, s := range list {
			name := strings.TrimPrefix(s, "?")
			if seen[name] {
				continue
			}
			e := entry{path: name, kind: k, optional: name != s, mode: 0o700}
			if k == tmpfsKind {
				if name == "/tmp" || name == "/var/tmp" || name == "/dev/shm" {
					e.mode = 0o1777
				}
			} else {
				e.src = v.host.Files[name]
				if e.src.Err != nil {
					return fmt.Errorf("look at %s: %w", step.Quote(name), e.src.Err)
				}
				if e.src.Mode == 0 {
					if e.optional {
						continue
					}
					return &MissingError{name}
				}
			}
			if k == writeKind && !e.optional {
				if err := v.host.writable(name, e.src, keep); err != nil {
					return err
				}
			}
			seen[name] = true
			if k != tmpfsKind && e.src.Real != name && listed(p, path.Dir(name)) {
				if err := v.link(p, e, seen); err != nil {
					return err
				}
				continue
			}
			v.entries = append(v.entries, e)
		}
		return nil
	}
	if err := errors.Join(add(p.Files.Write, writeKind), add(p.Files.Read, readKind), add(p.Files.Tmpfs, tmpfsKind)); err != nil {
		return err
	}
	for _, s := range between(p) {
		if f := v.host.Files[s]; f.Mode != 0 && f.Real == s && !seen[s] {
			v.entries = append(v.entries, entry{path: s, kind: writeKind, src: f, fixed: true})
		}
	}
	return nil
}

// link takes in an entry that is a symbolic link, or has one on its way, inside
// a directory that is shown itself. What such a link leads to was decided by
// whoever could write there, a hostile project above all, not by the policy:
// so it is never shown for that. If it is shown anyway, the entry's wall is
// drawn there; the link itself can be replaced by who may write beside it.
func (v *view) link(p *policy.Policy, e entry, seen map[string]bool) error {
	name, real := step.Quote(e.path), step.Quote(e.src.Real)
	follow := e.kind == readKind && listed(p, e.src.Real)
	replaceable := writes(p, path.Dir(e.path))
	switch {
	case !e.optional && (!follow || replaceable):
		return &NeedError{What: fmt.Sprintf("show %s: it is a symbolic link in a directory that is shown, to %s", name, real),
			Hint: "name what it leads to"}
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

// listed says whether the path is, or lies in, what the policy shows of the
// outside.
func listed(p *policy.Policy, name string) bool {
	return writes(p, name) || slices.ContainsFunc(p.Files.Read, func(r string) bool { return policy.Within(name, strings.TrimPrefix(r, "?")) })
}

// writes says whether the policy lets the target write at the path.
func writes(p *policy.Policy, name string) bool {
	return slices.ContainsFunc(p.Files.Write, func(w string) bool { return policy.Within(name, strings.TrimPrefix(w, "?")) })
}

// writable says why the target could not write to the file, if so.
func (h *Host) writable(name string, f File, keep caps.Set) error {
	const ownWay = 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_SETUID // past the mode bits, or to another user
	switch {
	case f.NoWrite != nil:
		return &NeedError{What: fmt.Sprintf("let the target write to %s: %v", step.Quote(name), f.NoWrite),
			Hint: "start sbx where you may write, or use a policy that only reads, such as default"}
	case h.UID != 0 || keep&ownWay != 0 || f.Mode != unix.S_IFDIR && f.Mode != unix.S_IFREG,
		f.UID == 0 && f.Perm&0o200 != 0, f.UID != 0 && f.GID == uint32(h.GID) && f.Perm&0o020 != 0, f.Perm&0o002 != 0:
		return nil
	}
	return &NeedError{What: fmt.Sprintf("let the target write to %s: it belongs to user %d, and root keeps no dac_override", step.Quote(name), f.UID),
		Hint: fmt.Sprintf("run sbx as user %d, or keep dac_override in a policy of your own", f.UID)}
}

// MissingError is a path that the policy or a flag names and that is not
// there.
type MissingError struct{ Path string }

func (e *MissingError) Error() string {
	return fmt.Sprintf("show %s: no such file or directory", step.Quote(e.Path))
}

// Unwrap makes it an ENOENT.
func (e *MissingError) Unwrap() error { return unix.ENOENT }

// build places the entries.
func (v *view) build() error {
	v.made = map[string]kind{"/": dirKind}
	// By depth, so that a parent is there before what lies in it.
	slices.SortStableFunc(v.entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(depth(a.path), depth(b.path)), cmp.Compare(a.path, b.path))
	})
	for _, e := range v.entries {
		if err := v.place(e); err != nil {
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
		v.placed = append(v.placed, e)
		v.steps = append(v.steps, ns.RootBind{Bind: e.bind()})
		return nil
	}
	if e.src.Link != "" && v.shows(e.src.Real) {
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
	if upKind == linkKind || e.src.Link != "" && v.outside(up) {
		// Its place is a link, ours or of the outside: use what that means.
		e.path = e.src.Real
		up, upKind = v.above(e.path)
	}
	if upKind == e.kind && e.src.Real == e.path && !e.device && !e.fixed && (upKind == readKind || upKind == writeKind) {
		return nil // shown already, in the same way
	}
	below := v.outside(up)
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
	v.made[e.path] = e.kind
	v.placed = append(v.placed, e)
	if e.kind == tmpfsKind {
		v.steps = append(v.steps, ns.Tmpfs{Path: e.path, Mode: e.mode, Below: below})
		return nil
	}
	b := e.bind()
	b.Below = below
	v.steps = append(v.steps, b)
	return nil
}

func (e entry) bind() ns.Bind {
	return ns.Bind{Source: e.src.Real, Dest: e.path, Major: e.src.Major, Minor: e.src.Minor, Ino: e.src.Ino,
		Write: e.kind == writeKind, Device: e.device}
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
	return k == readKind || k == writeKind
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
		return fmt.Errorf("make a place for %s: %s is no directory of the sandbox", step.Quote(p), step.Quote(dir))
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
		case e.kind == writeKind:
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
		return fmt.Errorf("start in %s: not an absolute path", step.Quote(dir))
	}
	if k, ok := v.made[dir]; ok && k != fileKind && k != linkKind || v.outside(dir) {
		return nil
	}
	if _, k := v.above(dir); k == tmpfsKind {
		return nil
	}
	return &NeedError{What: fmt.Sprintf("start in %s: the policy does not show it", step.Quote(dir)),
		Hint: "show it with --read or --write, or start elsewhere with --dir"}
}
