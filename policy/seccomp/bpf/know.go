package bpf

import (
	"cmp"
	"slices"

	"sbx/policy/seccomp"
)

// Offsets in struct seccomp_data.
const (
	offNumber = 0
	offArch   = 4
	offArgs   = 16
)

// fact is what is known when an instruction is reached.
type fact struct {
	set bool
	// arch is the architecture of the call.
	arch seccomp.Arch
	// from is the offset that the accumulator was loaded from, or nowhere.
	from int
	// masked tells that it was masked since.
	masked bool
	// The call's number is from lo to hi, or one of calls if there are any.
	lo, hi uint32
	calls  []call
}

// call is a call of an architecture.
type call struct {
	arch seccomp.Arch
	nr   uint32
}

const nowhere = -1

// maxCalls is how many calls are told apart at one instruction.
const maxCalls = 4

// know finds out what is known at each instruction, following all jumps, which
// lead forward only. Where a program does not ask for the architecture it is a.
func know(code []Instruction, a seccomp.Arch) []fact {
	facts := make([]fact, len(code)+1)
	facts[0] = fact{set: true, arch: a, from: nowhere, hi: ^uint32(0)}
	meet := func(i int, f fact) {
		if i < len(facts) {
			facts[i] = facts[i].or(f, a)
		}
	}
	for n, i := range code {
		f := facts[n]
		switch i.Code & classMask {
		case classLd:
			f.from, f.masked = nowhere, false
			if i.Code&modeMask == modeAbs {
				f.from = int(i.K)
			}
			meet(n+1, f)
		case classAlu, classMisc:
			f.masked = true
			if i.Code != classAlu|0x50 {
				f.from = nowhere
			}
			meet(n+1, f)
		case classJmp:
			if i.Code == classJmp {
				meet(n+1+int(i.K), f)
				break
			}
			yes, no := f.after(i)
			meet(n+1+int(i.Jt), yes)
			meet(n+1+int(i.Jf), no)
		case classRet:
		default:
			meet(n+1, f)
		}
	}
	return facts
}

// or is what is known where two ways meet.
func (f fact) or(g fact, a seccomp.Arch) fact {
	if !f.set {
		return g
	}
	if f.from != g.from || f.masked != g.masked {
		f.from = nowhere
	}
	if f.arch != g.arch {
		f.arch = a
	}
	if len(f.calls) == 0 || len(g.calls) == 0 {
		f.calls = nil
	} else {
		f.calls = slices.Concat(f.calls, g.calls)
		slices.SortFunc(f.calls, func(x, y call) int { return cmp.Or(cmp.Compare(x.arch, y.arch), cmp.Compare(x.nr, y.nr)) })
		if f.calls = slices.Compact(f.calls); len(f.calls) > maxCalls {
			f.calls = nil
		}
	}
	f.lo, f.hi = min(f.lo, g.lo), max(f.hi, g.hi)
	return f
}

// after is what is known where a conditional jump leads.
func (f fact) after(i Instruction) (yes, no fact) {
	yes, no = f, f
	op := i.Code & opMask
	switch f.from {
	case offArch:
		if a, ok := seccomp.LookupArch(i.K, 0); ok && op == 0x10 {
			yes.arch = a
		}
	case offNumber:
		switch {
		case i.K == seccomp.X32Bit && op >= 0x30 && f.arch == seccomp.AMD64:
			yes.arch = seccomp.X32
		case op == 0x10:
			yes.lo, yes.hi = i.K, i.K
			if f.lo == i.K {
				no.lo++
			}
			if f.hi == i.K {
				no.hi--
			}
		case op == 0x20:
			yes.lo, no.hi = max(f.lo, i.K+1), min(f.hi, i.K)
		case op == 0x30:
			yes.lo, no.hi = max(f.lo, i.K), min(f.hi, i.K-1)
		}
	}
	return yes.single(), no.single()
}

// single makes a range of one number a call.
func (f fact) single() fact {
	if f.lo == f.hi {
		f.calls = []call{{f.arch, f.lo}}
	}
	return f
}
