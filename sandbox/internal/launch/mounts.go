package launch

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"sbx/internal/text"
)

// Lost is a path that was not any more what the policy says, since somebody on
// the host had removed its file, or had renamed another one over it: the kernel
// then drops what was mounted there (detach_mounts in fs/namespace.c).
type Lost struct {
	// Path is the path inside.
	Path string `json:"path"`
	// Was is what the policy says of it: hidden, read-only, and so on.
	Was string `json:"was"`
}

// mountSource watches the mounts that lie on the host's files. The target
// cannot take one away, but whoever writes on the host can, without knowing.
type mountSource struct {
	ps *Process
	// info is the mountinfo of the sandbox, -1 until the target runs.
	info  int
	known map[string]string // by path, what the mounts there are for
	// again is when to read it: not at each of a thousand changes.
	again time.Time
}

// mountPause is how long a change waits for others.
const mountPause = 100 * time.Millisecond

func (s *mountSource) fds(list []unix.PollFd) ([]unix.PollFd, int) {
	switch {
	case s.info < 0:
		return list, -1
	case !s.again.IsZero(): // POLLPRI would come again at once
		return list, max(0, int(time.Until(s.again)/time.Millisecond)+1)
	}
	return append(list, unix.PollFd{Fd: int32(s.info), Events: unix.POLLPRI}), -1
}

func (s *mountSource) ready(list []unix.PollFd) (bool, error) {
	if len(list) > 0 && list[0].Revents != 0 {
		s.again = time.Now().Add(mountPause)
	}
	if s.again.IsZero() || time.Now().Before(s.again) {
		return false, nil
	}
	s.again = time.Time{}
	return false, s.look()
}

// begin opens the mountinfo of an init that has let the target go. Where the
// init has ended already there is nothing to watch.
func (s *mountSource) begin() error {
	s.known = make(map[string]string)
	for _, l := range s.ps.plan.Tree.OnHost() {
		s.known[l.Path] = l.Is
	}
	fd, err := unix.Open("/proc/"+strconv.Itoa(s.ps.pid)+"/mountinfo", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		// A process that is about to end has no mounts any more: EINVAL of
		// mounts_open_common in fs/proc_namespace.c.
		if err != unix.EINVAL && !s.ps.ended() {
			s.ps.lostNote = "whether what is hidden or read-only stays so could not be watched: open mountinfo: " + err.Error()
		}
		return nil
	}
	s.info = fd
	return s.look() // what went before
}

// look reads which of the mounts are still there.
func (s *mountSource) look() error {
	const tries = 10 // what changes while it is read is not read as a whole
	var there map[string]bool
	for range tries {
		var err error
		if there, err = mountPoints(s.info); err != nil {
			return fmt.Errorf("read the sandbox's mounts: %w", err)
		}
		if n, err := pollNow([]unix.PollFd{{Fd: int32(s.info), Events: unix.POLLPRI}}); err != nil || n == 0 {
			break
		}
	}
	var hidden []string
	for path, is := range s.known {
		if there[path] {
			continue
		}
		delete(s.known, path)
		s.ps.lost = append(s.ps.lost, Lost{path, is})
		if is == "hidden" {
			hidden = append(hidden, path)
		}
	}
	if len(hidden) > 0 && !s.ps.ended() {
		slices.Sort(hidden)
		s.ps.say(lostNote("hidden", hidden))
	}
	return nil
}

// end looks for the last time, if something has changed: the open file keeps the
// mounts of a sandbox that has ended.
func (s *mountSource) end() error {
	if s.info < 0 {
		return nil
	}
	defer unix.Close(s.info)
	list, _ := s.fds(nil)
	if n, err := pollNow(list); err != nil || n == 0 && len(list) > 0 {
		return err
	}
	return s.look()
}

// mountPoints are the paths in a mountinfo; see proc_pid_mountinfo(5).
func mountPoints(fd int) (map[string]bool, error) {
	var all []byte
	buf := make([]byte, 1<<16)
	for {
		n, err := unix.Pread(fd, buf, int64(len(all)))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		if n == 0 {
			break
		}
		all = append(all, buf[:n]...)
	}
	list := make(map[string]bool)
	for line := range bytes.Lines(all) {
		if f := bytes.SplitN(line, []byte(" "), 6); len(f) == 6 {
			list[unescape(string(f[4]))] = true
		}
	}
	return list, nil
}

// unescape undoes the octal escapes of a path in mountinfo.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+4 <= len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// lostNotes say in a line for each kind what was lost.
func (ps *Process) lostNotes() (notes []string) {
	if ps.lostNote != "" {
		notes = append(notes, ps.lostNote)
	}
	byKind := make(map[string][]string)
	for _, l := range ps.lost {
		byKind[l.Was] = append(byKind[l.Was], l.Path)
	}
	kinds := make([]string, 0, len(byKind))
	for is := range byKind {
		kinds = append(kinds, is)
	}
	slices.Sort(kinds)
	for _, is := range kinds {
		slices.Sort(byKind[is])
		notes = append(notes, lostNote(is, byKind[is]))
	}
	return notes
}

func lostNote(is string, paths []string) string {
	return "replaced on the host, so no longer " + is + ": " + names(paths, 3)
}

// names are so many of the names, and the number of the others.
func names(list []string, most int) string {
	var b strings.Builder
	for i, name := range list[:min(len(list), most)] {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(text.Quote(name))
	}
	if more := len(list) - most; more > 0 {
		fmt.Fprintf(&b, " and %d more", more)
	}
	return b.String()
}

// pollNow polls without waiting. Even then a signal that is about to be handled, as
// the Go runtime sends itself, can interrupt it: then it is asked again.
func pollNow(list []unix.PollFd) (int, error) {
	for {
		if n, err := unix.Poll(list, 0); err != unix.EINTR {
			return n, err
		}
	}
}

// ended says whether the init has.
func (ps *Process) ended() bool {
	list := []unix.PollFd{{Fd: int32(ps.pidfd), Events: unix.POLLIN}}
	n, err := pollNow(list)
	return err == nil && n > 0
}

// say says something at once, unless nobody reads it: it waits for nobody.
func (ps *Process) say(note string) {
	if ps.caught < 0 {
		return // standard error is not ours
	}
	list := []unix.PollFd{{Fd: 2, Events: unix.POLLOUT}}
	if n, err := pollNow(list); err != nil || n == 0 || list[0].Revents != unix.POLLOUT {
		return
	}
	message := "sbx: note: " + text.OneLine(note) + "\n"
	if ps.relay != nil {
		message = "\r" + message[:len(message)-1] + "\r\n" // the terminal is raw
	}
	// What depends on it is said again at the end.
	_, _ = os.Stderr.WriteString(message)
}
