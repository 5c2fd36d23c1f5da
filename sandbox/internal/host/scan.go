package host

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"sbx/internal/text"
	"sbx/ns"
)

const (
	// moving is for how long directories are read again and again while names in them
	// change.
	moving = 2 * time.Second
	// aging is for how long, before Linux 6.13, those are read again that have changed
	// within a tick before: what changes after it within that tick leaves the same time.
	aging = 200 * time.Millisecond
)

// errMoved says that until then names changed all the time.
var errMoved = errors.New("files are made, renamed or removed there all the time")

// look says what is looked for in a directory and below it.
type look uint8

const (
	forSecrets look = 1 << iota
	forGuarded
	forSockets
	forLinks // other hard links of certain files
	asHeld   // it is guarded, with all that is in it
	asShown  // the policy shows it whatever is in it
	asTree   // it is a tree of packages, or lies in one
)

// state is how far a directory has been read.
type state uint8

const (
	pending state = iota
	complete
	unread     // its mode denies it
	unfinished // it is beyond the limit
	gone       // there was none, or it changed under the eyes of the search
)

// scanned is a directory and what was found in it.
type scanned struct {
	rel   string
	look  look
	state state
	// id and ctim are from before it was read: no name comes to be in it, or goes,
	// without its change time.
	id   ns.ID
	ctim unix.Timespec
	// young says that its times may be those of a change after it was read.
	young bool
	// settled says that it had not changed for long, so it can be remembered: the names that
	// mattered, and whether more than names and kinds was looked at.
	settled bool
	names   []byte
	wants   bool
	// again says that it was not as it was read, or not as it is remembered.
	again bool
	// own says that it is the caller's, enters that he may pass through it.
	own, enters bool
	entries     int // but 0 for the project's top, which is read to its end in any case
	found, live []Found
	marks       []mark
	links       []string // links in what is guarded
	shape       uint8    // the parts of a repository that it has
	below       []*scanned
	dropped     bool
}

// mark is an entry at a guarded name.
type mark struct {
	name   string
	st     unix.Stat_t
	hidden bool
}

// scan reads a project, by system calls, because package os would set up the runtime's
// poller for that, at every launch. It keeps what it found by directory, so that those
// alone are read again in which something has changed.
type scan struct {
	dir      string
	limit    int
	look     look
	deep     bool // the directories below are searched, too
	rules    *rules
	guarding guarding
	links    map[ns.ID]string

	root  int
	top   *scanned
	seen  int // names in what was read to its end
	spent int // names that were read
	sizes int64
	buf   []byte
	many  int   // of so many directories some are read ahead; 0: of manyDirs
	ticks uint8 // 2: see coarse; 1: not so; 0: not known yet
	now   time.Time

	single reading

	memory *memory
	// Of the last entry: touched says that by its name and kind it matters, wants that the file
	// was looked at.
	touched, wants bool
}

// run searches the project until, at one moment, all of it was as it was read: then no
// name can have been missed that was moved meanwhile, and none seen twice.
func (s *scan) run() error {
	root, err := unix.Open(s.dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err == unix.ENOTDIR {
		return nil // it is a single file, shown by name
	}
	s.top = &scanned{rel: ".", look: s.look}
	if err == unix.EACCES && s.look == forSockets {
		s.root = unix.AT_FDCWD
		var st unix.Stat_t
		if err = unix.Stat(s.dir, &st); err == nil {
			s.top.state, s.top.id = unread, identity(&st)
			s.top.own, s.top.enters = int(st.Uid) == unix.Geteuid(), unix.Access(s.dir, unix.X_OK) == nil
			return nil
		}
	}
	if err != nil {
		return s.failed(".", err)
	}
	defer unix.Close(root)
	s.root = root
	if s.buf == nil {
		s.buf = make([]byte, 1<<16)
	}
	if err := s.walk(s.top); err != nil {
		return err
	}
	for began := s.now; ; {
		passed := time.Since(began)
		changed := s.changed(passed < aging)
		if len(changed) == 0 {
			return nil
		}
		if passed > moving {
			if s.look == forSockets {
				changed[0].state = unfinished // the plan has a note, as for a directory that is too large
				return nil
			}
			return s.failed(changed[0].rel, errMoved)
		}
		s.spent = s.seen
		for _, d := range changed {
			d.again = true
		}
		if err := s.walk(changed...); err != nil {
			return err
		}
	}
}

func (s *scan) failed(rel string, err error) error {
	return fmt.Errorf("look for secrets to hide in %s: %w", text.Quote(path.Join(s.dir, rel)), err)
}

// all are the directories that there are, the upper ones first.
func (s *scan) all() (list []*scanned) {
	if s.top != nil {
		list = append(list, s.top)
	}
	for i := 0; i < len(list); i++ {
		list = append(list, list[i].below...)
	}
	return list
}

// coarse says whether times change by ticks only, not with each look at them.
func (s *scan) coarse() bool {
	if s.ticks == 0 {
		if s.ticks = 1; !kernelFrom(6, 13) {
			s.ticks = 2
		}
	}
	return s.ticks == 2
}

// changed are the directories that are no longer as they were read, or with young may not
// be.
func (s *scan) changed(young bool) (list []*scanned) {
	all := s.all()
	young = young && slices.ContainsFunc(all, func(d *scanned) bool { return d.young }) && s.coarse()
	moved := func(dirs []*scanned) (list []*scanned) {
		for _, d := range dirs {
			var st unix.Stat_t
			if d.state == gone || young && d.young || unix.Fstatat(s.root, d.rel, &st, unix.AT_SYMLINK_NOFOLLOW) != nil ||
				identity(&st) != d.id || st.Ctim != d.ctim {
				list = append(list, d)
			}
		}
		return list
	}
	return inHalves(all, moved)
}

// walk reads directories and those in them that are not known yet: the upper ones first,
// so that what lies beyond the limit lies deep, and last those without secrets.
func (s *scan) walk(dirs ...*scanned) error {
	s.now = time.Now() // of the earliest of what is read
	q := queue{root: s.root, memory: s.memory, many: manyDirs, dirs: slices.Clone(dirs)}
	if s.many > 0 {
		q.many = s.many
	}
	defer q.end()
	for {
		d, r := q.next()
		if d == nil {
			return nil
		}
		if d.dropped {
			if r != nil {
				r.close()
			}
			continue
		}
		if err := s.read(d, r); err != nil {
			return s.failed(d.rel, err)
		}
		for _, b := range d.below {
			if b.state == pending {
				q.add(b, b.look&forSecrets == 0 && s.look&forSecrets != 0)
			}
		}
		if s.spent >= fewNames || len(q.dirs) >= manyDirs {
			s.memory.recall()
		}
	}
}

// forget takes a directory out that is no longer there.
func (s *scan) forget(d *scanned) {
	s.seen -= d.entries
	d.dropped = true
	for _, b := range d.below {
		s.forget(b)
	}
}

// read reads one directory, maybe again. What was read of it already it closes.
func (s *scan) read(d *scanned, r *reading) error {
	known := make(map[string]*scanned, len(d.below))
	for _, b := range d.below {
		known[b.rel] = b
	}
	s.seen -= d.entries
	*d = scanned{rel: d.rel, look: d.look, again: d.again}
	if err := s.open(d, r); err != nil {
		return err
	}
	if d.state != complete {
		*d = scanned{rel: d.rel, look: d.look, state: d.state, id: d.id, ctim: d.ctim, young: d.young,
			own: d.own, enters: d.enters}
	}
	s.seen += d.entries
	for i, b := range d.below {
		if d.shape == isRepo && d.look&(forGuarded|asHeld) == forGuarded && d.rel != "." &&
			!slices.Contains(s.guarding.open, d.rel) {
			b.look |= asHeld // it is a repository without a work tree
		}
		if k := known[b.rel]; k != nil && k.look == b.look {
			d.below[i] = k
			delete(known, b.rel)
		}
	}
	for _, k := range known {
		s.forget(k)
	}
	return nil
}

// open opens the directory, unless that is done already, and reads it.
func (s *scan) open(d *scanned, r *reading) error {
	beyond := s.spent > 2*s.limit && d.rel != "."
	if r == nil {
		r = &s.single
		r.buf = s.buf
		r.open(s.root, d, s.memory, !beyond)
	}
	switch r.openErr {
	case nil:
	case unix.EACCES:
		return s.deny(d)
	case unix.ENOENT, unix.ENOTDIR, unix.ELOOP, unix.EAGAIN:
		d.state = gone
		return nil
	default:
		return r.openErr
	}
	defer r.close()
	d.id, d.ctim = identity(&r.st), r.st.Ctim
	age := s.now.Sub(time.Unix(r.st.Ctim.Unix()))
	d.young, d.settled = age < tick, s.memory.keeps(age)
	if r.recalled {
		d.names, d.wants = r.names, r.fd >= 0
	}
	if beyond {
		d.state = unfinished
		return nil
	}
	var in unix.Stat_t
	if d.rel != "." && r.st.Mode&0o111 != 0o111 && unix.Fstatat(r.fd, ".", &in, 0) == unix.EACCES {
		return s.deny(d) // its names can be read, and nothing of what they are
	}
	for ; ; r.next() {
		switch {
		case r.err == unix.ENOENT: // it was removed
			d.state = gone
			return nil
		case r.err == unix.EACCES:
			return s.deny(d)
		case r.err != nil:
			return r.err
		}
		if err := s.judge(d, r); err != nil || d.state != pending {
			return err
		}
		if r.end {
			d.state = complete
			return nil
		}
	}
}

// judge looks at the names that were read of a directory.
func (s *scan) judge(d *scanned, r *reading) error {
	for b := r.names; len(b) > 0; {
		var e rawEntry
		if e, b = rawDirent(b); e.dots() {
			continue
		}
		if d.rel != "." {
			d.entries++
			s.spent++
			if s.seen+d.entries > s.limit || s.spent > 2*s.limit {
				d.state = unfinished
				return nil
			}
		}
		if err := s.entry(d, r.fd, e); err != nil || d.state != pending {
			return err
		}
		if s.memory == nil || r.recalled {
			continue
		}
		d.wants = d.wants || s.wants
		if s.memory.fresh++; s.touched {
			d.names = appendDirent(d.names, e)
		}
	}
	if r.recalled && d.rel != "." {
		// The others count, too.
		s.spent += r.entries - d.entries
		if d.entries = r.entries; s.seen+d.entries > s.limit || s.spent > 2*s.limit {
			d.state = unfinished
		}
	}
	return nil
}

// deny notes that the directory cannot be read.
func (s *scan) deny(d *scanned) error {
	var st unix.Stat_t
	if unix.Fstatat(s.root, d.rel, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
		d.state = gone // or the directory above it cannot be read any more
		return nil
	}
	if d.rel == "." && s.look != forSockets {
		return unix.EACCES
	}
	d.state, d.id, d.ctim = unread, identity(&st), st.Ctim
	d.own = int(st.Uid) == unix.Geteuid()
	d.enters = unix.Faccessat(s.root, d.rel, unix.X_OK, 0) == nil
	return nil
}
