package explain

import (
	"slices"

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
	Access    Access
	// Asks says that the call only asks whether it could, as access(2).
	Asks bool
	// Opens says that it opens it, and New that it makes a name that was not there: where
	// there is one it fails with EEXIST, whoever may write there.
	Opens, New bool
}

// fileCalls are the calls that are observed when files are, one letter for each argument:
// d the descriptor of a directory, for the path that follows; r a path that is read, w one
// that is written to, m one that is made or removed, n one that is made and must not be there;
// o one that the next argument's flags are for, as of open(2), p one that is opened; a one that
// the next argument's mode is for, as of access(2).
//
// readlink is not among them: compilers resolve each part of each path by it, which is two
// thirds of all their calls, and who needs a file opens it or asks what it is. Neither is
// execve: its answer would have to come before the listener is there.
// But who looks for a program asks for its path first, mostly.
var fileCalls = [...]struct{ name, args string }{
	{"open", "o"}, {"openat", "do"}, {"openat2", "dp"}, {"creat", "m"},
	{"stat", "r"}, {"lstat", "r"}, {"newfstatat", "dr"}, {"fstatat64", "dr"}, {"statx", "dr"}, {"statfs", "r"},
	{"access", "a"}, {"faccessat", "da"}, {"faccessat2", "da"}, {"chdir", "r"},
	{"mkdir", "n"}, {"mkdirat", "dn"}, {"rmdir", "m"}, {"unlink", "m"}, {"unlinkat", "dm"},
	{"rename", "mm"}, {"renameat", "dmdm"}, {"renameat2", "dmdm"}, {"link", "rn"}, {"linkat", "drdn"},
	{"symlink", "-n"}, {"symlinkat", "-dn"}, {"mknod", "n"}, {"mknodat", "dn"},
	{"chmod", "w"}, {"fchmodat", "dw"}, {"fchmodat2", "dw"}, {"chown", "w"}, {"lchown", "w"}, {"fchownat", "dw"},
	{"utime", "w"}, {"utimes", "w"}, {"futimesat", "dw"}, {"utimensat", "dw"}, {"truncate", "w"},
	{"inotify_add_watch", "-r"},
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

// IsFileCall says that the call is observed when files are.
func IsFileCall(name string) bool {
	return slices.ContainsFunc(fileCalls[:], func(c struct{ name, args string }) bool { return c.name == name })
}

// FileArgs are the paths among the arguments of a call, by its name.
func FileArgs(name string, args [6]uint64) (list []FileArg) {
	for _, c := range fileCalls {
		if c.name == name {
			return fileArgs(c.args, args)
		}
	}
	return nil
}

func fileArgs(letters string, args [6]uint64) (list []FileArg) {
	const (
		accMode = 3      // O_ACCMODE
		creat   = 0o100  // O_CREAT, on all architectures that filters are made for
		trunc   = 0o1000 // O_TRUNC
		write   = 2      // W_OK
	)
	dir := -1
	for i, c := range []byte(letters) {
		f := FileArg{Path: i, Dir: dir}
		switch c {
		case 'd':
			dir = i
			continue
		case 'w':
			f.Access = Writes
		case 'm':
			f.Access = Makes
		case 'n':
			f.Access, f.New = Makes, true
		case 'p':
			f.Opens = true
		case 'o':
			f.Opens = true
			switch flags := args[i+1]; {
			case flags&creat != 0:
				f.Access = Makes
			case flags&accMode != 0 || flags&trunc != 0:
				f.Access = Writes
			}
		case 'a':
			f.Asks = true
			if args[i+1]&write != 0 {
				f.Access = Writes
			}
		case '-':
			continue
		}
		list = append(list, f)
		dir = -1
	}
	return list
}

// File is a path that the run could not use as it wanted to, as far as that can be seen
// from outside.
type File struct {
	// Path is the path inside, without "." and "..".
	Path   string
	Access Access
	// Call is the call's name, Exe the program that made it.
	Call, Exe string
	PID       int
	Count     uint64
	// Answer is the errno that the program must have seen.
	Answer uint16
}
