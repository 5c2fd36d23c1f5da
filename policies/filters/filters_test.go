// Package filters_test holds the filters that were made ahead against their
// policies.
package filters_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sbx/policies"
	"sbx/policy/seccomp"
	"sbx/policy/seccomp/bpf"
	"sbx/policy/seccomp/compile"
)

var update = flag.Bool("update", false, "write the tables in testdata anew")

var arches = []seccomp.Arch{seccomp.AMD64, seccomp.ARM64}

func shipped(t *testing.T, name string) *seccomp.Policy {
	t.Helper()
	l, err := policies.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	if l.Source != policies.Embedded {
		t.Fatalf("%s comes from %s", name, l.Path)
	}
	p, err := l.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	return &p.Seccomp
}

// TestCurrent makes every filter anew and compares bytes.
func TestCurrent(t *testing.T) {
	for _, name := range policies.Names() {
		p := shipped(t, name)
		for _, a := range arches {
			want, err := compile.Compile(p, a, nil)
			if err != nil {
				t.Fatal(err)
			}
			got := policies.Filters(p, a)
			if !slices.EqualFunc(got, want, func(x, y seccomp.Program) bool { return slices.Equal(x, y) }) {
				t.Errorf("%s for %s is stale: run go generate ./policies", name, a)
			}
		}
	}
}

// TestOnlyItsOwn makes sure that a policy that differs gets no filter of
// another's.
func TestOnlyItsOwn(t *testing.T) {
	for _, name := range policies.Names() {
		p := *shipped(t, name)
		p.Deny = append(slices.Clone(p.Deny), "write")
		if policies.Filters(&p, seccomp.AMD64) != nil {
			t.Errorf("%s with write denied has a filter", name)
		}
	}
}

// TestTables runs each filter for every call and compares what it answers with
// testdata, for people to read.
func TestTables(t *testing.T) {
	for _, name := range policies.Names() {
		for _, a := range arches {
			p := shipped(t, name)
			got := table(t, p, a)
			file := filepath.Join("testdata", a.String(), name+".txt")
			if *update {
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				continue
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s differs: if it should, run go test ./policies/filters -update", file)
			}
		}
	}
}

// table lists calls by their answer, and for those whose answer depends on
// arguments, a call for each side of every bound.
func table(t *testing.T, p *seccomp.Policy, a seccomp.Arch) string {
	t.Helper()
	m, err := bpf.Decode(policies.Filters(p, a)[0])
	if err != nil {
		t.Fatal(err)
	}
	answers, err := p.Answers(a)
	if err != nil {
		t.Fatal(err)
	}
	by := map[string][]string{}
	var asked []string
	for _, c := range answers.Calls {
		probes := bounds(c.Clauses)
		said := answer(t, m, a.Audit(), c.Number, [6]uint64{})
		if len(probes) == 1 {
			by[said] = append(by[said], c.Syscall.Name())
			continue
		}
		line := c.Syscall.Name() + ":"
		for _, args := range probes {
			line += fmt.Sprintf("\n  %#x %s", args, answer(t, m, a.Audit(), c.Number, args))
		}
		asked = append(asked, line)
	}
	var b strings.Builder
	var said []string
	for k := range by {
		said = append(said, k)
	}
	slices.Sort(said)
	for _, k := range said {
		slices.Sort(by[k])
		fmt.Fprintf(&b, "%s:\n  %s\n\n", k, strings.Join(by[k], "\n  "))
	}
	slices.Sort(asked)
	fmt.Fprintf(&b, "%s\n\n", strings.Join(asked, "\n"))
	fmt.Fprintf(&b, "a number that no call has: %s\n", answer(t, m, a.Audit(), 400, [6]uint64{}))
	fmt.Fprintf(&b, "the number -1: %s\n", answer(t, m, a.Audit(), 0xffffffff, [6]uint64{}))
	for _, other := range []seccomp.Arch{seccomp.AMD64, seccomp.ARM64, seccomp.I386, seccomp.ARM} {
		if other != a {
			fmt.Fprintf(&b, "a call of %s: %s\n", other, answer(t, m, other.Audit(), 0, [6]uint64{}))
		}
	}
	if a == seccomp.AMD64 {
		fmt.Fprintf(&b, "a call of x32: %s\n", answer(t, m, a.Audit(), seccomp.X32Bit, [6]uint64{}))
	}
	return b.String()
}

// bounds lists arguments on both sides of every bound that clauses have, each
// with the other arguments zero or as another bound wants them.
func bounds(clauses []seccomp.Clause) [][6]uint64 {
	out := [][6]uint64{{}}
	for _, c := range clauses {
		for _, all := range c.Any {
			var base [6]uint64 // where all hold
			for _, k := range all {
				base[k.Arg] = k.In[0].Lo
			}
			out = append(out, base)
			for _, k := range all {
				for _, r := range k.In {
					for _, v := range []uint64{r.Lo - 1, r.Lo, r.Hi, r.Hi + 1, r.Lo | 1<<32} {
						args := base
						args[k.Arg] = v
						out = append(out, args)
					}
				}
			}
		}
	}
	slices.SortFunc(out, func(x, y [6]uint64) int { return slices.Compare(x[:], y[:]) })
	return slices.Compact(out)
}

func answer(t *testing.T, code []bpf.Instruction, audit, nr uint32, args [6]uint64) string {
	t.Helper()
	ret, _ := bpf.Run(code, bpf.Call{Audit: audit, Number: nr, Args: args})
	a, ok := seccomp.ActionOf(ret)
	if !ok {
		t.Fatalf("returned %#x", ret)
	}
	return a.String()
}
