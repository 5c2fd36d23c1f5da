package rootfs

import (
	"errors"
	"fmt"
	"path"
	"slices"

	"golang.org/x/sys/unix"

	"sbx/internal/text"
	"sbx/policy"
	"sbx/sandbox/internal/host"
)

// A process can connect to every socket file that it sees, even on a read-only mount. So
// the sockets in shown directories that exist at the start are masked, unless
// files.sockets names them. Landlock or a filter restricts those that are made later.

// addSockets reads files.sockets. It allows each socket, and shows those that nothing else
// shows. "/" allows all sockets and shows none.
func (t *Tree) addSockets() error {
	for _, s := range t.policy.Files.Sockets {
		x := policy.ParsePath(s)
		if e, ok := t.entries.Get(x.Name); ok && e.Kind == policy.KindTmpfs {
			continue // it is the sandbox's own, and allows none of the host's below it
		}
		f := t.socketFile(x.Name)
		over := t.entries.Over(x.Name)
		if e, ok := t.entries.Get(x.Name); ok {
			over = e // it is shown as itself
		}
		if e, ok := f.Err.(*host.LinkError); ok && over.Kind.FromHost() && !x.Optional {
			f = e.File // it is refused below, as every link in what is shown
		}
		switch {
		case errors.Is(f.Err, host.Untrusted) && x.Optional:
			t.Notes = append(t.Notes, fmt.Sprintf("%s cannot be connected to: %v", text.Quote(x.Name), f.Err))
			continue
		case f.Closed && x.Optional:
			continue // nor may the program reach it
		case f.Err != nil:
			return fmt.Errorf("allow connecting to %s: %w", text.Quote(x.Name), f.Err)
		case f.Mode == 0 && x.Optional:
			continue
		case f.Mode == 0:
			return &host.MissingError{Path: x.Name, Socket: true}
		case f.Mode != unix.S_IFSOCK && !f.Dir():
			return &host.NeedError{
				Reason: host.WrongFile,
				What:   fmt.Sprintf("allow connecting to %s: it is neither a socket nor a directory", text.Quote(x.Name)),
				Fix:    "--socket and files.sockets name a socket, or a directory that has some",
			}
		case over.Kind.FromHost() && f.Real != t.shownAs(over, x.Name):
			// The target could have made the link, and must not choose the socket.
			return &host.NeedError{
				Reason: host.BehindLink,
				What: fmt.Sprintf("allow connecting to %s: it is a symbolic link in a directory that is shown, to %s",
					text.Quote(x.Name), text.Quote(f.Real)),
				Fix: "name the path that it leads to",
			}
		}
		t.sockets = append(t.sockets, f.Real)
		if _, named := t.entries.Get(x.Name); x.Name != "/" && !named && !over.Kind.FromHost() {
			t.nodes = append(t.nodes, Node{Path: x.Name, Kind: Read, Source: f})
		}
	}
	return nil
}

// socketFile is what files.sockets names by a path inside: what an entry shows there from
// elsewhere, or the host's own.
func (t *Tree) socketFile(name string) host.File {
	if e, ok := t.entries.Get(name); ok && e.Kind.FromHost() {
		name = e.Source()
	}
	return t.facts.Files[name]
}

// shownAs is the real path of the host that an entry shows at a path below it.
func (t *Tree) shownAs(e policy.Entry, name string) string {
	f := t.facts.Files[e.Source()]
	if f.Mode == 0 {
		return name // it was not looked at, so there is no link in it
	}
	return path.Join(f.Real, name[len(e.Name):])
}

func (t *Tree) isNamedSocket(real string) bool {
	return slices.ContainsFunc(t.sockets, func(n string) bool { return policy.Within(real, n) })
}

// unnamedSockets are the sockets that are shown and that the policy does not name.
func (t *Tree) unnamedSockets() (list []host.Found) {
	for _, n := range t.nodes {
		if n.Source.Mode == unix.S_IFSOCK && !t.isNamedSocket(n.Source.Real) {
			list = append(list, host.Found{Path: n.Source.Real, ID: n.Source.ID()})
			t.Notes = append(t.Notes,
				fmt.Sprintf("%s is a socket that files.sockets does not name: it cannot be connected to", text.Quote(n.Path)))
		}
	}
	for _, x := range t.facts.Sockets {
		switch {
		case t.isNamedSocket(x.Path), x.Dir && t.isWork(x.Path):
		case x.Dir && t.leadsBelow(x.Path):
			t.Notes = append(t.Notes, fmt.Sprintf("%s cannot be read: the sockets in it can be connected to by their names",
				text.Quote(x.Path)))
		default:
			list = append(list, x)
		}
	}
	return list
}

// leadsBelow says whether the policy names something that lies in the directory,
// which could not be covered as a whole then.
func (t *Tree) leadsBelow(real string) bool {
	return slices.ContainsFunc(t.sockets, func(n string) bool { return policy.Within(n, real) }) ||
		slices.ContainsFunc(t.nodes, func(n Node) bool {
			return n.Kind.FromHost() && n.Source.Real != real && policy.Within(n.Source.Real, real)
		})
}
