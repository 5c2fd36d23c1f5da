package explain

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestNeeds(t *testing.T) {
	root, user := [4]uint32{}, [4]uint32{7, 7, 7, 7}
	for _, c := range []struct {
		name string
		args [6]uint64
		ids  [4]uint32
		want string
	}{
		{"setuid", [6]uint64{33}, root, "setuid"}, {"setuid", [6]uint64{}, root, ""}, {"setuid", [6]uint64{7}, user,
			""},
		{"setresuid", [6]uint64{7, 7, 0xffffffff}, user, ""}, {"setresuid", [6]uint64{7, 7, 8}, user, "setuid"},
		{"setresgid", [6]uint64{0, 0, 8}, root, "setgid"}, {"setgroups", [6]uint64{}, user, "setgid"},
		{"fchownat", [6]uint64{0, 0, 33, 0xffffffff}, root, "chown"}, {"chown", [6]uint64{0, 0, 0}, root, ""},
		{"mount", [6]uint64{}, root, "sys_admin"}, {"sethostname", [6]uint64{}, user, "sys_admin"},
		{"mknod", [6]uint64{1, unix.S_IFCHR | 0o600, 1}, root, "mknod"}, {"mknodat", [6]uint64{1, 1, unix.S_IFIFO}, root, ""},
		{"socket", [6]uint64{unix.AF_INET, unix.SOCK_RAW | unix.SOCK_CLOEXEC, 1}, user, "net_raw"},
		{"socket", [6]uint64{unix.AF_PACKET, unix.SOCK_DGRAM}, user, "net_raw"},
		{"socket", [6]uint64{unix.AF_INET, unix.SOCK_DGRAM, 1}, user, ""},
		{"socket", [6]uint64{unix.AF_NETLINK, unix.SOCK_RAW}, user, ""},
		{"chroot", [6]uint64{}, root, "sys_chroot"}, {"read", [6]uint64{9}, root, ""},
	} {
		if got := Needs(c.name, c.args, Caller{UIDs: c.ids, GIDs: c.ids, LeastNice: 20}); got != c.want {
			t.Errorf("%s(%v) of %v: %q, want %q", c.name, c.args, c.ids, got, c.want)
		}
	}
}

// TestNeedsNice: what raises a priority takes a capability where limits do not allow it.
func TestNeedsNice(t *testing.T) {
	minus := func(n int32) uint64 { return uint64(uint32(-n)) }
	plain := Caller{Nice: 5, LeastNice: 20}
	for _, x := range []struct {
		name string
		args [6]uint64
		c    Caller
		want bool
	}{
		{"setpriority", [6]uint64{0, 0, 5}, plain, false},
		{"setpriority", [6]uint64{0, 0, 4}, plain, true},
		{"setpriority", [6]uint64{0, 0, minus(99)}, plain, true},
		{"setpriority", [6]uint64{0, 0, minus(99)}, Caller{LeastNice: -20}, false},
		{"setpriority", [6]uint64{0, 0, minus(5)}, Caller{LeastNice: -5}, false},
		{"setpriority", [6]uint64{0, 0, minus(6)}, Caller{LeastNice: -5}, true},
		{"setpriority", [6]uint64{1, 0, minus(6)}, plain, false}, // a group, of which little is known
		{"sched_setscheduler", [6]uint64{0, unix.SCHED_FIFO}, plain, true},
		{"sched_setscheduler", [6]uint64{0, unix.SCHED_RR | unix.SCHED_RESET_ON_FORK}, plain, true},
		{"sched_setscheduler", [6]uint64{0, unix.SCHED_FIFO}, Caller{Realtime: true}, false},
		{"sched_setscheduler", [6]uint64{0, unix.SCHED_BATCH}, plain, false},
		{"sched_setattr", [6]uint64{}, Caller{Policy: unix.SCHED_DEADLINE, Realtime: true}, true},
		{"sched_setattr", [6]uint64{}, Caller{Policy: unix.SCHED_NORMAL}, false},
		{"ioprio_set", [6]uint64{1, 0, 1<<13 | 4}, plain, true},
		{"ioprio_set", [6]uint64{1, 0, 2<<13 | 4}, plain, false},
	} {
		if got := Needs(x.name, x.args, x.c); got != map[bool]string{true: "sys_nice"}[x.want] {
			t.Errorf("%s(%v) of %+v: %q, want %v", x.name, x.args, x.c, got, x.want)
		}
	}
}
