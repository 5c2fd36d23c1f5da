package process

import (
	"encoding/binary"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
)

// Region is memory of the launcher that init, its copy, must not keep.
type Region struct{ Addr, Len uintptr }

// Forget clears the launcher's arguments and environment from the memory of
// its copy, init or janitor, and shows a name instead. Regions are known only
// when the plan is started.
type Forget struct {
	// Who is "init" or "janitor".
	Who     string
	Regions []Region
	// Title is where the arguments begin, if there is room for the name.
	Title uintptr
}

func (f Forget) String() string {
	return "clear arguments and environment from the " + f.Who + "'s memory"
}

func (Forget) Kind() string { return "clear-memory" }

// Compile clears the regions one by one.
func (f Forget) Compile(a *step.Asm) {
	for _, r := range f.Regions {
		a.Zero(r.Addr, r.Len)
	}
	name := "sbx-" + f.Who
	if f.Title != 0 { // what ps(1) shows
		padded := []byte(name + "\x00\x00\x00")
		for i := 0; i < len(name); i += 4 {
			a.Store(step.Int(f.Title+uintptr(i)), step.Int(binary.NativeEndian.Uint32(padded[i:])))
		}
	}
	a.Sys(unix.SYS_PRCTL, step.Int(unix.PR_SET_NAME), a.Str(name))
}

// CloseAll leaves init nothing but its end of the socket to the launcher.
type CloseAll struct {
	// Children also leaves it the list of its children; see Adopt.
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
	closeBut(a, 0, keep)
}

// OwnSession takes the process out of the launcher's session and process group,
// whose signals and whose terminal are not for it: setsid(2). It is for the
// janitor, and for a sandbox that is to have no terminal or one of its own.
type OwnSession struct{}

func (OwnSession) String() string { return "make an own session" }

func (OwnSession) Kind() string { return "new-session" }

// Compile is one setsid(2).
func (OwnSession) Compile(a *step.Asm) { a.Sys(unix.SYS_SETSID) }

// Hold leaves the janitor nothing but its end of the socket to the launcher and
// the descriptors by which it undoes.
type Hold struct{ FDs []int }

func (Hold) String() string { return "close all descriptors of the janitor but those it needs" }

func (Hold) Kind() string { return "close-unneeded-descriptors" }

// Compile closes from 0 on.
func (h Hold) Compile(a *step.Asm) {
	keep := append(slices.Clone(h.FDs), a.Notify)
	slices.Sort(keep)
	closeBut(a, 0, slices.Compact(keep))
}

// RestoreFlags gives an open file description that the caller shares with the
// target its status flags back, when a launcher that was killed cannot. It is
// for files and terminals: who holds a pipe keeps the other end from its end.
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

// Ready ends init's part.
type Ready struct{}

func (Ready) String() string { return "let the target go, reap and forward signals" }

func (Ready) Kind() string { return "run-init" }

// Compile marks the end.
func (Ready) Compile(a *step.Asm) { a.End() }
