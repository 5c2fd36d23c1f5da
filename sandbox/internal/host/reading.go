package host

import (
	"runtime"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// In a large project most of the time goes by in the kernel, which reads directories. So
// two threads read there, a batch of directories ahead of what is judged. What is judged,
// and in which order, does not depend on it.
const (
	batchSize = 16
	// manyDirs is how many directories must wait to be read before a second thread does.
	manyDirs = 4 * batchSize
	// fewFiles is a limit of open files under which none is opened ahead.
	fewFiles = 256
	// bufferSize is for the names of one directory, of which each takes up to nameSize.
	bufferSize, nameSize = 1 << 16, 1 << 9
)

// reading is a directory that is open, and its next names.
type reading struct {
	buf   []byte
	fd    int // valid if there is no openErr, but -1 where it was not needed
	st    unix.Stat_t
	names []byte // struct linux_dirent64 of each, in buf or remembered
	end   bool   // there are no more
	// recalled says that the names are those that mattered the last time, of so many entries.
	recalled bool
	entries  int
	// openErr is of opening it, err of reading it.
	openErr, err error
}

// open opens a directory of the project; with names it reads its first ones, or takes those
// that are remembered. What its Stat_t says is from before.
func (r *reading) open(root int, d *scanned, m *memory, names bool) {
	// No link is followed: processes may be changing the project meanwhile.
	how := unix.OpenHow{Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS}
	if !names {
		how.Flags = unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC
	}
	r.names, r.end, r.recalled, r.openErr, r.err = nil, false, false, nil, nil
	was, remembered := m.of(d)
	if names && remembered && !was.wants {
		// It need not be open. That it is as it was is seen at the end, as of all.
		r.fd, r.st = -1, was.stat()
		r.recall(&was)
		return
	}
	if r.fd, r.openErr = unix.Openat2(root, d.rel, &how); r.openErr != nil {
		return
	}
	if r.openErr = unix.Fstat(r.fd, &r.st); r.openErr != nil {
		unix.Close(r.fd)
		return
	}
	if names && r.st.Size >= largeDir {
		m.recall()
		was, remembered = m.of(d)
	}
	switch {
	case !names:
	case remembered && was.id == identity(&r.st) && was.ctim == r.st.Ctim:
		r.recall(&was)
	default:
		r.next()
	}
}

// recall takes the names that are remembered.
func (r *reading) recall(d *memorized) {
	r.names, r.end, r.recalled, r.entries = d.names, true, true, d.entries
}

// next reads as many of the next names as there is room for.
func (r *reading) next() {
	n := 0
	for !r.end && (n == 0 || len(r.buf)-n >= nameSize) {
		var got int
		if got, r.err = unix.ReadDirent(r.fd, r.buf[n:]); r.err != nil {
			return
		}
		n += got
		r.end = got == 0
	}
	r.names = r.buf[:n]
}

func (r *reading) close() {
	if r.openErr == nil && r.fd >= 0 {
		unix.Close(r.fd)
	}
}

// batch is a number of directories that two threads read.
type batch struct {
	dirs          []*scanned
	asked         []scanned // what dirs were, which may be changed meanwhile
	memory        *memory   // that is not changed any more
	readings      []reading
	done          [batchSize]atomic.Bool
	claimed, read atomic.Int32
	ready         chan struct{} // closed when all are done
}

// one reads a directory that nobody has begun to read, if there is one.
func (b *batch) one(root int) bool {
	i := int(b.claimed.Add(1)) - 1
	if i >= len(b.asked) {
		return false
	}
	b.readings[i].open(root, &b.asked[i], b.memory, true)
	b.done[i].Store(true)
	if int(b.read.Add(1)) == len(b.asked) {
		close(b.ready)
	}
	return true
}

// queue are the directories that are to be read, in order.
type queue struct {
	root        int
	memory      *memory
	many        int // of so many it reads ahead
	dirs, last  []*scanned
	now, coming *batch
	at          int // in now
	sent        int
	todo        chan *batch
	buffers     [2][]reading
}

// add appends a directory; with late it comes when all others have been read.
func (q *queue) add(d *scanned, late bool) {
	if late {
		q.last = append(q.last, d)
		return
	}
	q.dirs = append(q.dirs, d)
}

// next is the next directory, and what was read of it already, if anything was. It is nil
// when there is none.
func (q *queue) next() (*scanned, *reading) {
	if q.now == nil || q.at == len(q.now.dirs) {
		if len(q.dirs) == 0 && q.coming == nil {
			q.dirs, q.last = q.last, nil
		}
		q.now, q.coming, q.at = q.coming, nil, 0
		if q.now == nil && len(q.dirs) > 0 && q.memory.spares(q.dirs[0]) {
			d := q.dirs[0]
			q.dirs = q.dirs[1:]
			return d, nil // there is nothing to read ahead
		}
		if q.now == nil && len(q.dirs) >= q.many && q.help() {
			q.now = q.send()
		}
		if q.now != nil && len(q.dirs) > 0 {
			q.coming = q.send()
		}
	}
	if q.now == nil {
		if len(q.dirs) == 0 {
			return nil, nil
		}
		d := q.dirs[0]
		q.dirs = q.dirs[1:]
		return d, nil
	}
	for !q.now.done[q.at].Load() {
		if !q.now.one(q.root) && (q.coming == nil || !q.coming.one(q.root)) {
			<-q.now.ready
		}
	}
	q.at++
	return q.now.dirs[q.at-1], &q.now.readings[q.at-1]
}

// help starts the second thread, where it helps.
func (q *queue) help() bool {
	var files unix.Rlimit
	if q.todo != nil {
		return true
	}
	if runtime.GOMAXPROCS(0) < 2 || unix.Getrlimit(unix.RLIMIT_NOFILE, &files) != nil || files.Cur < fewFiles {
		q.many = int(^uint(0) >> 1)
		return false
	}
	room := make([]byte, 2*batchSize*bufferSize)
	for i := range q.buffers {
		q.buffers[i] = make([]reading, batchSize)
		for j := range q.buffers[i] {
			q.buffers[i][j].buf, room = room[:bufferSize:bufferSize], room[bufferSize:]
		}
	}
	q.todo = make(chan *batch, 2)
	go func(root int, todo <-chan *batch) {
		for b := range todo {
			for b.one(root) {
			}
		}
	}(q.root, q.todo)
	return true
}

// send makes a batch of the next directories, and has the second thread read them.
func (q *queue) send() *batch {
	n := min(batchSize, len(q.dirs))
	q.sent++
	b := &batch{dirs: q.dirs[:n:n], asked: make([]scanned, n), readings: q.buffers[q.sent%2][:n],
		ready: make(chan struct{})}
	if q.memory != nil && q.memory.asked {
		b.memory = q.memory
	}
	for i, d := range b.dirs {
		b.asked[i] = scanned{rel: d.rel, look: d.look, again: d.again}
	}
	q.dirs = q.dirs[n:]
	q.todo <- b
	return b
}

// end closes what was opened ahead and not taken.
func (q *queue) end() {
	if q.todo == nil {
		return
	}
	close(q.todo)
	for _, b := range [...]*batch{q.now, q.coming} {
		if b == nil {
			continue
		}
		for b.one(q.root) {
		}
		<-b.ready
		for i := range b.readings[q.at:] {
			b.readings[q.at+i].close()
		}
		q.at = 0
	}
}

// inHalves is what f gives for the list, of which it looks at both halves at the same time if it
// is long.
func inHalves[T any](list []T, f func([]T) []T) []T {
	if len(list) < manyDirs {
		return f(list)
	}
	first := make(chan []T)
	go func() { first <- f(list[:len(list)/2]) }()
	second := f(list[len(list)/2:])
	return append(<-first, second...)
}
