package trial

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/sandbox/internal/attempt"
)

// Outside is the object that stands for any process outside of the sandbox.
const Outside = "outside"

// pids are the processes of that command name which /proc shows.
func pids(name string) (list []int) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		comm, err := os.ReadFile("/proc/" + e.Name() + "/comm")
		if err == nil && strings.TrimSuffix(string(comm), "\n") == name {
			list = append(list, pid)
		}
	}
	return list
}

func seeProcess(name string, all *Request) Outcome {
	if name == Outside {
		name = all.Comm
	}
	return Outcome{Works: len(pids(name)) > 0}
}

// signal asks whether one could be sent, which nobody gets.
func (r *runner) signal(name string, all *Request) (o Outcome) {
	list := []int{all.Outside}
	switch {
	case name != Outside:
		list = pids(name)
	case !all.SamePIDs:
		// Its number is another one inside, or none.
		list = pids(all.Comm)
	}
	o = Outcome{Errno: unix.ESRCH}
	for _, pid := range list {
		if o = r.Run(0, attempt.Call{Nr: unix.SYS_KILL, Args: [6]uintptr{uintptr(pid), 0}, From: -1}); o.Works {
			break
		}
	}
	return o
}
