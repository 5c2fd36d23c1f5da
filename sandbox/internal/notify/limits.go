package notify

import (
	"math"
	"slices"

	"golang.org/x/sys/unix"

	"sbx/internal/sys"
	"sbx/policy/explain"
)

// Bounds are limits of the target of which nothing tells that they were reached. 0 is none.
type Bounds struct {
	// OpenFiles is the most descriptors of each process, Processes the most processes and
	// threads of the user namespace, Data the most bytes of private memory of each process.
	OpenFiles, Processes, Data uint64
	// Tmpfs are the paths of the private file systems in memory.
	Tmpfs []string
}

// Bound tells of the limits.
func (l *Listener) Bound(b Bounds) { l.bounds = b }

// Enter tells the init of the sandbox, when the target has been executed. The files are looked
// at from the root of the init's child: a user may not look from that of the init, which
// has not executed anything.
func (l *Listener) Enter(init int) {
	l.init = init
	if len(l.bounds.Tmpfs) == 0 {
		return
	}
	for _, pid := range children(init) {
		if root, err := unix.Open(proc(pid, "root"), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err == nil {
			l.openTmpfs(root)
			unix.Close(root)
			return
		}
	}
}

// openTmpfs opens the file systems in memory.
func (l *Listener) openTmpfs(root int) {
	for _, name := range l.bounds.Tmpfs {
		fd, err := openIn(root, name, unix.O_DIRECTORY, unix.RESOLVE_NO_SYMLINKS)
		if err != nil {
			continue
		}
		var fs unix.Statfs_t
		if unix.Fstatfs(fd, &fs) != nil || fs.Type != unix.TMPFS_MAGIC {
			unix.Close(fd)
			continue
		}
		l.tmpfs = append(l.tmpfs, fd)
	}
}

// lookForSpace notes that one of the file systems in memory is full.
func (l *Listener) lookForSpace() {
	for _, fd := range l.tmpfs {
		var fs unix.Statfs_t
		if !l.filled && unix.Fstatfs(fd, &fs) == nil && (fs.Bfree == 0 && fs.Blocks > 0 || fs.Ffree == 0 && fs.Files > 0) {
			l.filled = true
		}
	}
}

// Filled says that one of the file systems in memory was full, as far as was looked. It
// is asked when the target has ended.
func (l *Listener) Filled() bool {
	l.lookForSpace()
	return l.filled
}

// fullTable notes a call that opens a file where no descriptor is left. Since Linux 6.2 the size
// of /proc/PID/fd is how many there are; before, it is 0.
func (l *Listener) fullTable(call string, list []explain.FileArg) {
	if l.bounds.OpenFiles == 0 || len(list) == 0 || !list[0].Opens {
		return
	}
	var st unix.Stat_t
	if unix.Stat(l.proc("fd"), &st) == nil && st.Size > 0 && uint64(st.Size) >= l.bounds.OpenFiles {
		l.noteAttempt(attemptKey{call: call, limit: "open_files"})
	}
}

// bounded notes a call that fails since a limit is reached that no cgroup counts.
func (l *Listener) bounded(call string) {
	switch {
	case call == "mmap" && l.bounds.Data > 0:
		args := &l.request.Args
		const protection, flags = 2, 3
		if args[protection]&unix.PROT_WRITE == 0 || args[flags]&unix.MAP_TYPE != unix.MAP_PRIVATE {
			return
		}
		status, err := sys.ReadFile(l.proc("status"))
		if err != nil {
			return
		}
		// The kernel's own sum; see may_expand_vm in mm/mmap.c. A request may be any number.
		if have := uint64(field(status, "VmData:", 10)) << 10; have > 0 && have+min(args[1], math.MaxInt64) > l.bounds.Data {
			l.noteAttempt(attemptKey{call: call, limit: "memory"})
		}
	case slices.Contains(explain.Forks[:], call) && l.bounds.Processes > 0:
		// There cannot be more than were made.
		if l.made++; l.made+1 >= l.bounds.Processes && l.tasks(l.bounds.Processes) >= l.bounds.Processes {
			l.noteAttempt(attemptKey{call: call, limit: "processes"})
		}
	}
}

// tasks are how many threads the processes of the sandbox have, or most if there are as
// many. Those of children that a thread other than the first has made are missing.
func (l *Listener) tasks(most uint64) (n uint64) {
	if l.init == 0 {
		return 0
	}
	list := []int{l.init}
	for i := 0; i < len(list) && n < most; i++ {
		if status, err := sys.ReadFile(proc(list[i], "status")); err == nil {
			n += uint64(max(field(status, "Threads:", 10), 1))
		}
		list = append(list, children(list[i])...)
	}
	return n
}
