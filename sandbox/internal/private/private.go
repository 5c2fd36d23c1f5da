// Package private makes and removes the directory that a target has for its home and its
// temporary files where it has no mount namespace, and so no tmpfs.
package private

import (
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/internal/text"
)

// Dir is such a directory.
type Dir struct {
	// Path is its path, and FD a descriptor of it (O_PATH).
	Path string
	FD   int
	// Parent is a descriptor of the directory that it lies in, and Name its name there.
	Parent int
	Name   string
}

// Name draws a name that nobody can guess.
func Name() (string, error) {
	var b [16]byte
	if _, err := unix.Getrandom(b[:], 0); err != nil {
		return "", fmt.Errorf("draw a random name: %w", err)
	}
	return "sbx-" + hex.EncodeToString(b[:]), nil
}

// Make makes the directory of that name, with the directories dirs in it, and in the
// first of them the links, which are pairs of a name and a target.
func Make(parent int, where, name string, dirs []string, links [][2]string) (d Dir, err error) {
	failed := func(err error) (Dir, error) {
		return d, fmt.Errorf("make a private directory in %s: %w", text.Quote(where), err)
	}
	d = Dir{Path: path.Join(where, name), FD: -1, Parent: parent, Name: name}
	if d.FD, err = makeDir(parent, name); err != nil {
		return failed(err)
	}
	for _, in := range dirs {
		fd, err := makeDir(d.FD, in)
		if err == nil && in == dirs[0] {
			err = makeLinks(fd, links)
		}
		if fd >= 0 {
			unix.Close(fd)
		}
		if err != nil {
			return failed(err)
		}
	}
	return d, nil
}

// makeDir makes a directory for the caller alone, whatever the umask is. It is new: where
// there is something of that name already, that is an error.
func makeDir(at int, name string) (fd int, err error) {
	const mode = 0o700
	if err := unix.Mkdirat(at, name, mode); err != nil {
		return -1, err
	}
	if fd, err = unix.Openat(at, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0); err != nil {
		return -1, err
	}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil && int(st.Uid) != unix.Geteuid() {
		err = unix.ESTALE
	}
	if err == nil && st.Mode&0o7777 != mode {
		err = chmod(fd, mode)
	}
	return fd, err
}

func chmod(fd int, mode uint32) error {
	return unix.Fchmodat(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(fd), mode, 0)
}

// makeLinks makes the links, and the directories that they lie in.
func makeLinks(at int, links [][2]string) error {
	for _, l := range links {
		dir := at
		parts := strings.Split(l[0], "/")
		for _, part := range parts[:len(parts)-1] {
			next, err := makeDir(dir, part)
			if err == unix.EEXIST {
				next, err = unix.Openat(dir, part, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
			}
			if dir != at {
				unix.Close(dir)
			}
			if err != nil {
				return err
			}
			dir = next
		}
		err := unix.Symlinkat(l[1], dir, parts[len(parts)-1])
		if dir != at {
			unix.Close(dir)
		}
		if err != nil && err != unix.EEXIST {
			return err
		}
	}
	return nil
}

// Remove removes the directory of that name with all that is in it. It follows no link,
// and holds a bounded number of descriptors however deep the directory is: what lies two
// levels down is moved up.
func Remove(parent int, name string) error {
	top, err := enter(parent, name)
	if err == unix.ENOENT {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove the private directory: %w", err)
	}
	defer unix.Close(top)
	for n := 0; ; {
		names, err := names(top)
		if err != nil {
			return fmt.Errorf("remove the private directory: %w", err)
		}
		if len(names) == 0 {
			break
		}
		for _, in := range names {
			if err := empty(top, in, &n); err != nil {
				return fmt.Errorf("remove the private directory: %w", err)
			}
		}
	}
	if err := unix.Unlinkat(parent, name, unix.AT_REMOVEDIR); err != nil && err != unix.ENOENT {
		return fmt.Errorf("remove the private directory: %w", err)
	}
	return nil
}

// empty removes an entry of the top directory. The directories in it are moved to the top.
func empty(top int, name string, n *int) error {
	err := unix.Unlinkat(top, name, 0)
	if err != unix.EISDIR {
		return gone(err)
	}
	dir, err := enter(top, name)
	if err != nil {
		return gone(err)
	}
	defer unix.Close(dir)
	list, err := names(dir)
	if err != nil {
		return err
	}
	for _, in := range list {
		if err := unix.Unlinkat(dir, in, 0); err != unix.EISDIR {
			if gone(err) != nil {
				return err
			}
			continue
		}
		if below, err := enter(dir, in); err == nil {
			unix.Close(below) // it has the rights now that moving it takes
		}
		for {
			*n++
			err := unix.Renameat2(dir, in, top, "moved-"+strconv.Itoa(*n), unix.RENAME_NOREPLACE)
			if err == unix.EEXIST {
				continue
			}
			if gone(err) != nil {
				return err
			}
			break
		}
	}
	if err := unix.Unlinkat(top, name, unix.AT_REMOVEDIR); err != unix.ENOTEMPTY {
		return gone(err)
	}
	return nil // something came to be in it meanwhile, and is found in the next turn
}

func gone(err error) error {
	if err == unix.ENOENT {
		return nil
	}
	return err
}

// enter opens a directory for reading. Its owner gets the rights to search and change it.
func enter(at int, name string) (int, error) {
	fd, err := unix.Openat(at, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return -1, err
	}
	if st.Mode&0o700 != 0o700 {
		if err := chmod(fd, 0o700); err != nil {
			return -1, err
		}
	}
	return unix.Openat(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
}

// names are some of the names in a directory, from its beginning: all of a small one.
func names(fd int) (list []string, err error) {
	if _, err := unix.Seek(fd, 0, unix.SEEK_SET); err != nil {
		return nil, err
	}
	const many = 4096
	buf := make([]byte, 1<<15)
	for len(list) < many {
		n, err := unix.ReadDirent(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return list, err
		}
		_, _, list = unix.ParseDirent(buf[:n], -1, list)
	}
	return list, nil
}

// word says to sbx that it is the janitor of a private directory; see Clean.
const word = "private"

// Clean is the janitor's last step, after a launcher that was killed: it becomes sbx
// again, which removes the directory. See Main.
type Clean struct {
	Parent int
	Name   string
}

func (Clean) String() string { return "remove the private directory" }

// Kind is the step's name in JSON.
func (Clean) Kind() string { return "remove-private-directory" }

// Holds are the descriptors that the janitor has to hold open for it.
func (c Clean) Holds() []int { return []int{2, c.Parent} }

// Compile is an execve(2) of this very program.
func (c Clean) Compile(a *step.Asm) {
	args := []string{"sbx-janitor", word, strconv.Itoa(c.Parent), c.Name}
	a.Sys(unix.SYS_FCNTL, step.Fd(c.Parent), step.Int(unix.F_SETFD), step.Int(0))
	a.Sys(unix.SYS_EXECVE, a.Str("/proc/self/exe"), a.Strings(args), a.Strings(nil))
}

// Janitor says whether the arguments are those that Clean gives.
func Janitor(args []string) bool {
	return len(args) == 4 && args[0] == "sbx-janitor" && args[1] == word
}

// Main is what sbx does when Clean has executed it. The processes of the sandbox end with
// the launcher, but may write for another moment.
func Main(args []string) error {
	parent, err := strconv.ParseUint(args[2], 10, 31)
	if err != nil || !strings.HasPrefix(args[3], "sbx-") || strings.Contains(args[3], "/") {
		return errors.New("remove a private directory: these are not the janitor's arguments")
	}
	const patience = time.Minute
	for began := time.Now(); ; {
		if err = Remove(int(parent), args[3]); err == nil || time.Since(began) > patience {
			return err
		}
		time.Sleep(5 * time.Millisecond)
	}
}
