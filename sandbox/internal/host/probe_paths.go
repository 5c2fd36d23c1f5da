package host

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/text"
	"sbx/policy"
)

// probePaths looks once at each path of the host that the policy needs: the entries of
// its lists, sources under another name, layers, sockets, devices, and the mount points
// of what the sandbox has of its own. Most policies need only the lists.
func (h *Facts) probePaths(p *policy.Policy, tree *policy.Tree, t Target) error {
	h.findZones(tree, t) // first, because all other paths are judged by them
	mapped := false      // something is shown under another name
	// A link at a redundant entry may lead to what can be written otherwise.
	writes := slices.ContainsFunc(tree.Entries, func(e policy.Entry) bool { return e.Kind == policy.KindWrite })
	for _, e := range tree.Entries {
		if e.Kind.FromHost() && (writes || !redundant(tree, e)) {
			h.lookOnce(e.Source())
		}
		mapped = mapped || e.Options.From != ""
		h.lookOnce(e.Options.Upper)
		h.lookOnce(e.Options.Work)
	}
	for _, s := range p.Files.Sockets {
		h.lookOnce(policy.ParsePath(s).Name)
	}
	h.lookOnce(h.Terminal.Name)
	for _, s := range p.Files.Devices {
		h.lookOnce(policy.ParsePath(s).Name)
	}
	for _, x := range tree.Hidden {
		h.lookOnce(x.Name)
		if h.Files[x.Name].Missing() && !x.Optional {
			h.lookMissing(x.Name)
		}
	}
	for _, s := range p.Files.Unhide {
		h.lookOnce(policy.ParsePath(s).Name)
	}
	if p.Namespaces.PID == "host" && policy.NotFalse(p.Files.Proc) {
		h.lookOnce("/proc")
	}
	if policy.NotFalse(p.Files.Dev) {
		for _, d := range Devices {
			h.lookOnce("/dev/" + d)
		}
	}
	h.lookOnce(t.NotifySocket())
	h.probePlaces(tree, t, mapped)
	for _, e := range tree.Entries {
		if e.Kind != policy.KindWrite || e.Optional {
			continue
		}
		if f := h.Files[e.Source()]; f.Mode != 0 {
			f.NoWrite = unix.Faccessat(unix.AT_FDCWD, f.Real, unix.W_OK, unix.AT_EACCESS)
			h.Files[e.Source()] = f
		}
	}
	return h.probeOverlays(tree, t)
}

// redundant says whether the entry is optional and the entry over it shows the same
// file in the same way.
func redundant(tree *policy.Tree, e policy.Entry) bool {
	return e.Kind == policy.KindRead && e.Optional && e.Options == (policy.PathOptions{}) &&
		e.Name != "/" && plainRead(tree.Over(e.Name))
}

func plainRead(e policy.Entry) bool {
	return e.Kind == policy.KindRead && e.Options == (policy.PathOptions{})
}

// probePlaces looks at the host's files that something else is to be mounted over.
func (h *Facts) probePlaces(tree *policy.Tree, t Target, mapped bool) {
	place := func(name string) { h.lookOnce(h.Origin(tree, name, false)) }
	for _, e := range tree.Entries {
		if mapped || e.Kind == policy.KindTmpfs || e.Kind == policy.KindDirectory || e.Kind == policy.KindFile {
			place(e.Name)
		}
	}
	place("/dev")
	if !mapped {
		return
	}
	for _, x := range tree.Hidden {
		place(x.Name)
		h.lookOnce(h.Origin(tree, x.Name, true))
	}
	place(t.NotifySocket())
}

// Origin is the path of the host that the policy shows at name, by the deepest entry
// over it, or with self by the one at name itself. It is "" where the sandbox has
// something of its own there, or nothing.
func (h *Facts) Origin(tree *policy.Tree, name string, self bool) string {
	if !path.IsAbs(name) {
		return ""
	}
	at := name
	if !self {
		if name == "/" {
			return ""
		}
		at = path.Dir(name)
	}
	for {
		e, ok := tree.Get(at)
		switch {
		case ok && !e.Kind.FromHost():
			return ""
		case ok:
			if f := h.Files[e.Source()]; f.Mode != 0 {
				return path.Join(f.Real, strings.TrimPrefix(name, e.Name))
			}
		}
		if at == "/" {
			return ""
		}
		at = path.Dir(at)
	}
}

func (h *Facts) lookOnce(s string) {
	if _, have := h.Files[s]; s == "" || have {
		return
	}
	if fd, ok := strings.CutPrefix(s, "fd:"); ok {
		h.Files[s] = h.lookDescriptor(fd)
	} else if s[0] == '/' {
		h.Files[s] = h.look(s)
	}
}

// lookDescriptor describes the file that a descriptor of the caller's is open to. The
// child has its own mount namespace and cannot clone a mount of another one. So the
// file must have a name by which the child finds it.
func (h *Facts) lookDescriptor(number string) File {
	n, err := strconv.Atoi(number)
	if err != nil || n < 0 {
		return File{Err: unix.EBADF}
	}
	flags, err := unix.FcntlInt(uintptr(n), unix.F_GETFD, 0)
	if err != nil || flags&unix.FD_CLOEXEC != 0 { // all descriptors of sbx itself are close-on-exec
		return File{Err: &NeedError{
			Reason: Absent,
			What:   "the caller hands over no such descriptor",
			Fix:    "open it for sbx, as in sbx ... " + number + "</some/directory",
		}}
	}
	link := "/proc/self/fd/" + number
	name, err := readlink(link)
	var st, there unix.Stat_t
	if err == nil {
		err = unix.Fstat(n, &st)
	}
	if err != nil {
		return File{Err: err}
	}
	if unix.Lstat(name, &there) != nil || identity(&st) != identity(&there) || name[0] != '/' {
		return File{Err: &NeedError{
			Reason: Absent,
			What:   "no path leads to it: " + text.Quote(name),
			Fix:    "a file that was removed, a pipe, or a file of another mount namespace cannot be shown; files.inline can",
		}}
	}
	f := h.look(name)
	if f.Mode != 0 && f.ID() != identity(&st) {
		return File{Err: unix.ESTALE}
	}
	return f
}

// lookMissing finds out where a missing path would be: Real is the path with the
// symbolic links in its existing part resolved.
func (h *Facts) lookMissing(s string) {
	for dir := path.Dir(s); ; dir = path.Dir(dir) {
		f := h.look(dir)
		switch {
		case f.Err != nil:
			h.Files[s] = File{Err: f.Err}
			return
		case f.Mode != 0:
			h.Files[s] = File{Real: path.Join(f.Real, strings.TrimPrefix(s, dir))}
			return
		case dir == "/":
			return
		}
	}
}
