package rootfs

import (
	"fmt"
	"path"
	"slices"

	"golang.org/x/sys/unix"

	"sbx/internal/text"
	"sbx/policy"
	"sbx/sandbox/internal/host"
)

// A path that a policy names can have symbolic links in it. What such a link may mean
// depends on who could have made it:
//
//   - A link above everything that the policy shows belongs to the host. The directory
//     that it leads to is shown under the policy's name for it.
//   - A link whose parent directory sbx makes itself, such as /bin beside a shown /usr,
//     is made again inside if the path that it leads to is shown in the same way.
//   - A link inside a shown directory may be the work of anyone who can write there: a
//     hostile project, or the target of an earlier launch. The path that it leads to is
//     never shown because of it. If the policy shows that path anyway, the entry's
//     restriction applies there.
//   - The same is true of a link in the caller's project, whether it is shown or not, and
//     of one in another user's directory: host.LinkError says which are in doubt.

// resolve finds the paths of all nodes, and drops redundant nodes.
func (t *Tree) resolve() error {
	t.sort()
	const most = 40 // as many links as the kernel follows, see path_resolution(7)
	for i, moves := 0, 0; i < len(t.nodes); {
		n, keep, err := t.settle(t.nodes[i])
		switch {
		case err != nil:
			return err
		case !keep:
			t.nodes = slices.Delete(t.nodes, i, i+1)
		case n.Path == t.nodes[i].Path:
			t.nodes[i] = n
			i++
			continue
		default:
			if moves++; moves > most*len(t.nodes) {
				return host.Refuse(host.BehindLink, "place %s: too many symbolic links lead to it", text.Quote(n.Path))
			}
			t.nodes = slices.Delete(t.nodes, i, i+1)
			if err := t.move(n); err != nil {
				return err
			}
		}
		// The node may now lie over others, so those after it are settled again.
		t.sort()
		if moved := slices.IndexFunc(t.nodes, func(x Node) bool { return x.Path == n.Path }); moved >= 0 {
			i = min(i, moved)
		}
	}
	// Of two nodes at one path the first counts.
	t.nodes = slices.CompactFunc(t.nodes, func(a, b Node) bool { return a.Path == b.Path })
	t.sort()
	t.guards = make([]Node, 0, len(t.nodes))
	for i := range t.nodes {
		if n := &t.nodes[i]; n.Kind == Read && !n.Device {
			t.guards = append(t.guards, *n)
		}
	}
	return nil
}

// addGuards makes read-only what the policy guards in directories that can be
// written, under each name that it has inside. Where the policy names the same
// path, its entry decides.
func (t *Tree) addGuards() error {
	for _, name := range t.facts.GuardedLinks {
		if n, _ := t.deepest(name); n.Kind == Write {
			t.Notes = append(t.Notes, replaceableNote(name))
		}
	}
	var more []Node
	for _, g := range t.facts.Guarded {
		for _, dir := range t.nodes {
			if dir.Kind != Write || dir.Device || g.Path == dir.Source.Real || !policy.Within(g.Path, dir.Source.Real) {
				continue
			}
			n := Node{Path: dir.insidePath(g.Path), Kind: Read, NoExec: dir.NoExec, Optional: true, searched: true}
			if at, _ := t.deepest(n.Path); at.Path != dir.Path {
				continue
			}
			n.Source = host.File{Real: g.Path, Mode: unix.S_IFREG, Major: g.ID.Major, Minor: g.ID.Minor, Ino: g.ID.Ino}
			if g.Dir {
				n.Source.Mode = unix.S_IFDIR
			}
			if n.Path != g.Path {
				n.From = g.Path
			}
			more = append(more, n)
		}
	}
	if len(more) > 0 {
		t.nodes = append(t.nodes, more...)
		t.sort()
	}
	return nil
}

// settle returns the node as the nodes over it decide: with another path where a link
// moves it. keep is false where it is dropped.
func (t *Tree) settle(n Node) (_ Node, keep bool, err error) {
	up := t.over(n.Path)
	behind := t.entries.BehindLink(n.Path)
	if behind == "" && up.Kind == Link && up.Source.Mode == 0 {
		behind = up.Path
	}
	switch {
	case n.Untrusted != nil && (n.Kind != Read || n.From != "" || !up.Kind.FromHost()):
		if !n.Optional {
			return n, false, fmt.Errorf("show %s: %w", text.Quote(n.Path), n.Untrusted)
		}
		t.Notes = append(t.Notes, fmt.Sprintf("%s is left out: %v", text.Quote(n.Path), n.Untrusted))
		return n, false, nil
	case n.Path == "/":
		return n, true, nil
	case behind != "":
		return n, false, &host.NeedError{
			Reason: host.BehindLink,
			What: fmt.Sprintf("place %s: it lies behind %s, a symbolic link of the policy's own",
				text.Quote(n.Path), text.Quote(behind)),
			Fix: "name the path that the link leads to",
		}
	case up.Kind == Link:
		n.Path = up.HostPath(n.Path)
		return n, true, nil
	case !n.Kind.FromHost() || n.From != "" || n.Device:
		return n, true, nil
	case up.Kind.FromHost() && up.From == "":
		if n.Source.Real != up.HostPath(n.Path) {
			return t.linkInside(n, up)
		}
	case up.Kind.FromHost():
		if n.Source.Real != n.Path {
			return t.linkInside(n, up)
		}
	case n.Source.Link != "" && t.shownAlike(n):
		if n.Kind == Read {
			t.links = append(t.links, n) // it holds for what it leads to
		}
		n.Kind, n.Text = Link, n.Source.Link
		direct := n.Text
		if !path.IsAbs(direct) {
			direct = path.Join(path.Dir(n.Path), direct)
		}
		if direct != n.Source.Real {
			n.Text = n.Source.Real // not by another link, which may lead elsewhere inside
		}
	}
	return n, true, nil
}

// shownAlike says whether the path that the node's link leads to is shown under its own
// name, in the same way as the node.
func (t *Tree) shownAlike(n Node) bool {
	to, ok := t.deepest(n.Source.Real)
	return ok && to.Path != n.Path && to.Kind == n.Kind && n.Kind != Overlay && to.From == "" && to.Source.Link == "" &&
		to.NoExec == n.NoExec && to.Source.Real == to.Path
}

// linkInside decides on a node whose path is, or goes through, a symbolic link inside the
// directory that up shows.
func (t *Tree) linkInside(n, up Node) (_ Node, keep bool, err error) {
	name, real := text.Quote(n.Path), text.Quote(n.Source.Real)
	to, _ := t.deepest(n.Source.Real)
	follow := n.Kind == Read && up.From == "" && to.Kind.FromHost() && to.HostPath(n.Source.Real) == n.Source.Real
	replaceable := up.Kind == Write || up.Kind == Overlay
	if n.Kind == Read {
		t.links = append(t.links, n)
	}
	switch {
	case !n.Optional && (!follow || replaceable):
		return n, false, &host.NeedError{
			Reason: host.BehindLink,
			What:   fmt.Sprintf("show %s: it is a symbolic link in a directory that is shown, to %s", name, real),
			Fix:    "name the path that it leads to",
		}
	case !follow:
		t.Notes = append(t.Notes, fmt.Sprintf("%s is a symbolic link out of what is shown: not followed", name))
	case replaceable:
		t.Notes = append(t.Notes, replaceableNote(n.Path))
	}
	return n, false, nil
}

func replaceableNote(name string) string {
	return text.Quote(name) + " is a symbolic link, which the target can replace; only what it leads to is read-only"
}

// move adds a node that a link has moved. A node that has the path by its own name has
// precedence.
func (t *Tree) move(n Node) error {
	i := slices.IndexFunc(t.nodes, func(x Node) bool { return x.Path == n.Path })
	if i < 0 {
		t.nodes = append(t.nodes, n)
		return nil
	}
	if there := t.nodes[i]; !n.Optional && (there.Kind != n.Kind || there.NoExec != n.NoExec || there.From != n.From) {
		return &host.NeedError{
			Reason: host.BehindLink,
			What: fmt.Sprintf("place %s: through a symbolic link two entries have that path, as %s and as %s",
				text.Quote(n.Path), n.Kind, there.Kind),
			Fix: "name the path itself, once",
		}
	}
	return nil
}

// dropRedundant drops what the node over it shows in the same way.
func (t *Tree) dropRedundant() {
	// Each of the nodes over one comes before it, and has its place already: what is
	// kept moves up, and only what has been read is written over.
	kept := t.nodes[:0]
	clear(t.index)
	for i := range t.nodes {
		n := &t.nodes[i]
		up := t.over(n.Path)
		same := up.Kind == n.Kind && (n.Kind == Read || n.Kind == Write) && n.From == "" && up.From == "" && !n.Device &&
			up.NoExec == n.NoExec && n.Path != "/" && n.Source.Real == up.HostPath(n.Path)
		if !same {
			t.index[n.Path] = len(kept)
			kept = append(kept, *n)
		}
	}
	clear(t.nodes[len(kept):])
	t.nodes = kept
}

// addAliases makes a read-only entry hold for its file and not for one name of
// it: where another entry shows a directory over that file, to be written, the
// file is read-only there too. So is what a link leads to that is not followed;
// and where that says that nothing is to be executed, this holds there as well.
func (t *Tree) addAliases() error {
	var more []Node
	add := func(guard *Node, link bool) {
		real := guard.Source.Real
		for i := range t.nodes {
			dir := &t.nodes[i]
			loose := dir.Kind == Write || link && dir.Kind == Read && guard.NoExec && !dir.NoExec
			if !loose || dir.Device || real == dir.Source.Real || !policy.Within(real, dir.Source.Real) {
				continue
			}
			place := dir.insidePath(real)
			if at, _ := t.deepest(place); at.Path != dir.Path {
				continue // another node is there, mostly the entry's own
			}
			n := Node{Path: place, Kind: Read, Source: guard.Source, NoExec: guard.NoExec || dir.NoExec, alias: true}
			n.Source.Link = ""
			if i := slices.IndexFunc(more, func(x Node) bool { return x.Path == place }); i >= 0 {
				more[i].NoExec = more[i].NoExec || n.NoExec
				continue
			}
			more = append(more, n)
		}
	}
	decided, err := t.decided()
	if err != nil {
		return err
	}
	for _, list := range [...][]Node{t.guards, decided} {
		for i := range list {
			add(&list[i], false)
		}
	}
	for i := range t.links {
		add(&t.links[i], true)
	}
	if len(more) > 0 {
		t.nodes = append(t.nodes, more...)
		t.sort()
	}
	t.dropRedundant()
	return nil
}
