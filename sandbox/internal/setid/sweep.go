package setid

import (
	"path"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"sbx/internal/text"
)

// Dir is a directory of the host in which a target could make files. FD is any
// descriptor of it.
type Dir struct {
	Path string
	FD   int
}

// tick is how long a file system's clock can stand still.
const tick = 20 * time.Millisecond

// patience is how long Sweep looks. What is left then is empty: whoever writes to
// a set-id file, or makes it longer, takes the bits from it, but for a process with
// CAP_FSETID, and openat2(2) makes none but empty ones.
const patience = 20 * time.Second

// Sweep looks for set-id files of the caller's that have come to be in the
// directories since then, takes the bits from them, and says what it found and
// could not look at, for people. Nothing of the target may be running any more. It
// follows no link, and does everything by descriptors.
//
// Files are looked at only in directories that have changed since then: a file
// cannot come to be in a directory, or be moved there, without that.
func Sweep(dirs []Dir, since time.Time) []string {
	s := &sweep{since: since.Add(-tick), user: uint32(unix.Geteuid()), until: time.Now().Add(patience)}
	for _, d := range dirs {
		s.tree(d)
	}
	var notes []string
	if s.count > 0 {
		notes = append(notes, "took the set-id bits from "+files(s.count)+" that the target has made: "+list(s.found,
			s.count))
	}
	if s.unread > 0 {
		notes = append(notes, "could not look for set-id files in "+directories(s.unread)+
			"; one that is there is empty: "+list(s.missed, s.unread))
	}
	return notes
}

type sweep struct {
	since, until  time.Time
	user          uint32
	stack         []frame
	found, missed []string // some of them
	count, unread int
	late          bool   // the time is over
	device        uint64 // the file system that was looked at last
	skip          bool   // that it has no files that a target makes
}

// frame is a directory on the way down.
type frame struct {
	name     string
	dev, ino uint64
	// mode is what the directory gets back when all is seen, if changed.
	mode    uint32
	changed bool
	below   []string // directories that are still to be looked at
}

// tree looks through a directory and all below it. It holds one descriptor however
// deep it is: on the way up, ".." must be where it came from.
func (s *sweep) tree(d Dir) {
	s.stack = s.stack[:0]
	fd, err := s.enter(d.FD, d.Path)
	if err != nil {
		s.miss(d.Path)
		return
	}
	for {
		f := &s.stack[len(s.stack)-1]
		if len(f.below) > 0 && !s.late {
			s.late = time.Now().After(s.until)
		}
		if s.late && len(f.below) > 0 {
			s.miss("")
			f.below = nil
		}
		if n := len(f.below); n > 0 {
			name := f.below[n-1]
			f.below = f.below[:n-1]
			at, err := unix.Openat(fd, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
			if err == unix.ENOENT || err == unix.ENOTDIR || err == unix.ELOOP {
				continue // it is gone
			}
			next := -1
			if err == nil {
				next, err = s.enter(at, name)
				unix.Close(at)
			}
			if err != nil {
				s.closed(fd, name, err)
				continue
			}
			unix.Close(fd)
			fd = next
			continue
		}
		up := -1
		if len(s.stack) > 1 {
			up = s.up(fd)
		}
		if f.changed {
			if err := chmod(fd, f.mode); err != nil {
				s.miss("")
			}
		}
		unix.Close(fd)
		if fd = up; fd < 0 {
			return
		}
		s.stack = s.stack[:len(s.stack)-1]
	}
}

// closed notes a directory that cannot be read, if files can be made in it.
func (s *sweep) closed(dir int, name string, err error) {
	if err == unix.EACCES && unix.Faccessat(dir, name, unix.W_OK|unix.X_OK, unix.AT_EACCESS) == unix.EACCES {
		return
	}
	s.miss(name)
}

// up opens the directory above. If somebody has moved the one below meanwhile, what
// is left to be looked at is named, and it is -1.
func (s *sweep) up(fd int) int {
	next, err := unix.Openat(fd, "..", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	over := s.stack[len(s.stack)-2]
	var st unix.Stat_t
	if err == nil && unix.Fstat(next, &st) == nil && st.Dev == over.dev && st.Ino == over.ino {
		return next
	}
	if err == nil {
		unix.Close(next)
	}
	for ; len(s.stack) > 1; s.stack = s.stack[:len(s.stack)-1] {
		if n := len(s.stack); len(s.stack[n-2].below) > 0 {
			s.stack = s.stack[:n-1]
			s.miss("")
			s.stack = s.stack[:n]
		}
	}
	return -1
}

// enter opens a directory for reading, puts it on the stack, and looks at what is in
// it. at is a descriptor of it with O_PATH. Where its owner may not read and search
// it, the owner gets these rights until all below it is seen.
func (s *sweep) enter(at int, name string) (int, error) {
	f := frame{name: name}
	var st unix.Stat_t
	if err := unix.Fstat(at, &st); err != nil {
		return -1, err
	}
	f.dev, f.ino, f.mode = st.Dev, st.Ino, st.Mode&0o7777
	const rights = 0o500
	if st.Uid == s.user && st.Mode&rights != rights {
		if err := chmod(at, f.mode|rights); err != nil {
			return -1, err
		}
		f.changed = true
	}
	fd, err := unix.Openat(at, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		if f.changed {
			if e := chmod(at, f.mode); e != nil {
				return -1, e
			}
		}
		return -1, err
	}
	s.stack = append(s.stack, f)
	below, err := s.read(fd, &st)
	if err != nil {
		s.miss("")
	}
	s.stack[len(s.stack)-1].below = below
	return fd, nil
}

// path is the path of a name in the directory at hand, or its end, for messages.
func (s *sweep) path(name string) string {
	const most = 64
	var parts []string
	from := max(0, len(s.stack)-most)
	if from > 0 {
		parts = append(parts, "...")
	}
	for _, f := range s.stack[from:] {
		parts = append(parts, f.name)
	}
	const bytes = 1024
	at := path.Join(append(parts, name)...)
	if len(at) > bytes {
		at = "..." + at[len(at)-bytes:]
	}
	return at
}

func chmod(fd int, mode uint32) error {
	return unix.Fchmodat(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(fd), mode, 0)
}

// read lists the directories in a directory, and looks at the files in it if it has
// changed.
func (s *sweep) read(fd int, st *unix.Stat_t) (below []string, err error) {
	if s.pseudo(fd, st.Dev) {
		return nil, nil
	}
	changed := !time.Unix(st.Ctim.Unix()).Before(s.since)
	buf := make([]byte, 32768)
	for {
		n, err := unix.ReadDirent(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return below, err
		}
		for b := buf[:n]; len(b) > 0; {
			var kind uint8
			var name string
			kind, name, b = dirent(b)
			if kind == unix.DT_UNKNOWN && unix.Fstatat(fd, name, st, unix.AT_SYMLINK_NOFOLLOW) == nil {
				kind = uint8(st.Mode & unix.S_IFMT >> 12)
			}
			switch {
			case kind == unix.DT_DIR:
				below = append(below, name)
			case kind == unix.DT_REG && changed:
				s.file(fd, name)
			}
		}
	}
}

// dirent takes one entry from the front of what getdents64(2) has given: its type
// and its name, which is no kind for "." and "..".
func dirent(b []byte) (kind uint8, name string, rest []byte) {
	const header = 19
	size := int(b[16]) | int(b[17])<<8 // little-endian, as all that sbx is built for
	kind, name = b[18], string(b[header:size])
	if end := strings.IndexByte(name, 0); end >= 0 {
		name = name[:end]
	}
	if name == "." || name == ".." {
		kind = unix.DT_LNK
	}
	return kind, name, b[size:]
}

// pseudo says that a file system has nothing but the kernel's own files.
func (s *sweep) pseudo(fd int, device uint64) bool {
	if device == s.device && s.device != 0 {
		return s.skip
	}
	s.device, s.skip = device, false
	var st unix.Statfs_t
	if unix.Fstatfs(fd, &st) == nil {
		switch st.Type {
		case unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.CGROUP2_SUPER_MAGIC, unix.CGROUP_SUPER_MAGIC,
			unix.DEVPTS_SUPER_MAGIC, unix.TRACEFS_MAGIC, unix.DEBUGFS_MAGIC, unix.SECURITYFS_MAGIC:
			s.skip = true
		}
	}
	return s.skip
}

// file takes the bits from a file, if it has them and is new.
func (s *sweep) file(dir int, name string) {
	var st unix.Statx_t
	const want = unix.STATX_BASIC_STATS | unix.STATX_BTIME
	bad := func() bool {
		born := st.Ctime
		if st.Mask&unix.STATX_BTIME != 0 {
			born = st.Btime
		}
		return st.Mode&unix.S_IFMT == unix.S_IFREG && st.Mode&(unix.S_ISUID|unix.S_ISGID) != 0 && st.Uid == s.user &&
			!time.Unix(born.Sec, int64(born.Nsec)).Before(s.since)
	}
	if unix.Statx(dir, name, unix.AT_SYMLINK_NOFOLLOW, want, &st) != nil || !bad() {
		return
	}
	fd, err := unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		s.miss(name)
		return
	}
	defer unix.Close(fd)
	if unix.Statx(fd, "", unix.AT_EMPTY_PATH, want, &st) != nil || !bad() {
		return
	}
	if err := chmod(fd, uint32(st.Mode)&0o1777); err != nil {
		s.miss(name)
		return
	}
	if s.count++; len(s.found) < some {
		s.found = append(s.found, s.path(name))
	}
}

// some is how many paths a note names.
const some = 5

// miss notes what could not be looked at: a name in the directory at hand, or the
// directory itself for "".
func (s *sweep) miss(name string) {
	if s.unread++; len(s.missed) < some {
		s.missed = append(s.missed, s.path(name))
	}
}

func list(names []string, count int) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = text.Quote(n)
	}
	out := strings.Join(quoted, ", ")
	if more := count - len(names); more > 0 {
		out += " and " + strconv.Itoa(more) + " more"
	}
	return out
}

func files(n int) string {
	if n == 1 {
		return "1 file"
	}
	return strconv.Itoa(n) + " files"
}

func directories(n int) string {
	if n == 1 {
		return "1 place"
	}
	return strconv.Itoa(n) + " places"
}
