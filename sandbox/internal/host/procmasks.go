package host

import (
	"fmt"

	"golang.org/x/sys/unix"

	"sbx/policy"
)

// procMasks are what container runtimes mask in /proc, and what else shows
// the kernel's memory, keys or other users to those who may read it.
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
	// What is missing there would not be masked inside, so it has to be the
	// kernel's, and all of it: without "subset=pid" (proc(5), Linux 5.8).
	var fs unix.Statfs_t
	if err := unix.Fstatfs(proc, &fs); err != nil {
		return fmt.Errorf("look at /proc: %w", err)
	}
	if fs.Type != unix.PROC_SUPER_MAGIC || unix.Faccessat(proc, "version", unix.F_OK, 0) != nil {
		return &NeedError{Reason: NoProc, What: "tell by /proc what of the kernel's to mask: something else is mounted there, or a part of it only",
			Fix: "mount -t proc proc /proc"}
	}
	for _, name := range procMasks {
		var st unix.Stat_t
		if unix.Fstatat(proc, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
			continue
		}
		// What the target's user cannot open needs no mask; root needs all.
		if h.UID == 0 || st.Mode&0o007 != 0 {
			h.Masks = append(h.Masks, Found{Path: "/proc/" + name, Dir: st.Mode&unix.S_IFMT == unix.S_IFDIR})
		}
	}
	return nil
}
