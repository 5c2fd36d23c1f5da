package step

import (
	"golang.org/x/sys/unix"
)

// SendFD appends the sending of a packet, and with it a descriptor
// (SCM_RIGHTS; see unix(7)).
func (a *Asm) SendFD(socket int, packet []byte, fd Arg) {
	msg, place := a.message(packet)
	a.Store(place, fd)
	a.Sys(unix.SYS_SENDMSG, Fd(socket), msg, Int(unix.MSG_NOSIGNAL)).Expect(len(packet))
}

// message is a struct msghdr with the packet, and the place of a descriptor in its struct
// cmsghdr.
func (a *Asm) message(packet []byte) (msg, place Arg) {
	const header = 16
	rights := a.Words(Int(header+4), Int(uint64(unix.SOL_SOCKET)|uint64(unix.SCM_RIGHTS)<<32), Int(^uint32(0)))
	iov := a.Words(a.Bytes(packet), Int(len(packet)))
	return a.Words(Int(0), Int(0), iov, Int(1), rights, Int(header+8), Int(0)), rights.At(header)
}

// HandOver appends the making of a process that shares descriptors and memory with this
// one. When this one has executed its program it sends the packet and, by SCM_RIGHTS, the
// descriptor that Handed was called for since. The kernel gives this process descriptors
// of its own at the exec, before it closes those that are close-on-exec; then it clears
// the word that set_tid_address(2) names, and wakes who waits for that.
func (a *Asm) HandOver(socket int, packet []byte) {
	const stack = 4096
	word := a.Words(Int(1))
	msg, place := a.message(packet)
	a.handed = place
	a.Sys(unix.SYS_SET_TID_ADDRESS, word)
	flags := unix.CLONE_VM | unix.CLONE_FILES | unix.CLONE_PARENT | int(unix.SIGCHLD)
	a.add(OpHandOver, []Arg{Int(flags), a.Space(stack).At(stack), word, msg, Fd(socket)})
}

// Handed appends that the descriptor in the slot is the one that HandOver sends.
func (a *Asm) Handed(s Slot) { a.Store(a.handed, s.Arg()) }

// Metadata is what of a file OpRestore puts back.
type Metadata struct {
	// FD is open to the file, by O_PATH. With another device or inode number than
	// these nothing is put back.
	FD             int
	Dev, Ino       uint64
	Perm, UID, GID uint32
	// Atime and Mtime are seconds and nanoseconds.
	Atime, Mtime [2]int64
	// Attributes are the names and values of extended attributes. With Listed
	// there were no others of those that the owner of a file may change.
	Listed     bool
	Attributes [][2]string
}

// The places of a record for OpRestore, which consists of 64-bit words.
const (
	RecordFD = iota
	RecordDev
	RecordIno
	RecordPerm
	RecordUID
	RecordGID
	RecordAtime
	RecordMtime  = RecordAtime + 2
	RecordPath   = RecordMtime + 2 // address of the path by which the file is meant
	RecordListed = RecordPath + 1
	RecordCount  = RecordListed + 1 // of attributes
	RecordList   = RecordCount + 1  // address of name, value and length of each
	RecordIndex  = RecordList + 1
)

// What OpRestore has put back, in bits.
const (
	RestoredOwner = 1 << iota
	RestoredAttributes
	RestoredMode
	RestoredTimes
)

// MaxStreams is how many files can be restored, and how many can be handed to the
// launcher: their numbers are below it.
const MaxStreams = 32

// Restore appends the putting back of what has changed of the file's metadata.
// What it was is reported under the number. Only the janitor can.
func (a *Asm) Restore(m Metadata, path string, index int) {
	var list []Arg
	for _, x := range m.Attributes {
		list = append(list, a.Str(x[0]), a.Bytes([]byte(x[1])), Int(len(x[1])))
	}
	listed := 0
	if m.Listed {
		listed = 1
	}
	record := a.Words(Int(m.FD), Int(m.Dev), Int(m.Ino), Int(m.Perm), Int(m.UID), Int(m.GID),
		Int(uint64(m.Atime[0])), Int(uint64(m.Atime[1])), Int(uint64(m.Mtime[0])), Int(uint64(m.Mtime[1])),
		a.Str(path), Int(listed), Int(len(m.Attributes)), a.Words(list...), Int(index))
	a.add(OpRestore, []Arg{record})
}

// Forget appends the unmapping of all memory below top but the child's own and these ranges.
// local is the size of the program's thread-local memory.
func (a *Asm) Forget(top, local uintptr, keep [][2]uintptr) {
	var ends []Arg
	for _, r := range keep {
		ends = append(ends, Int(r[0]), Int(r[1]))
	}
	a.add(OpForget, []Arg{a.Words(ends...), Int(len(keep)), Int(top), Int(local)})
}

// Retry appends the system call nr. It is repeated every two milliseconds while it fails
// with EBUSY, for half a minute at most. Only the janitor has it.
func (a *Asm) Retry(nr int, x, y, z Arg) *Call {
	c := a.add(OpRetry, []Arg{x, y, z, Int(15_000), a.Words(Int(0), Int(2_000_000))})
	c.Nr = uintptr(nr)
	return c
}

// SkipUnless appends a check that skips the next n calls unless the bytes at p are b. Only
// the janitor has it.
func (a *Asm) SkipUnless(n int, p Arg, b []byte) {
	a.add(OpSkip, []Arg{p, a.Bytes(b), Int(len(b)), Int(n)})
}
