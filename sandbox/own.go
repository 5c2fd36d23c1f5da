package sandbox

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"sbx/internal/text"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/ns"
	"sbx/policy"
)

// options takes in what the policy says of the entry in files.path. An option
// that the entry cannot have is an error: somebody relies on it.
func (v *view) options(e *entry, o policy.PathOptions) error {
	e.from, e.size, e.noexec = o.From, o.Size, o.Exec != nil && !*o.Exec
	keeps := o.Upper != "" || o.Work != ""
	own := e.kind == dirKind || e.kind == tmpfsKind
	for _, x := range [...]struct {
		said bool
		key  string
	}{{o.From != "" && !e.kind.shown(), "from"}, {o.Exec != nil && e.kind < tmpfsKind, "exec"},
		{o.Size != "" && (e.kind != tmpfsKind && e.kind != overlayKind || keeps), "size"},
		{o.Mode != "" && !own, "mode"}, {keeps && e.kind != overlayKind, "upper and work"}} {
		if x.said {
			return fmt.Errorf("hold files.path of %s: %s does not go with what it is", text.Quote(e.path), x.key)
		}
	}
	if o.Mode != "" {
		mode, err := policy.ParseMode(o.Mode)
		if err != nil {
			return fmt.Errorf("make %s: %w", text.Quote(e.path), err)
		}
		e.mode = mode
	}
	if o.Size != "" {
		if _, err := policy.ParseSize(o.Size); err != nil {
			return fmt.Errorf("bound %s: %w", text.Quote(e.path), err)
		}
	}
	if keeps {
		return v.layers(e, o)
	}
	return nil
}

// own reads the lists of what the sandbox has of its own.
func (v *view) own(p *policy.Policy, seen map[string]bool) error {
	add := func(e entry) error {
		if len(p.Files.Paths) > 0 {
			if err := v.options(&e, p.Files.Paths[e.path]); err != nil {
				return err
			}
		}
		if seen[e.path] || e.path == "/" || policy.NotFalse(p.Files.Proc) && policy.Within(e.path, "/proc") || policy.NotFalse(p.Files.Dev) && ofDev(e.path) {
			return &NeedError{What: fmt.Sprintf("make %s: something else is there already", text.Quote(e.path)),
				Fix: "name it once in the policy's [files]; /, /proc and /dev have their own"}
		}
		seen[e.path] = true
		v.entries = append(v.entries, e)
		return nil
	}
	for _, s := range p.Files.Directories {
		name := strings.TrimPrefix(s, "?")
		if err := add(entry{path: name, kind: dirKind, mode: 0o755, optional: name != s}); err != nil {
			return err
		}
	}
	for name, text := range p.Files.Inline {
		if err := add(entry{path: name, kind: fileKind, text: text}); err != nil {
			return err
		}
	}
	for name, to := range p.Files.Symlinks {
		if to == "" || len(to) >= unix.PathMax || strings.IndexByte(to, 0) >= 0 {
			return fmt.Errorf("make symlink %s: %s is no path", text.Quote(name), text.Quote(to))
		}
		if err := add(entry{path: name, kind: linkKind, text: to}); err != nil {
			return err
		}
	}
	return nil
}

// ofDev says whether the minimal /dev has the path already.
func ofDev(name string) bool {
	in := path.Base(name)
	return name == "/dev" || path.Dir(name) == "/dev" && (slices.Contains(devices[:], in) ||
		slices.Contains([]string{"fd", "stdin", "stdout", "stderr", "ptmx", "pts", "shm"}, in))
}

// room is how much the policy's own files take on the root.
func room(p *policy.Policy) int {
	const page = 4096
	n := 0
	for _, text := range p.Files.Inline {
		n += (len(text)/page + 1) * page
	}
	return n + len(p.Files.Symlinks)*page // a long one has a page of its own
}

// placeOwn places what is the sandbox's own: on its root, where nothing can be
// changed in the end; in a private tmpfs; or over what the outside has there,
// where nothing is ever made.
func (v *view) placeOwn(e entry) error {
	up, upKind := v.above(e.path)
	if upKind.shown() {
		return v.placeOver(e)
	}
	if _, ok := v.made[e.path]; ok {
		return fmt.Errorf("make %s: something of ours is there already", text.Quote(e.path))
	}
	if err := v.parents(e.path); err != nil {
		return err
	}
	v.made[e.path] = e.kind
	switch e.kind {
	case dirKind:
		v.steps = append(v.steps, ns.Dir{Path: e.path, Mode: e.mode})
	case linkKind:
		v.steps = append(v.steps, ns.Symlink{Target: e.text, Path: e.path})
	case fileKind:
		if tmp := v.tmpfsOver(up); tmp == "" {
			v.steps = append(v.steps, ns.Content{Path: e.path, Text: e.text})
		} else {
			v.pin(e.path, tmp)
			v.steps = append(v.steps, ns.File{Path: e.path}, ns.Over{Path: e.path, Text: e.text, Cover: v.cover()})
		}
	}
	return nil
}

// placeOver places an entry of our own in what is shown of the outside.
func (v *view) placeOver(e entry) error {
	if e.kind == linkKind {
		return &NeedError{What: fmt.Sprintf("make symlink %s: it lies in what is shown of the outside, where nothing is made", text.Quote(e.path)),
			Fix: "make it outside, or show less than " + text.Quote(path.Dir(e.path))}
	}
	f, err := v.spot(e)
	if err != nil || f.Mode == 0 {
		return err
	}
	v.made[e.path] = e.kind
	if e.kind == dirKind {
		v.made[e.path] = emptyKind
		v.steps = append(v.steps, ns.Tmpfs{Path: e.path, Mode: e.mode, ReadOnly: true, Below: true})
		return nil
	}
	o := ns.Over{Path: e.path, Text: e.text, Below: true, Cover: v.cover()}
	if !v.overlaid(e.path) { // files of an overlay have other numbers
		o.ID = ns.ID{Major: f.Major, Minor: f.Minor, Ino: f.Ino}
	}
	v.steps = append(v.steps, o)
	return nil
}

// spot is what the outside has at the place of the entry, which lies in what is
// shown of it: the entry must be the like of it, and it no link, which was
// somebody else's idea. The zero File means that the entry may be left out.
func (v *view) spot(e entry) (File, error) {
	what, source := text.Quote(e.path), v.host.origin(v.policy, e.path, false)
	f := v.host.Files[source]
	dir := e.src.Dir() || e.kind == dirKind || e.kind == tmpfsKind
	switch {
	case f.Err != nil:
		return f, fmt.Errorf("look at %s, where %s is to be placed: %w", text.Quote(source), what, f.Err)
	case f.Mode == 0 && e.optional:
	case f.Mode == 0:
		return f, &NeedError{What: fmt.Sprintf("place %s: there is no %s, and nothing is made in what is shown of the outside", what, text.Quote(source)),
			Fix: "make it outside first, or show less than " + text.Quote(path.Dir(e.path))}
	case f.Real != source:
		return f, &NeedError{What: fmt.Sprintf("place %s: it is a symbolic link in what is shown, to %s", what, text.Quote(f.Real)),
			Fix: "name what it leads to"}
	case f.Dir() && !dir:
		return f, &NeedError{What: fmt.Sprintf("place %s: a file cannot lie over the directory %s", what, text.Quote(source)), Fix: "name a file in it"}
	case !f.Dir() && dir:
		return f, &NeedError{What: fmt.Sprintf("place %s: a directory cannot lie over the file %s", what, text.Quote(source)), Fix: "name the directory that the file is in"}
	}
	return f, nil
}

// origin is the path of the outside that the policy shows at name, by the
// nearest entry over it, or by the one at name itself if self. Empty: there is
// something of our own, or nothing.
func (h *Host) origin(p *policy.Policy, name string, self bool) string {
	if !path.IsAbs(name) {
		return "" // a pattern
	}
	nearest, source := "", ""
	look := func(list []string, shown bool) {
		for _, s := range list {
			s = strings.TrimPrefix(s, "?")
			if !policy.Within(name, s) || s == name && !self || len(s) < len(nearest) {
				continue
			}
			if !shown {
				nearest, source = s, ""
			} else if f := h.Files[cmp.Or(p.Files.Paths[s].From, s)]; f.Mode != 0 {
				nearest, source = s, f.Real
			}
		}
	}
	look(p.Files.Tmpfs, false)
	look(p.Files.Directories, false)
	look(p.Files.Overlay, true)
	look(p.Files.Read, true)
	look(p.Files.Write, true)
	if source == "" {
		return ""
	}
	return path.Join(source, strings.TrimPrefix(name, nearest))
}

// over is the nearest entry over p, if it has options.
func (v *view) over(p string) entry {
	if v.special == nil {
		return entry{}
	}
	up, _ := v.above(p)
	return v.special[up]
}

// overlaid says whether what is inside at p is an overlay's.
func (v *view) overlaid(p string) bool {
	_, k := v.above(p)
	return k == overlayKind
}

// tmpfsOver is the nearest tmpfs at or over a path of our own, "" on the root.
func (v *view) tmpfsOver(p string) string {
	for ; p != "/"; p = path.Dir(p) {
		if v.made[p] == tmpfsKind {
			return p
		}
	}
	return ""
}

// pin keeps the directories between p and the tmpfs that it lies in from being
// renamed by the target, and with them what is mounted at p.
func (v *view) pin(p, tmp string) {
	dir := path.Dir(p)
	if dir == tmp || v.pinned[dir] {
		return
	}
	v.pin(dir, tmp)
	if v.pinned == nil {
		v.pinned = make(map[string]bool)
	}
	v.pinned[dir] = true
	v.steps = append(v.steps, ns.Pin{Path: dir})
}

// cover is the slot of our own root.
func (v *view) cover() step.Slot {
	if v.root {
		return step.SlotCover
	}
	return step.SlotRoot
}
