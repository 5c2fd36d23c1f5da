package inspect

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Sandbox is a running sandbox of sbx's, by its init.
type Sandbox struct {
	// Init is the pid of its init, Launcher that of the sbx that started it, and Target
	// the program's, 0 if that is not seen.
	Init     int      `json:"init"`
	Launcher int      `json:"launcher"`
	Target   int      `json:"pid"`
	Policy   string   `json:"policy"`
	Command  []string `json:"command"`
	// Launch are the arguments of the launcher.
	Launch  []string      `json:"-"`
	Age     time.Duration `json:"-"`
	Seconds int64         `json:"age"`
}

// initName is what the init is called.
const initName = "sbx-init"

// Sandboxes finds those of a user: by their init, which is a process of that name, under
// no_new_privs and without a parent in another sandbox. uid -1 are all users.
func Sandboxes(uid int) ([]Sandbox, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	status := map[int]map[string]string{}
	children := map[int][]int{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		b, err := os.ReadFile("/proc/" + e.Name() + "/status")
		if err != nil {
			continue // it has ended
		}
		status[pid] = fields(string(b))
		parent := number(status[pid]["PPid"])
		children[parent] = append(children[parent], pid)
	}
	list := []Sandbox{}
	for pid, f := range status {
		parent := number(f["PPid"])
		ids := strings.Fields(f["Uid"])
		if f["Name"] != initName || f["NoNewPrivs"] != "1" || len(ids) < 1 ||
			uid >= 0 && number(ids[0]) != uid && number(strings.Fields(status[parent]["Uid"] + " -1")[0]) != uid {
			continue
		}
		s := Sandbox{Init: pid, Launcher: parent, Launch: arguments(parent)}
		for _, child := range children[pid] {
			if s.Target == 0 || child < s.Target {
				s.Target = child
			}
		}
		s.Command = nonNil(arguments(s.Target))
		s.Age = age(pid)
		s.Seconds = int64(s.Age / time.Second)
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b Sandbox) int { return a.Init - b.Init })
	return list, nil
}

func arguments(pid int) []string {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	if pid == 0 || err != nil || len(b) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00")
}

// age is how long a process has run: its start counts from the boot, in ticks.
func age(pid int) time.Duration {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	f := strings.Fields(rest)
	const start, ticks = 19, 100 // USER_HZ, which is 100 on all architectures of sbx
	if len(f) <= start {
		return 0
	}
	began, err := strconv.ParseInt(f[start], 10, 64)
	var now unix.Timespec
	if err != nil || unix.ClockGettime(unix.CLOCK_BOOTTIME, &now) != nil {
		return 0
	}
	return time.Duration(now.Nano()) - time.Duration(began)*time.Second/ticks
}
