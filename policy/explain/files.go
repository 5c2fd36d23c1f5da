package explain

import (
	"golang.org/x/sys/unix"

	"sbx/policy/seccomp"
)

// Access is what a call does with a path.
type Access uint8

// What a call does with a path, by rising claims.
const (
	Looks  Access = iota // reads it, or asks what it is
	Writes               // writes to it, and it has to be there
	Makes                // makes, replaces or removes the name
)

// FileArg is a path among the arguments of a call.
type FileArg struct {
	// Path is the argument with the path, and Dir the one with the descriptor that it is
	// relative to, or -1.
	Path, Dir int
	Use
}

// Use is what a call does with a path, as far as its arguments say it.
type Use struct {
	Access Access
	// Need are the permissions of the file itself that it takes, as in access(2): unix.R_OK,
	// unix.W_OK, unix.X_OK.
	Need uint8
	// Asks says that the call only asks whether it could, as access(2).
	Asks bool
	// Opens says that it opens it, and New that it makes a name that was not there: where
	// there is one it fails with EEXIST, whoever may write there.
	Opens, New bool
	// Removes says that the name is removed or renamed, Runs that the file is executed.
	Removes, Runs bool
	// NoFollow says that a symbolic link at the end is not followed, and Straight that
	// none may be there, as with O_NOFOLLOW; NoLinks that none may be on the way either,
	// and OneMount that the way may not leave the file system, as openat2(2) can be asked.
	NoFollow, Straight, NoLinks, OneMount bool
}

// FileCall is a call that is observed when files are.
type FileCall struct {
	name string
	// args has one letter for each argument: d is the descriptor of a directory, for the
	// path that follows. A path is one that is
	//
	//	r asked about, with links followed, or l not followed
	//	s changed to, as a directory
	//	i read
	//	w changed in its mode, owner or times, or v with links not followed
	//	t written to
	//	m made or replaced, n made where there must be none, u removed or renamed
	//	c made, or written to
	//	x executed
	//	o opened by the flags that follow, as of open(2)
	//	p opened as the structure says that follows, as of openat2(2)
	//	a tried with the mode that follows, as of access(2)
	args string
	// at is the argument with AT_SYMLINK_NOFOLLOW, or 0.
	at int
}

var fileCalls = [...]FileCall{
	{"open", "o", 0}, {"openat", "do", 0}, {"openat2", "dp", 0}, {"creat", "c", 0},
	{"stat", "r", 0}, {"lstat", "l", 0}, {"newfstatat", "dr", 3}, {"fstatat64", "dr", 3}, {"statx", "dr", 2},
	{"statfs", "r", 0}, {"access", "a", 0}, {"faccessat", "da", 0}, {"faccessat2", "da", 3}, {"chdir", "s", 0},
	{"readlink", "l", 0}, {"readlinkat", "dl", 0}, {"execve", "x", 0}, {"execveat", "dx", 4},
	{"mkdir", "n", 0}, {"mkdirat", "dn", 0}, {"rmdir", "u", 0}, {"unlink", "u", 0}, {"unlinkat", "du", 0},
	{"rename", "um", 0}, {"renameat", "dudm", 0}, {"renameat2", "dudm", 0}, {"link", "ln", 0}, {"linkat", "dldn", 0},
	{"symlink", "-n", 0}, {"symlinkat", "-dn", 0}, {"mknod", "n", 0}, {"mknodat", "dn", 0},
	{"chmod", "w", 0}, {"fchmodat", "dw", 0}, {"fchmodat2", "dw", 3}, {"chown", "w", 0}, {"lchown", "v", 0},
	{"fchownat", "dw", 4}, {"utime", "w", 0}, {"utimes", "w", 0}, {"futimesat", "dw", 0}, {"utimensat", "dw", 3},
	{"truncate", "t", 0}, {"inotify_add_watch", "-i", 0},
}

// Observed are the numbers of the calls that are observed when files are.
func Observed(a seccomp.Arch) (list []uint32) {
	for _, c := range fileCalls {
		s, err := seccomp.LookupSyscall(c.name)
		if err != nil {
			continue // a test holds that each is there
		}
		if nr, ok := s.Number(a); ok {
			list = append(list, nr)
		}
	}
	return list
}

// EmptyPath is the argument in which a call that asks what a file is may have AT_EMPTY_PATH,
// or 0. With that it is made of descriptors far more often than of paths.
func EmptyPath(name string) int {
	switch c := LookupFileCall(name); {
	case c != nil && c.args == "dr":
		return c.at
	default:
		return 0
	}
}

// Executes says that the call executes a program. The launcher makes it itself before
// anybody listens.
func Executes(name string) bool { return name == "execve" || name == "execveat" }

// Moves says that the call has a file under a second name, which takes both to be in one
// mount.
func Moves(name string) bool {
	switch name {
	case "rename", "renameat", "renameat2", "link", "linkat":
		return true
	}
	return false
}

// IsFileCall says that the call is observed when files are.
func IsFileCall(name string) bool { return LookupFileCall(name) != nil }

// LookupFileCall is the call of that name, or nil.
func LookupFileCall(name string) *FileCall {
	for i := range fileCalls {
		if c := &fileCalls[i]; c.name == name {
			return c
		}
	}
	return nil
}

// Name is the call's name.
func (c *FileCall) Name() string { return c.name }

// Paths appends the paths among the arguments to the list. how is what openat2(2) is given,
// or nil.
func (c *FileCall) Paths(list []FileArg, args [6]uint64, how *unix.OpenHow) []FileArg {
	dir := -1
	for i, letter := range []byte(c.args) {
		f := FileArg{Path: i, Dir: dir}
		switch letter {
		case '-':
			continue
		case 'd':
			dir = i
			continue
		case 'o':
			f.Use = opens(args[i+1])
		case 'p':
			f.Use = Use{Opens: true}
			if how != nil {
				f.Use = opens(how.Flags)
				f.NoLinks, f.OneMount = how.Resolve&unix.RESOLVE_NO_SYMLINKS != 0, how.Resolve&unix.RESOLVE_NO_XDEV != 0
			}
		case 'a':
			f.Asks, f.Need = true, uint8(args[i+1]&(unix.R_OK|unix.W_OK|unix.X_OK))
			if f.Need&unix.W_OK != 0 {
				f.Access = Writes
			}
		default:
			f.Use = use(letter)
		}
		if c.at != 0 && args[c.at]&unix.AT_SYMLINK_NOFOLLOW != 0 {
			f.NoFollow = true
		}
		list = append(list, f)
		dir = -1
	}
	return list
}

// use is what a letter of FileCall stands for, of those without flags.
func use(letter byte) Use {
	switch letter {
	case 'l':
		return Use{NoFollow: true}
	case 's':
		return Use{Need: unix.X_OK}
	case 'i':
		return Use{Need: unix.R_OK}
	case 'w':
		return Use{Access: Writes}
	case 'v':
		return Use{Access: Writes, NoFollow: true}
	case 't':
		return Use{Access: Writes, Need: unix.W_OK}
	case 'm':
		return Use{Access: Makes, NoFollow: true}
	case 'n':
		return Use{Access: Makes, New: true, NoFollow: true}
	case 'u':
		return Use{Access: Makes, Removes: true, NoFollow: true}
	case 'c':
		return Use{Access: Makes, Opens: true, Need: unix.W_OK}
	case 'x':
		return Use{Need: unix.X_OK, Runs: true}
	}
	return Use{}
}

// opens is what open(2) does with these flags.
func opens(flags uint64) Use {
	u := Use{Opens: true}
	if flags&unix.O_PATH != 0 {
		u.NoFollow = flags&unix.O_NOFOLLOW != 0
		return u
	}
	u.Straight = flags&unix.O_NOFOLLOW != 0
	u.Need = [...]uint8{unix.R_OK, unix.W_OK, unix.R_OK | unix.W_OK, 0}[flags&unix.O_ACCMODE]
	if flags&unix.O_TRUNC != 0 {
		u.Need |= unix.W_OK
	}
	switch {
	case flags&unix.O_CREAT != 0:
		u.Access, u.New = Makes, flags&unix.O_EXCL != 0
	case u.Need&unix.W_OK != 0:
		u.Access = Writes
	}
	const temporary = unix.O_TMPFILE &^ unix.O_DIRECTORY
	if flags&temporary != 0 { // it makes a file without a name in the directory
		u.Access, u.Need = Writes, unix.W_OK|unix.X_OK
	}
	return u
}

// Cause is why a path could not be used, where its errno does not say it.
type Cause uint8

// The causes.
const (
	Plain      Cause = iota // it is not there, masked, or in a read-only mount
	Modes                   // the permissions of At
	NoExec                  // nothing can be executed in its mount
	NoDevices               // no device can be opened in its mount
	Landlock                // Landlock allows it less
	Mounted                 // something is mounted there
	Across                  // it lies in another mount than At
	ALink                   // At is a symbolic link
	ASocket                 // it is a socket
	NoTerminal              // the process has no controlling terminal
	Interpret               // it takes the interpreter At, which is not there
)

// File is a path that the run could not use as it wanted to, as far as that can be seen
// from outside.
type File struct {
	// Path is the path inside, without "." and "..".
	Path string
	Use
	Cause Cause
	// At is the file that is the cause, or "" where that is Path itself. Mode and Owner are
	// those of the file whose permissions are the cause.
	At          string
	Mode, Owner uint32
	// Call is the call's name, Exe the program that made it.
	Call, Exe string
	PID       int
	Count     uint64
	// Answer is the errno that the program must have seen.
	Answer uint16
}
