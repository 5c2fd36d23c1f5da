package sandbox

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"sbx/internal/text"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/ns"
	"sbx/sandbox/internal/child"
	"sbx/sandbox/internal/process"
)

// Sub are the ranges of ids that the system lets the caller use: /etc/subuid
// and /etc/subgid, see subuid(5).
type Sub struct {
	UIDs, GIDs []ns.Extent // Inside is not set
	// Err is why there are none.
	Err error
}

// idMappers are the set-user-ID programs of the system that may map them.
var idMappers = [...]string{"/usr/bin/newuidmap", "/usr/bin/newgidmap"}

// ranges reads them. No name service is asked: the files are the system's.
func (h *Host) ranges() (s Sub) {
	for _, name := range idMappers {
		var st unix.Stat_t
		err := unix.Lstat(name, &st)
		switch {
		case err != nil:
			return Sub{Err: &NeedError{What: fmt.Sprintf("map ranges of ids: %s: %v", name, err), Fix: "install it: apt-get install uidmap"}}
		case st.Mode&unix.S_IFMT != unix.S_IFREG || st.Uid != 0 || st.Mode&0o022 != 0:
			return Sub{Err: fmt.Errorf("map ranges of ids: %s is not a file that only root can write", name)}
		}
	}
	passwd, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return Sub{Err: fmt.Errorf("map ranges of ids: %w", err)}
	}
	login := ""
	for line := range strings.Lines(string(passwd)) {
		if f := strings.Split(line, ":"); len(f) > 3 && f[2] == strconv.Itoa(h.UID) {
			login = f[0]
			break
		}
	}
	for _, f := range [...]struct {
		name string
		own  int
		to   *[]ns.Extent
	}{{"/etc/subuid", h.UID, &s.UIDs}, {"/etc/subgid", h.GID, &s.GIDs}} {
		text, err := os.ReadFile(f.name)
		if err != nil {
			return Sub{Err: fmt.Errorf("map ranges of ids: %w", err)}
		}
		if *f.to, err = parseSub(f.name, string(text), login, h.UID, f.own); err != nil {
			return Sub{Err: err}
		}
	}
	return s
}

// parseSub reads the caller's lines of a file, by login name or number. own is
// the id that is mapped besides.
func parseSub(file, content, login string, uid, own int) (list []ns.Extent, err error) {
	n := 0
	for line := range strings.Lines(content) {
		n++
		f := strings.Split(strings.TrimSuffix(line, "\n"), ":")
		if f[0] == "" || f[0] != login && f[0] != strconv.Itoa(uid) {
			continue
		}
		bad := func(why string) error {
			return fmt.Errorf("map ranges of ids: %s:%d: %s: %s", file, n, text.Quote(strings.TrimSuffix(line, "\n")), why)
		}
		if len(f) != 3 {
			return nil, bad("not three fields")
		}
		first, ok := strictID(f[1])
		count, ok2 := strictID(f[2])
		switch {
		case !ok || !ok2:
			return nil, bad("not a number from 0 to 4294967294, in plain decimal digits")
		case first == 0:
			return nil, bad("it begins with root")
		case count == 0 || uint64(first)+uint64(count)-1 > maxID:
			return nil, bad("it has no ids, or goes beyond the last")
		case own >= int(first) && own <= int(first+count-1):
			return nil, bad(fmt.Sprintf("it holds the caller's own %d", own))
		case slices.ContainsFunc(list, func(e ns.Extent) bool { return first < e.Outside+e.Count && e.Outside < first+count }):
			return nil, bad("it overlaps a line before")
		}
		list = append(list, ns.Extent{Outside: first, Count: count})
	}
	const most = 100 // the kernel takes 340, and shows so many in one read
	switch {
	case len(list) > most:
		return nil, fmt.Errorf("map ranges of ids: %s gives the caller more than %d", file, most)
	case len(list) == 0:
		if login == "" {
			login = strconv.Itoa(uid)
		}
		return nil, &NeedError{What: fmt.Sprintf("map ranges of ids: %s gives user %s none", file, text.Quote(login)),
			Fix: "give it some: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 " + text.Quote(login)}
	}
	return list, nil
}

// strictID reads an id in the one way to write it.
func strictID(s string) (uint32, bool) {
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err == nil && n <= maxID && strconv.FormatUint(n, 10) == s
}

// extents maps the caller's own id and gives the other ids inside, from 0 on,
// to the ranges in their order.
func extents(inside, outside int, sub []ns.Extent) ([]ns.Extent, error) {
	own := ns.Extent{Inside: uint32(inside), Outside: uint32(outside), Count: 1}
	var list []ns.Extent
	next, placed := uint64(0), false
	add := func(e ns.Extent) {
		e.Inside = uint32(next)
		next += uint64(e.Count)
		list = append(list, e)
	}
	for _, e := range sub {
		if before := uint64(inside) - next; !placed && uint64(inside) >= next && before < uint64(e.Count) {
			if before > 0 {
				add(ns.Extent{Outside: e.Outside, Count: uint32(before)})
			}
			list, placed = append(list, own), true
			next++
			e.Outside, e.Count = e.Outside+uint32(before), e.Count-uint32(before)
		}
		add(e)
	}
	if next > maxID+1 {
		return nil, errors.New("map ranges of ids: they are more than there are")
	}
	if !placed {
		list = append(list, own)
	}
	return list, nil
}

// mapRanges runs the two programs on the child and lets it go.
func (ps *Process) mapRanges(r *ns.Ranges) error {
	for i, m := range [...][]ns.Extent{r.UIDs, r.GIDs} {
		args := []string{idMappers[i], strconv.Itoa(ps.pid)}
		for _, e := range m {
			args = append(args, fmt.Sprint(e.Inside), fmt.Sprint(e.Outside), fmt.Sprint(e.Count))
		}
		if err := runMapper(args); err != nil {
			return ps.abortIDMap(r, err)
		}
	}
	if err := unix.Sendto(ps.notify, []byte{step.MsgMapped}, unix.MSG_NOSIGNAL, nil); err != nil {
		return ps.abortIDMap(r, err)
	}
	return nil
}

// abortIDMap ends the child that waits in vain. If it has failed by itself, that
// is what is told.
func (ps *Process) abortIDMap(r *ns.Ranges, err error) error {
	err = errors.Join(err, ps.kill())
	if _, e := waitFor(ps.pid); e != nil {
		err = errors.Join(err, e)
	}
	if st := ps.status; st.Failed != 0 {
		return failure(st, ps.plan.stepAt(int(ps.table.Calls[st.Failed-1].Step)))
	}
	return &StepError{*r, err}
}

// MapperError is what newuidmap or newgidmap said before it failed.
type MapperError struct {
	Program, Said string
	Status        unix.WaitStatus
}

func (e *MapperError) Error() string {
	if e.Said == `""` {
		return fmt.Sprintf("%s ended with status %#x", e.Program, uint32(e.Status))
	}
	return e.Said
}

// runMapper runs one of them, with an empty environment, no descriptors but
// three of a file in memory for what it says, and signals as usual.
func runMapper(args []string) error {
	said, err := unix.MemfdCreate("said", unix.MFD_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(said)
	steps := []step.Step{stdio{said}, process.Descriptors{}, process.Signals{}, process.Exec{Paths: args[:1], Args: args}}
	asm := &step.Asm{}
	for i, s := range steps {
		asm.Begin(i)
		s.Compile(asm)
	}
	table, err := asm.Link()
	if err != nil {
		return err
	}
	defer table.Free()
	status, err := child.NewStatus()
	if err != nil {
		return err
	}
	defer status.Free()
	pid, pidfd, err := child.Start(table, status, child.Config{Notify: -1, Children: -1, Cgroup: -1, Stack: table.Stack})
	if err != nil {
		return err
	}
	unix.Close(pidfd)
	ws, err := waitFor(pid)
	switch {
	case err != nil:
		return err
	case status.Failed != 0:
		// Not as a StepError: its words for an exec are about the target.
		failed := failure(status, steps[table.Calls[status.Failed-1].Step])
		return fmt.Errorf("%s: %w", failed.Step, failed.Err)
	case ws != 0:
		var b [300]byte
		n, err := unix.Pread(said, b[:], 0)
		if err != nil {
			n = 0
		}
		first, _, _ := strings.Cut(string(b[:n]), "\n")
		return &MapperError{args[0], text.Quote(first), ws}
	}
	return nil
}

// stdio puts one descriptor in the place of the standard streams.
type stdio struct{ fd int }

func (stdio) String() string { return "catch what the program says" }

func (stdio) Kind() string { return "redirect-stdio" }

// Compile is three dup3(2).
func (s stdio) Compile(a *step.Asm) {
	for fd := range 3 {
		a.Sys(unix.SYS_DUP3, step.Fd(s.fd), step.Fd(fd), step.Int(0))
	}
}
