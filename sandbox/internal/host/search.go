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

	"golang.org/x/sys/unix"

	"sbx/internal/text"
	"sbx/ns"
	"sbx/policy"
)

// SearchLimit bounds how many directory entries are looked at for patterns.
const SearchLimit = 20000

// moving is for how long a directory is read again and again while its files are being
// renamed.
const moving = time.Second

// errMoved says that between two looks at a name another file had taken it, or none had
// it any more.
var errMoved = errors.New("its files are being renamed all the time")

// search looks for the policy's patterns in the project directory. It reads directories
// by system calls, because package os would set up the runtime's poller for that, at
// every launch.
type search struct {
	// top are the patterns for the project's top directory, deep those for any depth
	// below it.
	top, deep []pattern
	// optional says that the search may stop at SearchLimit.
	optional bool
	// sockets says that sockets are looked for, at every depth.
	sockets bool
	// names are the inodes of which all hard links are looked for. linked are the inodes
	// among the found files that have more than one.
	names, linked map[uint64]ns.ID
	seen          int
	found         []Found
	live          []Found // sockets
	guarding      guarding
	cut           bool
}

// recursive says that the directories below are searched too.
func (s *search) recursive() bool {
	return len(s.deep)+len(s.names)+len(s.guarding.deep) > 0 || s.sockets
}

// findHidden looks for the policy's patterns in a project directory, and below it for
// those that begin with "**/". It records the sockets that it sees, too. In other
// directories it looks for sockets alone.
func (h *Facts) findHidden(p *policy.Policy, dir string, project bool) error {
	s := search{optional: true, sockets: !project}
	if project {
		s.guarding = newGuarding(&p.Files, dir)
	}
	for _, entry := range p.Files.Hide {
		if !project {
			break
		}
		pat := policy.ParsePath(entry)
		switch {
		case strings.HasPrefix(pat.Name, "/"):
		case strings.HasPrefix(pat.Name, "**/"):
			s.deep = append(s.deep, newPattern(strings.TrimPrefix(pat.Name, "**/")))
			s.optional = s.optional && pat.Optional
		default:
			s.top = append(s.top, newPattern(pat.Name))
		}
	}
	linked, began := h.linked(p), time.Now()
	if len(s.top) > 0 || s.recursive() || s.guarding.on {
		if err := h.scanTree(&s, dir); err != nil {
			return err
		}
	}
	if s.guarding.on {
		if err := s.guarding.follow(dir, h.home); err != nil {
			return err
		}
		h.Guarded = append(h.Guarded, s.guarding.list...)
		h.GuardedLinks = append(h.GuardedLinks, s.guarding.loose...)
		h.guardings = append(h.guardings, guardedProject{dir, began, s.guarding})
	}
	// Another hard link is the same file under a name that no pattern matches.
	maps.Copy(linked, s.linked)
	if len(linked) == 0 || !project {
		return nil
	}
	return h.scanTree(&search{names: linked, optional: true}, dir)
}

// linked are the inodes that the policy hides by path and that have other hard links.
func (h *Facts) linked(p *policy.Policy) map[uint64]ns.ID {
	list := make(map[uint64]ns.ID)
	for _, s := range p.Files.Hide {
		if f := h.Files[policy.ParsePath(s).Name]; f.Mode == unix.S_IFREG && f.Links > 1 {
			list[f.Ino] = ns.ID{Major: f.Major, Minor: f.Minor, Ino: f.Ino}
		}
	}
	return list
}

// scanTree searches the directory and records what it finds.
func (h *Facts) scanTree(s *search, dir string) error {
	// A file that is renamed during the search might be seen under no name, or a link
	// in its old place might be masked instead of it. Then it is searched once more.
	until := time.Now().Add(moving)
	first := *s
	err := s.walk(dir)
	for errors.Is(err, errMoved) && time.Now().Before(until) {
		*s = first
		err = s.walk(dir)
	}
	if s.sockets && errors.Is(err, errMoved) {
		s.cut, err = true, nil // the plan has a note, as for a directory that is too large
	}
	h.Found = append(h.Found, s.found...)
	h.Sockets = append(h.Sockets, s.live...)
	if s.cut {
		h.SearchTruncatedAt = dir
	}
	return err
}

// walk searches the project directory by directory, the upper ones first, so that what
// lies beyond the limit lies deep. The top directory is always read to its end.
func (s *search) walk(dir string) error {
	root, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err == unix.ENOTDIR {
		return nil // it is a single file, shown by name
	}
	if err == unix.EACCES && s.sockets {
		return s.maskUnread(unix.AT_FDCWD, "/", dir)
	}
	if err != nil {
		return fmt.Errorf("look for secrets to hide in %s: %w", text.Quote(dir), err)
	}
	defer unix.Close(root)
	buf := make([]byte, 16384)
	for queue := []string{"."}; len(queue) > 0; queue = queue[1:] {
		rel := queue[0]
		// No link is followed: processes may be changing the project meanwhile.
		how := unix.OpenHow{Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC,
			Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS}
		fd, err := unix.Openat2(root, rel, &how)
		switch err {
		case unix.EACCES:
			if err = s.maskUnread(root, dir, rel); err == nil {
				continue
			}
		case unix.ENOENT, unix.ENOTDIR, unix.ELOOP:
			err = errMoved
		}
		var below []string
		if err == unix.ENAMETOOLONG {
			s.cut, err = true, nil
		} else if err == nil {
			below, err = s.directory(fd, dir, rel, buf)
			unix.Close(fd)
			if err == unix.EACCES {
				err = s.maskUnread(root, dir, rel)
			}
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

// maskUnread hides a directory that cannot be searched, if it belongs to the caller: the
// target could make it readable. One of another user's it cannot read either.
func (s *search) maskUnread(root int, dir, rel string) error {
	var st unix.Stat_t
	switch err := unix.Fstatat(root, rel, &st, unix.AT_SYMLINK_NOFOLLOW); {
	case err == unix.EACCES:
		return nil // so is the directory above it, and that is hidden
	case err != nil:
		return errMoved
	case s.sockets:
		// Those in it could be called by their names.
		if int(st.Uid) == unix.Geteuid() || unix.Faccessat(root, rel, unix.X_OK, 0) == nil {
			s.live = append(s.live, Found{Path: path.Join(dir, rel), Dir: true, ID: identity(&st)})
		}
	case int(st.Uid) == unix.Geteuid() && s.names == nil:
		s.found = append(s.found, Found{Path: path.Join(dir, rel), Dir: true, ID: identity(&st), Unread: true})
	}
	return nil
}

// directory searches one directory and returns the directories in it.
func (s *search) directory(fd int, dir, rel string, buf []byte) (below []string, err error) {
	var before, after unix.Stat_t
	if err := unix.Fstat(fd, &before); err != nil {
		return nil, err
	}
	if rel != "." && before.Mode&0o111 != 0o111 && unix.Fstatat(fd, ".", &after, 0) == unix.EACCES {
		return nil, unix.EACCES // its names can be read, and nothing of what they are
	}
	if s.guarding.on {
		s.guarding.enter(rel, &before)
		defer func() {
			if err == nil {
				s.guarding.leave(dir, rel, &before)
			}
		}()
	}
	for reads := 0; ; reads++ {
		n, err := unix.ReadDirent(fd, buf)
		if err != nil || n == 0 {
			// A single read sees all names of one moment. Over several reads one may be missed.
			// The times tell that the directory has changed, except within one tick before
			// Linux 6.13.
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

// visit looks at one entry of the directory fd, which is rel below dir. It says whether
// the search goes on below the entry.
func (s *search) visit(fd int, dir, rel string, e entry) (descend bool, err error) {
	if e.kind == unix.DT_UNKNOWN { // the file system does not tell
		var st unix.Stat_t
		if unix.Fstatat(fd, e.name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
			return false, errMoved
		}
		e.kind = uint8(st.Mode & unix.S_IFMT >> 12)
	}
	hit := rel == "." && named(s.top, e.name) || named(s.deep, e.name) ||
		e.kind == unix.DT_REG && s.names[e.ino].Ino == e.ino
	if s.guarding.on {
		if err := s.guarding.visit(fd, dir, rel, e, hit); err != nil {
			return false, err
		}
	}
	var st unix.Stat_t
	switch {
	case hit && e.kind == unix.DT_LNK:
		s.link(fd, dir, e.name)
	case hit:
		if unix.Fstatat(fd, e.name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil || uint8(st.Mode&unix.S_IFMT>>12) != e.kind {
			return false, errMoved
		}
		if s.names == nil || s.names[e.ino] == identity(&st) { // else it has that number on another device
			s.record(path.Join(dir, rel, e.name), &st)
		}
	case e.kind == unix.DT_SOCK && s.names == nil:
		if unix.Fstatat(fd, e.name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil || st.Mode&unix.S_IFMT != unix.S_IFSOCK {
			return false, errMoved
		}
		s.live = append(s.live, Found{Path: path.Join(dir, rel, e.name), ID: identity(&st)})
	case e.kind == unix.DT_DIR:
		return s.recursive() && !s.cut && !(s.sockets && software(path.Join(dir, rel, e.name))), nil
	}
	return false, nil
}

// link hides the file that a link with a secret's name leads to, if that lies in the
// project. Files elsewhere are shown, or not, under their own names.
func (s *search) link(fd int, dir, name string) {
	to, err := unix.Openat(fd, name, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return // it is a dangling link
	}
	defer unix.Close(to)
	var st unix.Stat_t
	real, err := readlink("/proc/self/fd/" + strconv.Itoa(to))
	if err == nil && unix.Fstat(to, &st) == nil && real != dir && policy.Within(real, dir) {
		s.record(real, &st)
	}
}

// record adds a found file.
func (s *search) record(name string, st *unix.Stat_t) {
	s.found = append(s.found, Found{Path: name, Dir: st.Mode&unix.S_IFMT == unix.S_IFDIR, ID: identity(st)})
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

// entry is a directory entry: its name, its DT_* kind, and its inode number.
type entry struct {
	name string
	kind uint8
	ino  uint64
}

// dirent cuts the first struct linux_dirent64 off b; see getdents64(2).
func dirent(b []byte) (e entry, rest []byte) {
	const recLen, typeAt, nameAt = 16, 18, 19
	n := int(b[recLen]) | int(b[recLen+1])<<8
	name := b[nameAt:n]
	if end := bytes.IndexByte(name, 0); end >= 0 {
		name = name[:end]
	}
	return entry{string(name), b[typeAt], binary.NativeEndian.Uint64(b)}, b[n:]
}

// pattern is a pattern of path.Match. Most have no more than one star, at one end. These
// are compared without path.Match, because there may be many names.
type pattern struct {
	text, prefix, suffix string
	general              bool
}

func newPattern(text string) pattern {
	p := pattern{text: text}
	var star bool
	p.prefix, p.suffix, star = strings.Cut(text, "*")
	p.general = strings.ContainsAny(text, `?[\`) || strings.Contains(p.suffix, "*") ||
		star && p.prefix != "" && p.suffix != ""
	return p
}

func (p pattern) matches(name string) bool {
	switch {
	case p.general:
		ok, err := path.Match(p.text, name)
		return ok || err != nil // a bad pattern hides too many files rather than too few
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
