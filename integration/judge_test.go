package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestJudge: fifty programs at once under role judge, good ones and bad ones. Each has its
// input, its verdict and what it used in its receipt, and does nothing to the others. It is
// part of make test-jobs.
func TestJudge(t *testing.T) {
	if os.Getenv("SBX_JOBS") == "" {
		return // make test-jobs
	}
	cases := []struct {
		program, verdict string
		flags            []string
	}{
		{program: "read a b; echo $((a + b))", verdict: "ran"},
		{program: "read a b; echo $((a + b)); exit 3", verdict: "failed"},
		{program: "kill -SEGV $$", verdict: "SIGSEGV"},
		{program: "while :; do :; done", verdict: "cpu_time", flags: []string{"--limit", "cpu_time=1s"}},
		{program: "exec sleep 1000", verdict: "time", flags: []string{"--limit", "time=1s"}},
		{program: "exec head -c 20000000 /dev/zero >/tmp/x", verdict: "file_size",
			flags: []string{"--limit", "file_size=1M"}},
		{program: "echo spoiled >shared || exit 4", verdict: "failed"},
		{program: "cat ../answers/all 2>/dev/null || exit 5", verdict: "failed"},
	}
	top, err := os.MkdirTemp(home(), "judge")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(top)
	dir := filepath.Join(top, "programs")
	layFile(t, filepath.Join(dir, "shared"), "as it was\n")
	layFile(t, filepath.Join(top, "answers/all"), "an answer\n")
	for i, c := range cases {
		layFile(t, filepath.Join(dir, strconv.Itoa(i)), c.program+"\n")
	}
	receipts := t.TempDir()
	var all sync.WaitGroup
	for i := range 50 {
		n := 0 // most are good
		if i%2 == 1 {
			n = i / 2 % len(cases)
		}
		all.Go(func() {
			c := cases[n]
			file := filepath.Join(receipts, strconv.Itoa(i))
			args := append([]string{binary("sbx"), "-p", "judge", "--report", "json:" + file}, c.flags...)
			res := run(t, call{args: append(args, "--", "sh", strconv.Itoa(n)), dir: dir,
				stdin: fmt.Sprintf("%d %d\n", i, 1000*i), limit: patient(90 * time.Second)})
			r := readJudged(t, file)
			if got := r.verdict(); got != c.verdict || r.Status != res.status {
				t.Errorf("%d, %q: %q, not %q: %v", i, c.program, got, c.verdict, res)
			}
			if strings.HasPrefix(c.program, "read") && res.stdout != fmt.Sprintf("%d\n", 1001*i) {
				t.Errorf("%d: its output is another's, or none: %v", i, res)
			}
			if r.Usage.Wall <= 0 || r.Usage.MaxRSS <= 0 || c.verdict == "cpu_time" && r.Usage.User+r.Usage.System < 0.5 {
				t.Errorf("%d, %q: used %+v", i, c.program, r.Usage)
			}
		})
	}
	all.Wait()
	if got := readFile(t, filepath.Join(dir, "shared")); got != "as it was\n" {
		t.Errorf("the directory is written to: %q", got)
	}
	noStrays(t)
}

// judged is what of a receipt makes a verdict.
type judged struct {
	Ran    bool
	Status int
	Exit   *int
	Signal string
	Limits []string
	Usage  struct {
		Wall, User, System float64
		MaxRSS             int64 `json:"max_rss"`
	}
}

func readJudged(t *testing.T, file string) (r judged) {
	t.Helper()
	if err := json.Unmarshal([]byte(readFile(t, file)), &r); err != nil {
		t.Error(err)
	}
	return r
}

// verdict is what docs/cookbook.md makes of a receipt.
func (r judged) verdict() string {
	switch {
	case !r.Ran:
		return "not run"
	case len(r.Limits) > 0:
		return r.Limits[0]
	case r.Signal != "":
		return r.Signal
	case r.Exit == nil || *r.Exit != 0:
		return "failed"
	}
	return "ran"
}
