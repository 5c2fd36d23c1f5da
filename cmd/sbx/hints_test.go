package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/ns"
	"sbx/policy"
	"sbx/sandbox"
	"sbx/sandbox/landlock"
	"sbx/sandbox/process"
	"sbx/sandbox/terminal"
)

// TestStepHints holds the mend that each failing step suggests.
func TestStepHints(t *testing.T) {
	for _, c := range []struct {
		step  step.Step
		errno unix.Errno
		want  string
	}{
		{ns.OpenProc{}, unix.ENOENT, "mount -t proc"},
		{ns.IDMap{}, unix.EROFS, "/proc is read-only here"},
		{ns.IDMap{}, unix.EPERM, "forbid"},
		{ns.Private{}, unix.EPERM, "forbids mounting"},
		{ns.Private{}, unix.EINVAL, "chroot"},
		{ns.Root{}, unix.ENOSYS, "Linux 5.12"},
		{ns.Pivot{}, unix.EINVAL, "initramfs"},
		{ns.Proc{}, unix.EPERM, "/proc is masked"},
		{ns.Bind{Source: "/a", Dest: "/b"}, unix.ELOOP, "symbolic link inside"},
		{ns.Bind{Source: "/a", Dest: "/b", Below: true}, unix.ENOENT, "make it outside first"},
		{ns.Bind{Source: "/a", Dest: "/b"}, unix.ENOSPC, "fs.mount-max"},
		{ns.Bind{Source: "/a", Dest: "/b"}, unix.EMFILE, "ulimit -n"},
		{ns.Hide{Path: "/x"}, unix.ELOOP, "symbolic link"},
		{ns.Tmpfs{Path: "/x", Below: true}, unix.ENOENT, "make it a directory there first"},
		{ns.Over{Path: "/x", Below: true}, unix.ELOOP, "symbolic link inside"},
		{ns.Overlay{Path: "/x"}, unix.ENODEV, "modprobe overlay"},
		{ns.Overlay{Path: "/x"}, unix.EINVAL, "Linux 5.11"},
		{ns.Overlay{Path: "/x"}, unix.EBUSY, "at this moment"},
		{ns.Overlay{Path: "/x"}, unix.ELOOP, "apart from each other"},
		{ns.Tmpfs{Path: "/tmp"}, unix.ENOMEM, "out of memory"},
		{terminal.Open{}, unix.ENOSPC, "pty/max"},
		{terminal.Open{}, unix.ENOENT, "hides /dev/pts"},
		{ns.NoUsers{}, unix.EROFS, "/proc is read-only here"},
		{ns.Join{Namespace: ns.Net, Path: "/x"}, unix.EPERM, "join that one too"},
		{ns.Join{Namespace: ns.User, Path: "/x"}, unix.EINVAL, "the caller's own"},
		{ns.Clocks{}, unix.EINVAL, "CONFIG_TIME_NS"},
		{ns.Clocks{}, unix.ERANGE, "before zero"},
		{ns.OwnProc{}, unix.EPERM, "join the user namespace too"},
		{ns.Ranges{}, unix.EPERM, "/etc/subuid"},
		{process.Become{UID: 5}, unix.EINVAL, "uid_map"},
		{landlock.ThereRule{Path: "/x"}, unix.ENOENT, "\"?/x\""},
		{landlock.ThereRule{Path: "/x"}, unix.ELOOP, "symbolic link"},
		{ns.Loopback{}, unix.EPERM, "--net host"},
		{process.Label{Module: "AppArmor", Name: "x"}, unix.ENOENT, "apparmor_parser -r"},
		{process.Label{Module: "AppArmor", Name: "x"}, unix.EACCES, "run sbx unconfined"},
		{process.Label{Module: "SELinux", Name: "x"}, unix.EINVAL, "no such context"},
		{landlock.Port{Port: 80}, unix.EAFNOSUPPORT, "knows no ports"},
		{process.Chdir{Dir: "/x"}, unix.ENOENT, "--dir"},
		{process.Chdir{Dir: "/x"}, unix.EACCES, "may not enter"},
		{process.Fork{}, unix.EAGAIN, "ulimit -u"},
		{process.DropGroups{}, unix.EPERM, "CAP_SETGID"},
		{process.Seccomp{}, unix.ENOSYS, "outer sandbox hides"},
		{landlock.Restrict{}, unix.EPERM, `landlock = "off"`},
	} {
		if got := hintFor(&sandbox.StepError{Step: c.step, Err: c.errno}); !strings.Contains(got, c.want) {
			t.Errorf("%s: %v: hint %q, want %q", c.step, c.errno, got, c.want)
		}
	}
	if got := hintFor(&sandbox.StepError{Step: ns.Detach{}, Err: &sandbox.MismatchError{}}); !strings.Contains(got, "over the root") {
		t.Errorf("a root under another: hint %q", got)
	}
	for _, s := range []step.Step{ns.Bind{Source: "/a", Dest: "/a"}, ns.Hide{Path: "/a"}, ns.Over{Path: "/a"}, ns.Overlay{Path: "/a"}} {
		if got := hintFor(&sandbox.StepError{Step: s, Err: &sandbox.MismatchError{}}); !strings.Contains(got, "replaced while") {
			t.Errorf("%s, swapped: hint %q", s, got)
		}
	}
}

// TestOtherHints holds those that need no failing step.
func TestOtherHints(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{&usageError{"x", "the mend"}, "the mend"},
		{&sandbox.NeedError{What: "x", Hint: "the need"}, "the need"},
		{&sandbox.MissingError{Path: "/no/x"}, "?/no/x"},
		{&policy.Error{Msg: "x", Hint: "did you mean"}, "did you mean"},
		{unix.EIO, ""},
	} {
		if got := hintFor(c.err); got != c.want && !strings.Contains(got, c.want) || (got == "") != (c.want == "") {
			t.Errorf("%v: hint %q, want %q", c.err, got, c.want)
		}
	}
}

// TestExec holds the exit status, words and hint of a target that does not
// start.
func TestExec(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, c := range []struct {
		path  string
		errno unix.Errno
		code  int
		words string
		hint  string
	}{
		{dir + "/none", unix.ENOENT, 127, "not found", ""},
		{file("plain", "x", 0o644), unix.EACCES, 126, "permission denied", "chmod +x"},
		{dir, unix.EACCES, 126, "permission denied", "is a directory"},
		{file("script", "#!/no/such/perl -w\n", 0o755), unix.ENOENT, 127, "not found", "interpreter /no/such/perl"},
		{file("hidden", "x", 0o755), unix.ENOENT, 127, "not found", "--read " + dir},
		{file("text", "echo", 0o755), unix.ENOEXEC, 126, "exec format error", "#!/bin/sh"},
		{file("long", "x", 0o755), unix.E2BIG, 126, "argument list too long", "execve(2)"},
	} {
		x := process.Exec{Paths: []string{c.path}, Args: []string{"evil\x1b[2J"}}
		code, words := execFailed(x, c.errno)
		if code != c.code || !strings.Contains(words, c.words) || strings.ContainsRune(words, 0x1b) {
			t.Errorf("%s, %v: %d %q", c.path, c.errno, code, words)
		}
		if got := execHint(x, c.errno); !strings.Contains(got, c.hint) || (got == "") != (c.hint == "") {
			t.Errorf("%s, %v: hint %q, want %q", c.path, c.errno, got, c.hint)
		}
	}
}
