package ns

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/internal/text"
)

// Reopen opens the file of a descriptor once more, by a read-only mount of it,
// and puts the result in the descriptor's place. What came from the caller lies
// on a mount of the host's, and whoever owns the file could change its mode,
// owner, times and attributes by the descriptor (fchmod(2) and its like).
//
// It is for what a read-only mount leaves usable: devices, FIFOs, what is open for
// reading, and directories, from which nothing leads up then.
type Reopen struct {
	// FDs get the file, under these numbers: more than one where they are one
	// open file. All are the same at the start.
	FDs []int
	// Path is where the file is on the host, and ID what it is; anything else in
	// its place is refused.
	Path string
	ID   ID
	// Inside says that Path is a device of the sandbox's own /dev, which is
	// mounted read-only already.
	Inside bool
	// Named says that it is a plain file whose name is to stay: programs look at
	// where /proc/self/fd/0 leads, and open that.
	Named bool
	// Directory says that it is one, with what is mounted in it.
	Directory bool
	// Flags are the access mode and the status flags to open it with.
	Flags int
	// Number is a descriptor that the launcher has and the child needs no more.
	// With it "/proc/self/fd/N" is known when the table is made.
	Number int
	// Seek says that there is an offset, which is From. The new file gets it, and
	// the launcher gets the new file, under the number Index: at the end the
	// caller's descriptor has the offset that the target has arrived at.
	Seek  bool
	From  int64
	Index int
}

func (r Reopen) String() string {
	what := "descriptor " + strconv.Itoa(r.FDs[0])
	if n := len(r.FDs); n > 1 {
		list := make([]string, n)
		for i, fd := range r.FDs {
			list[i] = strconv.Itoa(fd)
		}
		what = "descriptors " + strings.Join(list[:n-1], ", ") + " and " + list[n-1]
	}
	s := fmt.Sprintf("open %s once more as %s, on a read-only mount", text.Quote(r.Path), what)
	if r.Seek {
		s += ", and give its offset back at the end"
	}
	return s
}

func (Reopen) Kind() string { return "reopen-descriptor" }

func (r Reopen) Hint(err error) string {
	switch errno := step.Errno(err); {
	case step.Mismatched(err) || errno == unix.ENOENT || errno == unix.ENOTDIR || errno == unix.ELOOP:
		return "the file was replaced while sbx was starting; try again"
	case errno == unix.EACCES || errno == unix.EPERM || errno == unix.EBUSY:
		return "give sbx a pipe in its place, as in: cat " + text.Quote(r.Path) + " | sbx ..."
	}
	return ""
}

// Compile needs step.SlotProc, but for a device inside, a directory and what is named.
func (r Reopen) Compile(a *step.Asm) {
	const flags = unix.O_NOCTTY | unix.O_CLOEXEC
	file := a.Temp()
	switch {
	case r.Inside:
		a.Sys(unix.SYS_OPENAT, step.SlotRoot.Arg(), a.Str(rel(r.Path)), step.Int(r.Flags|flags|unix.O_NOFOLLOW)).To(file)
	case r.Named:
		r.openNamed(a, file, r.Flags|flags|unix.O_NONBLOCK)
	case r.Directory:
		r.openDirectory(a, file, r.Flags|flags)
	default:
		// Nobody waits for the other end of a FIFO, which is there or was.
		r.openAlone(a, file, r.Flags|flags|unix.O_NONBLOCK)
	}
	if !r.Inside && !r.Directory && r.Flags&unix.O_NONBLOCK == 0 {
		a.Sys(unix.SYS_FCNTL, file.Arg(), step.Int(unix.F_SETFL), step.Int(r.Flags))
	}
	if r.Seek {
		a.Sys(unix.SYS_LSEEK, file.Arg(), step.Int(uint64(r.From)), step.Int(unix.SEEK_SET)).Expect(int(r.From))
	}
	same(a, file, r.ID.Major, r.ID.Minor, r.ID.Ino)
	for _, fd := range r.FDs {
		a.Sys(unix.SYS_DUP3, file.Arg(), step.Fd(fd), step.Int(0))
	}
	if r.Seek {
		a.SendFD(a.Notify, []byte{step.MsgStream, byte(r.Index)}, file.Arg())
	}
	a.Sys(unix.SYS_CLOSE, file.Arg())
}

const (
	reopenAttrs   = unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NOEXEC
	reopenClone   = unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC
	reopenResolve = unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS
)

// openNamed opens a plain file for reading in a clone of all mounts, for a name
// is made of those above the file. Nobody gets from a file to what is beside it.
// The clone goes with the last descriptor of it, which waits for all processors
// to have forgotten it: it is left to the target, while the init waits for the
// same after Detach.
func (r Reopen) openNamed(a *step.Asm, file step.Slot, flags int) {
	tree := a.Temp()
	a.Sys(unix.SYS_OPEN_TREE, step.Fd(unix.AT_FDCWD), a.Str("/"), step.Int(reopenClone|unix.AT_RECURSIVE)).To(tree)
	setattr(a, tree.Arg(), "", reopenAttrs, 0)
	a.Openat2(tree.Arg(), rel(r.Path), flags|unix.O_NOFOLLOW, reopenResolve).To(file)
}

// openDirectory opens a directory at the top of a clone of its mounts, above which is
// nothing. Put over the directory where it was, it could lie over the root.
func (r Reopen) openDirectory(a *step.Asm, file step.Slot, flags int) {
	to, tree := a.Temp(), a.Temp()
	a.Openat2(step.Fd(unix.AT_FDCWD), r.Path, unix.O_PATH|unix.O_CLOEXEC|unix.O_NOFOLLOW, reopenResolve).To(to)
	a.Sys(unix.SYS_OPEN_TREE, to.Arg(), a.Str(""),
		step.Int(reopenClone|unix.AT_EMPTY_PATH|unix.AT_RECURSIVE)).To(tree)
	setattr(a, tree.Arg(), "", reopenAttrs|unix.MOUNT_ATTR_NODEV, 0)
	a.Sys(unix.SYS_OPENAT, tree.Arg(), a.Str("."), step.Int(flags)).To(file)
	a.Sys(unix.SYS_CLOSE, to.Arg())
	a.Sys(unix.SYS_CLOSE, tree.Arg())
}

// openAlone opens the file in a clone of it alone, which is put over the file
// where it was, in the old root: with that it goes, and nobody waits for it.
func (r Reopen) openAlone(a *step.Asm, file step.Slot, flags int) {
	to, tree := a.Temp(), a.Temp()
	a.Openat2(step.Fd(unix.AT_FDCWD), r.Path, unix.O_PATH|unix.O_CLOEXEC|unix.O_NOFOLLOW, reopenResolve).To(to)
	// Before it is opened: to open a device, or the end of a FIFO, does something.
	same(a, to, r.ID.Major, r.ID.Minor, r.ID.Ino)
	a.Sys(unix.SYS_OPEN_TREE, to.Arg(), a.Str(""), step.Int(reopenClone|unix.AT_EMPTY_PATH)).To(tree)
	setattr(a, tree.Arg(), "", reopenAttrs, 0)
	a.Sys(unix.SYS_DUP3, tree.Arg(), step.Fd(r.Number), step.Int(unix.O_CLOEXEC))
	onto(a, tree, to)
	a.Sys(unix.SYS_OPENAT, step.SlotProc.Arg(), a.Str("self/fd/"+strconv.Itoa(r.Number)), step.Int(flags)).To(file)
}
