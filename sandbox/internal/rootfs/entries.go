package rootfs

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"sbx/caps"
	"sbx/internal/text"
	"sbx/policy"
	"sbx/sandbox/internal/host"
)

// kindOf is the kind of a node whose entry is in that list of the policy.
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

// addEntries adds what the policy's lists show of the host, and each tmpfs.
func (t *Tree) addEntries() error {
	const ofOwn = 16 // what is added besides: devices, sockets, links
	t.nodes = make([]Node, 0, len(t.entries.Entries)+ofOwn)
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

// fromEntry is the entry as a node. It is not ok if the entry is optional and missing.
func (t *Tree) fromEntry(e policy.Entry) (n Node, ok bool, err error) {
	n = Node{
		Path:     e.Name,
		Kind:     kindOf(e.Kind),
		Optional: e.Optional,
		Mode:     0o700,
		From:     e.Options.From,
		Size:     e.Options.Size,
		NoExec:   e.NoExec(),
	}
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
	var untrusted *host.LinkError
	if n.Source.Err != nil && errors.As(n.Source.Err, &untrusted) {
		n.Untrusted = untrusted
		// Not for nothing: what shows the directory may hold the restriction at
		// what the link leads to. See settle.
		n.Source = n.Untrusted.File
	}
	switch {
	case n.Source.Closed && n.Optional && !restricts(t.entries, e):
		return n, false, nil // the program may not reach it either
	case n.Source.Err != nil:
		return n, false, fmt.Errorf("look at %s: %w", text.Quote(source), n.Source.Err)
	case n.Source.Mode == 0 && n.Optional:
		return n, false, nil
	case n.Source.Mode == 0:
		return n, false, &host.MissingError{Path: source, Write: n.Kind == Write && n.From == ""}
	case n.Source.Covered && n.Optional:
		return n, false, nil // there is nothing to see
	case n.Source.Covered:
		return n, false, &host.NeedError{
			Reason: host.Occupied,
			What:   fmt.Sprintf("show %s: the sandbox around this one hides it", text.Quote(source)),
			Fix:    "let the one around show it: --show " + text.Quote(source),
		}
	case t.target.Details[e.Name].Device && (isDevice(n.Source) || n.Source.Dir()) && policy.Within(n.Source.Real, "/dev"):
		n.Device = true
	case t.useless(n) != nil:
		return n, false, t.useless(n)
	case n.Kind == Write && !n.Optional:
		err = writable(t.facts, source, n.Source, t.opts.Keep)
	case n.Kind == Overlay:
		if err = checkOverlay(n); n.Source.Mounted != "" && n.Optional {
			t.Notes = append(t.Notes, text.Quote(n.Path)+" is left out: "+err.Error())
			return n, false, nil
		}
		if err == nil {
			err = t.under(n)
		}
	}
	return n, err == nil, err
}

// restricts says whether the entry lies in what can be written, and so takes
// something away. It is not left out for what its directory denies just now.
func restricts(entries *policy.Tree, e policy.Entry) bool {
	over := entries.Over(e.Name).Kind
	return over == policy.KindWrite || over == policy.KindOverlay
}

// setOptions applies the entry's options in files.path to the node. An option that the
// node cannot have is an error, because the policy's author relies on it.
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
		{o.Owner != "" && !own, "owner"},
		{keeps && n.Kind != Overlay, "upper and work"},
	} {
		if x.wrong {
			return host.Refuse(host.Invalid, "apply files.path of %s: %s does not go with a %s entry",
				text.Quote(n.Path), x.key, n.Kind)
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
			return host.Refuse(host.Invalid, "limit the size of %s: %v", text.Quote(n.Path), err)
		}
	}
	if o.Owner != "" {
		if err := t.setOwner(n, o.Owner); err != nil {
			return err
		}
	}
	if keeps {
		return t.layers(n, o)
	}
	return nil
}

// setOwner gives the node to the user that the policy names.
func (t *Tree) setOwner(n *Node, owner string) error {
	user := policy.ParsePath(owner)
	uid, known := t.facts.Owners[user.Name]
	if number, err := strconv.Atoi(user.Name); !known && err == nil {
		uid, known = number, true
	}
	switch {
	case known && t.facts.UID == 0 && !t.opts.UserNS:
		n.Owner = uid
	case user.Optional || known && uid == t.facts.UID:
	case !known:
		return host.Refuse(host.Absent, "give %s to %s: no such user in /etc/passwd", text.Quote(n.Path),
			text.Quote(user.Name))
	default:
		return &host.NeedError{
			Reason: host.Impossible,
			What: fmt.Sprintf("give %s to %s: only root may, without a user namespace of the sandbox's own",
				text.Quote(n.Path), text.Quote(user.Name)),
			Fix: `start sbx as root, or say owner = "?` + user.Name + `" to do without`,
		}
	}
	return nil
}

func (t *Tree) checkTmpSize() error {
	if t.tmpSize == "" {
		return nil
	}
	if _, err := policy.ParseSize(t.tmpSize); err != nil {
		return host.Refuse(host.Invalid, "limit the size of each tmpfs: %v", err)
	}
	return nil
}

// writable is an error if the target could not write to the file, so that the user learns
// why before the start. keep are the capabilities that the target has for that.
func writable(h *host.Facts, name string, f host.File, keep caps.Set) error {
	// These override the mode bits, or allow switching to the owner.
	const override = 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_SETUID
	switch {
	case f.NoWrite != nil:
		return &host.NeedError{
			Reason: host.NotWritable,
			What:   fmt.Sprintf("let the target write to %s: %v", text.Quote(name), f.NoWrite),
			Fix:    "start sbx where you may write, or use a policy that only reads, such as default",
		}
	case h.UID != 0 || keep&override != 0 || f.Mode != unix.S_IFDIR && f.Mode != unix.S_IFREG,
		f.UID == 0 && f.Perm&0o200 != 0, f.UID != 0 && f.GID == uint32(h.GID) && f.Perm&0o020 != 0, f.Perm&0o002 != 0:
		return nil
	}
	return &host.NeedError{
		Reason: host.NotWritable,
		What: fmt.Sprintf("let the target write to %s: it belongs to user %d, and root keeps no dac_override",
			text.Quote(name), f.UID),
		Fix: fmt.Sprintf("run sbx as user %d, or keep dac_override in a policy of your own", f.UID),
	}
}
