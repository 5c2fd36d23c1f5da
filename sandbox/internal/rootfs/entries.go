package rootfs

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/caps"
	"sbx/internal/text"
	"sbx/policy"
	"sbx/sandbox/internal/host"
)

// kindOf is the kind of a node by the list that its entry stands in.
func kindOf(k policy.Kind) Kind {
	switch k {
	case policy.KindWrite:
		return Write
	case policy.KindRead:
		return Read
	case policy.KindOverlay:
		return Overlay
	case policy.KindTmpfs:
		return Tmpfs
	case policy.KindDirectory:
		return Directory
	case policy.KindFile:
		return File
	}
	return Link
}

// addEntries takes in what the policy's lists show of the host, and its tmpfs.
func (t *Tree) addEntries() error {
	for _, e := range t.entries.Entries {
		if !e.Kind.FromHost() && e.Kind != policy.KindTmpfs {
			continue
		}
		n, ok, err := t.fromEntry(e)
		if err != nil {
			return err
		}
		if ok {
			t.nodes = append(t.nodes, n)
		}
	}
	return nil
}

// fromEntry is the entry as a node. It is left out where it may be missing and is.
func (t *Tree) fromEntry(e policy.Entry) (n Node, ok bool, err error) {
	n = Node{Path: e.Name, Kind: kindOf(e.Kind), Optional: e.Optional, Mode: 0o700, From: e.Options.From, Size: e.Options.Size, NoExec: e.NoExec()}
	if n.Kind == Tmpfs && slices.Contains([]string{"/tmp", "/var/tmp", "/dev/shm"}, n.Path) {
		n.Mode = 0o1777
	}
	if err := t.setOptions(&n, e.Options); err != nil {
		return n, false, err
	}
	if n.Kind == Tmpfs {
		if n.Path == "/" {
			return n, false, host.Refuse(host.Occupied, "place a tmpfs at /: the root is one already")
		}
		return n, true, nil
	}
	source := e.Source()
	n.Source = t.facts.Files[source]
	switch {
	case n.Source.Err != nil:
		return n, false, fmt.Errorf("look at %s: %w", text.Quote(source), n.Source.Err)
	case n.Source.Mode == 0 && n.Optional:
		return n, false, nil
	case n.Source.Mode == 0:
		return n, false, &host.MissingError{Path: source}
	case t.chosenInside(e, source, n.Source):
		return n, false, t.refuseChosen(n, source)
	case n.Kind == Write && !n.Optional:
		err = writable(t.facts, source, n.Source, t.opts.Keep)
	case n.Kind == Overlay:
		err = checkOverlay(n)
	}
	return n, err == nil, err
}

// chosenInside says whether the path of the host leads by a symbolic link that
// lies in what the policy lets be written: then the target of the launch before
// may have chosen what is there. Where the entry lies inside what is shown just
// so, resolve sees to it.
func (t *Tree) chosenInside(e policy.Entry, source string, f host.File) bool {
	if over := t.entries.Over(e.Name); source == e.Name && over.Kind.FromHost() && over.Options.From == "" {
		return false
	}
	for _, w := range t.entries.Entries {
		dirs := [...]string{w.Source(), w.Options.Upper}
		if w.Kind != policy.KindWrite {
			dirs[0] = ""
		}
		for _, dir := range dirs {
			real := t.facts.Files[dir].Real
			for _, name := range [...]string{dir, real} {
				if real != "" && name != source && policy.Within(source, name) && f.Real != path.Join(real, strings.TrimPrefix(source, name)) {
					return true
				}
			}
		}
	}
	return false
}

// refuseChosen refuses to show what such a link leads to. An entry that may be
// missing is left out; if it is read-only, that holds for what it leads to.
func (t *Tree) refuseChosen(n Node, source string) error {
	if n.Optional {
		t.Notes = append(t.Notes, fmt.Sprintf("%s is behind a symbolic link in what can be written: not followed", text.Quote(source)))
		if n.Kind == Read {
			t.links = append(t.links, n)
		}
		return nil
	}
	return &host.NeedError{
		Reason: host.BehindLink,
		What: fmt.Sprintf("show %s at %s: a symbolic link in what can be written leads from there to %s",
			text.Quote(source), text.Quote(n.Path), text.Quote(n.Source.Real)),
		Fix: "name what it leads to",
	}
}

// setOptions takes in what the policy says of the node in files.path. An option
// that the node cannot have is an error: somebody relies on it.
func (t *Tree) setOptions(n *Node, o policy.PathOptions) error {
	if o == (policy.PathOptions{}) {
		return nil
	}
	keeps := o.Upper != "" || o.Work != ""
	own := n.Kind == Directory || n.Kind == Tmpfs
	for _, x := range [...]struct {
		wrong bool
		key   string
	}{
		{o.From != "" && !n.Kind.FromHost(), "from"},
		{o.Exec != nil && n.Kind < Tmpfs, "exec"},
		{o.Size != "" && (n.Kind != Tmpfs && n.Kind != Overlay || keeps), "size"},
		{o.Mode != "" && !own, "mode"},
		{keeps && n.Kind != Overlay, "upper and work"},
	} {
		if x.wrong {
			return host.Refuse(host.Invalid, "hold files.path of %s: %s does not go with what it is", text.Quote(n.Path), x.key)
		}
	}
	if o.Mode != "" {
		mode, err := policy.ParseMode(o.Mode)
		if err != nil {
			return host.Refuse(host.Invalid, "make %s: %v", text.Quote(n.Path), err)
		}
		n.Mode = mode
	}
	if o.Size != "" {
		if _, err := policy.ParseSize(o.Size); err != nil {
			return host.Refuse(host.Invalid, "bound %s: %v", text.Quote(n.Path), err)
		}
	}
	if keeps {
		return t.layers(n, o)
	}
	return nil
}

func (t *Tree) checkTmpSize() error {
	if t.tmpSize == "" {
		return nil
	}
	if _, err := policy.ParseSize(t.tmpSize); err != nil {
		return host.Refuse(host.Invalid, "bound each tmpfs: %v", err)
	}
	return nil
}

// writable says why the target could not write to the file, if so: an error
// now rather than a riddle later. keep are the capabilities it has for that.
func writable(h *host.Facts, name string, f host.File, keep caps.Set) error {
	const ownWay = 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_SETUID // past the mode bits, or to another user
	switch {
	case f.NoWrite != nil:
		return &host.NeedError{
			Reason: host.NotWritable,
			What:   fmt.Sprintf("let the target write to %s: %v", text.Quote(name), f.NoWrite),
			Fix:    "start sbx where you may write, or use a policy that only reads, such as default",
		}
	case h.UID != 0 || keep&ownWay != 0 || f.Mode != unix.S_IFDIR && f.Mode != unix.S_IFREG,
		f.UID == 0 && f.Perm&0o200 != 0, f.UID != 0 && f.GID == uint32(h.GID) && f.Perm&0o020 != 0, f.Perm&0o002 != 0:
		return nil
	}
	return &host.NeedError{
		Reason: host.NotWritable,
		What:   fmt.Sprintf("let the target write to %s: it belongs to user %d, and root keeps no dac_override", text.Quote(name), f.UID),
		Fix:    fmt.Sprintf("run sbx as user %d, or keep dac_override in a policy of your own", f.UID),
	}
}
