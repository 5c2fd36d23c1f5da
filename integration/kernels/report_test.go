package kernels

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"

	"sbx/integration/kernels/job"
)

// outcome is what one test in a guest has said.
type outcome struct {
	name, action string
	output       strings.Builder
}

// outcomes takes the output of a test binary's -test.v apart.
func outcomes(text string) ([]*outcome, error) {
	cmd := exec.Command("go", "tool", "test2json")
	cmd.Stdin = strings.NewReader(text)
	list, err := cmd.Output()
	if err != nil {
		return nil, explain(err)
	}
	var order []*outcome
	named := map[string]*outcome{}
	for d := json.NewDecoder(bytes.NewReader(list)); ; {
		var event struct{ Action, Test, Output string }
		if err := d.Decode(&event); errors.Is(err, io.EOF) {
			return order, nil
		} else if err != nil {
			return nil, err
		}
		if event.Test == "" {
			continue
		}
		o := named[event.Test]
		if o == nil {
			o = &outcome{name: event.Test}
			named[event.Test] = o
			order = append(order, o)
		}
		switch event.Action {
		case "pass", "fail", "skip":
			o.action = event.Action
		case "output":
			o.output.WriteString(event.Output)
		}
	}
}

// report makes a subtest of each test that a job has run. A job that has
// failed without a test's having failed, or has run none, fails itself.
func report(t *testing.T, r job.Result) {
	list, err := outcomes(r.Output)
	if err != nil {
		t.Fatal(err)
	}
	passed := 0
	for _, o := range list {
		t.Run(o.name, func(t *testing.T) {
			switch o.action {
			case "pass":
				passed++
			case "skip":
				t.Skip(o.output.String())
			case "fail":
				t.Error(o.output.String())
			default:
				t.Error("did not end\n" + o.output.String())
			}
		})
	}
	switch {
	case !r.Ended || r.Status != 0 && !t.Failed():
		t.Errorf("ended: %v, exit status %d\n%s", r.Ended, r.Status, tail(r.Output, 100))
	case passed == 0:
		t.Errorf("no test has passed\n%s", tail(r.Output, 100))
	}
	t.Logf("%d passed in %.1fs", passed, r.Took.Seconds())
}

// TestOutcomes: what a test binary prints is taken apart, also when it was
// killed half-way.
func TestOutcomes(t *testing.T) {
	list, err := outcomes(`=== RUN   TestA
=== RUN   TestA/one
    a_test.go:1: bad
=== RUN   TestA/two
--- FAIL: TestA (0.00s)
    --- FAIL: TestA/one (0.00s)
    --- PASS: TestA/two (0.00s)
=== RUN   TestB
    b_test.go:1: why not
--- SKIP: TestB (0.00s)
=== RUN   TestC
`)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, o := range list {
		got[o.name] = o.action
	}
	for name, want := range map[string]string{"TestA": "fail", "TestA/one": "fail", "TestA/two": "pass",
		"TestB": "skip", "TestC": ""} {
		// test2json says of what did not end that it failed.
		if got[name] != want && !(want == "" && got[name] == "fail") {
			t.Errorf("%s: %q, want %q", name, got[name], want)
		}
	}
}
