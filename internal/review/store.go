package review

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"sbx/internal/text"
)

// dirName is the directory of reviews below sbx's state directory. newPrefix begins the
// name of a review that is being made there, and placePrefix that of a directory on another
// file system which has changes.
const (
	dirName     = "review"
	newPrefix   = ".new-"
	placePrefix = ".sbx-review-"
)

// Store is the directory that has the reviews of a user.
type Store struct {
	dir  int
	path string // as the kernel says it
}

// Review is one of them, locked by this process.
type Review struct {
	Record
	store *Store
	dir   int
	lock  int
	// Obeyed says whether other programs run or obey what has that path below a root, by
	// themselves; nil: that is not known.
	Obeyed func(root *Root, rel string, dir bool) bool
	// Journal is what was read of it.
	journal journal
	// fault is called before each change, with what it is; tests end there.
	fault func(string)
	// noExchange is for tests of file systems that cannot exchange two names.
	noExchange bool
}

// Open opens the reviews below sbx's state directory. It makes their directory if it is
// to; else a missing one is an error, unix.ENOENT.
func Open(state int, create bool) (*Store, error) {
	fd, err := openAt(state, dirName, unix.O_RDONLY|unix.O_DIRECTORY)
	if create && errors.Is(err, unix.ENOENT) {
		if err := unix.Mkdirat(state, dirName, 0o700); err != nil && !errors.Is(err, unix.EEXIST) {
			return nil, err
		}
		fd, err = openAt(state, dirName, unix.O_RDONLY|unix.O_DIRECTORY)
	}
	if err != nil {
		return nil, err
	}
	if err := private(fd); err != nil {
		closeFD(fd)
		return nil, err
	}
	path, err := pathOf(fd)
	if err != nil {
		closeFD(fd)
		return nil, err
	}
	return &Store{fd, path}, nil
}

// Close lets go of it.
func (s *Store) Close() { closeFD(s.dir) }

// again is the same store, open once more: a review outlives the one that it was found in.
func (s *Store) again() (*Store, error) {
	fd, err := unix.FcntlInt(uintptr(s.dir), unix.F_DUPFD_CLOEXEC, 3)
	return &Store{fd, s.path}, err
}

// private is an error unless the directory is the caller's, and closed to all others.
func private(fd int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if int(st.Uid) != unix.Geteuid() || st.Mode&0o077 != 0 {
		return errors.New("its directory is not the caller's alone")
	}
	return nil
}

func pathOf(fd int) (string, error) {
	buf := make([]byte, 4096)
	n, err := unix.Readlink(byFDItself(fd), buf)
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}

// openPath opens a directory of the host by an absolute path without links. Mounts are
// entered.
func openPath(name string) (int, error) {
	return unix.Openat2(unix.AT_FDCWD, name, &unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC | unix.O_NOFOLLOW,
		Resolve: unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	})
}

func random(bytes int) string {
	b := make([]byte, bytes)
	rand.Read(b) //nolint:errcheck // it never fails, see its documentation
	return hex.EncodeToString(b)
}

// Summary is a review in the list.
type Summary struct {
	Record
	// Running says that its program has not ended.
	Running bool
	// Unfinished says that keeping or discarding was interrupted.
	Unfinished bool
	// Err is why it cannot be read.
	Err error
}

// List are all reviews, the oldest first.
func (s *Store) List() (list []Summary, err error) {
	all, err := names(s.dir)
	if err != nil {
		return nil, err
	}
	for _, id := range all {
		if strings.HasPrefix(id, ".") {
			continue
		}
		x := Summary{Record: Record{ID: id}}
		r, err := s.open(id, false)
		if errors.Is(err, errRunning) {
			x.Running = true
			r, err = s.open(id, true)
		}
		if err != nil {
			x.Err = err
		} else {
			x.Record, x.Unfinished = r.Record, r.Unfinished()
			r.Close()
		}
		list = append(list, x)
	}
	slices.SortStableFunc(list, func(a, b Summary) int { return a.Started.Compare(b.Started) })
	return list, nil
}

var errRunning = errors.New("its program is still running, or another sbx is at work on it")

// Find is the review whose ID begins so.
func (s *Store) Find(id string) (*Review, error) {
	all, err := names(s.dir)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, name := range all {
		if strings.HasPrefix(name, id) && name[0] != '.' && id != "" {
			found = append(found, name)
		}
	}
	switch {
	case len(found) == 0:
		return nil, refuse("sbx review list", "find review %s: there is none", text.Quote(id))
	case len(found) > 1 && !slices.Contains(found, id):
		return nil, refuse("sbx review list", "find review %s: %d begin so", text.Quote(id), len(found))
	case slices.Contains(found, id):
		found[0] = id
	}
	r, err := s.open(found[0], false)
	if err != nil {
		return nil, fmt.Errorf("open review %s: %w", text.Quote(found[0]), err)
	}
	return r, nil
}

// open opens a review, and locks it unless it is only looked at.
func (s *Store) open(id string, look bool) (*Review, error) {
	dir, err := openDir(s.dir, id)
	if err != nil {
		return nil, err
	}
	own, err := s.again()
	r := &Review{store: own, dir: dir, lock: -1}
	if err == nil {
		err = private(dir)
	}
	if err == nil && !look {
		err = r.take()
	}
	if err == nil {
		err = r.load()
	}
	if err == nil && r.ID != id {
		err = errors.New("its record is another's")
	}
	if err == nil {
		err = r.readJournal()
	}
	if err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// take locks the review.
func (r *Review) take() error {
	fd, err := openNew(r.dir, lockName, unix.O_RDWR|unix.O_CREAT)
	if err != nil {
		return err
	}
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		closeFD(fd)
		if errors.Is(err, unix.EWOULDBLOCK) {
			return errRunning
		}
		return err
	}
	r.lock = fd
	return nil
}

// Close lets go of the review. It stays for later.
func (r *Review) Close() {
	closeFD(r.lock)
	closeFD(r.dir)
	r.store.Close()
	r.lock, r.dir, r.store.dir = -1, -1, -1
}

// End notes that the program has ended with that status.
func (r *Review) End(status int) error {
	r.Ended, r.Status = true, status
	return r.save()
}

// Garbage removes what no review is any more: remains of ones that were being made,
// interrupted discards, and reviews without a change. It discards those that are older, if
// older is not 0. It says what it removed.
func (s *Store) Garbage(older time.Duration, say func(id, why string)) error {
	all, err := names(s.dir)
	if err != nil {
		return err
	}
	var failed []error
	for _, name := range all {
		why, err := s.garbage(name, older)
		if err != nil {
			failed = append(failed, fmt.Errorf("clear away review %s: %w", text.Quote(name), err))
		} else if why != "" {
			say(name, why)
		}
	}
	return errors.Join(failed...)
}

func (s *Store) garbage(name string, older time.Duration) (why string, err error) {
	if strings.HasPrefix(name, newPrefix) {
		return s.unmade(name)
	}
	r, err := s.open(name, false)
	switch {
	case errors.Is(err, errRunning):
		return "", nil
	case err != nil:
		return "", err
	}
	defer r.Close()
	why = "it was being discarded"
	if !r.journal.discarding {
		empty, err := r.Empty()
		switch {
		case err == nil && empty:
			why = "it has no change"
		case older != 0 && time.Since(r.Started) > older:
			why = "it is old"
		default:
			return "", err
		}
	}
	return why, r.Discard()
}

// unmade removes a review that was not made to the end, unless another sbx is just making
// it. It has no record, and so no place elsewhere.
func (s *Store) unmade(name string) (why string, err error) {
	st, err := stat(s.dir, name)
	if err != nil {
		return "", err
	}
	if time.Since(time.Unix(st.Ctim.Unix())) < time.Minute {
		return "", nil
	}
	return "it was not made to the end", removeTree(s.dir, name, func(string) {})
}
