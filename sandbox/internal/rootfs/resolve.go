package rootfs

import (
	"fmt"
	"path"
	"slices"

	"sbx/internal/text"
	"sbx/policy"
	"sbx/sandbox/internal/host"
)

// A path that a policy names can have symbolic links in it. Who made such a
// link decides what it may mean:
//
//   - A link over everything that the policy shows belongs to the host. The
//     directory that it leads to is shown under the name that the policy says.
//   - A link whose place is sbx's own, as /bin in a root where /usr is shown,
//     is made again if it leads to what is shown in the very same way.
//   - A link inside what is shown was made by whoever could write there: a
//     hostile project above all, or the target of the launch before. What it
//     leads to is never shown for that. If it is shown anyway, the entry's
//     restriction holds there.

// resolve finds the places of all nodes, and drops those that say nothing new.
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
		// What lies over others has changed its place: once more from there.
		t.sort()
		if i = slices.IndexFunc(t.nodes, func(x Node) bool { return byDepth(x.Path, n.Path) >= 0 }); i < 0 {
			i = len(t.nodes)
		}
	}
	t.dropRedundant()
	return nil
}

// settle is the node with its place as far as what lies over it decides that:
// with another path where a link moves it, or not to be kept at all.
func (t *Tree) settle(n Node) (_ Node, keep bool, err error) {
	up := t.over(n.Path)
	switch {
	case n.Path == "/":
		return n, true, nil
	case up.Kind == Link && up.Source.Mode == 0:
		return n, false, &host.NeedError{
			Reason: host.BehindLink,
			What:   fmt.Sprintf("place %s: it lies behind %s, a symbolic link of the policy's own", text.Quote(n.Path), text.Quote(up.Path)),
			Fix:    "name the path that the link leads to",
		}
	case up.Kind == Link:
		n.Path = up.real(n.Path)
		return n, true, nil
	case !n.Kind.FromHost() || n.From != "" || n.Device:
		return n, true, nil
	case up.Kind.FromHost() && up.From == "":
		if n.Source.Real != up.real(n.Path) {
			return t.linkInside(n, up)
		}
	case up.Kind.FromHost():
		if n.Source.Real != n.Path {
			return t.linkInside(n, up)
		}
	case n.Source.Link != "" && t.shownAlike(n):
		n.Kind, n.Text = Link, n.Source.Link
		if direct := n.Text; !path.IsAbs(direct) {
			direct = path.Join(path.Dir(n.Path), direct)
			if direct != n.Source.Real {
				n.Text = n.Source.Real
			}
		}
	}
	return n, true, nil
}

// shownAlike says whether what the node's link leads to is shown under its own
// name, in the same way as the node would be.
func (t *Tree) shownAlike(n Node) bool {
	to, ok := t.deepest(n.Source.Real)
	return ok && to.Path != n.Path && to.Kind == n.Kind && n.Kind != Overlay && to.From == "" && to.Source.Link == "" &&
		to.NoExec == n.NoExec && to.Source.Real == to.Path
}

// linkInside decides on a node that is a link, or has one on its way, inside
// what up shows.
func (t *Tree) linkInside(n, up Node) (_ Node, keep bool, err error) {
	name, real := text.Quote(n.Path), text.Quote(n.Source.Real)
	to, _ := t.deepest(n.Source.Real)
	follow := n.Kind == Read && to.Kind.FromHost()
	replaceable := up.Kind == Write || up.Kind == Overlay
	switch {
	case !n.Optional && (!follow || replaceable):
		return n, false, &host.NeedError{
			Reason: host.BehindLink,
			What:   fmt.Sprintf("show %s: it is a symbolic link in a directory that is shown, to %s", name, real),
			Fix:    "name what it leads to",
		}
	case !follow:
		t.Notes = append(t.Notes, fmt.Sprintf("%s is a symbolic link out of what is shown: not followed", name))
		return n, false, nil
	case replaceable:
		t.Notes = append(t.Notes,
			fmt.Sprintf("%s is a symbolic link, which the target can replace; only what it leads to is read-only", name))
	}
	if to.Path == n.Source.Real || to.Kind != Write && to.NoExec == n.NoExec {
		return n, false, nil // an entry of its own decides there, or it is read-only anyway
	}
	n.Path, n.Source.Link, n.NoExec = n.Source.Real, "", n.NoExec || to.NoExec
	return n, true, nil
}

// move takes in a node that a link has moved. What has the place by its own
// name stays there.
func (t *Tree) move(n Node) error {
	i := slices.IndexFunc(t.nodes, func(x Node) bool { return x.Path == n.Path })
	if i < 0 {
		t.nodes = append(t.nodes, n)
		return nil
	}
	if there := t.nodes[i]; !n.Optional && (there.Kind != n.Kind || there.NoExec != n.NoExec || there.From != n.From) {
		return &host.NeedError{
			Reason: host.BehindLink,
			What:   fmt.Sprintf("place %s: by a symbolic link two entries mean that path, as %s and as %s", text.Quote(n.Path), n.Kind, there.Kind),
			Fix:    "name the path itself, once",
		}
	}
	return nil
}

// dropRedundant drops what the node over it shows in the same way. Of two nodes
// at one path the first counts.
func (t *Tree) dropRedundant() {
	all := t.nodes
	t.nodes, t.index = make([]Node, 0, len(all)), make(map[string]int, len(all))
	for _, n := range all {
		if t.has(n.Path) {
			continue
		}
		up := t.over(n.Path)
		same := up.Kind == n.Kind && (n.Kind == Read || n.Kind == Write) && n.From == "" && up.From == "" && !n.Device &&
			up.NoExec == n.NoExec && n.Path != "/" && n.Source.Real == up.real(n.Path)
		if !same {
			t.index[n.Path] = len(t.nodes)
			t.nodes = append(t.nodes, n)
		}
	}
}

// addAliases makes a read-only entry hold for its file and not for one name of
// it: where another entry shows a directory over that file, to be written, the
// file is read-only there too.
func (t *Tree) addAliases() error {
	var more []Node
	for _, guard := range t.nodes {
		if guard.Kind != Read || guard.Device || guard.Source.Real == "/" {
			continue
		}
		for _, dir := range t.nodes {
			real := guard.Source.Real
			if dir.Kind != Write || dir.Device || real == dir.Source.Real || !policy.Within(real, dir.Source.Real) {
				continue
			}
			place := dir.place(real)
			if at, _ := t.deepest(place); at.Path != dir.Path {
				continue // something else is there, the entry itself mostly
			}
			n := Node{Path: place, Kind: Read, Source: guard.Source, NoExec: guard.NoExec || dir.NoExec, Optional: true}
			if place != real {
				n.From = real
			}
			more = append(more, n)
		}
	}
	if len(more) > 0 {
		t.nodes = append(t.nodes, more...)
		t.sort()
		t.dropRedundant()
	}
	return nil
}
