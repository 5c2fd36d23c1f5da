package host

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"path"
	"strconv"
	"strings"
	"time"

	"sbx/internal/text"

	"golang.org/x/sys/unix"

	"sbx/ns"
	"sbx/policy"
)

// SearchLimit bounds how many directory entries are looked at for patterns.
const SearchLimit = 20000

// moving is how long a directory is looked through again and again when what is
// in it changes its place meanwhile.
const moving = time.Second

// errMoved says that a name has come to mean something else, or nothing, between
// two looks at it.
var errMoved = errors.New("its files change their places all the time")

// search looks for the policy's patterns in the project directory. It reads
// directories by itself: package os would set up its poller for that, at
// every launch.
type search struct {
	// top are the patterns for the project's own directory, deep those for
	// any depth below it.
	top, deep []pattern
	// optional says that every deep pattern may be given up on.
	optional bool
	// sockets says that they are looked for at every depth.
	sockets bool
	// names are the inodes whose every name is looked for, whatever it is;
	// linked are those of what was found that have more than one.
	names, linked map[uint64]ns.ID
	seen          int
	found         []Found
	live          []Found // sockets
	cut           bool
}

// recursive says that what lies below is looked at too.
func (s *search) recursive() bool { return len(s.deep)+len(s.names) > 0 || s.sockets }

// findHidden looks for the policy's patterns in a project directory, and below
// it for those that begin with "**/". Where it looks it sees sockets, too. In
// what is no project it looks for those alone.
func (h *Facts) findHidden(p *policy.Policy, dir string, project bool) error {
	s := search{optional: true, sockets: !project}
	for _, entry := range p.Files.Hide {
		if !project {
			break
		}
		pat := policy.ParsePath(entry)
		switch {
		case strings.HasPrefix(pat.Name, "/"):
		case strings.HasPrefix(pat.Name, "**/"):
			s.deep = append(s.deep, newPattern(lower(strings.TrimPrefix(pat.Name, "**/"))))
			s.optional = s.optional && pat.Optional
		default:
			s.top = append(s.top, newPattern(lower(pat.Name)))
		}
	}
	linked := h.linked(p)
	if len(s.top) > 0 || s.recursive() {
		if err := h.scanTree(&s, dir); err != nil {
			return err
		}
	}
	// Another hard link is the same file under a name that tells nothing.
	maps.Copy(linked, s.linked)
	if len(linked) == 0 || !project {
		return nil
	}
	return h.scanTree(&search{names: linked, optional: true}, dir)
}

// linked are the inodes of what the policy hides by path and has other names.
func (h *Facts) linked(p *policy.Policy) map[uint64]ns.ID {
	list := make(map[uint64]ns.ID)
	for _, s := range p.Files.Hide {
		if f := h.Files[policy.ParsePath(s).Name]; f.Mode == unix.S_IFREG && f.Links > 1 {
			list[f.Ino] = ns.ID{Major: f.Major, Minor: f.Minor, Ino: f.Ino}
		}
	}
	return list
}

// scanTree looks through the directory, and takes in what it has found.
func (h *Facts) scanTree(s *search, dir string) error {
	// What moves while we look could be seen under no name at all, or a link
	// that stands in its place covered instead of it: then once more.
	until := time.Now().Add(moving)
	first := *s
	err := s.walk(dir)
	for errors.Is(err, errMoved) && time.Now().Before(until) {
		*s = first
		err = s.walk(dir)
	}
	if s.sockets && errors.Is(err, errMoved) {
		s.cut, err = true, nil // said in a note, as of what is too large
	}
	h.Found = append(h.Found, s.found...)
	h.Sockets = append(h.Sockets, s.live...)
	if s.cut {
		h.SearchTruncatedAt = dir
	}
	return err
}

// walk looks through the project directory by directory, the upper ones
// first, so that what is given up on lies deep. The project's own directory
// is always read to its end.
func (s *search) walk(dir string) error {
	root, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err == unix.ENOTDIR {
		return nil // a single file, shown by name
	}
	if err != nil {
		return fmt.Errorf("look for secrets to hide in %s: %w", text.Quote(dir), err)
	}
	defer unix.Close(root)
	buf := make([]byte, 16384)
	for queue := []string{"."}; len(queue) > 0; queue = queue[1:] {
		rel := queue[0]
		// No links on the way: the project may be at work meanwhile.
		how := unix.OpenHow{Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC,
			Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS}
		fd, err := unix.Openat2(root, rel, &how)
		switch err {
		case unix.EACCES: // not readable here, not readable inside
			if s.sockets {
				s.unreadable(root, dir, rel)
			}
			continue
		case unix.ENOENT, unix.ENOTDIR, unix.ELOOP:
			err = errMoved
		}
		var below []string
		if err == unix.ENAMETOOLONG {
			s.cut, err = true, nil
		} else if err == nil {
			below, err = s.directory(fd, dir, rel, buf)
			unix.Close(fd)
		}
		switch {
		case err != nil:
			return fmt.Errorf("look for secrets to hide in %s: %w", text.Quote(path.Join(dir, rel)), err)
		case s.cut && !s.optional:
			return fmt.Errorf("look for secrets to hide in %s: more than %d files", text.Quote(dir), SearchLimit)
		case s.cut:
			return nil
		}
		queue = append(queue, below...)
	}
	return nil
}

// unreadable notes a directory in which sockets cannot be looked for, if they could
// be called by their names: to be covered as a whole. Its owner could make it
// readable.
func (s *search) unreadable(root int, dir, rel string) {
	fd, err := unix.Openat2(root, rel, &unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS})
	if err != nil {
		return // the way there is closed, inside as well
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if unix.Fstat(fd, &st) == nil && (int(st.Uid) == unix.Geteuid() || unix.Faccessat(fd, ".", unix.X_OK, 0) == nil) {
		s.live = append(s.live, Found{path.Join(dir, rel), true, identity(&st)})
	}
}

// directory looks through one directory and returns those below it.
func (s *search) directory(fd int, dir, rel string, buf []byte) (below []string, err error) {
	var before, after unix.Stat_t
	if err := unix.Fstat(fd, &before); err != nil {
		return nil, err
	}
	for reads := 0; ; reads++ {
		n, err := unix.ReadDirent(fd, buf)
		if err != nil || n == 0 {
			// One read is of one moment. Over several a name can slip through;
			// the times tell, if not within one tick of a kernel before 6.13.
			if err == nil && reads > 1 {
				if err = unix.Fstat(fd, &after); err == nil && (after.Mtim != before.Mtim || after.Ctim != before.Ctim) {
					err = errMoved
				}
			}
			return below, err
		}
		for b := buf[:n]; len(b) > 0; {
			var e entry
			e, b = dirent(b)
			if e.name == "." || e.name == ".." {
				continue
			}
			if s.seen++; s.seen > SearchLimit && s.recursive() {
				if s.cut = true; rel != "." {
					return below, nil
				}
			}
			descend, err := s.visit(fd, dir, rel, e)
			if err != nil {
				return nil, err
			}
			if descend {
				below = append(below, path.Join(rel, e.name))
			}
		}
	}
}

// visit looks at one entry of the directory fd, which is rel below dir. It says
// whether the search goes on below it.
func (s *search) visit(fd int, dir, rel string, e entry) (descend bool, err error) {
	if e.kind == unix.DT_UNKNOWN { // a file system that does not say
		var st unix.Stat_t
		if unix.Fstatat(fd, e.name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
			return false, errMoved
		}
		e.kind = uint8(st.Mode & unix.S_IFMT >> 12)
	}
	hit := rel == "." && named(s.top, e.name) || named(s.deep, e.name) || e.kind == unix.DT_REG && s.names[e.ino].Ino == e.ino
	var st unix.Stat_t
	switch {
	case hit && e.kind == unix.DT_LNK:
		s.link(fd, dir, e.name)
	case hit:
		if unix.Fstatat(fd, e.name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil || uint8(st.Mode&unix.S_IFMT>>12) != e.kind {
			return false, errMoved
		}
		if s.names == nil || s.names[e.ino] == identity(&st) { // else a file of that number elsewhere
			s.record(path.Join(dir, rel, e.name), &st)
		}
	case e.kind == unix.DT_SOCK && s.names == nil:
		if unix.Fstatat(fd, e.name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil || st.Mode&unix.S_IFMT != unix.S_IFSOCK {
			return false, errMoved
		}
		s.live = append(s.live, Found{path.Join(dir, rel, e.name), false, identity(&st)})
	case e.kind == unix.DT_DIR:
		return s.recursive() && !s.cut && !(s.sockets && software(path.Join(dir, rel, e.name))), nil
	}
	return false, nil
}

// link hides what a link with a secret's name leads to, if that lies in the
// project: what is elsewhere is shown, or not, under its own name.
func (s *search) link(fd int, dir, name string) {
	to, err := unix.Openat(fd, name, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return // it leads nowhere
	}
	defer unix.Close(to)
	var st unix.Stat_t
	real, err := readlink("/proc/self/fd/" + strconv.Itoa(to))
	if err == nil && unix.Fstat(to, &st) == nil && real != dir && policy.Within(real, dir) {
		s.record(real, &st)
	}
}

// record notes what was found.
func (s *search) record(name string, st *unix.Stat_t) {
	s.found = append(s.found, Found{name, st.Mode&unix.S_IFMT == unix.S_IFDIR, identity(st)})
	if st.Mode&unix.S_IFMT == unix.S_IFREG && st.Nlink > 1 {
		if s.linked == nil {
			s.linked = make(map[uint64]ns.ID)
		}
		s.linked[st.Ino] = identity(st)
	}
}

func identity(st *unix.Stat_t) ns.ID {
	return ns.ID{Major: unix.Major(st.Dev), Minor: unix.Minor(st.Dev), Ino: st.Ino}
}

// entry is one of a directory: its name, its DT_* kind, and its inode number.
type entry struct {
	name string
	kind uint8
	ino  uint64
}

// dirent takes the first struct linux_dirent64 off b; see getdents64(2).
func dirent(b []byte) (e entry, rest []byte) {
	const recLen, typeAt, nameAt = 16, 18, 19
	n := int(b[recLen]) | int(b[recLen+1])<<8
	name := b[nameAt:n]
	if end := bytes.IndexByte(name, 0); end >= 0 {
		name = name[:end]
	}
	return entry{string(name), b[typeAt], binary.NativeEndian.Uint64(b)}, b[n:]
}

// pattern is one of path.Match's. Most are a name with at most one star, at
// an end, which is compared without it: there may be many names.
type pattern struct {
	text, prefix, suffix string
	general              bool
}

func newPattern(text string) pattern {
	p := pattern{text: text}
	var star bool
	p.prefix, p.suffix, star = strings.Cut(text, "*")
	p.general = strings.ContainsAny(text, `?[\`) || strings.Contains(p.suffix, "*") || star && p.prefix != "" && p.suffix != ""
	return p
}

func (p pattern) matches(name string) bool {
	switch {
	case p.general:
		ok, err := path.Match(p.text, name)
		return ok || err != nil // a bad pattern hides too much rather than too little
	case len(p.prefix)+len(p.suffix) == len(p.text):
		return name == p.text
	}
	return strings.HasPrefix(name, p.prefix) && strings.HasSuffix(name, p.suffix)
}

func matches(patterns []pattern, name string) bool {
	for i := range patterns {
		if patterns[i].matches(name) {
			return true
		}
	}
	return false
}
