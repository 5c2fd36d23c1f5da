package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/sys"
	"sbx/internal/text"
)

// ownDescriptor says whether the descriptor is one that a flag means for sbx alone.
func (l *launch) ownDescriptor(n int) bool {
	for _, fd := range [...]*int{l.report, l.ReadyFD, l.BlockFD} {
		if fd != nil && *fd == n {
			return true
		}
	}
	return l.Report == strconv.Itoa(n)
}

// checkReports refuses what has no meaning where nothing runs.
func (l *launch) checkReports() error {
	if !l.DryRun {
		return nil
	}
	switch {
	case l.Report != "":
		return &usageError{"--report: nothing runs that there could be a receipt of", "--dry-run --json prints the plan"}
	case l.ReadyFD != nil:
		return &usageError{"--ready-fd: nothing runs that could be ready", "leave out --dry-run or --ready-fd"}
	case l.BlockFD != nil:
		return &usageError{"--block-fd: nothing runs that could be held back", "leave out --dry-run or --block-fd"}
	}
	return nil
}

// checkReport looks at the value of --report.
func checkReport(f *flagEntry, value string) error {
	file, named := strings.CutPrefix(value, "json:")
	if named && file == "" {
		return misread("--report: the file's name is missing", f.usage())
	}
	if named {
		return nil
	}
	_, err := f.number(value)
	return err
}

// openReport finds the descriptor of --report, or opens its file, which is empty from then
// on: what an earlier run has left there is no receipt of this one.
func (l *launch) openReport() error {
	if l.Report == "" {
		return nil
	}
	file, named := strings.CutPrefix(l.Report, "json:")
	if !named {
		fd, err := strconv.Atoi(l.Report) // see checkReport
		l.report = &fd
		return err
	}
	name, err := filepath.Abs(file)
	fd := -1
	if err == nil {
		fd, err = openEventFile(name)
	}
	if err == nil {
		err = unix.Ftruncate(fd, 0)
	}
	switch {
	case errors.Is(err, unix.ELOOP):
		return &usageError{fmt.Sprintf("write the receipt to %s: there is a symbolic link on the way", text.Quote(name)),
			"name the file without links, or open it: sbx --report 9 ... 9>FILE"}
	case errors.Is(err, errNotRegular):
		return &usageError{fmt.Sprintf("write the receipt to %s: it is no regular file", text.Quote(name)),
			"open it yourself: sbx --report 9 ... 9>FILE"}
	case err != nil:
		return fmt.Errorf("write the receipt to %s: %w", text.Quote(name), err)
	}
	l.report = &fd
	return nil
}

// checkBlock makes sure that the descriptor of --block-fd can be read, and not by the
// target: it could take the byte, or have its end in hand.
func checkBlock(fd int, kept []int, handed int) error {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	switch {
	case fd < 3 || slices.Contains(kept, fd) || fd < 3+handed:
		return &usageError{fmt.Sprintf("--block-fd %d: the target has this descriptor too", fd),
			"open another for it, as in: sbx --block-fd 9 ... 9<FIFO"}
	case errors.Is(err, unix.EBADF):
		return &usageError{fmt.Sprintf("--block-fd %d: it is not open", fd),
			fmt.Sprintf("open it, as in: sbx --block-fd %d ... %[1]d<FIFO", fd)}
	case err != nil:
		return fmt.Errorf("--block-fd %d: %w", fd, err)
	case flags&unix.O_ACCMODE == unix.O_WRONLY || flags&unix.O_PATH != 0:
		return &usageError{fmt.Sprintf("--block-fd %d: it is not open for reading", fd),
			fmt.Sprintf("open it, as in: sbx --block-fd %d ... %[1]d<FIFO", fd)}
	}
	return checkSame("block-fd", "byte", fd, kept, handed)
}

// awaitGo waits for one byte. An end without one is no consent: whoever was to give it is
// gone.
func awaitGo(fd int) error {
	var b [1]byte
	for {
		n, err := unix.Read(fd, b[:])
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			list := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
			if _, err := unix.Poll(list, -1); err != nil && err != unix.EINTR {
				return fmt.Errorf("wait for descriptor %d: %w", fd, err)
			}
			continue
		case err != nil:
			return fmt.Errorf("wait for descriptor %d: %w", fd, err)
		case n == 0:
			return &usageError{fmt.Sprintf("wait for a byte from descriptor %d: it was closed without one", fd),
				"write a byte when the program may start, as in: echo >FIFO"}
		}
		unix.Close(fd) // it was read
		return nil
	}
}

// ready is the line of --ready-fd. Its fields are documented in docs/json.md.
type ready struct {
	Ready  int    `json:"ready"` // the version of these fields, 1
	PID    int    `json:"pid"`
	Inside int    `json:"inside"`
	Cgroup string `json:"cgroup,omitempty"`
}

// teller is what writes the line of --ready-fd, or nil without one.
func (l *launch) teller() func(pid, inside int) {
	if l.ReadyFD == nil {
		return nil
	}
	fd := *l.ReadyFD
	return func(pid, inside int) {
		line, err := json.Marshal(ready{1, pid, inside, cgroupOf(pid)})
		if err == nil {
			err = writeNow(fd, append(line, '\n'))
		}
		if err != nil {
			say("note", fmt.Sprintf("nobody was told by descriptor %d that the program runs: %v", fd, err))
		}
		unix.Close(fd)
	}
}

// writeNow writes what a pipe takes as a whole, without waiting for a reader.
func writeNow(fd int, line []byte) error {
	list := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	if _, err := unix.Poll(list, 0); err != nil {
		return err
	}
	if list[0].Revents&unix.POLLOUT == 0 {
		return unix.EAGAIN
	}
	_, err := unix.Write(fd, line)
	return err
}

// cgroupOf is the path of a process's cgroup of version 2, or "".
func cgroupOf(pid int) string {
	text, err := sys.ReadFile("/proc/" + strconv.Itoa(pid) + "/cgroup")
	if errors.Is(err, os.ErrNotExist) {
		return ""
	}
	for line := range strings.Lines(text) {
		if path, ok := strings.CutPrefix(line, "0::"); ok {
			return strings.TrimSuffix(path, "\n")
		}
	}
	return ""
}
