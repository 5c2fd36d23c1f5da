// Package compile turns a policy into programs for the kernel. libseccomp
// makes the part that tells system calls apart by their number; see number.go
// for what is done with it. The part that looks at arguments is made here,
// because libseccomp cannot say all of it, and says some of it wrong: it takes
// one comparison for each argument of a rule, lets a rule without comparisons
// swallow all others of its call, takes no call it has no name for on an
// architecture that is not the machine's, and of several rules about a call it
// may make a program that allows what none of them does (see TestLibseccomp).
//
// Nothing that launches a target with a shipped policy needs this package to
// run: their programs are made ahead (see policies/filters).
package compile

import (
	"encoding/binary"
	"fmt"

	"sbx/policy/seccomp"
)

// Version changes whenever the same policy may give another program: it is
// part of the key under which compiled programs are kept.
const Version = 1

// MaxInstructions is what the kernel takes in one program, BPF_MAXINSNS.
const MaxInstructions = 4096

// Compile makes the programs for a machine of the given architecture, in the
// order in which they are to be loaded.
//
// There is one program only, allow and deny in one, for three reasons. The
// answers of a policy are worked out before (seccomp.Policy.Answers), so that
// stacking adds nothing to "deny beats allow". A second program would have to
// be loaded under the first, which may refuse that. And each program costs
// every call that the kernel cannot answer from its cache.
//
// Architectures that the policy does not list are killed, x32 among them.
//
// What libseccomp makes is looked for in the store first; store may be nil.
func Compile(p *seccomp.Policy, native seccomp.Arch, store Store) ([]seccomp.Program, error) {
	abis, err := p.ABIs(native)
	if err != nil {
		return nil, err
	}
	if store == nil {
		store = noStore{}
	}
	b := newBuilder(store)
	trees := make(map[seccomp.Arch]*node, len(abis))
	for i := len(abis) - 1; i >= 0; i-- { // built from the end: see builder
		answers, err := p.Answers(abis[i])
		if err != nil {
			return nil, err
		}
		if trees[abis[i]], err = b.calls(answers); err != nil {
			return nil, fmt.Errorf("%s: %w", abis[i], err)
		}
	}
	code, err := b.assemble(b.dispatch(abis, trees))
	if err != nil {
		return nil, err
	}
	if len(code) > MaxInstructions {
		return nil, fmt.Errorf("the filter has %d instructions, the kernel takes %d: use groups, ranges or fewer rules",
			len(code), MaxInstructions)
	}
	return []seccomp.Program{encode(code)}, nil
}

// Store keeps what libseccomp makes, which takes it a few times as long as
// everything else here. What comes out of a store is checked as what comes out
// of libseccomp is, so it need not be trusted.
type Store interface {
	// Get returns what was kept under the key, or nil.
	Get(key [32]byte) []byte
	// Put keeps data, if it can.
	Put(key [32]byte, data []byte)
}

type noStore struct{}

func (noStore) Get([32]byte) []byte  { return nil }
func (noStore) Put([32]byte, []byte) {}

// encode lays instructions out as struct sock_filter. The architectures that
// are compiled for are all little-endian.
func encode(code []instruction) seccomp.Program {
	out := make(seccomp.Program, 0, 8*len(code))
	for _, i := range code {
		out = binary.LittleEndian.AppendUint16(out, i.code)
		out = append(out, i.jt, i.jf)
		out = binary.LittleEndian.AppendUint32(out, i.k)
	}
	return out
}

// dispatch makes the start of the program: which architecture's part is for
// the call.
func (b *builder) dispatch(abis []seccomp.Arch, trees map[seccomp.Arch]*node) *node {
	kill := b.ret(seccomp.Action{Kind: seccomp.KillProcess})
	next := kill
	for i := len(abis) - 1; i >= 0; i-- {
		a := abis[i]
		if a == seccomp.X32 {
			continue // a part of amd64's, which is native then
		}
		start := trees[a]
		if a == seccomp.AMD64 {
			x32 := trees[seccomp.X32]
			if x32 == nil {
				x32 = kill
			}
			// The number -1 has x32's bit but is no call of x32.
			start = b.jump(opJset, seccomp.X32Bit, b.jump(opJeq, 0xffffffff, start, x32), start)
		}
		next = b.jump(opJeq, a.Audit(), b.load(offNumber, start), next)
	}
	return b.load(offArch, next)
}
