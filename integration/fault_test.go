package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// setupCall is the n-th call of that name which a process makes between its
// birth by clone3 and the target's execve.
type setupCall struct {
	name string
	nth  int
}

// How strace -f writes a line: pid, name; and the end of a call that was
// interrupted by another process's.
var (
	stracedCall    = regexp.MustCompile(`^(\d+) +([a-z0-9_]+)\(`)
	stracedResumed = regexp.MustCompile(`^(\d+) +<\.\.\. clone3? resumed>`)
)

// setupCalls reads a trace and lists what the processes sbx forks do before
// the target: those are the calls on which the strength depends.
func setupCalls(t *testing.T, trace string) []setupCall {
	t.Helper()
	launcher := ""
	threads := map[string]bool{}      // of the launcher: Go's
	makingThread := map[string]bool{} // by whom, while the clone is under way
	count := map[string]map[string]int{}
	calls := map[setupCall]bool{}
	for line := range strings.Lines(trace) {
		if m := stracedResumed.FindStringSubmatch(line); m != nil && makingThread[m[1]] {
			threads[returned(line)] = true
			delete(makingThread, m[1])
		}
		m := stracedCall.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		pid, name := m[1], m[2]
		if launcher == "" {
			launcher = pid
		}
		if strings.Contains(line, "CLONE_THREAD") {
			makingThread[pid] = strings.Contains(line, "unfinished")
			if !makingThread[pid] {
				threads[returned(line)] = true
			}
		}
		if pid == launcher || threads[pid] {
			continue
		}
		if count[pid] == nil {
			count[pid] = map[string]int{}
		}
		count[pid][name]++
		if name == "execve" {
			break // from here on it is the target's and the init's life
		}
		// The init may wait and listen already while the target still sets itself up.
		if name != "wait4" && name != "waitid" && name != "recvfrom" {
			calls[setupCall{name, count[pid][name]}] = true
		}
	}
	var list []setupCall
	for c := range calls {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b setupCall) int {
		if c := strings.Compare(a.name, b.name); c != 0 {
			return c
		}
		return a.nth - b.nth
	})
	return list
}

// returned is what stands behind the last "= " of a line.
func returned(line string) string {
	_, value, _ := cutLast(strings.TrimSpace(line), "= ")
	return strings.Fields(value + " ?")[0]
}

// sweepPolicy has a step of every kind, and few of each.
const sweepPolicy = `version = 1
summary = "a step of every kind"
[files]
read = ["/usr", "/bin", "/lib", "/lib64", "/etc/passwd", "."]
write = ["./out"]
tmpfs = ["/tmp", "~"]
hide = ["hidden"]
[process]
env = ["PATH", "HOME", "SET=x"]
[seccomp]
default = "allow"
deny = ["@mount", "@kernel-surface", "unshare", "setns"]
[limits]
time = "1h"
cpu_time = "1h"
file_size = "1G"
open_files = 500
[expect]
`

// sweepProject is a directory to run in, with something for each line of the
// policy.
func sweepProject(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"sweep.toml": sweepPolicy, "hidden": "secret"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	mkdir(t, dir, "out")
	return dir
}

// straced runs sbx with the probe's facts below strace, which lets go of each
// process at its execve: the target is neither traced nor hindered.
func straced(t *testing.T, project, log, inject string, flags ...string) (r result, trace string) {
	t.Helper()
	args := []string{"strace", "-f", "-b", "execve", "-o", log}
	if inject != "" {
		args = append(args, "-e", "inject="+inject)
	}
	args = append(append(args, binary("sbx")), flags...)
	args = append(args, "--read", binary("probe"), "--", binary("probe"), "facts")
	r = run(t, call{args: args, dir: project})
	data, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	return r, string(data)
}

// TestFaultSweep makes each raw system call of the set-up fail in turn: as root with EPERM,
// as a user with one of three other errnos, and with SBX_SOAK, as in make soak, with each.
// Every time the run is refused, by a message, and the target never ran; or its facts are
// those of an undisturbed run.
//
// strace counts calls for each process, so the launcher's own n-th call of
// the name fails too; that must end no worse.
func TestFaultSweep(t *testing.T) {
	project := sweepProject(t)
	normal, trace := straced(t, project, filepath.Join(t.TempDir(), "trace"), "", "--policy", "./sweep.toml")
	normal.want(t, 0, "confined")
	want := scrub(normal.stdout)
	calls := setupCalls(t, trace)
	if len(calls) < 20 {
		t.Fatalf("only %d calls of the set-up in the trace:\n%s", len(calls), trace)
	}
	var refused, full atomic.Int64
	var work sync.WaitGroup
	faults := make(chan string, len(calls)*4)
	others := []string{"ENOSYS", "EINVAL", "EAGAIN"}
	for i, c := range calls {
		errnos := []string{"EPERM"}
		if os.Getenv("SBX_SOAK") != "" {
			errnos = append(errnos, others...)
		} else if !asRoot() {
			errnos = []string{others[i%len(others)]}
		}
		for _, errno := range errnos {
			faults <- fmt.Sprintf("%s:error=%s:when=%d", c.name, errno, c.nth)
		}
	}
	close(faults)
	for range 2 {
		log := filepath.Join(t.TempDir(), "trace")
		work.Go(func() {
			for fault := range faults {
				r, _ := straced(t, project, log, fault, "--policy", "./sweep.toml")
				if complaint := judge(fault, r, want); complaint != "" {
					t.Error(complaint)
				} else if r.status == 0 {
					full.Add(1)
				} else {
					refused.Add(1)
				}
			}
		})
	}
	work.Wait()
	t.Logf("%d calls, %d refusals, %d runs at full strength", len(calls), refused.Load(), full.Load())
}

// judge complains if a run with a fault neither was refused properly nor went
// at full strength, as told by the facts.
func judge(fault string, r result, want string) string {
	ran, facts := strings.Contains(r.stdout, "confined"), scrub(r.stdout)
	switch {
	case !ran && r.status == 125 && strings.Contains(r.stderr, "sbx: error: "):
	case !ran && r.status != 0 && launcherEnds(fault):
	case ran && r.status == 0 && facts == want:
	case ran && r.status == 0 && strings.HasPrefix(fault, "landlock_create_ruleset:") &&
		strings.Contains(r.stderr, "sbx: note: ") &&
		strings.NewReplacer("mknod: EPERM", "mknod: EACCES", "Seccomp_filters: 3", "Seccomp_filters: 2").
			Replace(facts) == want:
		// Optional beneath the mounts, and the run says that it is missing. A filter stands
		// in for its part about signals.
	case ran:
		return fmt.Sprintf("%s: ran with other facts, status %d:\n%s%s", fault, r.status, difference(want, facts), r.stderr)
	default:
		return fmt.Sprintf("%s: not refused properly: %.800v", fault, r)
	}
	return ""
}

// launcherEnds says whether a fault ends the launcher, whose n-th call of the
// name fails as well, before it can say anything: the C library gives up when it
// cannot set up its thread, the Go runtime when it cannot sleep, handle signals or
// look at its standard descriptors, and a message that cannot be written is not seen.
func launcherEnds(fault string) bool {
	name, _, _ := strings.Cut(fault, ":")
	return slices.Contains([]string{"arch_prctl", "futex", "sigaltstack", "rt_sigprocmask", "write", "fcntl"}, name)
}

// scrub takes out of the facts what differs between any two runs.
func scrub(facts string) string {
	var lines []string
	for line := range strings.Lines(facts) {
		if strings.HasPrefix(line, "pid: ") || strings.HasPrefix(line, "ppid: ") {
			continue
		}
		if strings.HasPrefix(line, "fd ") && strings.Contains(line, "pipe:") {
			line, _, _ = strings.Cut(line, "[")
			line += "\n"
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "")
}

// difference is the lines that only one side has.
func difference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	var b strings.Builder
	for _, line := range w {
		if !slices.Contains(g, line) {
			fmt.Fprintf(&b, "- %s\n", line)
		}
	}
	for _, line := range g {
		if !slices.Contains(w, line) {
			fmt.Fprintf(&b, "+ %s\n", line)
		}
	}
	return b.String()
}
