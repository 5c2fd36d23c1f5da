package rootfs

import (
	"fmt"

	"golang.org/x/sys/unix"

	"sbx/internal/text"
	"sbx/policy"
	"sbx/sandbox/internal/host"
)

// decided are nodes for what decides over this launch or the next: the policy's files,
// sbx's own directories, and other names of what is read-only. They are to be read-only
// wherever a directory over them can be written.
func (t *Tree) decided() (list []Node, err error) {
	for _, a := range t.facts.Aliases {
		list = append(list, Node{Kind: Read, Source: a.File})
	}
	for _, s := range t.facts.Sources {
		if s.File.Err != nil {
			return nil, fmt.Errorf("read policy %s: %w", text.Quote(s.Name), s.File.Err)
		}
		if dir, ok := t.WritableAt(s.File); ok {
			return nil, &host.NeedError{
				Reason: host.Untrusted,
				What: fmt.Sprintf("let the program write to %s: the policy is read from there, %s",
					text.Quote(dir), text.Quote(s.Name)),
				Fix: "keep the policy elsewhere, as in ~/.config/sbx/policies",
			}
		}
		list = append(list, Node{Kind: Read, Source: s.File})
	}
	for _, d := range t.facts.Own {
		if err := t.checkOwn(d); err != nil {
			return nil, err
		}
		if d.File.Mode != 0 {
			list = append(list, Node{Kind: Read, Source: d.File})
		}
	}
	return list, nil
}

// WritableAt is a writable entry that is the file or lies in it, or a directory
// of kept changes that it lies in: it cannot be read-only there.
func (t *Tree) WritableAt(f host.File) (dir string, ok bool) {
	for _, e := range t.entries.Entries {
		x := t.facts.Files[e.Source()]
		if e.Kind == policy.KindWrite && x.Mode != 0 && (policy.Within(x.Real, f.Real) || x.ID() == f.ID()) {
			return e.Name, true
		}
	}
	for _, n := range t.nodes {
		if n.Layers != nil && (policy.Within(f.Real, n.Layers[0].Real) || policy.Within(f.Real, n.Layers[1].Real)) {
			return n.Layers[0].Real, true
		}
	}
	return "", false
}

// checkOwn refuses to let the target write to a directory of sbx's own policies or
// filters where that cannot be read-only: they decide what is allowed the next time. Where it may
// write to all of the host, a missing one is only noted: see Unmade.
func (t *Tree) checkOwn(d host.OwnDir) error {
	refuse := func(dir, why, fix string) error {
		return &host.NeedError{
			Reason: host.Untrusted,
			What: fmt.Sprintf("let the program write to %s: sbx reads its own files below %s%s",
				text.Quote(dir), text.Quote(d.Name), why),
			Fix: fix,
		}
	}
	f := d.File
	if f.Err != nil {
		return fmt.Errorf("look at %s, which sbx reads its own files from: %w", text.Quote(d.Name), f.Err)
	}
	if dir, ok := t.WritableAt(f); ok {
		return refuse(dir, "", "work on a copy elsewhere, and put it there afterwards")
	}
	if f.Mode != 0 || f.Real == "" || d.Checked || d.Barred {
		return nil
	}
	for _, n := range t.places(f.Real) {
		switch {
		case n.Kind != Write:
		case n.Source.Real == "/": // such a target could replace sbx itself, if it is root
			if d.Name != host.SystemDir && !d.Homeless {
				t.Unmade = append(t.Unmade, f.Real)
			}
		case t.target.MakesOwn:
			t.Unmade = append(t.Unmade, f.Real)
		default:
			return refuse(n.Path, ", which the program could make",
				"make it first, and it is read-only inside: mkdir -p "+text.Quote(f.Real))
		}
	}
	return nil
}

// receiptMasks mask the receipt's file, if it has names inside: it is written
// when all has ended, and nothing may be in it before, nor another file in its
// place.
func (t *Tree) receiptMasks() (list []mask, err error) {
	var files []host.File
	if t.facts.Receipt.Real != "" {
		files = append(files, t.facts.Receipt)
	}
	for _, a := range t.facts.Aliases {
		if t.facts.Receipt.Mode != 0 && a.File.ID() == t.facts.Receipt.ID() {
			files = append(files, a.File)
		}
	}
	for _, f := range files {
		if dir, ok := t.WritableAt(f); ok {
			return nil, &host.NeedError{
				Reason: host.Untrusted,
				What: fmt.Sprintf("report to %s: the program may write to %s, and could forge the receipt",
					text.Quote(f.Real), text.Quote(dir)),
				Fix: "open a file elsewhere for the receipt",
			}
		}
		for _, n := range t.places(f.Real) {
			// A FIFO can be written through a read-only mount.
			if n.Kind == Write || n.Kind == Read && f.Mode != unix.S_IFREG {
				list = append(list, mask{path: n.insidePath(f.Real), below: true, id: f.ID(), pinned: true})
			}
		}
	}
	return list, nil
}

// refuseWritable refuses what can only be kept from the target by a mount, where
// there is none: what Landlock lets the target write, it lets it write in whole.
func refuseWritable(h *host.Facts, tree *policy.Tree) error {
	for _, s := range h.Sources {
		if s.File.Err != nil {
			return fmt.Errorf("read policy %s: %w", text.Quote(s.Name), s.File.Err)
		}
	}
	for _, e := range tree.Entries {
		dir := h.Files[e.Source()]
		if e.Kind != policy.KindWrite || dir.Mode == 0 {
			continue
		}
		in := func(f host.File) bool { return f.Real != "" && policy.Within(f.Real, dir.Real) }
		for _, s := range h.Sources {
			if in(s.File) {
				return noMount(dir, "read-only", s.Name)
			}
		}
		for _, d := range h.Own {
			if d.File.Err != nil {
				return fmt.Errorf("look at %s, which sbx reads its own files from: %w", text.Quote(d.Name), d.File.Err)
			}
			counts := d.File.Mode != 0 || !d.Checked && !d.Barred
			if counts && in(d.File) && dir.Real != "/" || policy.Within(dir.Real, d.File.Real) {
				return noMount(dir, "read-only", d.Name)
			}
		}
		if in(h.Receipt) {
			return noMount(dir, "from being forged", h.Receipt.Real)
		}
		for _, a := range h.Aliases {
			if in(a.File) {
				return noMount(dir, "read-only", a.File.Real)
			}
		}
	}
	return nil
}

func noMount(dir host.File, how, name string) error {
	return &host.NeedError{
		Reason: host.WrongNamespace,
		What: fmt.Sprintf("use a mount namespace that is not new, and keep %s %s: it lies in %s, which can be written",
			text.Quote(name), how, text.Quote(dir.Real)),
		Fix: "say mount = \"new\" in the policy's [namespaces], or let it write to less",
	}
}
