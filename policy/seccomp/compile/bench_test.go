package compile

import (
	"testing"

	"sbx/policy/seccomp"
)

// memory is a store that forgets nothing.
type memory map[[32]byte][]byte

func (m memory) Get(key [32]byte) []byte    { return m[key] }
func (m memory) Put(key [32]byte, d []byte) { m[key] = d }

// BenchmarkCompile compiles a policy such as people write, with what libseccomp
// makes kept and not, and works out its answers only.
func BenchmarkCompile(b *testing.B) {
	p := &seccomp.Policy{Allow: []string{"@system-service", "@pkey"}, Deny: []string{"@kernel-surface", "@obsolete"},
		Rules: []seccomp.Rule{{Syscalls: []string{"socket"}, When: []string{"arg0 in {AF_UNIX, AF_INET, AF_INET6}"},
			Action: seccomp.Action{Kind: seccomp.Allow}}}}
	for name, store := range map[string]Store{"fresh": nil, "kept": memory{}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := Compile(p, seccomp.AMD64, store); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("answers", func(b *testing.B) {
		for b.Loop() {
			if _, err := p.Answers(seccomp.AMD64); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkRun runs a program for a call that it asks most about.
func BenchmarkRun(b *testing.B) {
	p := &seccomp.Policy{Allow: []string{"@system-service"}}
	list, err := Compile(p, seccomp.AMD64, nil)
	if err != nil {
		b.Fatal(err)
	}
	m := newVM(b, list[0])
	for b.Loop() {
		m.run(b, seccomp.AMD64.Audit(), 16, [6]uint64{1, 0x5401})
	}
}
