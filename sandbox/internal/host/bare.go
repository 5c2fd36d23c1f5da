package host

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/text"
	"sbx/policy"
)

// listLimit bounds how many names are looked at beside what is hidden.
const listLimit = 50_000

// Private is where the launcher makes a directory for the target, which has no tmpfs
// without a mount namespace.
type Private struct {
	Path string
	FD   int
	// Err is why there is no such place.
	Err error
}

// probeBare looks at what a launch without namespaces needs.
func (h *Facts) probeBare(p *policy.Policy, tree *policy.Tree, t Target) error {
	if !p.Namespaces.None() {
		return nil
	}
	for _, e := range tree.Entries {
		if e.Kind == policy.KindTmpfs {
			h.lookOnce(e.Name)
		}
	}
	if len(p.Files.Tmpfs) > 0 {
		h.Private = h.findPrivate(t)
	}
	return h.listSiblings(tree)
}

// findPrivate is the caller's own runtime directory, or else one for temporary files. The
// name of the directory that is made there is random.
func (h *Facts) findPrivate(t Target) Private {
	own, _ := Lookup(t.Env, "XDG_RUNTIME_DIR")
	tmp, _ := Lookup(t.Env, "TMPDIR")
	var why error
	for _, dir := range [...]string{own, tmp, "/tmp"} {
		if !path.IsAbs(dir) {
			continue
		}
		f := h.look(dir)
		const others, sticky = 0o022, 0o1000
		var st unix.Stat_t
		switch {
		case f.Err != nil:
			why = f.Err
		case !f.Dir():
			why = unix.ENOTDIR
		case f.UID != 0 && int(f.UID) != h.UID && dir != "/tmp": // root's shows as nobody's in a user namespace
			why = fmt.Errorf("it belongs to user %d", f.UID)
		case unix.Fstat(f.FD, &st) != nil || st.Mode&others != 0 && st.Mode&sticky == 0:
			why = errors.New("others may rename what is in it")
		case unix.Faccessat(f.FD, ".", unix.W_OK|unix.X_OK, unix.AT_EACCESS) != nil:
			why = unix.EACCES
		default:
			return Private{Path: f.Real, FD: f.FD}
		}
		why = fmt.Errorf("%s: %w", text.Quote(dir), why)
	}
	return Private{Err: why}
}

// listSiblings lists the directories between what is shown and what in it is not, or
// is only to be read. Landlock takes no right away below a directory: so all that is
// beside such a path gets its rights one by one.
func (h *Facts) listSiblings(tree *policy.Tree) error {
	masks := h.maskedNames()
	less := append([]string{"/proc", "/dev"}, masks...)
	for _, x := range tree.Hidden {
		masks = append(masks, x.Name)
		if real := led(h.Files[x.Name]).Real; real != "" {
			less = append(less, real)
		}
	}
	var read []string // with all rights of what is only to be read
	for _, e := range tree.Entries {
		f := led(h.Files[e.Source()])
		if e.Kind == policy.KindTmpfs {
			f = led(h.Files[e.Name])
		}
		covers := func(name string) bool { return policy.Within(e.Name, name) || policy.Within(f.Real, name) }
		switch {
		case f.Real == "":
		case e.Kind == policy.KindRead && e.Options == policy.PathOptions{} && !slices.ContainsFunc(masks, covers):
			read = append(read, f.Real)
		default:
			less = append(less, f.Real)
		}
	}
	h.Listed = make(map[string][]Found)
	count := 0
	for _, e := range tree.Entries {
		top := h.Files[e.Source()]
		if !e.Kind.FromHost() || !top.Dir() {
			continue
		}
		for i := range len(less) + len(read) {
			real := ""
			switch {
			case i < len(less):
				real = less[i]
			case e.Kind != policy.KindRead: // else it has no less there than here
				real = read[i-len(less)]
			}
			if real == top.Real || !policy.Within(real, top.Real) {
				continue
			}
			for dir := path.Dir(real); ; dir = path.Dir(dir) {
				if _, have := h.Listed[dir]; !have {
					if err := h.list(dir, &count); err != nil {
						return err
					}
				}
				if dir == top.Real {
					break
				}
			}
		}
	}
	return nil
}

// maskedNames are the paths that are hidden or guarded, but for those that the policy hides
// by name.
func (h *Facts) maskedNames() (list []string) {
	add := func(name string) {
		if name != "" {
			list = append(list, name)
		}
	}
	for _, found := range [...][]Found{h.Found, h.Guarded} {
		for _, f := range found {
			add(f.Path)
		}
	}
	for _, d := range h.Own {
		add(d.File.Real)
	}
	for _, s := range h.Sources {
		add(s.File.Real)
	}
	for _, a := range h.Aliases {
		add(a.File.Real)
	}
	add(h.Receipt.Real)
	return list
}

// list lists one directory. Symbolic links take no rights, so they are left out. In one
// that cannot be read the target finds nothing either.
func (h *Facts) list(dir string, count *int) error {
	h.Listed[dir] = nil
	failed := func(err error) error {
		return fmt.Errorf("look for what is beside hidden files in %s: %w", text.Quote(dir), err)
	}
	o, err := h.walk.open(dir)
	if err == unix.ENOENT || err == unix.ENOTDIR || err == unix.EACCES {
		return nil
	}
	if err != nil {
		return failed(err)
	}
	defer unix.Close(o.fd)
	fd, err := unix.Openat(o.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err == unix.EACCES {
		return nil
	}
	if err != nil {
		return failed(err)
	}
	defer unix.Close(fd)
	buf := make([]byte, 1<<15)
	for {
		n, err := unix.ReadDirent(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return failed(err)
		}
		if n == 0 {
			return nil
		}
		for b := buf[:n]; len(b) > 0; {
			var e entry
			if e, b = dirent(b); e.name == "." || e.name == ".." || e.kind == unix.DT_LNK {
				continue
			}
			if *count++; *count > listLimit {
				return &NeedError{
					Reason: Impossible,
					What: fmt.Sprintf("hide single files in %s without namespaces: there are more than %d files beside them",
						text.Quote(dir), listLimit),
					Fix: "show less with --read and --write, or show what is hidden there: --show",
				}
			}
			var st unix.Stat_t
			if unix.Fstatat(fd, e.name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
				continue // it is gone
			}
			kind := st.Mode & unix.S_IFMT
			if kind == unix.S_IFLNK {
				continue
			}
			h.Listed[dir] = append(h.Listed[dir], Found{
				Path: strings.TrimSuffix(dir, "/") + "/" + e.name, Dir: kind == unix.S_IFDIR, ID: identity(&st),
			})
		}
	}
}
