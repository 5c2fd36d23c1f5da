package setid

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/internal/text"
)

// Duty is what the launcher has to do, besides what the target's filter does.
type Duty struct {
	// Listens says that the target's first filter has a Listener.
	Listens bool
	// Metadata says that it asks about modes, owners and times of files, too.
	Metadata bool
	// Dirs are the directories of the host in which openat2(2) can make files, if the
	// target has that call. They are looked through at the end if the target has called
	// it, or Always.
	Dirs   []Dir
	Always bool
}

// Look is that look, by the launcher, or by a process that outlives it.
type Look struct{ Duty Duty }

func (l Look) String() string {
	names := make([]string, len(l.Duty.Dirs))
	for i, d := range l.Duty.Dirs {
		names[i] = text.Quote(d.Path)
	}
	s := "take the bits from set-id files that are new in " + strings.Join(names, ", ")
	if !l.Duty.Always {
		s += ", if openat2 was called"
	}
	return s
}

// Kind is the step's name in JSON.
func (Look) Kind() string { return "look-for-set-id-files" }

// Compile does nothing: it takes no table. See Sweep.
func (Look) Compile(*step.Asm) {}

// Clean is the janitor's last step, after a launcher that was killed: it waits for
// the end of the sandbox's init, and becomes sbx again, for a Sweep. See Main.
type Clean struct {
	// Init is a pidfd of the init.
	Init  int
	Since time.Time
	Dirs  []Dir
}

func (Clean) String() string { return "look for set-id files" }

// Kind is the step's name in JSON.
func (Clean) Kind() string { return "clean-set-id-files" }

// Holds are the descriptors that the janitor has to hold open for it.
func (c Clean) Holds() []int {
	fds := []int{2, c.Init}
	for _, d := range c.Dirs {
		fds = append(fds, d.FD)
	}
	return fds
}

// name is argv[0] of the janitor that is sbx again.
const name = "sbx-janitor"

// Compile is an execve(2) of this very program.
func (c Clean) Compile(a *step.Asm) {
	args := []string{name, strconv.Itoa(c.Init), strconv.FormatInt(c.Since.UnixNano(), 10)}
	for _, d := range c.Dirs {
		args = append(args, strconv.Itoa(d.FD)+":"+d.Path)
	}
	for _, fd := range c.Holds()[1:] {
		a.Sys(unix.SYS_FCNTL, step.Fd(fd), step.Int(unix.F_SETFD), step.Int(0))
	}
	a.Sys(unix.SYS_EXECVE, a.Str("/proc/self/exe"), a.Strings(args), a.Strings(nil))
}

// Janitor says whether the arguments are those that Clean gives.
func Janitor(args []string) bool { return len(args) > 2 && args[0] == name }

// Main is what sbx does when Clean has executed it: notes go to say. Whoever else
// executes it so takes set-id bits from files of their own.
func Main(args []string, say func(note string)) error {
	pidfd, err := descriptor(args[1])
	if err != nil {
		return err
	}
	since, err := strconv.ParseInt(args[2], 10, 64)
	if err != nil {
		return fmt.Errorf("look for set-id files: %w", err)
	}
	var dirs []Dir
	for _, arg := range args[3:] {
		number, path, _ := strings.Cut(arg, ":")
		fd, err := descriptor(number)
		if err != nil {
			return err
		}
		dirs = append(dirs, Dir{path, fd})
	}
	list := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	for {
		if _, err := unix.Poll(list, -1); err == nil {
			break
		} else if err != unix.EINTR {
			return fmt.Errorf("wait for the sandbox: %w", err)
		}
	}
	for _, note := range Sweep(dirs, time.Unix(0, since)) {
		say(note)
	}
	return nil
}

func descriptor(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return -1, fmt.Errorf("look for set-id files: %w", err)
	}
	return int(n), nil
}
