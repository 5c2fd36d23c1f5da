package ns

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
)

// TestReopen: what is opened lies on a mount that is read-only by then, it is
// looked at before it takes the descriptor's place, and what it says of itself.
func TestReopen(t *testing.T) {
	id := ID{Major: 8, Minor: 1, Ino: 7}
	for _, c := range []struct {
		r    Reopen
		text string
		want []uintptr
	}{
		{Reopen{FDs: []int{0, 1, 2}, Path: "/dev/pts/3", ID: id, Flags: unix.O_RDWR, Number: 40},
			"open /dev/pts/3 once more as descriptors 0, 1 and 2, on a read-only mount",
			[]uintptr{unix.SYS_OPENAT2, unix.SYS_STATX, unix.SYS_OPEN_TREE, unix.SYS_MOUNT_SETATTR, unix.SYS_DUP3,
				unix.SYS_MOVE_MOUNT,
				unix.SYS_CLOSE, unix.SYS_CLOSE, unix.SYS_OPENAT, unix.SYS_FCNTL, unix.SYS_STATX, unix.SYS_DUP3, unix.SYS_DUP3,
				unix.SYS_DUP3, unix.SYS_CLOSE}},
		{Reopen{FDs: []int{3}, Path: "/d", ID: id, Flags: unix.O_PATH, Directory: true},
			"open /d once more as descriptor 3, on a read-only mount",
			[]uintptr{unix.SYS_OPENAT2, unix.SYS_OPEN_TREE, unix.SYS_MOUNT_SETATTR, unix.SYS_OPENAT, unix.SYS_CLOSE,
				unix.SYS_CLOSE, unix.SYS_STATX, unix.SYS_DUP3, unix.SYS_CLOSE}},
		{Reopen{FDs: []int{0}, Path: "/dev/null", ID: id, Inside: true},
			"open /dev/null once more as descriptor 0, on a read-only mount",
			[]uintptr{unix.SYS_OPENAT, unix.SYS_STATX, unix.SYS_DUP3, unix.SYS_CLOSE}},
		{Reopen{FDs: []int{0}, Path: "/in", ID: id, Named: true, Seek: true, From: 9},
			"open /in once more as descriptor 0, on a read-only mount, and give its offset back at the end",
			[]uintptr{unix.SYS_OPEN_TREE, unix.SYS_MOUNT_SETATTR, unix.SYS_OPENAT2, unix.SYS_FCNTL, unix.SYS_LSEEK,
				unix.SYS_STATX,
				unix.SYS_DUP3, unix.SYS_SENDMSG, unix.SYS_CLOSE}},
	} {
		if got := c.r.String(); got != c.text {
			t.Errorf("%q, want %q", got, c.text)
		}
		var got []uintptr
		for _, call := range calls(t, c.r) {
			if call.Op == step.OpSys {
				got = append(got, call.Nr)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: calls %v, want %v", c.text, got, c.want)
		}
	}
}
