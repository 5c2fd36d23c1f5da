package sandbox

import (
	"errors"
	"fmt"
	"strconv"

	"sbx/internal/text"

	"golang.org/x/sys/unix"

	"sbx/ns"
	"sbx/policy"
	"sbx/sandbox/internal/process"
)

// Space is a namespace that a policy names by a path: open, and looked at.
type Space struct {
	Kind         ns.Set
	FD           int
	Major, Minor uint32
	Ino          uint64
	// Err is why it is none.
	Err error
}

// spaces opens the namespaces that the policy names by path.
func (h *Host) spaces(n policy.Namespaces) {
	for _, s := range [...]string{n.User, n.Mount, n.PID, n.Net, n.IPC, n.UTS, n.Cgroup, n.Time} {
		if _, have := h.Spaces[s]; !have && isPath(s) {
			if h.Spaces == nil {
				h.Spaces = make(map[string]Space)
			}
			h.Spaces[s] = h.space(s)
		}
	}
}

func isPath(say string) bool { return say != "" && say != "new" && say != "host" && say != "auto" }

// space opens one. Nothing but nsfs is opened for more than its name: the path
// could be of a device or a FIFO.
func (h *Host) space(name string) (s Space) {
	fd, err := unix.Open(name, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return Space{Err: err}
	}
	defer unix.Close(fd)
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return Space{Err: err}
	}
	if fs.Type != unix.NSFS_MAGIC {
		return Space{Err: errors.New("it is no namespace: not a file of nsfs")}
	}
	if s.FD, err = unix.Open("/proc/self/fd/"+strconv.Itoa(fd), unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		return Space{Err: err}
	}
	h.fds = append(h.fds, s.FD)
	kind, err := unix.IoctlRetInt(s.FD, unix.NS_GET_NSTYPE)
	if err != nil {
		return Space{Err: fmt.Errorf("ask for its kind: %w", err)}
	}
	var st unix.Stat_t
	if err := unix.Fstat(s.FD, &st); err != nil {
		return Space{Err: err}
	}
	s.Kind, s.Major, s.Minor, s.Ino = ns.Set(kind), unix.Major(st.Dev), unix.Minor(st.Dev), st.Ino
	return s
}

// joinStep is the step that enters the namespace.
func (h *Host) joinStep(kind ns.Set, path string) (ns.Join, error) {
	s, ok := h.Spaces[path]
	switch {
	case !ok:
		return ns.Join{}, fmt.Errorf("join %s namespace %s: it was not looked at", kind, text.Quote(path))
	case s.Err != nil:
		return ns.Join{}, fmt.Errorf("join %s namespace %s: %w", kind, text.Quote(path), s.Err)
	case s.Kind != kind:
		return ns.Join{}, fmt.Errorf("join %s namespace %s: it is a %s namespace", kind, text.Quote(path), s.Kind)
	}
	return ns.Join{Namespace: kind, Path: path, FD: s.FD, Major: s.Major, Minor: s.Minor, Ino: s.Ino}, nil
}

// joinSteps are all that the process does that enters namespaces. It is not
// the launcher, for a process of many threads enters no user or time
// namespace; nor the child, for a pid namespace is entered by the next one
// only.
func (s spaces) joinSteps(h *Host, plan *Plan) {
	if len(s.joins) == 0 {
		return
	}
	// First, or the child could not see the launcher die by its socket.
	plan.Join = append(plan.Join, process.LeaveLauncher{}, ns.OpenProc{})
	if s.new&ns.User == 0 {
		// Before somebody inside can see the child, which inherits it. Where
		// the child has maps to write it follows them; see Build.
		plan.Join = append(plan.Join, process.Undumpable{})
	}
	if s.joined(ns.User) && s.groups(h) {
		plan.Join = append(plan.Join, process.DropGroups{}) // while root can
	}
	for _, j := range s.joins {
		plan.Join = append(plan.Join, j)
		plan.Joined |= j.Namespace
	}
	plan.Join = append(plan.Join, namespacesStep{s.new})
}

// awaitJoin waits for the process that joins the namespaces and finds the one
// that it left there, which is this process's own child.
func (ps *Process) awaitJoin() error {
	unix.Close(ps.pidfd)
	ps.pidfd = -1
	ws, err := waitFor(ps.pid)
	if err != nil {
		return fmt.Errorf("wait for the namespaces to be joined: %w", err)
	}
	st := ps.status
	switch {
	case st.Entered != 0:
	case st.Failed != 0:
		return failure(st, ps.plan.stepAt(int(ps.table.Calls[st.Failed-1].Step)))
	default:
		return fmt.Errorf("join namespaces: the process for it ended with status %#x", uint32(ws))
	}
	ps.pid = int(st.Entered)
	if ps.pidfd, err = unix.PidfdOpen(ps.pid, 0); err != nil {
		// It is ours and not reaped, so nobody else has its number.
		unix.Kill(ps.pid, unix.SIGKILL)
		_, e := waitFor(ps.pid)
		return errors.Join(fmt.Errorf("open the sandbox's init: %w", err), e)
	}
	return nil
}
