package process

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"sbx/sandbox/step"
)

// Region is memory of the launcher that init, its copy, must not keep.
type Region struct{ Addr, Len uintptr }

// Forget clears the launcher's arguments and environment from init's memory
// and shows a name instead. Regions are known only when the plan is started.
type Forget struct {
	Regions []Region
	// Title is where the arguments begin, if there is room for the name.
	Title uintptr
}

func (Forget) String() string { return "clear arguments and environment from the init's memory" }

// Compile clears the regions one by one.
func (f Forget) Compile(a *step.Asm) {
	for _, r := range f.Regions {
		a.Zero(r.Addr, r.Len)
	}
	if f.Title != 0 { // what ps(1) shows
		a.Store(step.Int(f.Title), step.Int(binary.NativeEndian.Uint32([]byte("sbx-"))))
		a.Store(step.Int(f.Title+4), step.Int(binary.NativeEndian.Uint32([]byte("init"))))
	}
	a.Sys(unix.SYS_PRCTL, step.Int(unix.PR_SET_NAME), a.Str("sbx-init"))
}

// CloseAll leaves init nothing but its end of the socket to the launcher.
type CloseAll struct{}

func (CloseAll) String() string { return "close all descriptors of the init" }

// Compile closes from 0 on.
func (CloseAll) Compile(a *step.Asm) { closeBut(a, 0, []int{a.Notify}) }

// Ready ends init's part.
type Ready struct{}

func (Ready) String() string { return "let the target go, reap and forward signals" }

// Compile marks the end.
func (Ready) Compile(a *step.Asm) { a.End() }
