package compile

import (
	"fmt"
	"math"
	"slices"

	"sbx/policy/seccomp"
)

// The instructions of classic BPF that filters are made of; see
// <linux/bpf_common.h>.
const (
	opLoad = 0x20 // BPF_LD | BPF_W | BPF_ABS
	opAnd  = 0x54 // BPF_ALU | BPF_AND | BPF_K
	opJa   = 0x05 // BPF_JMP | BPF_JA
	opJeq  = 0x15 // BPF_JMP | BPF_JEQ | BPF_K
	opJgt  = 0x25 // BPF_JMP | BPF_JGT | BPF_K
	opJge  = 0x35 // BPF_JMP | BPF_JGE | BPF_K
	opJset = 0x45 // BPF_JMP | BPF_JSET | BPF_K
	opRet  = 0x06 // BPF_RET | BPF_K
)

// Offsets in struct seccomp_data.
const (
	offNumber = 0
	offArch   = 4
	offArgs   = 16
)

// instruction is struct sock_filter.
type instruction struct {
	code   uint16
	jt, jf uint8
	k      uint32
}

// node is one instruction whose jumps are not numbers yet. Conditional jumps
// go to t and f; everything but a return goes on to t, which assemble places
// right behind it or reaches by a jump.
type node struct {
	code uint16
	k    uint32
	t, f *node
}

// builder makes programs from their end to their start: a node is made when
// what follows it is there. The same node is made only once.
type builder struct {
	made map[node]*node
	// order has the nodes as they were made: where a jump leads was always
	// made before it.
	order []*node
	store Store
}

func newBuilder(s Store) *builder { return &builder{made: map[node]*node{}, store: s} }

func (b *builder) add(n node) *node {
	if old := b.made[n]; old != nil {
		return old
	}
	p := &n
	b.made[n] = p
	b.order = append(b.order, p)
	return p
}

func (b *builder) ret(a seccomp.Action) *node { return b.add(node{code: opRet, k: a.Return()}) }

func (b *builder) load(offset uint32, next *node) *node {
	if next.code == opRet || next.code == opLoad {
		return next // what is loaded would not be used
	}
	return b.add(node{code: opLoad, k: offset, t: next})
}

func (b *builder) and(mask uint32, next *node) *node {
	if next.code == opRet || next.code == opLoad {
		return next
	}
	return b.add(node{code: opAnd, k: mask, t: next})
}

// jump goes to yes if the comparison holds, else to no.
func (b *builder) jump(code uint16, k uint32, yes, no *node) *node {
	if yes == no {
		return yes
	}
	return b.add(node{code: code, k: k, t: yes, f: no})
}

// assemble lays out what can be reached from start. Jumps of BPF go forward
// only, conditional ones at most 255 instructions.
func (b *builder) assemble(start *node) ([]instruction, error) {
	reached := map[*node]bool{}
	var reach func(n *node)
	reach = func(n *node) {
		if n == nil || reached[n] {
			return
		}
		reached[n] = true
		reach(n.t)
		reach(n.f)
	}
	reach(start)
	var order []*node
	for _, n := range slices.Backward(b.order) {
		if reached[n] {
			order = append(order, n)
		}
	}
	if len(order) == 0 || order[0] != start {
		return nil, fmt.Errorf("the program does not begin at its start")
	}
	if start.code == opRet {
		return []instruction{{code: opRet, k: start.k}}, nil
	}
	l := &layout{at: map[*node]int{}, stones: map[*node]*node{}}
	for _, n := range slices.Backward(order) {
		l.place(n)
	}
	return l.finish()
}

// layout places nodes from the last to the first, so that every distance is
// known when a jump is placed.
type layout struct {
	// code is the program, last instruction first.
	code []instruction
	// at is where in code a node begins.
	at map[*node]int
	// stones has the last stepping stone to a node. Returns are placed as
	// such only: a return takes no more room than a jump to one.
	stones map[*node]*node
	err    error
}

func (l *layout) place(n *node) {
	switch n.code {
	case opRet:
		return // where it is jumped from: see stone
	case opLoad, opAnd:
		l.follow(n.t)
		l.code = append(l.code, instruction{code: n.code, k: n.k})
	default:
		// The nearer target is reached directly; a far one by a stepping
		// stone right behind, which makes the other one farther by one.
		t, f := n.t, n.f
		for range 3 {
			if l.distance(t) <= 255 && l.distance(f) <= 255 {
				break
			}
			if l.distance(t) > 255 {
				t = l.stone(t)
			} else {
				f = l.stone(f)
			}
		}
		i := instruction{code: n.code, k: n.k, jt: uint8(l.distance(t)), jf: uint8(l.distance(f))}
		if l.distance(t) > 255 || l.distance(f) > 255 {
			l.err = fmt.Errorf("a jump of the program is too far")
		}
		l.code = append(l.code, i)
	}
	l.at[n] = len(l.code) - 1
}

// distance is how many instructions a jump placed now skips to get to n.
func (l *layout) distance(n *node) int {
	if s := l.stones[n]; n.code == opRet && s != nil {
		n = s
	}
	if at, ok := l.at[n]; ok {
		return len(l.code) - 1 - at
	}
	return math.MaxInt32
}

// follow makes n come next.
func (l *layout) follow(n *node) {
	if l.distance(n) == 0 {
		return
	}
	if s := l.stones[n]; s == nil || l.distance(s) != 0 {
		delete(l.stones, n) // one that is near will not do
		l.stone(n)
	}
}

// stone finds or places an instruction nearby that leads to n: for a return,
// the return itself.
func (l *layout) stone(n *node) *node {
	if s := l.stones[n]; s != nil && l.distance(s) < 250 {
		return s
	}
	s := &node{code: n.code, k: n.k}
	if n.code == opRet {
		l.code = append(l.code, instruction{code: opRet, k: n.k})
	} else {
		l.code = append(l.code, instruction{code: opJa, k: uint32(l.distance(n))})
	}
	l.at[s] = len(l.code) - 1
	l.stones[n] = s
	return s
}

func (l *layout) finish() ([]instruction, error) {
	slices.Reverse(l.code)
	return l.code, l.err
}
