package host

import (
	"fmt"

	"golang.org/x/sys/unix"

	"sbx/policy"
)

// procMasks are the files that container runtimes mask in /proc, and others by which
// every reader sees the kernel's memory, its keys or other users.
var procMasks = [...]string{"acpi", "asound", "bus", "fs", "irq", "scsi", "kcore", "keys", "key-users", "kmsg",
	"kpagecgroup", "kpagecount", "kpageflags", "latency_stats", "sched_debug", "slabinfo", "sysrq-trigger",
	"timer_list", "timer_stats", "vmallocinfo"}

func (h *Facts) probeProcMasks(p *policy.Policy, _ *policy.Tree, _ Target) error {
	if !policy.NotFalse(p.Files.Proc) {
		return nil
	}
	proc, err := unix.Open("/proc", unix.O_PATH|unix.O_CLOEXEC|unix.O_DIRECTORY, 0)
	if err != nil {
		return fmt.Errorf("look at /proc: %w", err)
	}
	defer unix.Close(proc)
	// A file that is missing here would not be masked inside. So this must be a whole proc
	// file system: not one with "subset=pid" (proc(5), Linux 5.8).
	var fs unix.Statfs_t
	if err := unix.Fstatfs(proc, &fs); err != nil {
		return fmt.Errorf("look at /proc: %w", err)
	}
	if fs.Type != unix.PROC_SUPER_MAGIC || unix.Faccessat(proc, "version", unix.F_OK, 0) != nil {
		return &NeedError{
			Reason: NoProc,
			What:   "find out what to mask in /proc: something else, or only a part of it, is mounted there",
			Fix:    "mount -t proc proc /proc",
		}
	}
	for _, name := range procMasks {
		var st unix.Stat_t
		if unix.Fstatat(proc, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
			continue
		}
		// A file that the target's user cannot open needs no mask. For root all need one.
		if h.UID == 0 || st.Mode&0o007 != 0 {
			h.Masks = append(h.Masks, Found{Path: "/proc/" + name, Dir: st.Mode&unix.S_IFMT == unix.S_IFDIR})
		}
	}
	return nil
}
