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

// awaitByte waits until there is something to read, or the end.
func awaitByte(fd int) error {
	var b [1]byte
	for {
		_, err := unix.Read(fd, b[:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("wait for descriptor %d: %w", fd, err)
		}
		unix.Close(fd) // a pipe that was read
		return nil
	}
}

// readDescriptor reads all that a descriptor of the caller's has. The same is there to be
// read again for the sealed copy of sbx that GuardBinary may execute; see there.
func readDescriptor(fd int) ([]byte, error) {
	const most = 16 << 20
	f := os.NewFile(uintptr(fd), "descriptor")
	if f == nil {
		return nil, unix.EBADF
	}
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && len(data) > most {
		err = fmt.Errorf("it has more than %d bytes", most)
	}
	if err != nil {
		f.Close() // the error is another one
		return nil, err
	}
	put, err := remains(fd, data)
	if err != nil {
		return nil, err
	}
	err = unix.Dup3(put, fd, 0) // f has the number still, and is not used any more
	keptOpen = append(keptOpen, f)
	return data, errors.Join(err, unix.Close(put))
}

// keptOpen are files whose numbers have others now, which no finalizer may close.
var keptOpen []*os.File

// remains is what is open in the place of a descriptor that was read: its content, or
// nothing where it is a standard stream, which the program has.
func remains(fd int, data []byte) (int, error) {
	if fd <= 2 {
		return sys.Open(unix.AT_FDCWD, os.DevNull, unix.O_RDWR, unix.S_IFCHR)
	}
	put, err := unix.MemfdCreate("sbx-options", unix.MFD_CLOEXEC|unix.MFD_NOEXEC_SEAL)
	if err == unix.EINVAL { // before Linux 6.3
		put, err = unix.MemfdCreate("sbx-options", unix.MFD_CLOEXEC)
	}
	if err != nil {
		return -1, err
	}
	if _, err = unix.Pwrite(put, data, 0); err != nil {
		unix.Close(put)
		return -1, err
	}
	return put, nil
}

// bwrapTeller tells whoever waits at a line's descriptors of the sandbox.
type bwrapTeller struct {
	line *bwrap.Line
	err  error
}

// ready tells of the program's process and of the sandbox's namespaces.
func (b *bwrapTeller) ready(pid, _ int) {
	facts := []string{`"child-pid": ` + strconv.Itoa(pid)}
	for _, name := range []string{"cgroup", "ipc", "mnt", "net", "pid", "uts"} {
		var st, own unix.Stat_t
		if unix.Stat("/proc/"+strconv.Itoa(pid)+"/ns/"+name, &st) != nil || // it may have ended
			unix.Stat("/proc/self/ns/"+name, &own) != nil || st.Ino == own.Ino {
			continue
		}
		facts = append(facts, fmt.Sprintf(`"%s-namespace": %d`, name, st.Ino))
	}
	for _, fd := range b.line.Info {
		b.write(fd, "{\n    "+strings.Join(facts, ",\n    ")+"\n}\n")
		unix.Close(fd) // who reads it waits for the end
	}
	for _, fd := range b.line.Status {
		b.write(fd, "{ "+strings.Join(facts, ", ")+" }\n")
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
	if _, err := unix.Write(fd, []byte(s)); err != nil && err != unix.EPIPE {
		b.err = errors.Join(b.err, fmt.Errorf("tell descriptor %d of the sandbox: %w", fd, err))
	}
}
