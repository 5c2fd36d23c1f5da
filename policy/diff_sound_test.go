package policy

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"sbx/policy/seccomp"
)

// TestCompareSees: pairs of which the second allows more, each in a way that
// was once called equal or narrower.
func TestCompareSees(t *testing.T) {
	rule := func(when string) string {
		return "[[seccomp.rule]]\nsyscalls = ['personality']\nwhen = [\"" + when + "\"]\naction = 'allow'\n"
	}
	many := func(last string) string {
		var b strings.Builder
		for i := range 40 {
			b.WriteString("[[seccomp.rule]]\nsyscalls = ['socket']\nwhen = ['arg0 == " + string(rune('1'+i%9)) + " && arg1 == " +
				string(rune('1'+i/9)) + " && arg2 == " + string(rune('1'+i%7)) + "']\naction = 'allow'\n")
		}
		return b.String() + "[[seccomp.rule]]\nsyscalls = ['socket']\nwhen = ['arg0 == 77 && arg1 == 78 && arg2 == " + last +
			"']\naction = 'allow'\n"
	}
	for _, c := range []struct{ name, a, b, want string }{
		{"a mask with fewer bits", rule("arg0 & 0xff == 1"), rule("arg0 & 0x0f == 1"), "some arguments: personality"},
		{"masks that overlap", rule("arg0 & 0x30 == 0x10"), rule("arg0 & 0x50 == 0x10"), "some arguments: personality"},
		{"32 bits instead of 64", rule("arg0:64 == 1"), rule("arg0:32 == 1"), "some arguments: personality"},
		{"one point among many", many("79"), strings.Replace(many("79"), "arg2 == 79", "arg2 <= 79", 1),
			"some arguments: socket"},
		{"386", "[seccomp]\narchitectures = ['386']\n", "[seccomp]\narchitectures = ['386']\nallow = ['waitpid']\n",
			"waitpid"},
		{
			"execution in a part", "[files]\nread = ['/x', '/x/y']\npath.'/x'.exec = false\npath.'/x/y'.exec = false\n",
			"[files]\nread = ['/x', '/x/y']\npath.'/x'.exec = false\n", "executing files of /x/y",
		},
		{
			"execution in a new part", "[files]\nread = ['/x']\npath.'/x'.exec = false\n",
			"[files]\nread = ['/x', '/x/y']\npath.'/x'.exec = false\n", "executing files of /x/y",
		},
		{"another source", "[files]\nwrite = ['/x']\n", "[files]\nread = ['/x']\npath.'/x'.from = '/secret'\n",
			"what is shown at /x"},
		{
			"a source instead of a tmpfs", "[files]\ntmpfs = ['/x']\n",
			"[files]\nread = ['/x']\npath.'/x'.from = '/secret'\n", "/x",
		},
		{
			"what was read-only under every name",
			"[files]\nwrite = ['/y']\nread = ['/x/a']\npath.'/y'.from = '/x'\n",
			"[files]\nwrite = ['/y']\npath.'/y'.from = '/x'\n",
			"write /x/a at /y/a",
		},
		{
			"what an entry of a hidden file covers",
			"[files]\nread = ['/a', '/a/b']\nhide = ['?/x']\npath.'/a'.from = '/x/y'\npath.'/a/b'.from = '/z'\n",
			"[files]\nread = ['/a/b']\nhide = ['?/x']\npath.'/a/b'.from = '/z'\n", "hidden with /a",
		},
		{"a socket that shows", "[files]\nsockets = ['/']\n", "[files]\nsockets = ['/', '/run/x']\n", "read /run/x"},
		{
			"a secret by its name", "[files]\nwrite = ['/p']\nhide = ['.env*']\n",
			"[files]\nwrite = ['/p']\nread = ['/p/.env']\nhide = ['.env*']\n", "/p/.env, by its name",
		},
		{"hidden only at the start", "[files]\nhide = ['/p/x']\n", "[files]\nhide = ['?/p/x']\n", "what was hidden by /p/x"},
		{"core dumps", "", "[limits]\ncore = '1M'\n", "core: 1M"},
		{
			"a larger tmpfs", "[files]\ntmpfs = ['/t']\n[limits]\ntmp = '1M'\n",
			"[files]\ntmpfs = ['/t']\npath.'/t'.size = '1G'\n[limits]\ntmp = '1M'\n", "size of /t",
		},
		{"a variable that was set", "[process]\nenv = ['A=1', '*']\n", "[process]\nenv = ['*']\n", "environment A"},
		{"a variable that runs code", "", "[process]\nenv = ['LD_PRELOAD=/x.so']\n", "LD_PRELOAD"},
		{
			"the machine's /proc", "[files]\nread = ['/']\n", "[files]\nread = ['/', '/proc']\nproc = false\n", "read /proc",
		},
		{"the machine's /dev", "[files]\nread = ['/']\n", "[files]\nread = ['/', '/dev']\ndev = false\n", "read /dev"},
	} {
		d := compare(t, resolvedText(t, c.a), resolvedText(t, c.b))
		if list := slices.Concat(d.Wider, d.Other); !slices.ContainsFunc(list, func(l string) bool {
			return strings.Contains(l, c.want)
		}) {
			t.Errorf("%s: %s, wider %q, other %q, want %q", c.name, d.Verdict(), d.Wider, d.Other, c.want)
		}
		if back := compare(t, resolvedText(t, c.b), resolvedText(t, c.a)); back.Verdict() == "wider" ||
			back.Verdict() == "equal" {
			t.Errorf("%s, the other way: %s", c.name, back.Verdict())
		}
	}
}

// TestPoints compares the kinds of arguments with all values of eight bits.
func TestPoints(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 9))
	check := func() seccomp.Check {
		lo, hi, mask := r.Uint64N(256), r.Uint64N(256), r.Uint64N(256)
		if r.IntN(2) == 0 {
			mask = 255
		}
		return seccomp.Check{Arg: r.IntN(2), Mask: mask, In: []seccomp.Range{{Lo: min(lo, hi), Hi: max(lo, hi)}}}
	}
	clauses := func() (list []seccomp.Clause) {
		for range 1 + r.IntN(2) {
			var c seccomp.Clause
			for range 1 + r.IntN(2) {
				all := []seccomp.Check{check()}
				if r.IntN(2) == 0 {
					all = append(all, check())
				}
				c.Any = append(c.Any, all)
			}
			list = append(list, c)
		}
		return append(list, seccomp.Clause{})
	}
	first := func(list []seccomp.Clause, args [6]uint64) int {
		return slices.IndexFunc(list, func(c seccomp.Clause) bool { return c.Holds(args) })
	}
	for range 60 {
		a, b := clauses(), clauses()
		want, got := map[[2]int]bool{}, map[[2]int]bool{}
		for x := range uint64(256) {
			for y := range uint64(256) {
				args := [6]uint64{x, y}
				want[[2]int{first(a, args), first(b, args)}] = true
			}
		}
		exact := points(slices.Concat(a, b), func(args [6]uint64) bool {
			got[[2]int{first(a, args), first(b, args)}] = true
			return false
		})
		if !exact || !maps.Equal(got, want) {
			t.Fatalf("%v, want %v, exact %v\n%v\n%v", got, want, exact, a, b)
		}
	}
}

// TestCompareSound draws pairs of policies. Where some call, or some path, is
// answered more widely by the second, the comparison says so or that it cannot.
func TestCompareSound(t *testing.T) {
	var last *Policy
	random(t, 120, func(a author, _ string, p *Policy) {
		q := last
		if last = p; q == nil {
			return
		}
		d := compare(t, q, p)
		said := len(d.Wider)+len(d.Other) > 0
		x, errX := q.Calls().Answers(seccomp.AMD64)
		y, errY := p.Calls().Answers(seccomp.AMD64)
		if errX != nil || errY != nil {
			t.Fatal(errX, errY)
		}
		for range 3000 {
			args := [6]uint64{a.Uint64N(12), a.Uint64N(12), a.Uint64N(1 << 33), a.Uint64N(12)}
			nr := x.Calls[a.IntN(len(x.Calls))].Number
			if was, is := x.Decide(nr, args).Action, y.Decide(nr, args).Action; looser(was, is) > 0 && !said {
				t.Fatalf("call %d%v: %s instead of %s is not said:\n%+v", nr, args, is, was, d)
			}
		}
		was, is := newSights(&q.Files), newSights(&p.Files)
		for _, e := range slices.Concat(was.tree.Entries, is.tree.Entries) {
			for _, name := range []string{e.Name, e.Name + "/x"} {
				if v, w := was.at(name), is.at(name); (w.access > v.access || v.noExec && !w.noExec && w.access >= private &&
					v.access >= private) && !said {
					t.Fatalf("%s: %+v instead of %+v is not said:\n%+v", name, w, v, d)
				}
			}
		}
	})
}

// TestCompareCalls draws pairs of policies that differ in few keys, some of which decide
// over system calls without naming one. Each call that the second answers more widely is
// named in a line.
func TestCompareCalls(t *testing.T) {
	values := []uint64{0, 1, 2, 5, 6, 10, 16, 17, 30, 38, 132, 255, 262, 0x20000000, 0o2000, 0o4000, 0o4755, 0o6000, 0o644,
		0o100, 0o400000, 0x10000000, 0x7e020080, 1 << 32, 1<<32 | 0x20000000, ^uint64(0)}
	edits := []func(author, *Policy){
		func(a author, p *Policy) { p.Files.SetID = pick(a, nil, new(bool), ptr(true)) },
		func(a author, p *Policy) { p.Process.Nest = pick(a, nil, new(bool), ptr(true)) },
		func(a author, p *Policy) { p.Network.Bind = pick(a, nil, []string{}, []string{"80"}) },
		func(a author, p *Policy) { p.Network.Connect = pick(a, nil, []string{}, []string{"443"}) },
		func(a author, p *Policy) {
			p.Seccomp.Allow = a.some("@system-service", "@nest", "io_uring_setup", "listen")
		},
		func(a author, p *Policy) {
			p.Seccomp.Deny = a.some("io_uring_setup", "listen", "chmod", "unshare", "@mount")
		},
		func(a author, p *Policy) {
			p.Seccomp.Rules = nil
			for range a.IntN(3) {
				p.Seccomp.Rules = append(p.Seccomp.Rules, seccomp.Rule{
					Syscalls: []string{a.one("openat2", "fchmodat", "sendto", "socket", "clone")},
					When:     pick(a, nil, []string{"arg1 == 0o4755"}, []string{"arg0 == AF_INET && arg2 == 262"}),
					Action:   pick(a, seccomp.Action{Kind: seccomp.Allow}, seccomp.Action{Kind: seccomp.KillProcess}),
				})
			}
		},
	}
	wider, silent := 0, 0
	for seed := range uint64(60) {
		a := author{rand.New(rand.NewPCG(seed, 14))}
		parsed, err := Parse("p", []byte(a.policy()))
		if err != nil {
			t.Fatal(err)
		}
		p, err := Resolve(parsed, findNone)
		if err != nil {
			continue // read and private at once
		}
		q := *p
		for range 1 + a.IntN(3) {
			edits[a.IntN(len(edits))](a, p)
			edits[a.IntN(len(edits))](a, &q)
		}
		d := compare(t, p, &q)
		named := map[string]bool{}
		for _, line := range slices.Concat(d.Wider, d.Other) {
			for word := range strings.FieldsSeq(line) {
				if calls, err := seccomp.Expand(word); err == nil {
					for _, c := range calls {
						named[c] = true
					}
				}
			}
		}
		for _, arch := range []seccomp.Arch{seccomp.AMD64, seccomp.ARM64} {
			x, errX := p.Calls().Answers(arch)
			y, errY := q.Calls().Answers(arch)
			if errX != nil || errY != nil {
				t.Fatal(errX, errY)
			}
			for _, call := range x.Calls {
				for range 20 {
					args := [6]uint64{a.Uint64N(3)}
					for i := range args {
						if a.IntN(3) > 0 {
							args[i] = values[a.IntN(len(values))]
						}
					}
					was, is := x.Decide(call.Number, args).Action, y.Decide(call.Number, args).Action
					if looser(was, is) <= 0 {
						continue
					}
					if wider++; !named[call.Syscall.Name()] {
						t.Fatalf("seed %d: %s%v: %s instead of %s is not said:\n%+v", seed, call.Syscall.Name(), args, is, was, d)
					}
				}
			}
		}
		if len(d.Wider)+len(d.Other) == 0 {
			silent++
		}
	}
	if wider < 500 || silent < 2 {
		t.Errorf("%d answers are wider, %d pairs are said to be none: too few to tell", wider, silent)
	}
}

func pick[T any](a author, of ...T) T { return of[a.IntN(len(of))] }

func ptr[T any](v T) *T { return &v }

// TestCompareEffect: pairs whose keys differ and whose system calls do not, or that differ
// by other keys than those of [seccomp].
func TestCompareEffect(t *testing.T) {
	deny := func(more string) string { return "[seccomp]\nallow = ['@system-service']\ndeny = [" + more + "]\n" }
	for _, c := range []struct{ name, a, b, verdict, want string }{
		{"ports take io_uring away as well", "namespaces.net = 'host'\n[network]\nconnect = []\n" + deny("'io_uring_setup'"),
			"namespaces.net = 'host'\n[network]\nconnect = []\n" + deny(""), "equal", ""},
		{"ports given up give it back", "namespaces.net = 'host'\n[network]\nconnect = []\n[seccomp]\nallow = ['io_uring_setup']",
			"namespaces.net = 'host'\n[seccomp]\nallow = ['io_uring_setup']", "wider", "allow instead of errno:EPERM: io_uring_setup"},
		{"nesting lifts calls", "[seccomp]\nallow = ['@system-service']", "[seccomp]\nallow = ['@system-service']\n[process]\nnest = true",
			"wider", "unshare"},
		{"set-id bits", "[files]\nset_id = false\n[seccomp]\nallow = ['chmod', 'fchmod']",
			"[files]\nset_id = true\n[seccomp]\nallow = ['chmod', 'fchmod']", "wider", "for some arguments: chmod fchmod"},
	} {
		d := compare(t, resolvedText(t, c.a), resolvedText(t, c.b))
		if d.Verdict() != c.verdict || !strings.Contains(strings.Join(d.Wider, "\n"), c.want) {
			t.Errorf("%s: %s, wider %q, want %s, %q", c.name, d.Verdict(), d.Wider, c.verdict, c.want)
		}
	}
}
