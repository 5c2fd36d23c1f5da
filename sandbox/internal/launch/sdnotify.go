package launch

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/sys"
	"sbx/sandbox/internal/sdnotify"
)

// connectManager connects to the service manager that the target is to tell of itself.
func (ps *Process) connectManager() (err error) {
	if n := ps.plan.Notify; n.Address != "" {
		ps.manager, err = sdnotify.Connect(n.Address, n.FD, ps.translatePID)
	}
	return err
}

// notifySource is what the target tells its service manager.
type notifySource struct{ ps *Process }

func (s notifySource) fds(list []unix.PollFd) ([]unix.PollFd, int) {
	if s.ps.manager == nil {
		return list, -1
	}
	return s.ps.manager.Watch(list), -1
}

// ready looks whatever the poll said: what came before the end is sent on before it.
func (s notifySource) ready([]unix.PollFd) (bool, error) {
	if ps := s.ps; ps.manager != nil && ps.ready.pid != 0 {
		ps.manager.Move()
	}
	return false, nil
}

// translatePID says which process of the host the target means, by the pid that it has in
// the sandbox. For the target itself that is this process: the manager has started this one,
// listens to it, and sees the target's end by its. 0: there is no such process in the
// sandbox.
func (ps *Process) translatePID(pid int) int {
	all, err := processes()
	if err != nil {
		return 0
	}
	level := len(all[ps.pid].pids) - 1
	if level < 0 {
		return 0
	}
	for n, p := range all {
		if level >= len(p.pids) || p.pids[level] != pid || !below(all, n, ps.pid) {
			continue
		}
		if n == ps.ready.pid {
			return os.Getpid()
		}
		return n
	}
	return 0
}

// below says whether a process descends from root. No chain is longer than there are
// processes.
func below(all map[int]processStatus, pid, root int) bool {
	for range len(all) {
		p, ok := all[pid]
		if !ok {
			return false
		}
		if pid = p.parent; pid == root {
			return true
		}
	}
	return false
}

// processStatus is what /proc says of a process: its parent, and its pids in all pid
// namespaces from this process's inwards.
type processStatus struct {
	parent int
	pids   []int
}

// processes are all, by their pids.
func processes() (map[int]processStatus, error) {
	dir, err := os.Open("/proc/")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	all := map[int]processStatus{}
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if text, err := sys.ReadFile("/proc/" + name + "/status"); err == nil { // else it has ended
			all[pid] = parseStatus(text)
		}
	}
	return all, nil
}

// parseStatus reads /proc/PID/status; see proc_pid_status(5).
func parseStatus(text string) (s processStatus) {
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(line, ":")
		switch name {
		case "PPid":
			s.parent, _ = strconv.Atoi(strings.TrimSpace(value))
		case "NSpid":
			for word := range strings.FieldsSeq(value) {
				n, err := strconv.Atoi(word)
				if err != nil {
					return s
				}
				s.pids = append(s.pids, n)
			}
		}
	}
	return s
}
