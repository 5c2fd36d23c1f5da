package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"sbx/internal/text"
	"sbx/policy/explain"
	"sbx/policy/seccomp"
	"sbx/sandbox"
)

// eventSink is where --events writes denied calls. A nil one writes nothing.
type eventSink struct {
	fd     int
	file   string // its path, or "" for a descriptor that the caller has opened
	judge  explain.Judge
	lost   uint64 // events that were not written, since the reader did not keep up
	failed error
}

// event is one line of --events. Its fields are documented in docs/json.md.
type event struct {
	Event   int    `json:"event"` // the version of these fields, 1
	Time    string `json:"time"`
	Policy  string `json:"policy"`
	Dropped uint64 `json:"dropped,omitempty"`
	*explain.Item
}

// openEvents opens what --events names.
func (l *launch) openEvents() (*eventSink, error) {
	if l.Events == "" {
		return nil, nil
	}
	if l.DryRun {
		return nil, &usageError{"--events: nothing runs that could be denied a call", "leave out --dry-run or --events"}
	}
	s := &eventSink{}
	if fd, err := strconv.ParseUint(l.Events, 10, 31); err == nil {
		s.fd = int(fd) // checked with the other descriptors
		var st unix.Stat_t
		if unix.Fstat(s.fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG {
			if s.file, err = os.Readlink("/proc/self/fd/" + l.Events); err != nil {
				return nil, fmt.Errorf("see what descriptor %d is: %w", s.fd, err)
			}
		}
		return s, nil
	}
	name, err := filepath.Abs(l.Events)
	if err == nil {
		s.file = name
		s.fd, err = openEventFile(name)
	}
	switch {
	case errors.Is(err, unix.ELOOP):
		return nil, &usageError{fmt.Sprintf("write events to %s: there is a symbolic link on the way", text.Quote(name)),
			"name the file without links, or open it: sbx --events 9 ... 9>>FILE"}
	case errors.Is(err, errNotRegular):
		return nil, &usageError{fmt.Sprintf("write events to %s: it is no regular file", text.Quote(name)),
			"open it yourself: sbx --events 9 ... 9>FILE"}
	case err != nil:
		return nil, fmt.Errorf("write events to %s: %w", text.Quote(l.Events), err)
	}
	return s, nil
}

var errNotRegular = errors.New("not a regular file")

// openEventFile opens a file to append to, or makes it. No link is followed: a program in
// an earlier sandbox may have put it there.
func openEventFile(name string) (int, error) {
	const resolve = unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: resolve}
	path, err := unix.Openat2(unix.AT_FDCWD, name, &how)
	if errors.Is(err, unix.ENOENT) {
		return unix.Openat2(unix.AT_FDCWD, name, &unix.OpenHow{
			Flags: unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL | unix.O_APPEND | unix.O_CLOEXEC, Mode: 0o600, Resolve: resolve,
		})
	}
	if err != nil {
		return -1, err
	}
	defer unix.Close(path)
	var st unix.Stat_t
	if err := unix.Fstat(path, &st); err != nil {
		return -1, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return -1, errNotRegular
	}
	return unix.Open("/proc/self/fd/"+strconv.Itoa(path), unix.O_WRONLY|unix.O_APPEND|unix.O_CLOEXEC, 0)
}

// allow makes sure that the plan does not let the target write to the file, where it
// could forge events.
func (s *eventSink) allow(plan *sandbox.Plan) error {
	if s == nil || s.file == "" {
		return nil
	}
	if plan.Shown() != nil && !plan.Shown().Writes(s.file) {
		return nil
	}
	return &usageError{
		fmt.Sprintf("write events to %s: the program could write there too, and forge them", text.Quote(s.file)),
		"name a file in a directory that the policy does not show, or give a pipe: sbx --events 9 ... 9> >(cat >FILE)",
	}
}

// tell writes one event, if that does not take waiting.
func (s *eventSink) tell(d explain.Denial, untold uint64) {
	item, err := s.judge.Item(d)
	if err != nil {
		s.failed = err
	}
	item.Count = 1
	s.lost += untold
	s.write(&item)
}

func (s *eventSink) write(item *explain.Item) {
	line, err := json.Marshal(event{
		Event: 1, Time: time.Now().UTC().Format(time.RFC3339Nano), Policy: s.judge.Policy.Name, Dropped: s.lost, Item: item,
	})
	if err != nil {
		s.failed = err
		return
	}
	// What is no longer than this a pipe takes as a whole, and if it is writable at once.
	const pipeBuf = 4096
	line = append(line, '\n')
	list := []unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLOUT}}
	n, err := unix.Poll(list, 0)
	for err == unix.EINTR {
		n, err = unix.Poll(list, 0)
	}
	if err != nil || n == 0 || list[0].Revents&unix.POLLOUT == 0 || len(line) > pipeBuf {
		s.lost++
		return
	}
	if _, err := unix.Write(s.fd, line); err != nil {
		s.lost++
		if !errors.Is(err, unix.EAGAIN) {
			s.failed = err
		}
		return
	}
	s.lost = 0
}

// finish tells how many events were left out at last, and closes.
func (s *eventSink) finish(exit sandbox.Exit) {
	if s == nil {
		return
	}
	if exit.Explained != nil {
		s.lost += exit.Explained.Untold
	}
	if s.lost > 0 && s.judge.Policy != nil {
		s.write(nil)
	}
	if s.failed != nil {
		say("note", "not all events were written: "+s.failed.Error())
	}
	unix.Close(s.fd)
}

// teller is what writes the events of a run, or nil where there is no sink.
func (s *eventSink) teller(plan *sandbox.Plan, name string) func(d explain.Denial, untold uint64) {
	if s == nil {
		return nil
	}
	s.judge = explain.Judge{Policy: plan.Policy, Native: seccomp.Native()}
	if p, err := parsed(name); err == nil {
		s.judge.Source = p
	}
	return s.tell
}
