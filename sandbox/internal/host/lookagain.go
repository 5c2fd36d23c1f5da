package host

import (
	"path"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"sbx/ns"
)

// guardedProject is a project in which names are guarded.
type guardedProject struct {
	dir string
	// began is when the search for them began.
	began time.Time
	guarding
}

// GuardedProjects are the directories that LookAgain looks through.
func (h *Facts) GuardedProjects() (dirs []string) {
	for i := range h.guardings {
		dirs = append(dirs, h.guardings[i].dir)
	}
	return dirs
}

// LookAgain looks through the projects once more, after the sandbox has ended,
// and says which guarded names have come to be, or mean another file than at
// the start. Directories in which nothing has changed are not read again. The
// paths are in order; what could not be looked at is named, too.
func (h *Facts) LookAgain() (list []string) {
	for i := range h.guardings {
		p := &h.guardings[i]
		// By O_PATH: the target may have made the project unreadable.
		root, err := unix.Open(p.dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err == unix.ENOENT || err == unix.ENOTDIR {
			continue // it is gone, with all that was in it
		}
		if err != nil {
			list = append(list, notLookedAt(p.dir, err))
			continue
		}
		again := lookingAgain{guardedProject: p, root: root, left: 2 * SearchLimit}
		list = append(list, again.all()...)
		unix.Close(root)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

type lookingAgain struct {
	*guardedProject
	root  int
	known map[ns.ID]bool   // what was guarded and held
	seen  map[string]ns.ID // directories at the start
	found []string
	left  int // entries that may be looked at
}

// tick is how long a file system's clock can stand still.
const tick = 20 * time.Millisecond

func (l *lookingAgain) all() []string {
	moved := func(dirs []seenDir) (list []seenDir) {
		for _, d := range dirs {
			var st unix.Stat_t
			err := unix.Fstatat(l.root, d.rel, &st, unix.AT_SYMLINK_NOFOLLOW)
			if d.rel == "." {
				err = unix.Fstat(l.root, &st) // even if it cannot be entered any more
			}
			// What is there instead, or over it, is seen from a directory above.
			if err == nil && identity(&st) == d.id &&
				(st.Ctim != d.ctim || l.began.Sub(time.Unix(d.ctim.Unix())) < tick) {
				list = append(list, d)
			}
		}
		return list
	}
	for _, d := range inHalves(l.dirs, moved) {
		l.read(d.rel)
	}
	// What the guards point to, and was not there.
	for name, g := range l.names {
		var st unix.Stat_t
		if g == (guarded{}) && unix.Lstat(name, &st) == nil {
			l.found = append(l.found, name)
		}
	}
	return l.found
}

// prepare sorts what was there at the start, once there is something to compare
// with it: mostly nothing has changed.
func (l *lookingAgain) prepare() {
	if l.known != nil {
		return
	}
	l.known, l.seen = make(map[ns.ID]bool, len(l.names)), make(map[string]ns.ID, len(l.dirs))
	for _, g := range l.names {
		if g.link == (unix.Timespec{}) {
			l.known[g.id] = true
		}
	}
	for _, d := range l.dirs {
		l.seen[d.rel] = d.id
	}
}

// read looks through a directory, and those in it that were not there before.
func (l *lookingAgain) read(rel string) {
	l.prepare()
	how := unix.OpenHow{Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS}
	fd, err := unix.Openat2(l.root, rel, &how)
	if err != nil {
		l.found = append(l.found, notLookedAt(path.Join(l.dir, rel), err))
		return
	}
	defer unix.Close(fd)
	g := guarding{top: l.top, deep: l.deep, except: l.except}
	held, shape := l.inHeld(rel), uint8(0)
	var below []string
	buf := make([]byte, 16384)
	for {
		n, err := unix.ReadDirent(fd, buf)
		if err != nil || n == 0 {
			break
		}
		for b := buf[:n]; len(b) > 0; {
			var e entry
			e, b = dirent(b)
			if e.name == "." || e.name == ".." {
				continue
			}
			if l.left--; l.left == 0 {
				l.found = append(l.found, path.Join(l.dir, rel)+": too many new files to look at all")
			}
			if l.left <= 0 {
				return
			}
			at := path.Join(rel, e.name)
			var st unix.Stat_t
			if e.kind == unix.DT_UNKNOWN && unix.Fstatat(fd, e.name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil {
				e.kind = uint8(st.Mode & unix.S_IFMT >> 12)
			}
			if held {
				continue
			}
			shape |= part(rawEntry{[]byte(e.name), e.kind, e.ino})
			if g.guards(e.name, e.kind, rel == ".") {
				if unix.Fstatat(fd, e.name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && !l.knows(path.Join(l.dir, at), &st) {
					l.found = append(l.found, path.Join(l.dir, at))
				}
				continue
			}
			if e.kind == unix.DT_DIR && !l.was(fd, e.name, at) && !anyMatches(l.trees, e.name) {
				below = append(below, at)
			}
		}
	}
	if shape == isRepo && rel == "." && !l.bare {
		// Without a .git git takes the project itself for the repository, with its settings.
		l.found = append(l.found, path.Join(l.dir, "HEAD"))
	}
	if shape == isRepo && rel != "." {
		var st unix.Stat_t
		if unix.Fstat(fd, &st) == nil && !l.known[identity(&st)] {
			l.found = append(l.found, path.Join(l.dir, rel))
			return
		}
		if !slices.Contains(l.open, rel) {
			return
		}
	}
	for _, b := range below {
		l.read(b)
	}
}

func notLookedAt(name string, err error) string {
	return name + ": cannot be looked at: " + err.Error()
}

// was says whether the directory was there at the start: the same one, and not another
// that was put in its place, which nobody has looked into.
func (l *lookingAgain) was(fd int, name, at string) bool {
	id, ok := l.seen[at]
	var st unix.Stat_t
	return ok && unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && identity(&st) == id
}

// knows says whether what is at the name was guarded at the start: the same file,
// which was held, or the same link.
func (l *lookingAgain) knows(name string, st *unix.Stat_t) bool {
	return l.known[identity(st)] || l.names[name] == guarded{identity(st), st.Ctim}
}
