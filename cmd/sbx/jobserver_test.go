package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"sbx/policy"
)

// TestKeepJobserver: what MAKEFLAGS names is handed over if it is a jobserver, and the policy
// lets the variable cross.
func TestKeepJobserver(t *testing.T) {
	var pipe, closing [2]int
	for p, flags := range map[*[2]int]int{&pipe: 0, &closing: unix.O_CLOEXEC} {
		if err := unix.Pipe2(p[:], flags); err != nil {
			t.Fatal(err)
		}
		defer unix.Close(p[0])
		defer unix.Close(p[1])
	}
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	both := fmt.Sprintf("%d,%d", pipe[0], pipe[1])
	for _, x := range []struct {
		flags string
		fds   []int
		fifo  string
	}{
		{"-j4 --jobserver-auth=" + both, pipe[:], ""}, {"j --jobserver-fds=" + both + " -j", pipe[:], ""},
		{"--jobserver-auth=77,78 --jobserver-auth=" + both, pipe[:], ""},
		{"--jobserver-auth=fifo:" + fifo, nil, fifo},
		{"", nil, ""}, {"-j4", nil, ""}, {"--jobserver-auth=-2,-2", nil, ""}, {"--jobserver-auth=0,1", nil, ""},
		{"--jobserver-auth=777,778", nil, ""}, {fmt.Sprintf("--jobserver-auth=%d,%d", pipe[1], pipe[0]), nil, ""},
		{fmt.Sprintf("--jobserver-auth=%d,%d", closing[0], closing[1]), nil, ""},
		{"-- X=--jobserver-auth=" + both + " --jobserver-auth=" + both, nil, ""},
		{"--jobserver-auth=fifo:/etc/passwd", nil, ""}, {"--jobserver-auth=fifo:x", nil, ""}, {"--jobserver-auth=", nil, ""},
	} {
		t.Setenv("MAKEFLAGS", x.flags)
		l := newLaunch()
		p := &policy.Policy{Process: policy.Process{Env: []string{"MAKEFLAGS"}}}
		if got := l.keepJobserver(p); got != x.fifo || !slices.Equal(l.KeepFD, x.fds) {
			t.Errorf("%s: %v and %q", x.flags, l.KeepFD, got)
		}
		l = newLaunch()
		if got := l.keepJobserver(&policy.Policy{}); got != "" || l.KeepFD != nil {
			t.Errorf("%s, where the variable does not cross: %v and %q", x.flags, l.KeepFD, got)
		}
	}
}
