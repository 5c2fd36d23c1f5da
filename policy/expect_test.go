package policy

import (
	"fmt"
	"strings"
	"testing"

	"sbx/policy/seccomp"
)

// lintText is what Lint finds in a policy, one finding a line with its fix, and the
// number of lines that only a run can try.
func lintText(t *testing.T, texts map[string]string) (string, int) {
	t.Helper()
	find := func(name string, _ *Policy) (*Policy, error) { return Parse(name, []byte(head+texts[name])) }
	file, err := find("p", nil)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := Resolve(file, find)
	if err != nil {
		t.Fatal(err)
	}
	found, untried, err := Lint(file, nil, whole)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, f := range found {
		lines = append(lines, f.String())
		if f.Fix != "" {
			lines = append(lines, "  "+f.Fix)
		}
	}
	return strings.Join(lines, "\n"), untried
}

// TestExpectations: what the policy alone decides is tried, and where it decides
// otherwise the check says by what.
func TestExpectations(t *testing.T) {
	const calls = "[seccomp]\nallow = ['@system-service']\ndeny = ['keyctl', '@clock']\n[[seccomp.rule]]\nsyscalls = " +
		"['personality']\nwhen = ['arg0 == PER_LINUX']\naction = 'allow'\n" +
		"[[seccomp.rule]]\nsyscalls = ['read']\naction = 'log'\n[[seccomp.rule]]\nsyscalls = ['sysinfo']\naction = 'notify'\n"
	for _, c := range []struct {
		text, line string // of allow, or with "!" in front of deny
		want       string // "": it holds; "?": only a run can tell
	}{
		{calls, "syscall getrandom", ""},
		{calls, "!syscall getrandom", `allow by allow @system-service (p:3)`},
		{calls, "syscall keyctl", `errno:EPERM by deny keyctl (p:4)`},
		{calls, "!syscall keyctl", ""},
		{calls, "syscall mount", "errno:EPERM by default"},
		{calls, "!syscall mount", ""},
		{calls, "!syscall clock_settime", ""},
		{calls, "syscall clock_settime", "errno:EPERM by deny @clock (p:4)"},
		{calls, "!syscall personality", "allow for some arguments by rule 1 (p:5)"},
		{calls, "syscall personality", ""},
		{calls, "syscall personality 0", ""},
		{calls, "syscall personality PER_LINUX", ""},
		{calls, "syscall personality ADDR_NO_RANDOMIZE", "errno:EPERM by default"},
		{calls, "!syscall personality ADDR_NO_RANDOMIZE", ""},
		{calls, "!syscall personality 0", "allow by rule 1 (p:5)"},
		{calls, "!syscall unshare", "allow for some arguments by allow @system-service (p:3)"},
		{calls, "!syscall unshare CLONE_NEWUSER|CLONE_NEWNS", ""},
		{calls, "!syscall ioctl 0 TIOCSTI", ""},
		{calls, "syscall ioctl 0 TIOCSTI", "errno:EPERM by built in: no typing into terminals"},
		{calls, "syscall ioctl 0 1", ""},
		{calls, "syscall read", ""},
		{calls, "!syscall read", "log by rule 2 (p:9)"},
		{calls, "syscall sysinfo", "?"},
		{calls, "!syscall sysinfo", "?"},
		{calls, "syscall clone3", "errno:ENOSYS by built in: flags of clone3 cannot be seen"},
		{"namespaces.net = 'host'\nnetwork.connect = [443]\n" + calls, "!syscall socket AF_INET SOCK_DGRAM", ""},
		{"namespaces.net = 'host'\nnetwork.connect = [443]\n" + calls, "syscall socket AF_INET SOCK_DGRAM",
			"errno:EPROTONOSUPPORT by rule 5"},
		{"process.nest = true\n" + calls, "syscall unshare CLONE_NEWUSER", ""},

		{"process.env = ['A', 'LC_*', 'B=1']\n", "env A", ""},
		{"process.env = ['A', 'LC_*', 'B=1']\n", "env LC_ALL", ""},
		{"process.env = ['A', 'LC_*', 'B=1']\n", "env B", ""},
		{"process.env = ['A', 'LC_*', 'B=1']\n", "env AB", "process.env does not name it"},
		{"process.env = ['A', 'LC_*', 'B=1']\n", "!env AB", ""},
		{"process.env = ['A', 'LC_*', 'B=1']\n", "!env LC_ALL", `process.env has "LC_*" (p:2)`},
		{"process.env = ['A', 'LC_*', 'B=x*']\n", "!env B", `process.env has "B=x*" (p:2)`},
		{"process.env = ['A', 'LC_*', 'B=x*']\n", "!env Bx", ""},
		{"process.env = ['*']\n", "!env LISTEN_FDS", "?"},

		{"process.capabilities = ['kill', '?chown']\n", "capability kill", ""},
		{"process.capabilities = ['kill', '?chown']\n", "!capability kill", `process.capabilities has "kill" (p:2)`},
		{"process.capabilities = ['kill', '?chown']\n", "capability chown", "?"},
		{"process.capabilities = ['kill', '?chown']\n", "!capability chown", `process.capabilities has "?chown" (p:2)`},
		{"process.capabilities = ['kill', '?chown']\n", "capability sys_admin", "process.capabilities does not keep it"},
		{"process.capabilities = ['kill', '?chown']\n", "!capability sys_admin", ""},

		{"", "read /x", "?"}, {"", "!connect 1.1.1.1:1", "?"}, {"", "!exec /bin/sh", "?"},
	} {
		list, is := "allow", "does not work"
		line, deny := strings.CutPrefix(c.line, "!")
		if deny {
			list, is = "deny", "works"
		}
		// The line stands first, so that its place is the same for all.
		text := c.text + fmt.Sprintf("[expect]\n%s = ['read /a', '%s']\n", list, line)
		if list == "allow" {
			text += "deny = ['read /b']\n"
		}
		got, untried := lintText(t, map[string]string{"p": text})
		var wrong []string
		for l := range strings.Lines(got) {
			if strings.Contains(l, "(expectation)") {
				wrong = append(wrong, strings.TrimSuffix(l, "\n"))
			}
		}
		want, others := "", 1
		if list == "allow" {
			others++
		}
		if c.want == "?" {
			others++
		} else if c.want != "" {
			at := strings.Count(head+c.text, "\n") + 2
			want = fmt.Sprintf("p:%d:%d: expect.%s says %q, but that %s: %s (expectation)", at, len(list)+16, list,
				line, is, c.want)
		}
		if g := strings.Join(wrong, "\n"); g != want || untried != others {
			t.Errorf("%s:\n got %s, %d untried\nwant %s, %d untried", c.line, g, untried, want, others)
		}
	}
}

// TestExpectForeign: what is denied is denied to programs of other ABIs as well.
func TestExpectForeign(t *testing.T) {
	text := "[seccomp]\nallow = ['@system-service']\narchitectures = ['386', 'arm']\n[expect]\n"
	got, _ := lintText(t, map[string]string{"p": text + "deny = ['syscall _llseek', 'syscall mount', " +
		"'syscall lseek']\nallow = ['syscall _llseek']\n"})
	for _, want := range []string{
		`expect.deny says "syscall _llseek", but that works: allow by allow @system-service (p:3), on `,
		`expect.deny says "syscall lseek", but that works: allow by allow @system-service (p:3) (`,
		`expect.allow says "syscall _llseek", but that does not work: ` + seccomp.Native().String() +
			" has no such system call (",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "mount") {
		t.Errorf("got %s", got)
	}
}

// TestExpectSyntax: a system call may have arguments.
func TestExpectSyntax(t *testing.T) {
	p, err := Parse("p", []byte(head+"[expect]\ndeny = ['syscall  unshare   CLONE_NEWUSER|CLONE_NEWNS', "+
		"'syscall ioctl 0 TIOCSTI', 'syscall personality 0xffffffff', 'syscall kill -1 9']"))
	if err == nil || !strings.Contains(err.Error(), "is no expectation") {
		t.Errorf("%v, %v", p, err)
	}
	for line, want := range map[string]string{
		"syscall unshare  CLONE_NEWUSER": "", "syscall kill -1 9": "", "syscall ioctl 0 TIOCSTI": "",
		"syscall mmap 0 1 2 3 4 5":     "",
		"syscall unshare CLONE_NEWUSR": `did you mean "CLONE_NEWUSER"?`, "syscall kill 1 2 3": "arguments",
		"syscall read x": "", "syscall raed 1": `did you mean "read"?`,
		"syscall read 08": "08", "syscall read 1,2": "1,2", "capability ?kill": "one capability", "syscall read ==1": "==1",
	} {
		got, f := checkExpect(line)
		bad := want != "" || line == "syscall read x"
		if (f != nil) != bad || f != nil && !strings.Contains(f.msg+" "+f.hint, want) ||
			f == nil && got != strings.Join(strings.Fields(line), " ") {
			t.Errorf("%s: %q, %+v", line, got, f)
		}
	}
}
