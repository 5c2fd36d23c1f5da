package explain

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sbx/policy/seccomp"
)

// TestLimits: a limit that was reached is told with its value, and the flag that raises it.
func TestLimits(t *testing.T) {
	j := find(t, "default")
	copied := *j.Policy
	j.Policy = &copied
	j.Policy.Limits.Memory, j.Policy.Limits.Time, j.Policy.Limits.OpenFiles = "?64M", "30s", "100"
	j.Policy.Limits.Processes, j.Policy.Limits.Tmp = "8", "1M"
	r, err := j.Report(Record{Limits: []string{"memory", "time", "cpu_time", "tmp"}, Attempts: []Attempt{
		{Call: "openat", Said: "openat(x, O_RDONLY)", Limit: "open_files", Count: 3},
		{Call: "clone", Said: "clone()", Limit: "processes", Count: 1},
		{Call: "mmap", Said: "mmap(1)", Limit: "memory", Count: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	const want = "policy default denied no system call, 6 limits reached\n" +
		"  limit memory = 64M was reached, once\n" +
		"    the program was ended for it; to allow it: --limit memory=128M\n" +
		"  limit time = 30s was reached, once\n" +
		"    the program was ended for it; to allow it: --limit time=60s\n" +
		"  limit tmp = 1M was reached, once\n" +
		"    a tmpfs is full, and what is written to it fails; to allow it: --limit tmp=2M\n" +
		"  openat(x, O_RDONLY) failed with EMFILE, 3 times\n" +
		"    limit open_files = 100 was reached; to allow it: --limit open_files=200\n" +
		"  clone() failed with EAGAIN, once\n" +
		"    limit processes = 8 was reached; to allow it: --limit processes=16\n" +
		"  mmap(1) failed with ENOMEM, once\n" +
		"    limit memory = 64M was reached; to allow it: --limit memory=128M"
	if got := strings.Join(r.Lines(false), "\n"); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

// TestOutside: who would signal a process outside, or trace one.
func TestOutside(t *testing.T) {
	for _, c := range []struct{ call, pid, answer, what string }{
		{"kill", "new", "ESRCH", "signal"}, {"kill", "host", "EPERM", "signal"}, {"ptrace", "new", "ESRCH", "ptrace"},
	} {
		j := find(t, "default")
		copied := *j.Policy
		j.Policy = &copied
		j.Policy.Namespaces.PID = c.pid
		a := Attempt{Call: c.call, Address: "4711", Outside: true, Said: c.call + "(4711, SIGTERM)", Count: 1}
		got := j.attempts([]Attempt{a})
		if len(got) != 1 || got[0].What != c.what || got[0].Answer != c.answer || got[0].Allow != "" ||
			got[0].Call != a.Said || !strings.Contains(got[0].Why, "4711") {
			t.Errorf("%+v: %+v", c, got)
		}
		a.Outside = false
		if got := j.attempts([]Attempt{a}); len(got) != 0 {
			t.Errorf("%+v", got)
		}
	}
	for _, c := range []struct {
		call string
		args [6]uint64
		want int32
	}{
		{"kill", [6]uint64{5}, 5}, {"kill", [6]uint64{^uint64(0)}, 0}, {"ptrace", [6]uint64{unix.PTRACE_SEIZE, 5}, 5},
		{"ptrace", [6]uint64{unix.PTRACE_CONT, 5}, 0},
	} {
		if got := Process(c.call, c.args); got != c.want {
			t.Errorf("%s(%v): %d, want %d", c.call, c.args, got, c.want)
		}
	}
}

// TestDecoded: signals by their names, and the namespaces that clone3 is to make.
func TestDecoded(t *testing.T) {
	for _, c := range []struct {
		call string
		args [6]uint64
		text [6]string
		want string
	}{
		{"kill", [6]uint64{7, 15}, [6]string{}, "kill(7, SIGTERM)"},
		{"tgkill", [6]uint64{7, 8, 9}, [6]string{}, "tgkill(7, 8, SIGKILL)"},
		{"pidfd_send_signal", [6]uint64{3, 64}, [6]string{}, "pidfd_send_signal(3, 64)"},
		{"ptrace", [6]uint64{unix.PTRACE_SEIZE, 7}, [6]string{}, "ptrace(PTRACE_SEIZE, 7)"},
		{"setns", [6]uint64{3, unix.CLONE_NEWNET}, [6]string{}, "setns(3, CLONE_NEWNET)"},
		{"clone3", [6]uint64{1, 88}, [6]string{Namespaces(unix.CLONE_NEWUSER|unix.CLONE_VM, seccomp.AMD64)},
			"clone3(CLONE_NEWUSER)"},
		{"clone3", [6]uint64{1, 88}, [6]string{Namespaces(unix.CLONE_VM, seccomp.AMD64)}, "clone3()"},
		{"mount", [6]uint64{1, 1, 1, unix.MS_BIND}, [6]string{"/a", "/b", ""}, "mount(/a, /b, ..., MS_BIND)"},
	} {
		s, err := seccomp.LookupSyscall(c.call)
		if err != nil {
			t.Fatal(err)
		}
		nr, _ := s.Number(seccomp.AMD64)
		if got := (Denial{Arch: seccomp.AMD64, Number: nr, Args: c.args, Text: c.text}).Call(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
