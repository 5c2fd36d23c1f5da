package compile

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	libseccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/sys/unix"

	"sbx/policy/seccomp"
)

// calls makes the part that decides about the calls of one architecture; the
// call's number is loaded when it starts.
func (b *builder) calls(a *seccomp.Answers) (*node, error) {
	// Each outcome gets a mark; libseccomp is asked for the mark of a number.
	marks := []*node{b.clauses([]seccomp.Clause{a.Unknown})}
	marked := map[uint32]uint16{}
	for _, c := range a.Calls {
		n := b.clauses(c.Clauses)
		m := slices.Index(marks, n)
		if m < 0 {
			m = len(marks)
			marks = append(marks, n)
		}
		if m != 0 {
			marked[c.Number&^x32Bit(a.Arch)] = uint16(m)
		}
	}
	code, err := numbers(marked)
	if err != nil {
		return nil, err
	}
	found, err := trace(code)
	if err != nil {
		return nil, err
	}
	var parts []part
	for _, f := range found {
		if int(f.mark) >= len(marks) {
			return nil, fmt.Errorf("libseccomp answered with the mark %d, which it was not given", f.mark)
		}
		parts = append(parts, part{f.lo | x32Bit(a.Arch), marks[f.mark]})
	}
	// No call has a number above: the trace ends at 2^30.
	parts = append(parts, part{1<<30 + x32Bit(a.Arch), marks[0]})
	return b.divide(slices.CompactFunc(parts, func(x, y part) bool { return x.to == y.to }), a), nil
}

func x32Bit(a seccomp.Arch) uint32 {
	if a == seccomp.X32 {
		return seccomp.X32Bit
	}
	return 0
}

// numbers has libseccomp make a program that answers SECCOMP_RET_TRACE with
// the mark of a system call's number, and with 0 for all that have none. TRACE
// is what no policy can ask for, so that a mark cannot be taken for an answer.
//
// The numbers are given to libseccomp as if they were of the machine's own
// architecture, whichever they are of: only then does it take numbers that it
// has no name for, those of all calls younger than itself.
func numbers(marked map[uint32]uint16) ([]byte, error) {
	filter, err := libseccomp.NewFilter(mark(0))
	if err != nil {
		return nil, fmt.Errorf("libseccomp: new filter: %w", err)
	}
	defer filter.Release()
	if err := filter.SetOptimize(2); err != nil { // a binary tree
		return nil, fmt.Errorf("libseccomp: binary tree: %w", err)
	}
	// Its output depends on the order of additions no more than it must.
	sorted := make([]uint32, 0, len(marked))
	for nr := range marked {
		sorted = append(sorted, nr)
	}
	slices.Sort(sorted)
	for _, nr := range sorted {
		if err := filter.AddRuleExact(libseccomp.ScmpSyscall(nr), mark(marked[nr])); err != nil {
			return nil, fmt.Errorf("libseccomp: add call %d: %w", nr, err)
		}
	}
	code, err := export(filter)
	if err != nil {
		return nil, fmt.Errorf("libseccomp: export: %w", err)
	}
	return code, nil
}

// export gets the program out of libseccomp, which before 2.6 writes to files
// only.
func export(filter *libseccomp.ScmpFilter) ([]byte, error) {
	fd, err := unix.MemfdCreate("sbx-filter", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	file := os.NewFile(uintptr(fd), "sbx-filter")
	defer file.Close()
	if err := filter.ExportBPF(file); err != nil {
		return nil, err
	}
	return io.ReadAll(io.NewSectionReader(file, 0, 1<<20))
}

func mark(m uint16) libseccomp.ScmpAction { return libseccomp.ActTrace.SetReturnCode(int16(m)) }

// interval is the call numbers from lo to hi, all of which have one mark.
type interval struct {
	lo, hi uint32
	mark   uint16
}

// trace finds what libseccomp's program answers to every number from 0 to
// 2^30-1 of the machine's own architecture, in order: it follows the program
// with a range of numbers, parting it at every comparison. That leaves out
// checks of architecture and of x32, which are made elsewhere, and allows the
// tree to be built anew over ranges: libseccomp has one leaf for each number,
// and its trees are five times as large.
func trace(code []byte) ([]interval, error) {
	audit := seccomp.Native().Audit()
	t := &tracer{code: code}
	if err := t.walk(0, value{lo: 0, hi: 1<<30 - 1}, audit, false); err != nil {
		return nil, fmt.Errorf("libseccomp's program: %w", err)
	}
	slices.SortFunc(t.found, func(x, y interval) int { return cmp.Compare(x.lo, y.lo) })
	next := uint32(0)
	for _, f := range t.found {
		if f.lo != next {
			return nil, fmt.Errorf("libseccomp's program leaves out or repeats number %d", next)
		}
		next = f.hi + 1
	}
	if next != 1<<30 {
		return nil, errors.New("libseccomp's program ends early")
	}
	return t.found, nil
}

// value is the range that a number lies in.
type value struct{ lo, hi uint32 }

type tracer struct {
	code  []byte
	found []interval
}

// walk follows the program from instruction pc for numbers in nr. The
// accumulator holds the number if isNumber, else acc.
func (t *tracer) walk(pc int, nr value, acc uint32, isNumber bool) error {
	for nr.lo <= nr.hi {
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
	return nil
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
