package process

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
)

// CloseFDs closes every descriptor above 2 except those of Keep, which the target
// gets under the same numbers. close_range(2), Linux 5.9.
type CloseFDs struct {
	Keep []int // ascending, all above 2
	// Socket leaves the socket to the launcher, for HandOver and ListenSetID. The exec
	// closes it.
	Socket bool
	// Ready leaves the pipe whose end tells the launcher of the exec.
	Ready bool
	// AtExec has the exec close them (CLOSE_RANGE_CLOEXEC, Linux 5.11): other threads
	// use them until then.
	AtExec bool
}

func (c CloseFDs) String() string {
	except := strings.Fields(strings.Trim(fmt.Sprint(c.Keep), "[]"))
	if c.Socket {
		except = append(except, "the socket to the launcher")
	}
	if c.Ready {
		except = append(except, "the pipe that the exec closes")
	}
	what := "close descriptors from 3 on"
	if c.AtExec {
		what = "have the exec close descriptors from 3 on"
	}
	if len(except) == 0 {
		return what
	}
	return what + " except " + strings.Join(except, " ")
}

func (CloseFDs) Kind() string { return "close-descriptors" }

// Compile closes the ranges between the kept descriptors.
func (c CloseFDs) Compile(a *step.Asm) {
	keep := c.Keep
	if c.Socket {
		keep = append(slices.Clone(keep), a.Notify)
		slices.Sort(keep)
	}
	if c.Ready {
		keep = append(slices.Clone(keep), a.Ready)
		slices.Sort(keep)
	}
	flags := 0
	if c.AtExec {
		flags = unix.CLOSE_RANGE_CLOEXEC
	}
	closeExcept(a, 3, keep, flags)
	for _, fd := range c.Keep {
		a.Sys(unix.SYS_FCNTL, step.Fd(fd), step.Int(unix.F_SETFD), step.Int(0))
	}
}

// TakeFDs gives the target the launcher's descriptors as its own 0, 1, 2 and so on.
type TakeFDs struct {
	// From are the launcher's; -1 is left out.
	From []int
}

func (t TakeFDs) String() string {
	list := make([]string, 0, len(t.From))
	for as, fd := range t.From {
		if fd >= 0 {
			list = append(list, fmt.Sprintf("%d as %d", fd, as))
		}
	}
	return "take the launcher's descriptors: " + strings.Join(list, ", ")
}

func (TakeFDs) Kind() string { return "take-descriptors" }

// Compile is one dup3(2) each.
func (t TakeFDs) Compile(a *step.Asm) {
	for as, fd := range t.From {
		if fd >= 0 {
			a.Sys(unix.SYS_DUP3, step.Fd(fd), step.Fd(as), step.Int(0))
		}
	}
}

// AnnounceTarget tells the launcher which process the target is: the kernel adds the
// sender's pid to the message, as the launcher sees it (SCM_CREDENTIALS).
type AnnounceTarget struct{}

func (AnnounceTarget) String() string { return "tell the launcher which process this is" }

func (AnnounceTarget) Kind() string { return "announce-target" }

// Compile sends step.MsgTarget.
func (AnnounceTarget) Compile(a *step.Asm) {
	a.Sys(unix.SYS_SENDTO, step.Fd(a.Notify), a.Bytes([]byte{step.MsgTarget}), step.Int(1),
		step.Int(unix.MSG_NOSIGNAL), step.Int(0), step.Int(0)).Expect(1)
}

// CloseAll closes all descriptors of the init except its end of the socket to the
// launcher.
type CloseAll struct {
	// Children also keeps the list of the init's children; see Subreaper.
	Children bool
}

func (CloseAll) String() string { return "close all descriptors of the init" }

func (CloseAll) Kind() string { return "close-all-descriptors" }

// Compile closes from 0 on.
func (c CloseAll) Compile(a *step.Asm) {
	keep := []int{a.Notify}
	if c.Children {
		keep = append(keep, a.Launcher)
		slices.Sort(keep)
	}
	closeExcept(a, 0, keep, 0)
}

// CloseUnneeded closes all descriptors of the janitor except its end of the socket
// to the launcher and those that its cleanup steps use.
type CloseUnneeded struct{ FDs []int }

func (CloseUnneeded) String() string {
	return "close all descriptors of the janitor but those it needs"
}

func (CloseUnneeded) Kind() string { return "close-unneeded-descriptors" }

// Compile closes from 0 on.
func (c CloseUnneeded) Compile(a *step.Asm) {
	keep := append(slices.Clone(c.FDs), a.Notify)
	slices.Sort(keep)
	closeExcept(a, 0, slices.Compact(keep), 0)
}

func closeExcept(a *step.Asm, from int, keep []int, flags int) {
	for _, fd := range keep {
		if fd > from {
			a.Sys(unix.SYS_CLOSE_RANGE, step.Fd(from), step.Fd(fd-1), step.Int(flags))
		}
		from = fd + 1
	}
	a.Sys(unix.SYS_CLOSE_RANGE, step.Fd(from), step.Int(^uint32(0)), step.Int(flags))
}

// RestoreFlags restores the status flags of an open file description that the caller
// shares with the target, after the launcher was killed. It is for files and terminals:
// while the janitor has a pipe open, its other end would not see an end of file.
type RestoreFlags struct{ FD, Flags int }

func (r RestoreFlags) String() string {
	return fmt.Sprintf("restore the status flags of descriptor %d", r.FD)
}

func (RestoreFlags) Kind() string { return "restore-flags" }

// Holds is the descriptor that the janitor has to hold open for it.
func (r RestoreFlags) Holds() int { return r.FD }

// Compile is one fcntl(2).
func (r RestoreFlags) Compile(a *step.Asm) {
	a.Sys(unix.SYS_FCNTL, step.Fd(r.FD), step.Int(unix.F_SETFL), step.Int(r.Flags))
}
