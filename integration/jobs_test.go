package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestJobs does what people do with sbx: testdata/jobs/*.jobs are tables of jobs,
// with what each is to print. A job works at the first try, or it ends with a
// message that names the exact flag, and works with that. Lines of a table:
//
//	job NAME          begins a job; it runs in bash, in a new directory below the home
//	small             it runs in make test too; the others take programs that are large
//	needs PROGRAM...  it needs these, which setup.sh --jobs installs
//	as user, as root  only as the one or the other; otherwise as both
//	first COMMAND     is done before, without sbx
//	run COMMAND       is what somebody types: at the first try
//	status N          what it ends with (0)
//	prints PATTERN    what stdout and stderr together must have
//	names TEXT        of the flag: a line of sbx's own has it, and the run fails
//	then COMMAND      is the run with that flag
//
// A line that begins with a tab goes on with the text of the one before. Where
// a job works, sbx itself prints nothing, unless a pattern has its "sbx: note".
func TestJobs(t *testing.T) {
	if guestFacts != "" {
		return
	}
	all := os.Getenv("SBX_JOBS") != ""
	tables, err := filepath.Glob("testdata/jobs/*.jobs")
	if err != nil || len(tables) == 0 {
		t.Fatalf("no tables of jobs: %v", err)
	}
	total, first := 0, 0
	for _, table := range tables {
		for _, j := range readJobs(t, table) {
			if !all && !j.small || j.as == "user" && asRoot() || j.as == "root" && !asRoot() {
				continue
			}
			t.Run(strings.TrimSuffix(filepath.Base(table), ".jobs")+"/"+j.name, func(t *testing.T) {
				total++
				j.do(t)
				if j.names == "" && !t.Failed() {
					first++
				}
			})
		}
	}
	t.Logf("%d jobs, %d of them work at the first try", total, first)
}

// fieldJob is one entry of a table.
type fieldJob struct {
	name, as, first, run, names, then string
	small                             bool
	needs                             []string
	prints                            []*regexp.Regexp
	status                            int
}

func readJobs(t *testing.T, table string) (list []*fieldJob) {
	data, err := os.ReadFile(table)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(data), "\n\t", "\x00")
	for i, line := range strings.Split(text, "\n") {
		key, value, _ := strings.Cut(strings.ReplaceAll(line, "\x00", "\n"), " ")
		if key == "job" {
			list = append(list, &fieldJob{name: value})
		}
		if key == "" || key == "job" || strings.HasPrefix(key, "#") {
			continue
		}
		if len(list) == 0 {
			t.Fatalf("%s: no job yet: %s", table, line)
		}
		j := list[len(list)-1]
		switch key {
		case "small":
			j.small = true
		case "needs":
			j.needs = strings.Fields(value)
		case "as":
			j.as = value
		case "first":
			j.first += value + "\n"
		case "run":
			j.run += value + "\n"
		case "then":
			j.then += value + "\n"
		case "names":
			j.names = value
		case "prints":
			j.prints = append(j.prints, regexp.MustCompile("(?m)"+value))
		case "status":
			if j.status, err = strconv.Atoi(value); err != nil {
				t.Fatal(err)
			}
		default:
			t.Fatalf("%s: entry %d of the lines: what is %q?", table, i+1, key)
		}
	}
	for _, j := range list {
		if j.run == "" || len(j.prints) == 0 || (j.names == "") != (j.then == "") {
			t.Fatalf("%s: %s: it is not complete", table, j.name)
		}
	}
	return list
}

func (j *fieldJob) do(t *testing.T) {
	for _, program := range j.needs {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%v; integration/setup.sh --jobs installs it", err)
		}
	}
	dir, err := os.MkdirTemp(home(), "job")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	}()
	bash := func(script string) result {
		res := run(t, call{args: []string{"/bin/bash", "-c", "exec 2>&1\n" + script}, dir: dir, env: append(userEnv(),
			"PWD="+dir, "PROBE="+binary("probe"), "GIT_CONFIG_COUNT=2", "GIT_CONFIG_KEY_0=user.name", "GIT_CONFIG_VALUE_0=n",
			"GIT_CONFIG_KEY_1=user.email", "GIT_CONFIG_VALUE_1=n@example.org"), limit: patient(5 * time.Minute)})
		noStrays(t)
		return res
	}
	if j.first != "" {
		if res := bash("set -e\n" + j.first); res.status != 0 {
			t.Fatalf("before the job: %v", res)
		}
	}
	res := bash(j.run)
	if j.names != "" {
		if res.status == 0 || !says(res.stdout, j.names) {
			t.Errorf("the first try does not fail and name %q: %v", j.names, res)
		}
		res = bash(j.then)
	}
	if res.status != j.status {
		t.Errorf("status %d, want %d", res.status, j.status)
	}
	noted := false
	for _, want := range j.prints {
		noted = noted || strings.Contains(want.String(), "sbx: ")
		if !want.MatchString(res.stdout) {
			t.Errorf("it does not print %q", want)
		}
	}
	if !noted && strings.Contains("\n"+res.stdout, "\nsbx: ") {
		t.Error("sbx has something to say")
	}
	if t.Failed() {
		t.Log(fmt.Sprint(res))
	}
}

// says says whether a line of sbx's own has the text, or one that goes on with it.
func says(out, text string) bool {
	own := false
	for line := range strings.Lines(out) {
		own = strings.HasPrefix(line, "sbx: ") || own && strings.HasPrefix(line, "  ")
		if own && strings.Contains(line, text) {
			return true
		}
	}
	return false
}
