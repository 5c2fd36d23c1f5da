package sandbox

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"sbx/internal/text"

	"golang.org/x/sys/unix"

	"sbx/policy"
)

// lookFurther looks at what else than the lists' own paths the policy needs:
// sources by another name, layers, sockets, the places of what is our own, and
// where a hidden path would be that is not there. Most policies need none.
func (h *Host) lookFurther(p *policy.Policy, t Target) error {
	f := &p.Files
	for _, s := range slices.Concat(f.Overlay, f.Sockets) {
		h.lookOnce(strings.TrimPrefix(s, "?"))
	}
	from := false
	for _, o := range f.Paths {
		for _, s := range [...]string{o.From, o.Upper, o.Work} {
			h.lookOnce(s)
		}
		from = from || o.From != ""
	}
	for _, s := range f.Hide {
		if f, ok := h.Files[s]; ok && f.Mode == 0 && f.Err == nil { // not optional, and missing
			h.lookMissing(s)
		}
	}
	own := slices.Clone(f.Directories)
	for s := range f.Inline {
		own = append(own, s)
	}
	if from {
		own = slices.Concat(own, f.Read, f.Write, f.Overlay, f.Tmpfs, f.Hide, between(p), []string{"/dev", notifySocket(t.Env)})
	}
	for _, s := range own {
		h.lookOnce(h.origin(p, strings.TrimPrefix(s, "?"), false))
	}
	return h.lookOverlays(p)
}

func (h *Host) lookOnce(s string) {
	if _, have := h.Files[s]; s == "" || have {
		return
	}
	if fd, ok := strings.CutPrefix(s, "fd:"); ok {
		h.Files[s] = h.lookDescriptor(fd)
	} else if s[0] == '/' {
		h.Files[s] = h.look(s)
	}
}

// lookDescriptor describes what a descriptor of the caller's leads to. A mount
// of another mount namespace cannot be cloned, and the child has one of its
// own; so the descriptor must lead to what has a name, by which the child comes
// to the same file.
func (h *Host) lookDescriptor(number string) File {
	n, ok := policy.FromFD("fd:" + number)
	if !ok {
		return File{Err: unix.EBADF}
	}
	flags, err := unix.FcntlInt(uintptr(n), unix.F_GETFD, 0)
	if err != nil || flags&unix.FD_CLOEXEC != 0 { // our own are all close-on-exec
		return File{Err: &NeedError{What: "the caller hands over no such descriptor", Fix: "open it for sbx, as in sbx ... " + number + "</some/directory"}}
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
		return File{Err: &NeedError{What: "no path leads to it: " + text.Quote(name),
			Fix: "a file that was removed, a pipe, or a file of another mount namespace cannot be shown; files.inline can"}}
	}
	f := h.look(name)
	if f.Mode != 0 && f.id() != identity(&st) {
		return File{Err: unix.ESTALE}
	}
	return f
}

// lookMissing finds out where a path that is not there would be if it were:
// Real is that without symbolic links, as far as there is anything.
func (h *Host) lookMissing(s string) {
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

// projects are the directories in which secrets are looked for.
func (h *Host) projects(p *policy.Policy, t Target) []string {
	var list []string
	add := func(dir string) {
		if dir != "" && !slices.Contains(list, dir) {
			list = append(list, dir)
		}
	}
	if t.Project != "" && Shows(p, t.Project) {
		add(t.Project)
	}
	for _, s := range t.Shown {
		f := h.Files[strings.TrimPrefix(s, "?")]
		if f.Dir() && policy.ProjectDir(f.Real, t.Home) != "" && Shows(p, f.Real) {
			add(f.Real)
		}
	}
	for _, o := range p.Files.Paths {
		if f := h.Files[o.From]; o.From != "" && f.Dir() && policy.ProjectDir(f.Real, t.Home) != "" {
			add(f.Real)
		}
	}
	if t.Project != "" && len(p.Files.Paths) > 0 {
		add(h.origin(p, t.Project, true)) // what is shown in its place
	}
	slices.Sort(list) // Paths has no order
	return list
}

// findAll looks for secrets and sockets, and remembers both.
func (h *Host) findAll(p *policy.Policy, t Target) error {
	for _, dir := range h.projects(p, t) {
		if err := h.findHidden(p, dir, true); err != nil {
			return err
		}
	}
	for _, dir := range h.socketTrees(p, t) {
		if err := h.findHidden(p, dir, false); err != nil {
			return fmt.Errorf("look for sockets: %w", err)
		}
	}
	return nil
}
