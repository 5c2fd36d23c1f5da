package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// mounting tries each kind of mount that the table in docs/explain.md has, on a directory of its own.
func mounting([]string) error {
	at, err := os.MkdirTemp("", "mounting")
	if err != nil {
		return err
	}
	const again, locked = unix.MS_BIND | unix.MS_REMOUNT, unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV
	for _, x := range [...]struct {
		what, from, at, kind string
		flags                uintptr
	}{
		{"tmpfs", "none", at, "tmpfs", 0},
		{"unknown type", "none", at, "nosuchfs", 0},
		{"type for root alone", "none", at, "pipefs", 0},
		{"proc", "none", at, "proc", 0},
		{"sysfs", "none", at, "sysfs", 0},
		{"cgroup2", "none", at, "cgroup2", 0},
		{"mqueue", "none", at, "mqueue", 0},
		{"bind one of the sandbox's", "/usr", at, "", unix.MS_BIND},
		{"bind with mounts below", "/", at, "", unix.MS_BIND},
		{"bind all", "/", at, "", unix.MS_BIND | unix.MS_REC},
		{"writable again", "none", "/usr", "", again},
		{"read-only again", "none", "/usr", "", again | locked},
		{"move", "/usr", at, "", unix.MS_MOVE},
	} {
		err := unix.Mount(x.from, x.at, x.kind, x.flags, "")
		say(x.what, err)
		if err != nil || x.at != at {
			continue
		}
		if err := unix.Unmount(at, unix.MNT_DETACH); err != nil {
			return err
		}
	}
	say("umount", unix.Unmount("/usr", 0))
	return nil
}
