package rootfs

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/text"
	"sbx/policy"
	"sbx/sandbox/internal/host"
)

// addOwn adds the directories, files and links that the sandbox has of its own.
func (t *Tree) addOwn() error {
	for _, e := range t.entries.Entries {
		if e.Kind < policy.KindDirectory {
			continue
		}
		n := Node{Path: e.Name, Kind: kindOf(e.Kind), Mode: 0o755, Optional: e.Optional, Text: e.Text}
		if err := t.setOptions(&n, e.Options); err != nil {
			return err
		}
		if t.taken(e.Name) {
			return takenError(e.Name)
		}
		if n.Kind == Link && (n.Text == "" || len(n.Text) >= unix.PathMax || strings.IndexByte(n.Text, 0) >= 0) {
			return host.Refuse(host.Invalid, "make symlink %s: %s is not a path", text.Quote(n.Path), text.Quote(n.Text))
		}
		t.nodes = append(t.nodes, n)
	}
	for _, e := range t.entries.Doubled {
		if e.Kind >= policy.KindDirectory {
			return takenError(e.Name)
		}
	}
	return nil
}

func takenError(name string) error {
	return &host.NeedError{
		Reason: host.Occupied,
		What:   fmt.Sprintf("make %s: something else is there already", text.Quote(name)),
		Fix:    "name it once in the policy's [files]; /, /proc and /dev have their own",
	}
}

// taken says whether the path has something else: a socket that the policy names, or
// what every sandbox has.
func (t *Tree) taken(name string) bool {
	f := &t.policy.Files
	return name == "/" || policy.NotFalse(f.Proc) && policy.Within(name, "/proc") ||
		policy.NotFalse(f.Dev) && inDev(name) || t.named(name)
}

// named says whether there is a node at the path, before the index is made.
func (t *Tree) named(name string) bool {
	return slices.ContainsFunc(t.nodes, func(n Node) bool { return n.Path == name })
}

// devNames are the files of the minimal /dev other than devices.
var devNames = [...]string{"fd", "stdin", "stdout", "stderr", "ptmx", "pts", "shm"}

// inDev says whether the minimal /dev has the path.
func inDev(name string) bool {
	in := path.Base(name)
	return name == "/dev" ||
		path.Dir(name) == "/dev" && (slices.Contains(host.Devices[:], in) || slices.Contains(devNames[:], in))
}

// addDev adds the minimal /dev: a directory, devices of the host, and a tmpfs for shared
// memory.
func (t *Tree) addDev() error {
	f := &t.policy.Files
	if !policy.NotFalse(f.Dev) {
		return nil
	}
	if t.named("/") || t.named("/dev") {
		t.nodes = slices.DeleteFunc(t.nodes, func(n Node) bool { return n.Path == "/dev" })
		t.nodes = append(t.nodes, Node{Path: "/dev", Kind: Tmpfs, Mode: 0o755})
	}
	for i, d := range host.Devices {
		src, name := t.facts.Files["/dev/"+d], "/dev/"+d
		if !src.IsDevice(i) {
			if d == "tty" && src.Mode == 0 {
				continue // some build machines have no terminals
			}
			return host.Refuse(host.WrongFile, "show %s: it is not the character device of that name", name)
		}
		t.nodes = slices.DeleteFunc(t.nodes, func(n Node) bool { return n.Path == name })
		t.nodes = append(t.nodes, Node{Path: name, Kind: Read, Source: src, Device: true})
	}
	// Shared memory is writable, so a policy under which nothing is writable does not
	// have it. No program is executed from there.
	if len(f.Tmpfs)+len(f.Write)+len(f.Overlay) > 0 && !t.named("/dev/shm") {
		t.nodes = append(t.nodes, Node{Path: "/dev/shm", Kind: Tmpfs, Mode: 0o1777, NoExec: true})
	}
	return nil
}

// addNotifySocket adds a socket of the sandbox's own for the service manager's.
func (t *Tree) addNotifySocket() error {
	name := t.target.NotifySocket()
	place, relayed := t.target.NotifyPlace(t.policy)
	if !relayed {
		return nil
	}
	if name[0] == '@' {
		if !policy.NotFalse(t.policy.Files.Dev) || t.entries.At("/dev").Kind.FromHost() {
			return &host.NeedError{
				Reason: host.Conflict,
				What: "relay the notify socket " + text.Quote(name) + ": it is abstract, and a socket for it has no place " +
					"without the sandbox's own /dev",
				Fix: "leave dev = false and /dev out of the policy's [files], have the manager listen at a path, or take " +
					"NOTIFY_SOCKET out of the environment: env -u NOTIFY_SOCKET sbx ...",
			}
		}
		t.nodes = append(t.nodes, Node{Path: place, Kind: Socket})
		return nil
	}
	src := t.facts.Files[name]
	if src.Err != nil {
		return fmt.Errorf("show the notify socket %s: %w", text.Quote(name), src.Err)
	}
	if src.Mode != unix.S_IFSOCK {
		return host.Refuse(host.Absent, "show the notify socket %s: no such socket", text.Quote(name))
	}
	t.sockets = append(t.sockets, src.Real)
	if t.entries.Over(name).Kind.FromHost() {
		name = src.Real // links in the shown directory are shown as they are
	}
	// A socket can be connected to on a read-only mount as well.
	t.nodes = append(t.nodes, Node{Path: name, Kind: Socket, Source: src})
	return nil
}

// placeOwn checks the mount points of nodes that are not the host's file of the same
// path: what sbx makes in a shown directory of the host, where it makes no mount point,
// and what is shown there under another name.
func (t *Tree) placeOwn() error {
	for i := 0; i < len(t.nodes); {
		n, keep, err := t.settlePlace(t.nodes[i])
		if err != nil {
			return err
		}
		if keep {
			t.nodes[i] = n
			i++
			continue
		}
		// What lies below has another node over it now.
		t.nodes = slices.Delete(t.nodes, i, i+1)
		t.sort()
	}
	return nil
}

// settlePlace is the node as it is at its place, or keep is false: it may be
// missing, and so may its place.
func (t *Tree) settlePlace(n Node) (_ Node, keep bool, err error) {
	up := t.over(n.Path)
	switch {
	case n.Path == "/" || n.Device || n.alias:
	case up.Kind == File || up.Kind == Link || up.Kind == Empty || up.Kind == Directory && t.over(up.Path).Kind.FromHost():
		return n, false, host.Refuse(host.WrongFile, "make a place for %s: %s is no directory of the sandbox",
			text.Quote(n.Path), text.Quote(up.Path))
	case !up.Kind.FromHost():
	case n.Kind == Link:
		return n, false, &host.NeedError{
			Reason: host.NoPlace,
			What: fmt.Sprintf("make symlink %s: it lies in a directory of the host, where sbx makes nothing",
				text.Quote(n.Path)),
			Fix: "make it on the host, or show less than " + text.Quote(path.Dir(n.Path)),
		}
	case n.Kind <= Tmpfs || n.From != "" || up.From != "":
		f, err := t.mountPoint(n, up)
		if err != nil || f.Mode == 0 {
			return n, false, err
		}
		if n.Kind < Tmpfs {
			n.Source = f
		}
		if n.Kind == Directory {
			n.Kind = Empty
		}
	}
	return n, true, nil
}

// mountPoint is the host's file that the node will be mounted over, in the directory
// that up shows. It must be of the same type as the node, and no symbolic link, which
// the target of an earlier launch could have made. The zero File means that the node is
// dropped.
func (t *Tree) mountPoint(n, up Node) (host.File, error) {
	what, source := text.Quote(n.Path), up.HostPath(n.Path)
	f := t.facts.Files[source]
	if e, ok := f.Err.(*host.LinkError); ok {
		f = e.File // it is refused below, as every link in what is shown
	}
	dir := n.Source.Dir() || n.Kind == Directory || n.Kind == Tmpfs
	switch {
	case f.Err != nil:
		return f, fmt.Errorf("look at %s, where %s is to be placed: %w", text.Quote(source), what, f.Err)
	case f.Mode == 0 && n.Optional:
	case f.Mode == 0:
		return f, &host.NeedError{
			Reason: host.NoPlace,
			What: fmt.Sprintf("place %s: there is no %s, and sbx makes nothing in a directory of the host",
				what, text.Quote(source)),
			Fix: "make it on the host first, or show less than " + text.Quote(path.Dir(n.Path)),
		}
	case f.Real != source:
		return f, &host.NeedError{
			Reason: host.BehindLink,
			What:   fmt.Sprintf("place %s: it is a symbolic link in a shown directory, to %s", what, text.Quote(f.Real)),
			Fix:    "name the path that it leads to",
		}
	case f.Dir() && !dir:
		return f, &host.NeedError{
			Reason: host.WrongFile,
			What:   fmt.Sprintf("place %s: a file cannot lie over the directory %s", what, text.Quote(source)),
			Fix:    "name a file in it",
		}
	case !f.Dir() && dir:
		return f, &host.NeedError{
			Reason: host.WrongFile,
			What:   fmt.Sprintf("place %s: a directory cannot lie over the file %s", what, text.Quote(source)),
			Fix:    "name the directory that the file is in",
		}
	}
	return f, nil
}

// addRunLinks adds the links by which programs find /run under its older names, where
// there is a /run and the policy has nothing else there.
func (t *Tree) addRunLinks() error {
	for _, l := range [...]struct{ name, to string }{{"/var/run", "/run"}, {"/var/lock", "/run/lock"}} {
		there := t.has(l.to) || t.HasBelow(l.to)
		if n, _ := t.deepest(l.to); n.Kind.FromHost() {
			there = true
		}
		over := t.over(l.name).Kind
		free := !t.has(l.name) && !t.HasBelow(l.name) && !t.entries.Covers(l.name)
		if !there || !free || over != Directory && over != Tmpfs {
			continue
		}
		t.nodes = append(t.nodes, Node{Path: l.name, Kind: Link, Text: l.to, Optional: true})
	}
	t.sort()
	return nil
}
