package job

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"
)

// TestReports: what is written is read, whatever a job prints.
func TestReports(t *testing.T) {
	var wire bytes.Buffer
	w := NewWriter(&wire)
	w.Begin("first")
	for _, part := range []string{"=done\n=end first 0", " 1\nhal", "f\nno newline"} {
		if _, err := w.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	w.End("first", 7, 1500*time.Millisecond)
	w.Begin("second")
	w.End("second", 0, 0)
	if err := w.Done(); err != nil {
		t.Fatal(err)
	}
	text := wire.String()
	for _, wire := range []string{text, strings.ReplaceAll(text, "\n", "\r\n")} {
		got, err := Read(strings.NewReader(wire))
		if err != nil || len(got) != 2 {
			t.Fatalf("%v, %v", got, err)
		}
		want := Result{"first", 7, 1500 * time.Millisecond, "=done\n=end first 0 1\nhalf\nno newline\n", true}
		if got[0] != want {
			t.Errorf("got %+v, want %+v", got[0], want)
		}
		if want := (Result{Name: "second", Ended: true}); got[1] != want {
			t.Errorf("got %+v, want %+v", got[1], want)
		}
	}
}

// TestCut: no prefix of the reports passes for all of them.
func TestCut(t *testing.T) {
	const all = "=begin a\n|x\n=end a 0 10\n=begin b\n|y\n=end b 0 10\n=done\n"
	for i := range len(all) - 1 {
		got, err := Read(strings.NewReader(all[:i]))
		if !errors.Is(err, ErrCut) {
			t.Errorf("%q: %v, %v", all[:i], got, err)
		}
	}
	for _, s := range []string{"=begin a\n=begin b\n", "=end a 0 1\n", "=begin a\n=end b 0 1\n", "=begin a\n=done\n",
		"=begin a\n=end a x 1\n", "noise\n"} {
		if got, err := Read(strings.NewReader(s)); err == nil || errors.Is(err, ErrCut) {
			t.Errorf("%q: %v, %v", s, got, err)
		}
	}
}
