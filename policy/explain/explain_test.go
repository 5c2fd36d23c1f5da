package explain

import (
	"fmt"
	"path"
	"strings"
	"testing"
	"unicode"

	"sbx/policies"
	"sbx/policy"
	"sbx/policy/seccomp"
)

// find is a shipped policy as a launch has it, and as it was parsed.
func find(t testing.TB, name string) *Judge {
	t.Helper()
	p, err := policies.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	l, err := policies.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	source, err := l.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	return &Judge{Policy: p, Source: source, Native: seccomp.AMD64}
}

func denial(t testing.TB, name string, args ...uint64) Denial {
	t.Helper()
	s, err := seccomp.LookupSyscall(name)
	if err != nil {
		t.Fatal(err)
	}
	d := Denial{Arch: seccomp.AMD64, Answer: seccomp.Action{Kind: seccomp.Errno, Errno: 1}, Count: 1}
	d.Number, _ = s.Number(seccomp.AMD64)
	copy(d.Args[:], args)
	return d
}

func TestCall(t *testing.T) {
	const cwd = ^uint64(99) // AT_FDCWD
	text := func(d Denial, at int, s string) Denial { d.Text[at] = s; return d }
	mount := text(text(denial(t, "mount", 1, 2, 3, 6), 0, "none"), 1, "/m t")
	foreign := denial(t, "socket", 10, 2|0o2000000, 0)
	foreign.Arch, foreign.Number = seccomp.I386, 359
	for _, c := range []struct {
		d    Denial
		want string
	}{
		{mount, `mount(none, "/m t", ..., MS_NOSUID|MS_NODEV)`},
		{denial(t, "unshare", 1<<28|1<<30), "unshare(CLONE_NEWUSER|CLONE_NEWNET)"},
		{denial(t, "clone", 1<<28|17, 1<<40), "clone(CLONE_NEWUSER)"},
		{denial(t, "socket", 17, 3, 0), "socket(AF_PACKET, SOCK_RAW, 0)"},
		{denial(t, "socket", 16, 3|0o2000000, 9), "socket(AF_NETLINK, SOCK_RAW|SOCK_CLOEXEC, 9)"},
		{foreign, "socket(AF_INET6, SOCK_DGRAM|SOCK_CLOEXEC, 0)"},
		{text(denial(t, "openat", cwd, 1, 0o101|0o2000000, 0o4755), 1, "/x"),
			"openat(/x, O_WRONLY|O_CREAT|O_CLOEXEC, 04755)"},
		{text(denial(t, "fchownat", 5, 1, 0, 7), 1, "a"), "fchownat(5, a, 0, 7)"},
		{text(denial(t, "connect", 3, 1<<40, 16), 1, "127.0.0.1:80"), "connect(3, 127.0.0.1:80)"},
		{denial(t, "ptrace", 16, 1), "ptrace(PTRACE_ATTACH, 1)"},
		{denial(t, "acct", 0), "acct(NULL)"},
		{denial(t, "ioctl", 0, 0x5412, 1), "ioctl(0, TIOCSTI)"},
		{denial(t, "ioctl", 0, 0x5401, 1), "ioctl(0, TCGETS)"},
		{denial(t, "ioctl", 3, 0x40086602, 1), "ioctl(3, FS_IOC_SETFLAGS)"},
		{denial(t, "ioctl", 3, 0x1277, 1), "ioctl(3, BLKDISCARD)"},
		{denial(t, "ioctl", 3, 0xae01, 0), "ioctl(3, 0xae01)"},
		{denial(t, "ioctl", 3, 1, 0), "ioctl(3, 0x1)"},
		{denial(t, "init_module", 1<<45, 5), "init_module()"},
		// Nothing is known of it, so it may be an address.
		{denial(t, "getrandom", 1<<45, 16, 1), "getrandom(..., 0x10, 1)"},
		{Denial{Arch: seccomp.AMD64, Number: 9999}, "system call 9999(0, 0, 0, 0, 0, 0)"},
	} {
		if got := c.d.Call(); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}

// TestParams: the table names calls that there are, and no more arguments than one has.
func TestParams(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range callParams {
		s, err := seccomp.LookupSyscall(c.name)
		if err != nil {
			t.Error(err)
			continue
		}
		if list, _ := Params(c.name); len(list) > min(s.Args(), 6) {
			t.Errorf("%s: %d arguments, and it has %d", c.name, len(list), s.Args())
		}
		if seen[c.name] {
			t.Errorf("%s is there twice", c.name)
		}
		seen[c.name] = true
	}
}

// TestSafe: whatever a program puts into a string, what is printed of it drives no
// terminal, and no secret is in it.
func TestSafe(t *testing.T) {
	for _, s := range []string{
		"\x1b[2J\x07", "a\nsbx: explain: nothing", "\u202egpj.exe", "\u2066x", "\xff\xfe",
		"e\u0301\u200d", "İtoken=hunter2",
	} {
		d := denial(t, "chroot", 1)
		d.Text[0], d.Exe = s, s
		r, err := find(t, "default").Report(Record{Denials: []Denial{d}})
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range r.Lines(true) {
			for _, c := range line {
				if !unicode.IsPrint(c) {
					t.Errorf("%q: %q is printed", s, line)
				}
			}
			if strings.Contains(line, "hunter2") {
				t.Errorf("%q: %q is printed", s, line)
			}
		}
	}
	for s, want := range map[string]string{
		"/srv/x?TOKEN=hunter2&a=b":            "/srv/x?TOKEN=***&a=b",
		"https://me:hunter2@host/x":           "https://me:***@host/x",
		"https://me@host/x":                   "https://me@host/x",
		"password:hunter2 secret=hunter2":     "password:*** secret=***",
		"Authorization: Bearer hunter2":       "Authorization: Bearer ***",
		"/home/u/.secret/passwd":              "/home/u/.secret/passwd",
		"token=":                              "token=",
		"ftp://a:b@c:d@host":                  "ftp://a:***@host",
		"\u0130\u0130 api_key=hunter2/\u0130": "\u0130\u0130 api_key=***/\u0130",
	} {
		if got := Redact(s); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}

// TestAllow holds that each line that is offered does what it says: in a policy that
// extends the one that denies, it allows the call. Where none is offered a rule is in the
// way, or nothing that a policy could say.
func TestAllow(t *testing.T) {
	offered, turn := 0, 0
	seen := map[string]bool{"": true} // filters
	for _, name := range policies.Names() {
		j := find(t, name)
		if name == "kernel" || policy.IsTrue(j.Policy.Process.Nest) || seen[j.Policy.LaunchCalls().Key()] {
			continue
		}
		seen[j.Policy.LaunchCalls().Key()] = true
		for s := range seccomp.Syscalls() {
			nr, ok := s.Number(seccomp.AMD64)
			if !ok {
				continue
			}
			for _, args := range [][6]uint64{{}, {17, 3}, {1 << 28}, {1, 0x5412}, {1, 0o4755, 0o4755, 0o4755}} {
				if turn++; args != ([6]uint64{}) && turn%4 != 0 {
					continue
				}
				d := Denial{Arch: seccomp.AMD64, Number: nr, Args: args}
				j.calls = j.Policy.LaunchCalls()
				if j.answers == nil {
					j.answers = map[string]*seccomp.Answers{}
				}
				clause, err := j.decide(j.calls, "", d)
				if err != nil {
					t.Fatal(err)
				}
				if clause.Action.Passes() {
					continue
				}
				f, err := j.Judge(d)
				if err != nil {
					t.Fatal(err)
				}
				if f.Why == "" {
					t.Errorf("%s, %s: no reason", name, d.Call())
				}
				if f.Allow == "" {
					t.Errorf("%s, %s: nothing is offered, and %s", name, d.Call(), f.Why)
					continue
				}
				offered++
				if offered%32 == 0 { // resolving takes a while
					allows(t, name, f.Allow, d)
				}
			}
		}
	}
	if offered < 300 {
		t.Errorf("only %d lines were offered", offered)
	}
}

// allows resolves the policy that an Item's line describes.
func allows(t *testing.T, name, lines string, d Denial) {
	t.Helper()
	tables := map[string]string{}
	for line := range strings.SplitSeq(lines, " and ") {
		line, table, _ := strings.Cut(line, " in ")
		tables[table] += line + "\n"
	}
	text := fmt.Sprintf("version = 1\nextends = [%q]\n", name)
	for table, body := range tables {
		text += table + "\n" + body
	}
	if !strings.Contains(text, "[expect]") {
		text += "[expect]\n"
	}
	p, err := policy.Parse("mine", []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	p, err = policy.Resolve(p, func(string, *policy.Policy) (*policy.Policy, error) {
		l, err := policies.Load(name)
		if err != nil {
			return nil, err
		}
		return l.Resolve()
	})
	if err != nil {
		t.Errorf("%v\n%s", err, text)
		return
	}
	clause, err := p.LaunchCalls().Decide(seccomp.AMD64, d.Arch.Audit(), d.Number, d.Args)
	if err != nil || !clause.Action.Passes() {
		t.Errorf("%s is still denied (%v, %v) by\n%s", d.Call(), clause.Why, err, text)
	}
}

func TestWhere(t *testing.T) {
	j := find(t, "default")
	for _, c := range []struct {
		d           Denial
		why, where  string
		mayAllow    bool
		wantAgainst bool
	}{
		{denial(t, "bpf"), `deny = ["@kernel-surface"] in [seccomp]`, "kernel.toml:", true, true},
		{denial(t, "socket", 17, 3), "the rule on socket, socketpair", "kernel.toml:", true, true},
		{denial(t, "mount"), "not listed in [seccomp]", "", true, true},
		{denial(t, "unshare", 1<<28), "built in: no namespaces inside", "", true, true},
		{denial(t, "ioctl", 0, 0x5412), "built in: no typing into terminals", "", true, true},
		{Denial{Arch: seccomp.AMD64, Number: 9999}, "unknown: no call has the number", "", false, false},
		{Denial{Arch: seccomp.I386, Number: 20}, "the architecture is not listed", "", true, false},
	} {
		f, err := j.Judge(c.d)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(f.Why, c.why) || !strings.HasPrefix(f.Where, c.where) || c.where == "" && f.Where != "" ||
			(f.Allow != "") != c.mayAllow || (f.Against != "") != c.wantAgainst {
			t.Errorf("%s: %+v, want %+v", c.d.Call(), f, c)
		}
	}
	besides := denial(t, "kill", 0, 15)
	besides.Filter = "no signals to the terminal's job"
	if f, err := j.Judge(besides); err != nil || !strings.Contains(f.Why, besides.Filter) || f.Allow != "" {
		t.Errorf("%+v, %v", f, err)
	}
}

// TestData: the texts name calls, errnos and groups that there are.
func TestData(t *testing.T) {
	n := 0
	for what := range entries(harmlessText) {
		n++
		words := strings.Fields(what)
		if words[0] == "file" || words[0] == "contents" {
			if _, err := path.Match(words[1], "/"); err != nil || len(words) != 2 ||
				!strings.Contains("/~", words[1][:1]) {
				t.Errorf("%q: %v", what, err)
			}
			continue
		}
		if _, err := seccomp.LookupSyscall(words[0]); err != nil {
			t.Error(err)
		}
		if _, err := seccomp.LookupErrno(words[1]); err != nil || len(words) > 3 {
			t.Errorf("%q: %v", what, err)
		}
	}
	for group := range entries(againstText) {
		n++
		if pattern, ok := strings.CutPrefix(group, "path "); ok {
			if _, err := path.Match(pattern, "/"); err != nil || !strings.Contains("/~", pattern[:1]) {
				t.Errorf("%q: %v", group, err)
			}
			continue
		}
		if _, err := seccomp.LookupGroup(group); err != nil {
			t.Error(err)
		}
	}
	lines := 0
	for line := range strings.Lines(harmlessText + againstText) {
		if line != "\n" && line[0] != '#' {
			lines++
		}
	}
	if n != lines {
		t.Errorf("%d entries in %d lines", n, lines)
	}
	if Against("bpf") == "" || Against("mount") == "" || Against("getpid") != "" || Against("ioctl") != "" {
		t.Error("the wrong calls have reasons against them")
	}
}

func TestHarmless(t *testing.T) {
	enosys := seccomp.Action{Kind: seccomp.Errno, Errno: 38}
	d := denial(t, "clone3")
	d.Answer = enosys
	alg, packet := denial(t, "socket", 38, 5), denial(t, "socket", 17, 3)
	alg.Answer.Errno, packet.Answer.Errno = 97, 97
	if Harmless(d) == "" || Harmless(alg) == "" || Harmless(packet) != "" || Harmless(denial(t, "clone3")) != "" {
		t.Error("the wrong denials are harmless")
	}
	r, err := find(t, "default").Report(Record{Denials: []Denial{d, packet}})
	if err != nil {
		t.Fatal(err)
	}
	quiet, all := strings.Join(r.Lines(false), "\n"), strings.Join(r.Lines(true), "\n")
	if !strings.Contains(quiet, "not shown, since programs do without: clone3; -v shows them") ||
		strings.Contains(quiet, "clone3(") || !strings.Contains(all, "clone3() failed with ENOSYS") ||
		!strings.HasPrefix(quiet, "policy default denied 1 kind of system calls, 1 call in all\n  socket(AF_PACKET") {
		t.Errorf("%s\n---\n%s", quiet, all)
	}
}

// TestBounds: however much was denied, a report is short.
func TestBounds(t *testing.T) {
	r := Record{Dropped: 7, Coarse: true}
	for i := range 1000 {
		d := denial(t, "chroot", 1)
		d.Text[0] = fmt.Sprint("/", i)
		r.Denials = append(r.Denials, d)
	}
	report, err := find(t, "default").Report(r)
	if err != nil {
		t.Fatal(err)
	}
	lines := report.Lines(true)
	if len(lines) > 200 || len(lines) < 190 || len(report.Denials) != 500 || report.Dropped != 507 {
		t.Errorf("%d lines, %d denials, %d dropped", len(lines), len(report.Denials), report.Dropped)
	}
	text := strings.Join(lines, "\n")
	for _, want := range []string{"and 402 kinds more, which --report lists", "and 507 calls more", "only counted"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in the last of\n%s", want, strings.Join(lines[len(lines)-5:], "\n"))
		}
	}
	if lines := (&Report{Unavailable: "there is none"}).Lines(false); len(lines) != 1 || !strings.Contains(lines[0],
		"none") {
		t.Errorf("%q", lines)
	}
}
