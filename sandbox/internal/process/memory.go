package process

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
)

// Region is memory with contents of the launcher's that its copies must not keep.
type Region struct{ Addr, Len uintptr }

// ClearMemory clears the launcher's arguments and environment from the memory of
// a copy of it, the init or the janitor, and gives the process a name of its own.
// The regions are known only when the plan is started.
type ClearMemory struct {
	// Who is "init" or "janitor".
	Who     string
	Regions []Region
	// Title is the address of the arguments, or 0 where they have no room for the
	// name.
	Title uintptr
}

func (c ClearMemory) String() string {
	return "clear arguments and environment from the " + c.Who + "'s memory"
}

func (ClearMemory) Kind() string { return "clear-memory" }

// Compile clears the regions one by one.
func (c ClearMemory) Compile(a *step.Asm) {
	for _, r := range c.Regions {
		a.Zero(r.Addr, r.Len)
	}
	name := "sbx-" + c.Who
	if c.Title != 0 { // what ps(1) shows
		padded := []byte(name + "\x00\x00\x00")
		for i := 0; i < len(name); i += 4 {
			a.Store(step.Int(c.Title+uintptr(i)), step.Int(binary.NativeEndian.Uint32(padded[i:])))
		}
	}
	a.Sys(unix.SYS_PRCTL, step.Int(unix.PR_SET_NAME), a.Str(name))
}
