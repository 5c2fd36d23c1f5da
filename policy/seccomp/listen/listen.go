// Package listen makes of the filters of a launch one that asks a listener about
// every call that they deny, and says what the filters themselves would have
// answered. See seccomp_unotify(2).
//
// The one filter takes the same way through the same instructions. Only what it
// returns differs: SECCOMP_RET_USER_NOTIF where a filter denies. So it allows
// nothing more: a call that the listener does not answer is not made, and
// without a listener the kernel answers ENOSYS.
package listen

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"sbx/policy/seccomp"
	"sbx/policy/seccomp/bpf"
)

// maxInstructions is what the kernel takes in one program.
const maxInstructions = 4096

// The instructions that are replaced, and by what; see <linux/bpf_common.h>.
const (
	opReturn = 0x06 // BPF_RET | BPF_K
	opJump   = 0x05 // BPF_JMP | BPF_JA
)

// What a filter returns; see seccomp(2).
const (
	retTrap       = 0x00030000
	retUserNotif  = 0x7fc00000
	retAllow      = 0x7fff0000
	retActionFull = 0xffff0000
)

// Options say what is left to the kernel.
type Options struct {
	// KeepKills leaves the actions that kill as they are. It is for a listener that
	// may not see the process, and so cannot kill it.
	KeepKills bool
	// Observe are calls, by their numbers on Arch, that the listener is asked about
	// when all filters allow them, too.
	Observe []uint32
	Arch    seccomp.Arch
	// Marked are those of Observe that are not asked about with Mark in the last argument,
	// which no such call has: the launcher makes them itself before anybody listens.
	Marked []uint32
	// Empty are those of Observe that are observed for their paths alone, and that have
	// none with a descriptor and AT_EMPTY_PATH: so fstat(3) is made. Such are not asked about.
	Empty []Empty
}

// Empty is a call whose first argument is the directory that its path is relative to, and
// the argument in which it may have AT_EMPTY_PATH.
type Empty struct {
	Number uint32
	Flags  int
}

// Mark is in the last argument of the launcher's own calls. A program that sets it makes
// itself unobserved, and gains nothing: such a call is judged by the plain filters.
const Mark = 0x73627831

// Filter is one filter that does what all programs do together, in the order of
// their loading, but asks the listener where one of them denies. A trap stays one:
// only the kernel can make it.
func Filter(programs []seccomp.Program, o Options) (seccomp.Program, error) {
	out, err := o.join(programs, false)
	if err != nil {
		return nil, err
	}
	if len(o.Observe) > 0 {
		observed, err := o.join(programs, true)
		if err != nil {
			return nil, err
		}
		out = slices.Concat(o.branch(uint32(len(observed)/8)), observed, out)
	}
	if n := len(out) / 8; n > maxInstructions || n == 0 {
		return nil, fmt.Errorf("the filters have %d instructions together, and one has at most %d", n, maxInstructions)
	}
	return out, nil
}

// span are the numbers from one to another, both included.
type span struct{ from, to uint32 }

// spans are the numbers of the observed calls, sorted.
func (o Options) spans() (list []span) {
	for _, nr := range slices.Sorted(slices.Values(o.Observe)) {
		if slices.Contains(o.Marked, nr) || slices.ContainsFunc(o.Empty, func(e Empty) bool { return e.Number == nr }) {
			continue
		}
		if n := len(list); n > 0 && nr <= list[n-1].to+1 {
			list[n-1].to = nr
			continue
		}
		list = append(list, span{nr, nr})
	}
	return list
}

// branch goes on right behind itself for the observed calls, and for all others behind
// the so many instructions that follow it.
func (o Options) branch(observed uint32) seccomp.Program {
	const (
		opLoad  = 0x20 // BPF_LD | BPF_W | BPF_ABS
		opEqual = 0x15 // BPF_JMP | BPF_JEQ | BPF_K
		opSet   = 0x45 // BPF_JMP | BPF_JSET | BPF_K
		number  = 0    // offsets in struct seccomp_data
		arch    = 4
		args    = 16 // the low half of the first argument; the others follow by size
		size    = 8
		mark    = args + 5*size

		emptyPath = 0x1000      // AT_EMPTY_PATH
		here      = 1<<32 - 100 // AT_FDCWD
	)
	t := tree{}
	t.add(opLoad, arch)
	t.add(opEqual, o.Arch.Audit(), 1, 0)
	t.leave(false)
	t.add(opLoad, number)
	for _, nr := range o.Marked {
		// Only here an argument is loaded: of other calls the kernel remembers that they are
		// allowed.
		t.add(opEqual, nr, 0, 4)
		t.add(opLoad, mark)
		t.add(opEqual, Mark, 1, 0)
		t.leave(true)
		t.leave(false)
	}
	for _, e := range o.Empty {
		t.add(opEqual, e.Number, 0, 6)
		t.add(opLoad, args+uint32(e.Flags)*size)
		t.add(opSet, emptyPath, 0, 2)
		t.add(opLoad, args)
		t.add(opEqual, here, 0, 1)
		t.leave(true)
		t.leave(false)
	}
	t.search(o.spans())
	end := uint32(len(t.code) / 8)
	for at, found := range t.leaves {
		over := end - at - 1
		if !found {
			over += observed
		}
		copy(t.code[at*8:], instruction(opJump, over))
	}
	return t.code
}

// tree is a program that searches the number of a call. Conditional jumps reach 255
// instructions only, so each jumps over one that reaches further at most.
type tree struct {
	code seccomp.Program
	// leaves are the instructions by which it is left, and whether the number was found.
	leaves map[uint32]bool
}

func (t *tree) add(code uint16, k uint32, jumps ...uint8) {
	in := instruction(code, k)
	copy(in[2:], jumps)
	t.code = append(t.code, in...)
}

// leave is an instruction that branch puts the way out into.
func (t *tree) leave(found bool) {
	if t.leaves == nil {
		t.leaves = map[uint32]bool{}
	}
	t.leaves[uint32(len(t.code)/8)] = found
	t.add(opJump, 0)
}

// search finds whether the number that is loaded is in one of the spans.
func (t *tree) search(list []span) {
	const (
		opLeast = 0x35 // BPF_JMP | BPF_JGE | BPF_K
		opMore  = 0x25 // BPF_JMP | BPF_JGT | BPF_K
	)
	switch n := len(list); n {
	case 0:
		t.leave(false)
	case 1:
		t.add(opLeast, list[0].from, 0, 1)
		t.add(opMore, list[0].to, 0, 1)
		t.leave(false)
		t.leave(true)
	default:
		t.add(opLeast, list[n/2].from, 0, 1)
		over := len(t.code)
		t.add(opJump, 0)
		t.search(list[:n/2])
		copy(t.code[over:], instruction(opJump, uint32((len(t.code)-over)/8-1)))
		t.search(list[n/2:])
	}
}

// join makes one program of all. With observe it asks the listener about what all allow,
// too, but not about what is to be logged: the kernel would not log it any more.
func (o Options) join(programs []seccomp.Program, observe bool) (seccomp.Program, error) {
	var out seccomp.Program
	for n, p := range programs {
		if _, err := bpf.Decode(p); err != nil {
			return nil, fmt.Errorf("read filter %d: %w", n+1, err)
		}
		last := n == len(programs)-1
		for i := 0; i < len(p); i += 8 {
			in, err := o.instruction(p[i:i+8], uint32((len(p)-i)/8-1), last)
			if err != nil {
				return nil, fmt.Errorf("filter %d: %w", n+1, err)
			}
			if observe && bytes.Equal(in, instruction(opReturn, retAllow)) {
				in = instruction(opReturn, retUserNotif)
			}
			out = append(out, in...)
		}
	}
	return out, nil
}

// instruction is what takes the instruction's place. left others follow in its
// program, behind which the next one begins unless it is the last.
func (o Options) instruction(in []byte, left uint32, last bool) ([]byte, error) {
	code, k := binary.LittleEndian.Uint16(in), binary.LittleEndian.Uint32(in[4:])
	if code&0x07 != opReturn {
		return in, nil
	}
	if code != opReturn {
		return nil, errors.New("it returns what it has computed")
	}
	switch {
	case last && (permits(k) || k&retActionFull == retTrap), o.KeepKills && kills(k):
		return in, nil
	case permits(k):
		return instruction(opJump, left), nil // the next program decides
	}
	return instruction(opReturn, retUserNotif), nil
}

func instruction(code uint16, k uint32) []byte {
	b := make([]byte, 8)
	binary.LittleEndian.PutUint16(b, code)
	binary.LittleEndian.PutUint32(b[4:], k)
	return b
}

func permits(ret uint32) bool {
	a, ok := seccomp.ActionOf(ret)
	return ok && a.Passes()
}

// kills says that the process ends, or its thread. The kernel takes what it does
// not know for the former.
func kills(ret uint32) bool {
	a, ok := seccomp.ActionOf(ret)
	return !ok || a.Kind == seccomp.KillProcess || a.Kind == seccomp.KillThread
}

// Filters are the filters of a launch, decoded, in the order of their loading.
type Filters [][]bpf.Instruction

// Decode decodes the programs. It is an error if the kernel would refuse one.
func Decode(programs []seccomp.Program) (Filters, error) {
	list := make(Filters, 0, len(programs))
	for n, p := range programs {
		code, err := bpf.Decode(p)
		if err != nil {
			return nil, fmt.Errorf("read filter %d: %w", n+1, err)
		}
		list = append(list, code)
	}
	return list, nil
}

// Verdict is what the kernel does with the call under all filters, and which of
// them says so: the strictest, and of several alike the one that was loaded last.
// A call that all allow has none, -1.
func (f Filters) Verdict(c bpf.Call) (ret uint32, by int) {
	ret, by = retAllow, -1
	for i := len(f) - 1; i >= 0; i-- {
		// The kernel compares the actions as signed numbers: that of kill-process is
		// the lowest.
		if r := bpf.Result(f[i], &c); int32(r&retActionFull) < int32(ret&retActionFull) {
			ret, by = r, i
		}
	}
	return ret, by
}
