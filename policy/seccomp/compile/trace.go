package compile

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"sbx/policy/seccomp"
)

// intervals are call numbers with their marks, in order and without gaps.
type intervals []interval

// interval is the call numbers from lo to hi, all of which have one mark.
type interval struct {
	lo, hi uint32
	mark   uint16
}

// find is the mark of a number.
func (in intervals) find(nr uint32) uint16 {
	i, ok := slices.BinarySearchFunc(in, nr, func(x interval, nr uint32) int { return cmp.Compare(x.lo, nr) })
	if !ok {
		i--
	}
	return in[i].mark
}

// trace finds what libseccomp's program answers to every number from 0 to
// 2^30-1 of the machine's own architecture: it follows the program with a range
// of numbers, parting it at every comparison. That leaves out checks of
// architecture and of x32, which are made elsewhere, and allows the tree to be
// built anew over ranges: libseccomp has one leaf for each number, and its
// trees are several times as large.
func trace(code []byte) (intervals, error) {
	t := &tracer{code: code}
	if err := t.walk(0, value{lo: 0, hi: 1<<30 - 1}, 0, false); err != nil {
		return nil, err
	}
	slices.SortFunc(t.found, func(x, y interval) int { return cmp.Compare(x.lo, y.lo) })
	next := uint32(0)
	for _, f := range t.found {
		if f.lo != next {
			return nil, fmt.Errorf("it leaves out or repeats number %d", next)
		}
		next = f.hi + 1
	}
	if next != 1<<30 {
		return nil, errors.New("it ends early")
	}
	return t.found, nil
}

// value is the range that a number lies in.
type value struct{ lo, hi uint32 }

type tracer struct {
	code  []byte
	found intervals
	steps int
}

// walk follows the program from instruction pc for numbers in nr. The
// accumulator holds the number if isNumber, else acc.
func (t *tracer) walk(pc int, nr value, acc uint32, isNumber bool) error {
	for {
		// Whoever wrote the program, following it comes to an end.
		if t.steps++; t.steps > 100_000 {
			return errors.New("it is too long")
		}
		if pc < 0 || 8*pc+8 > len(t.code) {
			return errors.New("it runs off its end")
		}
		i := t.code[8*pc:]
		code, jt, jf, k := binary.LittleEndian.Uint16(i), int(i[2]), int(i[3]), binary.LittleEndian.Uint32(i[4:])
		pc++
		switch code {
		case opLoad:
			isNumber = k == offNumber
			if k == offArch {
				acc = seccomp.Native().Audit()
			} else if k != offNumber {
				return fmt.Errorf("it loads from offset %d", k)
			}
		case opJa:
			pc += int(k)
		case opRet:
			const traceAction = 0x7ff00000
			if k&0xffff0000 != traceAction {
				return fmt.Errorf("it returns %#x", k)
			}
			t.found = append(t.found, interval{nr.lo, nr.hi, uint16(k)})
			return nil
		case opJeq, opJgt, opJge:
			known := value{acc, acc}
			if isNumber {
				known = nr
			}
			for _, s := range split(code, k, known) {
				to := pc + jf
				if s.yes {
					to = pc + jt
				}
				if !isNumber {
					s.value = nr
				}
				if err := t.walk(to, s.value, acc, isNumber); err != nil {
					return err
				}
			}
			return nil
		default:
			return fmt.Errorf("it has an instruction %#x", code)
		}
	}
}

// outcome is a range of numbers for which a comparison is true, or not.
type outcome struct {
	value
	yes bool
}

// split parts a range by a comparison with k. Parts may be empty only by being
// left out.
func split(code uint16, k uint32, v value) []outcome {
	var out []outcome
	add := func(lo, hi uint64, yes bool) {
		lo, hi = max(lo, uint64(v.lo)), min(hi, uint64(v.hi))
		if lo <= hi {
			out = append(out, outcome{value{uint32(lo), uint32(hi)}, yes})
		}
	}
	const top = 1<<32 - 1
	n := uint64(k)
	switch code {
	case opJeq:
		if n > 0 {
			add(0, n-1, false)
		}
		add(n, n, true)
		add(n+1, top, false)
	case opJgt:
		add(0, n, false)
		add(n+1, top, true)
	case opJge:
		if n > 0 {
			add(0, n-1, false)
		}
		add(n, top, true)
	}
	return out
}
