package integration

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// receipt is what --report writes; see cmd/sbx.
type receipt struct {
	Receipt int
	Sbx     string
	Ran     bool
	Status  int
	Signal  string
	Error   string
	Notes   []string
	Plan    *struct {
		Policy     string
		Namespaces []string
		Steps      []receiptStep
		Notes      []string
	}
}

type receiptStep struct {
	In, Step, Kind string
	Checked        bool
}

// reported runs sbx with --report 3 and reads what comes.
func reported(t *testing.T, runner func(call) result, args ...string) (result, receipt) {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "receipt"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r := runner(call{args: append([]string{binary("sbx"), "--report", "3"}, args...), dir: t.TempDir(),
		files: []*os.File{file}})
	text, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	var got receipt
	d := json.NewDecoder(strings.NewReader(string(text)))
	if err := d.Decode(&got); err != nil {
		t.Fatalf("%v\n%s\n%v", err, text, r)
	}
	if _, err := d.Token(); err != io.EOF || !strings.HasSuffix(string(text), "}\n") || got.Receipt != 1 ||
		got.Sbx == "" || got.Status != r.status {
		t.Errorf("%+v\n%v", got, r)
	}
	return r, got
}

// TestReceipt: it says what held, what was read back, and how it ended.
func TestReceipt(t *testing.T) {
	plainly := func(c call) result { return run(t, c) }
	r, got := reported(t, plainly, "--", "/bin/sh", "-c", "echo forged >&3; ls /proc/self/fd; exit 5")
	r.want(t, 5, "0", "1", "2")
	if !got.Ran || got.Error != "" || got.Signal != "" || !strings.Contains(r.stderr, "3") ||
		strings.Contains(r.stdout, "9") {
		t.Errorf("%+v\n%v", got, r)
	}
	// What is read back, among it all that is promised to be.
	for kind, where := range map[string]string{"no-new-privs": "target", "verify-capabilities": "target",
		"lock-securebits": "setup", "verify-seccomp": "target", "set-undumpable": "setup", "unmount-old-root": "init"} {
		found := false
		for _, s := range got.Plan.Steps {
			found = found || s.Kind == kind && s.In == where && s.Checked
		}
		if !found {
			t.Errorf("no %s of the %s is checked", kind, where)
		}
	}
	if slices.ContainsFunc(got.Plan.Steps, func(s receiptStep) bool {
		return s.Checked && (s.Kind == "exec" || s.Kind == "load-seccomp-filter")
	}) {
		t.Error("a step that checks nothing is told as checked")
	}
	// The plan is the one that --dry-run prints.
	dry := reportedPlan(t, "/bin/true")
	if _, again := reported(t, plainly, "--", "/bin/true"); !reflect.DeepEqual(dry.Namespaces, again.Plan.Namespaces) ||
		len(dry.Steps) != len(again.Plan.Steps) {
		t.Errorf("--dry-run has %d steps, the receipt %d", len(dry.Steps), len(again.Plan.Steps))
	}

	r, got = reported(t, plainly, "--", "/bin/sh", "-c", "kill -9 $$")
	if r.status != 137 || !got.Ran || got.Signal != "SIGKILL" {
		t.Errorf("%+v\n%v", got, r)
	}
	for _, c := range []struct {
		args   []string
		status int
		error  string
		plan   bool
	}{
		{[]string{"--", "/no/such"}, 127, "/no/such", true},
		{[]string{"--", "/etc/passwd"}, 126, "/etc/passwd", true},
		{[]string{"--policy", "nonesuch", "--", "/bin/true"}, 125, "nonesuch", false},
		{[]string{"--read", "/no/such", "--", "/bin/true"}, 125, "/no/such", false},
	} {
		r, got := reported(t, plainly, c.args...)
		if r.status != c.status || got.Ran || !strings.Contains(got.Error, c.error) ||
			!strings.Contains(r.stderr, got.Error) || (got.Plan != nil) != c.plan {
			t.Errorf("%q: %+v\n%v", c.args, got, r)
		}
	}
	// What was found was not what was planned.
	lying := func(c call) result { return runFiltered(t, deny(0, unix.SYS_CAPSET), c) }
	r, got = reported(t, lying, "--", "/bin/echo", "ran")
	if r.status != 125 || r.stdout != "" || got.Ran ||
		!strings.Contains(got.Error, "read-back failed: the kernel reports") {
		t.Errorf("%+v\n%v", got, r)
	}
}

// reportedPlan is --dry-run's for a target.
func reportedPlan(t *testing.T, target string) (plan struct {
	Namespaces []string
	Steps      []any
}) {
	t.Helper()
	r := sbx(t, "--dry-run", "--json", "--", target)
	if err := json.Unmarshal([]byte(r.stdout), &plan); err != nil || r.status != 0 {
		t.Fatalf("%v\n%v", err, r)
	}
	return plan
}

// TestReceiptRefused: a descriptor that nothing can be written to, or that the
// target has as well, is an error before anything runs; one that breaks later
// leaves the target's status as it was.
func TestReceiptRefused(t *testing.T) {
	null, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	files := []*os.File{null, full} // 3 and 4
	for _, c := range []struct {
		flags     []string
		complaint string
		hint      bool
	}{
		{[]string{"--report", "1"}, "report to descriptor 1: the target has it too", true},
		{[]string{"--report", "4", "--keep-fd", "4"}, "report to descriptor 4: the target has it too", true},
		{[]string{"--report", "99"}, "report to descriptor 99: it is not open", true},
		{[]string{"--report=-1"}, "--report: -1 is no number", true},
		{[]string{"--report", "3"}, "report to descriptor 3: it is not open for writing", false},
		{[]string{"--report", "x"}, "--report", true},
		{[]string{"--report", "4", "--dry-run"}, "--report", true},
	} {
		args := append(append([]string{binary("sbx")}, c.flags...), "--", "/bin/echo", "ran")
		r := run(t, call{args: args, dir: t.TempDir(), files: files})
		if r.status != 125 || r.stdout != "" || !strings.Contains(r.stderr, "sbx: error: ") ||
			!strings.Contains(r.stderr, c.complaint) || strings.Contains(r.stderr, "sbx: hint: ") != c.hint {
			t.Errorf("%q: %v", c.flags, r)
		}
	}
	r := run(t, call{args: []string{binary("sbx"), "--report", "4", "--", "/bin/sh", "-c", "echo ran; exit 3"},
		dir: t.TempDir(), files: files})
	r.want(t, 3, "ran")
	if want := "sbx: error: write the receipt to descriptor 4: no space left on device\n"; !strings.HasSuffix(r.stderr,
		want) {
		t.Errorf("%v", r)
	}
	// One whose reader has gone.
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	reader.Close()
	defer writer.Close()
	r = run(t, call{args: []string{binary("sbx"), "--report", "3", "--", "/bin/echo", "ran"}, dir: t.TempDir(),
		files: []*os.File{writer}})
	r.want(t, 0, "ran")
	if !strings.Contains(r.stderr, "sbx: error: write the receipt to descriptor 3: broken pipe") {
		t.Errorf("%v", r)
	}
}
