package policies

import (
	"fmt"
	"os"
	"path"
	"strconv"

	"golang.org/x/sys/unix"

	"sbx/policy"
)

// ProjectFile is the name of a project's own policy.
const ProjectFile = ".sbx.toml"

// IsOwn says whether a file lies where Find looks names up: in the directory of the
// caller's policies, or of the machine's.
func IsOwn(file string) bool {
	for _, p := range places() {
		if p.dir != "" && policy.Within(file, p.dir) {
			return true
		}
	}
	return false
}

// Repository says in which repository a file lies that a policy was read from: the path
// of its top, or "". Whoever can write to the repository decides what the file says, and
// so does a program that has run in a sandbox of that project. A file named .sbx.toml is
// a project's wherever it lies.
//
// A home that is kept in a repository is no project, nor is the root directory or one of
// the system's: no role takes them for one. Nor are the directories that policies are
// looked up in, wherever a link to them leads: see IsOwn.
func Repository(s policy.Source, homes ...string) (top string, err error) {
	if IsOwn(s.Path) {
		return "", nil
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("find out whether policy %s lies in a repository: %w", strconv.Quote(s.Path), err)
		}
	}()
	fd, err := unix.Open(path.Dir(s.Path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer func() { unix.Close(fd) }() // opened with O_PATH
	var st unix.Stat_t
	if err := unix.Fstatat(fd, path.Base(s.Path), &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return "", err
	}
	if (inode{s.Dev, s.Ino}) != identity(&st) {
		return "", unix.ESTALE // another file took its name since it was read
	}
	ends := endsOf(homes)
	marked := path.Base(s.Path) == ProjectFile
	for {
		if err := unix.Fstat(fd, &st); err != nil {
			return "", err
		}
		at := identity(&st)
		if ends[at] {
			return "", nil
		}
		if !marked {
			if marked, err = hasMark(fd); err != nil {
				return "", err
			}
		}
		if marked {
			name, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
			if err != nil {
				return "", err
			}
			if !systemTop(name) {
				return name, nil
			}
			marked = false
		}
		up, err := unix.Openat(fd, "..", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return "", err
		}
		unix.Close(fd) // opened with O_PATH
		fd = up
		if err := unix.Fstat(fd, &st); err != nil {
			return "", err
		}
		if identity(&st) == at { // above the root is the root
			return "", nil
		}
	}
}

// systemTop says whether no project has its top there: the root directory and the system's
// own are kept in repositories by their administrators.
func systemTop(dir string) bool { return dir == "/" || policy.SystemPlace(dir) != "" }

// inode is what a directory is, by whatever name.
type inode struct{ dev, ino uint64 }

func identity(st *unix.Stat_t) inode { return inode{st.Dev, st.Ino} }

// endsOf are the directories at which the search for a repository ends, of those that are
// there: the homes, and where policies are looked up.
func endsOf(homes []string) map[inode]bool {
	ends := map[inode]bool{}
	for _, p := range places() {
		homes = append(homes[:len(homes):len(homes)], p.dir)
	}
	for _, dir := range homes {
		var st unix.Stat_t
		if dir != "" && dir != "/" && unix.Stat(dir, &st) == nil {
			ends[identity(&st)] = true
		}
	}
	return ends
}

// hasMark says whether a directory is the top of a repository or, of git's, a bare one.
func hasMark(fd int) (bool, error) {
	for name := range policy.RepositoryMarks() {
		if there, err := thereAt(fd, name); there || err != nil {
			return there, err
		}
	}
	return policy.BareRepository(func(name string) (bool, error) { return thereAt(fd, name) })
}

func thereAt(fd int, name string) (bool, error) {
	switch err := unix.Faccessat(fd, name, unix.F_OK, unix.AT_SYMLINK_NOFOLLOW); err {
	case nil:
		return true, nil
	case unix.ENOENT:
		return false, nil
	default:
		return false, err
	}
}
