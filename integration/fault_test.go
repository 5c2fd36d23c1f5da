package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// setupCall is the n-th call of that name which a process makes between its
// birth by clone3 and the target's execve.
type setupCall struct {
	name string
	nth  int
}

// stracedCall is how strace -f begins a line: pid, name.
var stracedCall = regexp.MustCompile(`^(\d+) +([a-z0-9_]+)\(`)

// setupCalls reads a trace and lists what the processes sbx forks do before
// the target: those are the calls on which the strength depends.
func setupCalls(t *testing.T, trace string) []setupCall {
	t.Helper()
	launcher := ""
	threads := map[string]bool{}
	count := map[string]map[string]int{}
	calls := map[setupCall]bool{}
	for line := range strings.Lines(trace) {
		m := stracedCall.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		pid, name := m[1], m[2]
		if launcher == "" {
			launcher = pid
		}
		// Threads of the launcher are Go's, made with CLONE_THREAD.
		if strings.Contains(line, "CLONE_THREAD") {
			if _, child, ok := cutLast(strings.TrimSpace(line), "= "); ok {
				threads[child] = true
			}
		}
		if pid == launcher || threads[pid] {
			continue
		}
		if count[pid] == nil {
			count[pid] = map[string]int{}
		}
		count[pid][name]++
		if name != "execve" && name != "exit_group" && name != "exit" {
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

// straced runs sbx with the probe's facts below strace, which lets go of each
// process at its execve: the target is neither traced nor hindered.
func straced(t *testing.T, policy string, inject string) (r result, trace string) {
	t.Helper()
	dir := t.TempDir()
	log := filepath.Join(dir, "trace")
	args := []string{"strace", "-f", "-b", "execve", "-o", log}
	if inject != "" {
		args = append(args, "-e", "inject="+inject)
	}
	args = append(args, binary("sbx"), "--policy", policy, "--read", binary("probe"), "--", binary("probe"), "facts")
	work := filepath.Join(dir, "work")
	if err := os.Mkdir(work, 0o755); err != nil {
		t.Fatal(err)
	}
	r = run(t, call{args: args, dir: work})
	data, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	// The directory has a name of its own each time.
	r.stdout = strings.ReplaceAll(r.stdout, filepath.Dir(dir), "$TMP")
	r.stdout = strings.ReplaceAll(r.stdout, dir, "$DIR")
	return r, string(data)
}

// TestFaultSweep makes each raw system call of the set-up fail in turn, with
// each of four errnos. Every time the run is refused, by a message, and the
// target never ran; or its facts are those of an undisturbed run.
//
// strace counts calls for each process, so the launcher's own n-th call of
// the name fails too; that must end no worse.
func TestFaultSweep(t *testing.T) {
	policy := "default"
	normal, trace := straced(t, policy, "")
	normal.want(t, 0, "confined")
	want := scrub(normal.stdout)
	calls := setupCalls(t, trace)
	if len(calls) < 20 {
		t.Fatalf("only %d calls of the set-up in the trace:\n%s", len(calls), trace)
	}
	refused, full := 0, 0
	for _, c := range calls {
		for _, errno := range []string{"EPERM", "ENOSYS", "EINVAL", "EAGAIN"} {
			what := fmt.Sprintf("%s:error=%s:when=%d", c.name, errno, c.nth)
			r, _ := straced(t, policy, what)
			ran := strings.Contains(r.stdout, "confined")
			switch {
			case !ran && r.status == 125 && strings.Contains(r.stderr, "sbx: error: "):
				refused++
			case ran && r.status == 0 && scrub(r.stdout) == want:
				full++
			case ran:
				t.Errorf("%s: ran with other facts, status %d:\n%s", what, r.status, difference(want, scrub(r.stdout)))
			default:
				t.Errorf("%s: not refused properly: %v", what, r)
			}
		}
	}
	t.Logf("%d calls, %d refusals, %d runs at full strength", len(calls), refused, full)
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
