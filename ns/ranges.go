package ns

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
)

// Extent is a line of an id map: Count ids from Inside on are those from Outside
// on, in the parent user namespace.
type Extent struct{ Inside, Outside, Count uint32 }

func (e Extent) String() string {
	if e.Count == 1 {
		return fmt.Sprintf("%d to %d", e.Inside, e.Outside)
	}
	return fmt.Sprintf("%d-%d to %d-%d", e.Inside, e.Inside+e.Count-1, e.Outside, e.Outside+e.Count-1)
}

// Ranges maps more than the caller's own id. That takes newuidmap(1) and
// newgidmap(1), set-user-ID programs of the system. The launcher runs them on the
// child, while the child waits.
type Ranges struct{ UIDs, GIDs []Extent }

func (r Ranges) String() string {
	list := func(of []Extent) string {
		s := make([]string, len(of))
		for i, e := range of {
			s[i] = e.String()
		}
		return strings.Join(s, ", ")
	}
	return fmt.Sprintf("let newuidmap map users %s and newgidmap groups %s", list(r.UIDs), list(r.GIDs))
}

func (Ranges) Kind() string { return "map-id-ranges" }

func (Ranges) Hint(err error) string {
	if step.Mismatched(err) {
		return ""
	}
	return "newuidmap and newgidmap must be set-user-ID root, /etc/subuid and /etc/subgid must give the ranges, " +
		"and no_new_privs must be off"
}

// Compile waits for the launcher's step.MsgMapped and then reads both maps back,
// below step.SlotProc. This process has closed the launcher's end of the socket,
// so the wait ends if the launcher dies.
func (r Ranges) Compile(a *step.Asm) {
	awaitMapped(a)
	for _, m := range [...]struct {
		file string
		want []Extent
	}{{"self/uid_map", r.UIDs}, {"self/gid_map", r.GIDs}} {
		var text strings.Builder
		for _, e := range m.want {
			fmt.Fprintf(&text, "%10d %10d %10d\n", e.Inside, e.Outside, e.Count)
		}
		fd, got := a.Temp(), a.Space(text.Len()+1)
		a.Sys(unix.SYS_OPENAT, step.SlotProc.Arg(), a.Str(m.file),
			step.Int(unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW)).To(fd)
		a.Sys(unix.SYS_READ, fd.Arg(), got, step.Int(text.Len()+1)).Expect(text.Len())
		a.Compare(got, []byte(text.String()))
		a.Sys(unix.SYS_CLOSE, fd.Arg())
	}
}
