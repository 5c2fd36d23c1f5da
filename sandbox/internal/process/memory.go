package process

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
)

// Region is memory with contents of the launcher's that its copies must not keep.
type Region struct{ Addr, Len uintptr }

// ClearMemory clears the launcher's arguments and environment from the memory of
// a copy of it, the init or the janitor, with All unmaps all else that the launcher has in
// its memory, and gives the process a name of its own. The regions are known only when the
// plan is started.
type ClearMemory struct {
	// Who is "init" or "janitor".
	Who     string
	Regions []Region
	// All is for a launcher that has other things in its memory than a launch.
	All bool
	// Title is the address of the arguments, or 0 where they have no room for the
	// name.
	Title uintptr
	// Keep are the pages of the launcher that the copy needs, and Top is the end of its
	// memory; 0: they are not known, and nothing is unmapped.
	Keep [][2]uintptr
	Top  uintptr
	// Local is the size of its thread-local memory.
	Local uintptr
}

func (c ClearMemory) String() string {
	if c.All {
		return "clear the launcher's memory from the " + c.Who
	}
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
	if c.Top != 0 {
		a.Forget(c.Top, c.Local, c.Keep)
	}
}
