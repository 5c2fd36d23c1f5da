package review

import (
	"bytes"
	"encoding/json"
	"errors"

	"golang.org/x/sys/unix"
)

// The journal is a file of lines, each a change of the review itself. A line that was cut
// short is one that was not written.
type line struct {
	Keep    *keepLine  `json:"keep,omitempty"`
	Done    bool       `json:"done,omitempty"`
	Made    *madeLine  `json:"made,omitempty"`
	Mode    *modeLine  `json:"mode,omitempty"`
	Touched *touchLine `json:"touched,omitempty"`
	Busy    *busyLine  `json:"busy,omitempty"`
	Discard bool       `json:"discard,omitempty"`
}

// keepLine says that keeping begins.
type keepLine struct {
	Paths []Selected `json:"paths"`
	Force bool       `json:"force,omitempty"`
}

// madeLine is a directory that was made on the host, with what it is to be like in the
// end.
type madeLine struct {
	Root  int           `json:"root"`
	Path  []byte        `json:"path"`
	Ino   uint64        `json:"ino"`
	Mode  uint32        `json:"mode"`
	UID   uint32        `json:"uid"`
	GID   uint32        `json:"gid"`
	Atime unix.Timespec `json:"atime"`
	Mtime unix.Timespec `json:"mtime"`
}

// modeLine is the mode of an entry of the upper directory that was given another one, so
// that it can be read or written.
type modeLine struct {
	Root int    `json:"root"`
	Path []byte `json:"path"`
	Mode uint32 `json:"mode"`
}

// touchLine is the change time of a file of the host of which keeping took one of several
// names.
type touchLine struct {
	Root int           `json:"root"`
	Ino  uint64        `json:"ino"`
	Ctim unix.Timespec `json:"ctime"`
}

// busyLine is a path of the host that keeping takes away or changes in more than one step.
type busyLine struct {
	Root int    `json:"root"`
	Path []byte `json:"path"`
}

type modeKey struct {
	root int
	path string
}

type inoKey struct {
	root int
	ino  uint64
}

// journal is what all lines say.
type journal struct {
	pending    *keepLine
	discarding bool
	mades      map[modeKey]madeLine
	modes      map[modeKey]uint32
	touched    map[inoKey]unix.Timespec
	busy       map[modeKey]bool
}

func newJournal() journal {
	return journal{mades: map[modeKey]madeLine{}, modes: map[modeKey]uint32{}, touched: map[inoKey]unix.Timespec{},
		busy: map[modeKey]bool{}}
}

// Unfinished says that keeping or discarding was interrupted.
func (r *Review) Unfinished() bool { return r.journal.pending != nil || r.journal.discarding }

// made says that the host's directory was made by keeping.
func (j *journal) made(root int, rel string, st *unix.Stat_t) bool {
	m, ok := j.mades[modeKey{root, rel}]
	return ok && m.Ino == st.Ino
}

// own says that the change time of a host's file is the work of keeping.
func (j *journal) own(root int, rel string, st *unix.Stat_t) bool {
	at, ok := j.touched[inoKey{root, st.Ino}]
	return ok && at == st.Ctim
}

func (j *journal) take(l *line) {
	switch {
	case l.Keep != nil:
		j.pending = l.Keep
	case l.Done:
		j.pending, j.mades, j.busy = nil, map[modeKey]madeLine{}, map[modeKey]bool{}
	case l.Made != nil:
		j.mades[modeKey{l.Made.Root, string(l.Made.Path)}] = *l.Made
	case l.Mode != nil:
		j.modes[modeKey{l.Mode.Root, string(l.Mode.Path)}] = l.Mode.Mode
	case l.Touched != nil:
		j.touched[inoKey{l.Touched.Root, l.Touched.Ino}] = l.Touched.Ctim
	case l.Busy != nil:
		j.busy[modeKey{l.Busy.Root, string(l.Busy.Path)}] = true
	case l.Discard:
		j.discarding = true
	}
}

// readJournal reads what was noted before.
func (r *Review) readJournal() error {
	r.journal = newJournal()
	data, err := readFile(r.dir, journalName)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	for part := range bytes.Lines(data) {
		var l line
		if !bytes.HasSuffix(part, []byte("\n")) || json.Unmarshal(part, &l) != nil {
			continue
		}
		r.journal.take(&l)
	}
	return nil
}

// note writes a line to the journal.
func (r *Review) note(l line) error {
	data, err := json.Marshal(&l)
	if err != nil {
		return err
	}
	r.step("note")
	fd, err := openNew(r.dir, journalName, unix.O_WRONLY|unix.O_CREAT|unix.O_APPEND)
	if err != nil {
		return err
	}
	defer closeFD(fd)
	// A line that was cut short ends here.
	n, err := unix.Write(fd, append(append([]byte("\n"), data...), '\n'))
	if err == nil && n < len(data)+2 {
		err = unix.ENOSPC
	}
	if err != nil {
		return err
	}
	r.journal.take(&l)
	return nil
}

// step tells a test what is going to be changed.
func (r *Review) step(what string) {
	if r.fault != nil {
		r.fault(what)
	}
}
