package policies

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/policy"
)

const openFlags = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC

// errUnsearchable: the way to a policy goes through a directory that the
// caller may not search.
var errUnsearchable = errors.New("permission denied on the way there")

// readFile reads a policy file that was given by path. The file itself must
// be one that nobody but its owner, who is root or the caller, can write: all
// is checked on the descriptor that is then read. How the path leads there is
// the caller's own affair.
func readFile(name string) ([]byte, policy.Source, error) {
	fd, err := unix.Open(name, openFlags, 0)
	return readOpened(name, fd, err)
}

// readTrusted is readFile for names that sbx itself looks up: nobody else can
// have had a hand in any directory or link on the way either.
func readTrusted(name string) (data []byte, from policy.Source, err error) {
	// Most lookups find nothing, and this tells in one call.
	err = unix.Faccessat(unix.AT_FDCWD, name, unix.F_OK, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.EACCES) {
		return nil, from, fmt.Errorf("open policy %s: %w", name, errUnsearchable)
	}
	if err != nil {
		return nil, from, &os.PathError{Op: "open policy", Path: name, Err: err}
	}
	w, err := walk(path.Dir(name))
	if err != nil {
		return nil, from, err
	}
	defer w.close()
	fd, err := unix.Openat(w.fd, path.Base(name), openFlags, 0)
	data, from, err = readOpened(name, fd, err)
	if w.distrust != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, from, w.distrust
	}
	return data, from, err
}

func readOpened(name string, fd int, err error) (data []byte, from policy.Source, _ error) {
	if errors.Is(err, unix.ELOOP) {
		return nil, from, &policy.Error{
			File: name,
			Msg:  "the policy is a symbolic link",
			Fix:  "give the path of the file itself",
		}
	}
	if err != nil {
		return nil, from, &os.PathError{Op: "open policy", Path: name, Err: err}
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close() // read-only
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, from, &os.PathError{Op: "stat policy", Path: name, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, from, &policy.Error{File: name, Msg: "the policy is not a regular file"}
	}
	if msg := distrust(&st); msg != "" {
		return nil, from, &policy.Error{File: name, Msg: "the policy " + msg, Fix: fixFor(&st, name)}
	}
	// One byte more than allowed, for the size can change while we read.
	data, err = io.ReadAll(io.LimitReader(f, policy.MaxSize+1))
	if err != nil {
		return nil, from, err
	}
	if len(data) > policy.MaxSize {
		return nil, from, &policy.Error{File: name, Msg: "more than 1 MiB, the most a policy may have"}
	}
	from = policy.Source{Path: name, Dev: st.Dev, Ino: st.Ino}
	if from.Path, err = filepath.Abs(name); err != nil {
		return nil, from, err
	}
	return data, from, nil
}

// distrust says why a file's or directory's contents could be somebody
// else's, or "".
func distrust(st *unix.Stat_t) string {
	switch {
	case st.Uid == overflow && !mapped():
		return fmt.Sprintf("belongs to a user that has no number here and is shown as %d", st.Uid)
	case st.Uid != 0 && int(st.Uid) != os.Geteuid():
		return fmt.Sprintf("belongs to user %d, not to you or root", st.Uid)
	case st.Mode&unix.S_IFMT != unix.S_IFLNK && st.Mode&0o022 != 0:
		return fmt.Sprintf("can be written by others than its owner (mode %04o)", st.Mode&0o7777)
	}
	return ""
}

// overflow is the number by which every user is shown that a user namespace
// does not map: user_namespaces(7), /proc/sys/kernel/overflowuid.
const overflow = 65534

// mapped says whether all users have their own numbers here, so that 65534 is
// the user of that number, nobody, and not just anybody.
func mapped() bool {
	data, err := os.ReadFile("/proc/self/uid_map")
	f := strings.Fields(string(data))
	return err == nil && len(f) == 3 && f[0] == "0" && f[2] == "4294967295"
}

func fixFor(st *unix.Stat_t, name string) string {
	if st.Mode&0o022 != 0 {
		return "chmod go-w " + name
	}
	return "take a copy of your own"
}

// walker goes to a directory from the root, component by component, by
// descriptors only.
type walker struct {
	fd       int
	at       string
	todo     []string
	distrust error // the first directory or link that somebody else can change
}

// walk opens dir. Whom the way belongs to is noted, not judged: it matters
// only if there is something at its end.
func walk(dir string) (*walker, error) {
	w := &walker{fd: -1, todo: strings.Split(strings.Trim(dir, "/"), "/")}
	if err := w.root(); err != nil {
		return nil, err
	}
	for links := 0; len(w.todo) > 0; {
		followed, err := w.step()
		if followed {
			links++
		}
		if err == nil && links > 40 {
			err = unix.ELOOP
		}
		if err != nil {
			at := path.Join(w.at, w.todo[0])
			w.close()
			return nil, &os.PathError{Op: "open", Path: at, Err: err}
		}
	}
	return w, nil
}

func (w *walker) close() { w.move(-1, "") }

func (w *walker) move(fd int, at string) {
	if w.fd >= 0 {
		unix.Close(w.fd) // opened with O_PATH: nothing to lose
	}
	w.fd, w.at = fd, at
}

func (w *walker) root() error {
	fd, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: "/", Err: err}
	}
	w.move(fd, "/")
	return w.judge(fd, "/")
}

// step goes into the next component, or replaces it by what it links to.
func (w *walker) step() (followed bool, err error) {
	name := w.todo[0]
	if name == "" || name == "." {
		w.todo = w.todo[1:]
		return false, nil
	}
	fd, err := unix.Openat(w.fd, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return false, err
	}
	at := path.Join(w.at, name)
	if err := w.judge(fd, at); err != nil {
		unix.Close(fd) // opened with O_PATH
		return false, err
	}
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, "", buf)
	if err != nil { // ENOENT: not a link
		if !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EINVAL) {
			unix.Close(fd) // opened with O_PATH
			return false, err
		}
		w.move(fd, at)
		w.todo = w.todo[1:]
		return false, nil
	}
	unix.Close(fd) // opened with O_PATH
	target := string(buf[:n])
	if path.IsAbs(target) {
		if err := w.root(); err != nil {
			return false, err
		}
	}
	w.todo = append(strings.Split(target, "/"), w.todo[1:]...)
	return true, nil
}

// judge notes whether others can change what fd is.
func (w *walker) judge(fd int, at string) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	msg := distrust(&st)
	if st.Uid == 0 && st.Mode&unix.S_ISVTX != 0 && len(w.todo) > 1 {
		// As in /tmp, others may add names but not take away or replace the
		// next component's, whose owner is judged in its turn.
		msg = ""
	}
	if msg != "" && w.distrust == nil {
		w.distrust = &policy.Error{File: at, Msg: "policies are looked up below it, and it " + msg, Fix: fixFor(&st, at)}
	}
	return nil
}
