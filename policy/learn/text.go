package learn

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"sbx/policy"
	"sbx/policy/seccomp"
)

// maxExpected is how many lines of a kind [expect] gets.
const maxExpected = 8

// expect writes what was seen as [expect], and takes out of what is inherited what is not
// so any more.
func (d *draft) expect(m *Maker, seen *Seen) error {
	p := d.own
	resolved, expanded, err := m.Resolve(withoutExpect(p))
	if err != nil {
		return fmt.Errorf("make a policy: what came out is not right: %w", err)
	}
	tree := expanded.Tree()
	a, err := answersOf(resolved, m.Arch)
	if err != nil {
		return err
	}
	p.Expect.Allow, p.Expect.Deny = slices.Clone(p.Expect.Allow), slices.Clone(p.Expect.Deny)
	p.Expect.Deny = slices.DeleteFunc(p.Expect.Deny, func(line string) bool {
		call, ok := strings.CutPrefix(line, "syscall ")
		return ok && contains(resolved.Seccomp.Allow, call) // an earlier run had not made it
	})
	for _, line := range d.role.Expect.Deny {
		if d.contradicts(m, line, resolved, tree, a) {
			put(&p.Expect.Deny, "!"+line)
		}
	}
	for _, line := range d.role.Expect.Allow {
		words := strings.Fields(line)
		if words[0] == "syscall" && m.Tight && !contains(resolved.Seccomp.Allow, words[1]) {
			put(&p.Expect.Allow, "!"+line)
		}
	}
	expected := func(list *[]string, verb string, entries []string) {
		for i, e := range entries {
			e = strings.TrimPrefix(e, "?")
			line := verb + " " + e
			if i < maxExpected && !strings.HasPrefix(e, "!") && !slices.Contains(d.role.Expect.Allow, line) {
				put(list, line)
			}
		}
	}
	expected(&p.Expect.Allow, "read", p.Files.Read)
	expected(&p.Expect.Allow, "read", p.Files.Overlay)
	for i, t := range p.Files.Tmpfs {
		if i < maxExpected && !strings.HasPrefix(t, "!") {
			expected(&p.Expect.Allow, "write", []string{path.Join(t, "x")})
		}
	}
	var run, made []string
	for _, exe := range seen.Programs {
		mine := m.Dir != "" && policy.Within(exe, m.Dir) // perhaps made by the run
		if !mine && tree.At(exe).Kind.FromHost() && m.Look(exe).Kind == Regular {
			if s, ok := d.wants.ground.written(exe); ok {
				run = append(run, s)
			}
		}
	}
	slices.Sort(run)
	for _, c := range p.Seccomp.Allow {
		if c[0] != '@' && c[0] != '!' && !m.Tight {
			made = append(made, c)
		}
	}
	expected(&p.Expect.Allow, "exec", run)
	expected(&p.Expect.Allow, "syscall", made)
	const nowhere = "connect 1.1.1.1:443"
	if resolved.Namespaces.Net == "new" && !slices.Contains(d.role.Expect.Deny, nowhere) {
		put(&p.Expect.Deny, nowhere)
	}
	if m.Tight {
		for _, c := range [...]string{"ptrace", "socket", "listen", "chroot", "mlockall", "shmget", "inotify_init1"} {
			if !contains(resolved.Seccomp.Allow, c) && !slices.Contains(d.role.Expect.Deny, "syscall "+c) {
				put(&p.Expect.Deny, "syscall "+c)
			}
		}
	}
	slices.Sort(p.Expect.Allow)
	slices.Sort(p.Expect.Deny)
	return nil
}

func withoutExpect(p *policy.Policy) *policy.Policy {
	q := *p
	q.Expect = policy.Expect{}
	return &q
}

func contains(list []string, call string) bool {
	return slices.ContainsFunc(list, func(e string) bool { return slices.Contains(calls(e), call) })
}

// contradicts says that the policy does what a line of the role's [expect] denies.
func (d *draft) contradicts(m *Maker, line string, now *policy.Policy, tree *policy.Tree, a answered) bool {
	verb, object, _ := strings.Cut(line, " ")
	name := object
	if rest, ok := strings.CutPrefix(object, private); ok {
		name = path.Join(m.Home, rest)
	}
	if rest, ok := strings.CutPrefix(object, project); ok {
		if m.Dir == "" {
			return false
		}
		name = path.Join(m.Dir, rest)
	}
	switch verb {
	case "connect":
		return now.Namespaces.Net != d.role.Namespaces.Net
	case "read":
		return !d.roleTree.At(name).Kind.FromHost() && tree.At(name).Kind.FromHost()
	case "write":
		return !d.roleTree.At(name).Kind.Writes() && tree.At(name).Kind.Writes()
	case "capability":
		return slices.ContainsFunc(now.Process.Capabilities, func(c string) bool {
			return strings.TrimPrefix(c,
				"?") == object
		})
	case "env":
		return slices.ContainsFunc(d.own.Process.Env, func(e string) bool {
			name, _, _ := strings.Cut(e, "=")
			return name == object
		})
	case "syscall":
		words := strings.Fields(object)
		return slices.ContainsFunc(d.denied, func(c Call) bool { return c.Name == words[0] })
	}
	return false
}

// text is the policy's file.
func (d *draft) text(made *Made) []byte {
	var b strings.Builder
	b.WriteString("# What programs were seen to do by sbx learn. A hostile one can have itself seen doing\n" +
		"# anything: read this before you use it. sbx policy diff says what it adds to what it extends.\n" +
		"# What is written below an overlay or a tmpfs is gone afterwards; list under write what is to stay.\n")
	if len(made.Left) > 0 {
		const most = 40
		b.WriteString("#\n# It does NOT allow, although it was seen:\n")
		for _, s := range made.Left[:min(len(made.Left), most)] {
			b.WriteString("#   " + s + "\n")
		}
		if more := len(made.Left) - most; more > 0 {
			fmt.Fprintf(&b, "#   and %d more\n", more)
		}
	}
	b.WriteString(forPeople(string(d.own.PrintWith(func(key, entry string, rule *seccomp.Rule) string {
		if rule != nil {
			return ruleComment(*rule)
		}
		return d.comments[key+"\x00"+entry]
	}))))
	return []byte(b.String())
}

// ruleComment is that of a rule of this package.
func ruleComment(r seccomp.Rule) string {
	if _, ok := cloneMask(r); ok {
		return "flags that were not seen"
	}
	for _, kind := range tightRules {
		if _, ok := kind.is(r); ok {
			return "what was not seen"
		}
	}
	return ""
}
