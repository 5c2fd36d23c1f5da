package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"sbx/integration/probe/oracle"
	"sbx/policies"
	"sbx/policy/seccomp"
)

// TestOracle asks the kernel, inside the sandbox of each shipped policy that differs, what
// the loaded filters answer to every call, every bound of its arguments and
// both foreign ABIs, and compares it with what the policy says. It asks by a listener
// of its own, of which there can be one only: so that of the filter against set-id files
// is left out, which TestSetID asks. Root asks every second policy and the user the others; in make soak
// each asks all.
func TestOracle(t *testing.T) {
	own := filepath.Join(t.TempDir(), "own.toml")
	if err := os.WriteFile(own, []byte(ownPolicy), 0o600); err != nil {
		t.Fatal(err)
	}
	var asked []*seccomp.Answers
	for _, name := range append(policies.Names(), own) {
		p, err := policies.Find(name)
		if err != nil {
			t.Fatal(err)
		}
		calls := p.LaunchCalls()
		answers, err := calls.Answers(seccomp.Native())
		if err != nil {
			t.Fatal(err)
		}
		if !starts(answers) {
			continue // a part of other policies; no program runs with it
		}
		if slices.ContainsFunc(asked, func(a *seccomp.Answers) bool { return reflect.DeepEqual(a, answers) }) {
			continue // the same filters as another role's; TestFiltersAreTheRun says that they are loaded
		}
		asked = append(asked, answers)
		if whole := os.Getenv("SBX_SOAK") != ""; name != own && !whole && (len(asked)%2 == 0) != asRoot() {
			continue
		}
		t.Run(filepath.Base(name), func(t *testing.T) {
			questions, want := interview(t, calls, answers)
			alone := filepath.Join(t.TempDir(), filepath.Base(name)+"-alone.toml")
			text := fmt.Sprintf("version = 1\nextends = [%q]\n[files]\nset_id = true\n", name)
			if err := os.WriteFile(alone, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			run(t, call{args: []string{"git", "init", "-q"}, dir: dir}).want(t, 0) // for commit
			r := run(t, call{
				args:  []string{binary("sbx"), "--policy", alone, "--read", binary("probe"), "--", binary("probe"), "oracle"},
				dir:   dir,
				stdin: strings.Join(questions, "\n") + "\n",
				limit: 5 * 60e9,
			})
			if r.status != 0 {
				t.Fatal(r)
			}
			got := strings.Split(strings.TrimSuffix(r.stdout, "\n"), "\n")
			if len(got) != len(want) {
				t.Fatalf("%d answers to %d questions", len(got), len(want))
			}
			for i, w := range want {
				if got[i] != w {
					t.Errorf("%s: the kernel says %q, the policy %q", questions[i], got[i], w)
				}
			}
		})
	}
}

// ownPolicy has what no shipped policy has: foreign ABIs, several actions,
// comparisons of 64 bits.
const ownPolicy = `version = 1
extends = ["default"]

[seccomp]
architectures = ["386", "x32", "arm"]
deny = ["personality"]

[[seccomp.rule]]
syscalls = ["tkill", "setpriority"]
when = ["arg1 in {SIGKILL, SIGSTOP..SIGTTOU}"]
action = "errno:EXDEV"

[[seccomp.rule]]
syscalls = ["lseek"]
when = ["arg1 > 0x7fffffff && arg2 != SEEK_CUR", "arg1:64 & 0xff00000000 == 0x100000000"]
action = "errno:EOVERFLOW"

[[seccomp.rule]]
syscalls = ["msync"]
when = ["arg2 & MS_SYNC == 0"]
action = "log"

[[seccomp.rule]]
syscalls = ["sysinfo"]
action = "trap"

[[seccomp.rule]]
syscalls = ["times"]
when = ["arg0 == 0"]
action = "kill-process"

[expect]
deny = ["syscall personality"]
`

// starts reports whether a target can start and ask.
func starts(a *seccomp.Answers) bool {
	for _, name := range []string{"execve", "seccomp", "clone", "ioctl"} {
		s, err := seccomp.LookupSyscall(name)
		if err != nil {
			return false
		}
		nr, _ := s.Number(a.Arch)
		if a.Decide(nr, [6]uint64{}).Action.Kind != seccomp.Allow {
			return false
		}
	}
	return true
}

// interview lists questions about a policy and the right answers.
func interview(t *testing.T, p *seccomp.Policy, native *seccomp.Answers) (questions, want []string) {
	t.Helper()
	ask := func(a seccomp.Arch, nr uint32, args [6]uint64) {
		c, err := p.Decide(seccomp.Native(), a.Audit(), nr, args)
		if a == native.Arch {
			c, err = native.Decide(nr, args), nil // the same, faster
		}
		if err != nil {
			t.Fatal(err)
		}
		questions = append(questions, fmt.Sprintf("%x %x %x %x %x %x %x %x", a.Audit(), nr, args[0], args[1], args[2],
			args[3], args[4], args[5]))
		want = append(want, said(c.Action))
	}
	for _, nr := range append(numbersTo(600), 1<<16, 1<<30-1, 1<<31, 0xffffffff) {
		if native.Arch == seccomp.AMD64 && (nr == 335 || nr == 336) {
			continue // uretprobe and uprobe, about which the kernel asks no filter
		}
		ask(native.Arch, nr, [6]uint64{})
	}
	for _, c := range native.Calls {
		for _, args := range edges(c.Clauses) {
			ask(native.Arch, c.Number, args)
		}
	}
	abis, err := p.ABIs(seccomp.Native())
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range abis[1:] {
		foreign, err := p.Answers(a)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range foreign.Calls {
			for _, args := range append(edges(c.Clauses), [6]uint64{}) {
				if !a.Wide() {
					for i := range args {
						args[i] = uint64(uint32(args[i]))
					}
				}
				ask(a, c.Number, args)
			}
		}
	}
	if native.Arch == seccomp.AMD64 && len(abis) == 1 {
		for _, nr := range numbersTo(480) {
			if nr%16 == 0 { // each of these costs the asker its life
				ask(seccomp.I386, nr, [6]uint64{})
				ask(seccomp.X32, nr|seccomp.X32Bit, [6]uint64{})
			}
		}
	}
	return questions, want
}

func numbersTo(n uint32) (out []uint32) {
	for nr := range n {
		out = append(out, nr)
	}
	return out
}

// edges lists arguments on both sides of every bound of clauses, also with the
// upper half set.
func edges(clauses []seccomp.Clause) (out [][6]uint64) {
	for _, c := range clauses {
		for _, all := range c.Any {
			var base [6]uint64
			for _, k := range all {
				base[k.Arg] = k.In[0].Lo
			}
			for _, k := range all {
				for _, r := range k.In {
					for _, v := range []uint64{r.Lo - 1, r.Lo, r.Hi, r.Hi + 1} {
						for _, junk := range []uint64{0, 1 << 32, 0xffffffff << 32} {
							args := base
							args[k.Arg] = v | junk
							out = append(out, args)
						}
					}
				}
			}
		}
	}
	slices.SortFunc(out, func(x, y [6]uint64) int { return slices.Compare(x[:], y[:]) })
	return slices.Compact(out)
}

// said is how the probe prints what becomes of an action.
func said(a seccomp.Action) string {
	switch a.Kind {
	case seccomp.Allow, seccomp.Log, seccomp.Notify:
		return oracle.Answer{Kind: oracle.Pass}.String()
	case seccomp.Errno:
		return oracle.Answer{Kind: oracle.Errno, Value: int(a.Errno)}.String()
	}
	return oracle.Answer{Kind: oracle.Signal, Value: 31}.String()
}
