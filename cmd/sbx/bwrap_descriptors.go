package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/sys"
	"sbx/internal/text"
	"sbx/policy/bwrap"
	"sbx/policy/seccomp"
	"sbx/sandbox"
)

// unreadable says that a filter cannot be read.
func unreadable(err error) error {
	//lint:ignore ST1005 these are bubblewrap's words, which programs look for
	return fmt.Errorf("Can't read seccomp data: %w", said(err))
}

// readPrograms reads compiled filters as seccomp_export_bpf(3) writes them.
func readPrograms(fds []int) (list []seccomp.Program, err error) {
	const most, instruction = 4096, 8 // BPF_MAXINSNS, and the size of one
	for i, fd := range fds {
		if slices.Contains(fds[:i], fd) { // bubblewrap closes what it has read
			return nil, unreadable(unix.EBADF)
		}
		data, err := readDescriptor(fd)
		switch {
		case err != nil:
			return nil, unreadable(err)
		case len(data)%instruction != 0:
			return nil, bwrap.Error("Invalid seccomp data, must be multiple of 8")
		}
		list = append(list, seccomp.Program(data))
	}
	for i, p := range list {
		if len(p) == 0 || len(p) > most*instruction {
			return nil, fmt.Errorf("read the filter of descriptor %d: %d bytes are no program", fds[i], len(p))
		}
	}
	return list, nil
}

// lockAll takes a lock on each file that is to be locked while the sandbox is there.
func lockAll(line *bwrap.Line, plan *sandbox.Plan) error {
	for _, name := range line.Locks {
		n := plan.Tree.At(name)
		if !n.Kind.FromHost() {
			return fmt.Errorf("lock %s: it is no file of the host's", text.Quote(name))
		}
		fd, err := sys.OpenRegular(unix.AT_FDCWD, n.HostPath(name), 0)
		if err == nil {
			err = unix.FcntlFlock(uintptr(fd), unix.F_SETLK, &unix.Flock_t{Type: unix.F_RDLCK})
		}
		if err != nil {
			return fmt.Errorf("lock %s: %w", text.Quote(name), err)
		}
	}
	return nil
}

// callers says whether the descriptor is one of the caller's, and not one that sbx has opened
// under a number that was free: those are close-on-exec.
func callers(fd int) bool {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return err == nil && flags&unix.FD_CLOEXEC == 0
}

// readDescriptor reads all that a descriptor of the caller's has. The same is there to be
// read again for the sealed copy of sbx that GuardBinary may execute; see there.
func readDescriptor(fd int) ([]byte, error) {
	const most = 16 << 20
	if !callers(fd) {
		return nil, said(unix.EBADF)
	}
	f := os.NewFile(uintptr(fd), "descriptor")
	if f == nil {
		return nil, said(unix.EBADF)
	}
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && len(data) > most {
		err = fmt.Errorf("it has more than %d bytes", most)
	}
	if err != nil {
		f.Close() // the error is another one
		return nil, err
	}
	keptOpen = append(keptOpen, f) // f has the number still, and is not used any more
	content, err := inMemory(data)
	if err != nil {
		return nil, err
	}
	if fd > 2 {
		err = unix.Dup3(content, fd, 0)
		return data, errors.Join(err, unix.Close(content))
	}
	// A standard stream is the program's, for which nothing is left.
	null, err := sys.Open(unix.AT_FDCWD, os.DevNull, unix.O_RDWR, unix.S_IFCHR)
	if err != nil {
		return nil, err
	}
	readStreams = append(readStreams, readStream{fd: fd, content: content, null: null})
	return data, unix.Dup3(null, fd, 0)
}

// keptOpen are files whose numbers have others now, which no finalizer may close.
var keptOpen []*os.File

// readStream is a standard stream that was read: what it had, and what is in its place.
type readStream struct{ fd, content, null int }

var readStreams []readStream

// guardBinary is GuardBinary, whose copy of sbx reads the standard streams once more.
func guardBinary(plan *sandbox.Plan) error {
	for _, s := range readStreams {
		if err := unix.Dup3(s.content, s.fd, 0); err != nil {
			return fmt.Errorf("have descriptor %d read again: %w", s.fd, err)
		}
	}
	err := sandbox.GuardBinary(plan)
	for _, s := range readStreams {
		err = errors.Join(err, unix.Dup3(s.null, s.fd, 0), unix.Close(s.null), unix.Close(s.content))
	}
	readStreams = nil
	return err
}

// inMemory is a file with that content, whose offset is its beginning.
func inMemory(data []byte) (int, error) {
	fd, err := unix.MemfdCreate("sbx-options", unix.MFD_CLOEXEC|unix.MFD_NOEXEC_SEAL)
	if err == unix.EINVAL { // before Linux 6.3
		fd, err = unix.MemfdCreate("sbx-options", unix.MFD_CLOEXEC)
	}
	if err != nil {
		return -1, err
	}
	if _, err = unix.Pwrite(fd, data, 0); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// bwrapTeller tells whoever waits at a line's descriptors of the sandbox.
type bwrapTeller struct {
	line  *bwrap.Line
	files map[int]int // descriptors to use in the place of standard streams, which are the program's
	facts []string    // of the namespaces
	told  bool        // of the first process
	err   error
}

// newBwrapTeller keeps what a line names of the standard streams open under other numbers.
func newBwrapTeller(line *bwrap.Line) (*bwrapTeller, error) {
	b := &bwrapTeller{line: line, files: map[int]int{}}
	for _, fd := range slices.Concat(line.Info, line.Status, line.Block, line.UsersBlock) {
		if _, has := b.files[fd]; fd > 2 || has {
			continue
		}
		var err error
		if b.files[fd], err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3); err != nil {
			return nil, fmt.Errorf("keep descriptor %d: %w", fd, err)
		}
	}
	return b, nil
}

func (b *bwrapTeller) file(fd int) int {
	if other, ok := b.files[fd]; ok {
		return other
	}
	return fd
}

// born tells of the sandbox's first process, if somebody is to do something before that
// goes on. It looks at the namespaces in any case: they may be gone once the program runs.
func (b *bwrapTeller) born(pid int) (until []int, err error) {
	b.look(pid)
	for _, fd := range slices.Concat(b.line.UsersBlock, b.line.Block) {
		until = append(until, b.file(fd))
	}
	if len(until) > 0 {
		b.tell(pid)
	}
	return until, b.err
}

// ready tells of the program's process, unless the first one was told of.
func (b *bwrapTeller) ready(pid, _ int) {
	if b.told {
		return
	}
	b.look(pid)
	b.tell(pid)
}

// look looks at a process's namespaces. In some that are joined nobody may look at the
// first process, and the program's may have ended.
func (b *bwrapTeller) look(pid int) {
	if b.facts != nil {
		return
	}
	for _, name := range []string{"cgroup", "ipc", "mnt", "net", "pid", "uts"} {
		var st, own unix.Stat_t
		if unix.Stat("/proc/"+strconv.Itoa(pid)+"/ns/"+name, &st) != nil ||
			unix.Stat("/proc/self/ns/"+name, &own) != nil || st.Ino == own.Ino {
			continue
		}
		b.facts = append(b.facts, fmt.Sprintf(`"%s-namespace": %d`, name, st.Ino))
	}
}

// tell tells of a process and of the sandbox's namespaces.
func (b *bwrapTeller) tell(pid int) {
	b.told = true
	facts := slices.Concat([]string{`"child-pid": ` + strconv.Itoa(pid)}, b.facts)
	for _, fd := range b.line.Info {
		b.write(fd, "{\n    "+strings.Join(facts, ",\n    ")+"\n}\n")
		b.close(fd) // who reads it waits for the end
	}
	for _, fd := range b.line.Status {
		b.write(fd, "{ "+strings.Join(facts, ", ")+" }\n")
	}
}

// close closes a descriptor, unless more is to be told by it. What sbx holds of a standard
// stream is not the program's.
func (b *bwrapTeller) close(fd int) {
	if !slices.Contains(b.line.Status, fd) {
		unix.Close(b.file(fd))
	}
}

// ended tells of the status that the program ended with.
func (b *bwrapTeller) ended(code int) {
	for _, fd := range b.line.Status {
		b.write(fd, `{ "exit-code": `+strconv.Itoa(code)+" }\n")
	}
}

func (b *bwrapTeller) write(fd int, s string) {
	// Whom it no longer interests has closed the other end.
	if _, err := unix.Write(b.file(fd), []byte(s)); err != nil && err != unix.EPIPE && b.err == nil {
		b.err = fmt.Errorf("tell descriptor %d of the sandbox: %w", fd, said(err))
	}
}
