package plan

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/ns"
	"sbx/sandbox/internal/cgroup"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/landlock"
	"sbx/sandbox/internal/process"
	"sbx/sandbox/internal/terminal"
)

// TestStepHints checks the hint of each failing step.
func TestStepHints(t *testing.T) {
	for _, c := range []struct {
		step  step.Step
		errno unix.Errno
		want  string
	}{
		{ns.OpenProc{}, unix.ENOENT, "mount -t proc"},
		{ns.IDMap{}, unix.EROFS, "/proc is read-only here"},
		{ns.IDMap{}, unix.EPERM, "forbid"},
		{ns.MakePrivate{}, unix.EPERM, "forbids mounting"},
		{ns.MakePrivate{}, unix.EINVAL, "chroot"},
		{ns.Root{}, unix.ENOSYS, "Linux 5.12"},
		{ns.Pivot{}, unix.EINVAL, "initramfs"},
		{ns.Proc{}, unix.EPERM, "/proc is masked"},
		{ns.Bind{Source: "/a", Dest: "/b"}, unix.ELOOP, "symbolic link inside"},
		{ns.Bind{Source: "/a", Dest: "/b", Below: true}, unix.ENOENT, "make it on the host first"},
		{ns.Bind{Source: "/a", Dest: "/b"}, unix.ENOSPC, "fs.mount-max"},
		{ns.Bind{Source: "/a", Dest: "/b"}, unix.EMFILE, "ulimit -n"},
		{ns.Mask{Path: "/x"}, unix.ELOOP, "symbolic link"},
		{ns.Tmpfs{Path: "/x", Below: true}, unix.ENOENT, "make the directory there first"},
		{ns.FileOver{Path: "/x", Below: true}, unix.ELOOP, "symbolic link inside"},
		{ns.Overlay{Path: "/x"}, unix.ENODEV, "modprobe overlay"},
		{ns.Overlay{Path: "/x"}, unix.EINVAL, "Linux 5.11"},
		{ns.Overlay{Path: "/x"}, unix.EBUSY, "at this moment"},
		{ns.Overlay{Path: "/x"}, unix.ELOOP, "name separate directories"},
		{ns.Tmpfs{Path: "/tmp"}, unix.ENOMEM, "out of memory"},
		{terminal.Open{}, unix.ENOSPC, "pty/max"},
		{terminal.Open{}, unix.ENOENT, "hides /dev/pts"},
		{ns.NoUserNS{}, unix.EROFS, "/proc is read-only here"},
		{ns.Join{Namespace: ns.Net, Path: "/x"}, unix.EPERM, "join that one too"},
		{ns.Join{Namespace: ns.User, Path: "/x"}, unix.EINVAL, "the caller's own"},
		{ns.Clocks{}, unix.EINVAL, "CONFIG_TIME_NS"},
		{ns.Clocks{}, unix.ERANGE, "before zero"},
		{ns.DetachedProc{}, unix.EPERM, "join that user namespace too"},
		{ns.Ranges{}, unix.EPERM, "/etc/subuid"},
		{process.SetIDs{UID: 5}, unix.EINVAL, "uid_map"},
		{landlock.JoinedPathRule{Path: "/x"}, unix.ENOENT, "\"?/x\""},
		{landlock.JoinedPathRule{Path: "/x"}, unix.ELOOP, "symbolic link"},
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
		{landlock.Ruleset{}, unix.EINVAL, `landlock = "off"`},
		{landlock.Rule{Path: "/x"}, unix.EINVAL, `landlock = "off"`},
		{landlock.FDRule{Path: "/x"}, unix.EPERM, "an outer sandbox forbids it"},
		{cgroup.Make{}, unix.EBUSY, "must be alone"},
		{cgroup.Make{}, unix.EAGAIN, "cgroup.max.descendants"},
		{cgroup.Remove{}, unix.EAGAIN, "pids.max"},
		{NewNamespaces{ns.User}, unix.EPERM, "namespaces"},
		{NewNamespaces{ns.User}, unix.ENOSPC, "namespaces"},
		{NewNamespaces{ns.User}, unix.ENOMEM, "out of memory"},
		{process.NoNewPrivs{Who: "x"}, unix.EINVAL, ""},
	} {
		if got := Hint(&StepError{Step: c.step, Err: c.errno}); !strings.Contains(got, c.want) ||
			(got == "") != (c.want == "") {
			t.Errorf("%s: %v: hint %q, want %q", c.step, c.errno, got, c.want)
		}
	}
	for _, c := range []struct {
		step step.Step
		want string
	}{
		{ns.Detach{}, "over the root"},
		{ns.OpenProc{}, "something else is mounted at /proc"},
		{ns.Bind{Source: "/a", Dest: "/a"}, "replaced while"},
		{ns.RootBind{Bind: ns.Bind{Source: "/", Dest: "/"}}, "replaced while"},
		{ns.Mask{Path: "/a"}, "replaced while"},
		{ns.FileOver{Path: "/a"}, "replaced while"},
		{ns.Overlay{Path: "/a"}, "replaced while"},
		{ns.Ranges{}, "does not do what it reports"},
		{process.DropGroups{}, "does not do what it reports"},
		{process.NoNewPrivs{Who: "x"}, "does not do what it reports"},
	} {
		err := &StepError{Step: c.step, Err: &MismatchError{Got: 5}}
		if got := Hint(err); !strings.Contains(got, c.want) ||
			!strings.HasSuffix(err.Error(), ": read-back failed: the kernel reports 0x5") {
			t.Errorf("%v: hint %q, want %q", err, got, c.want)
		}
	}
	// The message of newuidmap has no errno.
	got := Hint(&StepError{Step: ns.Ranges{}, Err: errors.New("newuidmap: no")})
	if !strings.Contains(got, "/etc/subuid") {
		t.Errorf("a failed newuidmap: hint %q", got)
	}
}

// TestOtherHints checks the hints that need no failing step.
func TestOtherHints(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{&host.NeedError{What: "x", Fix: "the need"}, "the need"},
		{&host.MissingError{Path: "/no/x"}, "?/no/x"},
		{fmt.Errorf("x: %w", &host.NeedError{What: "x", Fix: "the need"}), "the need"},
		{fmt.Errorf("x: %w", unix.EMFILE), "ulimit -n"},
		{unix.EIO, ""},
	} {
		if got := Hint(c.err); got != c.want && !strings.Contains(got, c.want) || (got == "") != (c.want == "") {
			t.Errorf("%v: hint %q, want %q", c.err, got, c.want)
		}
	}
}

// TestExec checks the exit status, message and hint for a target that does not start.
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
		{dir + "/none", unix.ENOENT, 127, "not found in the sandbox", ""},
		{file("plain", "x", 0o644), unix.EACCES, 126, "permission denied", "chmod +x"},
		{dir, unix.EACCES, 126, "permission denied", "is a directory"},
		{file("script", "#!/no/such/perl -w\n", 0o755), unix.ENOENT, 127, "not found in the sandbox",
			`interpreter "/no/such/perl" is not there`},
		{file("dos", "#!/bin/sh\r\n", 0o755), unix.ENOENT, 127, "not found in the sandbox", "carriage return"},
		{file("dynamic", dynamic("/no/such/ld.so"), 0o755), unix.ENOENT, 127, "not found in the sandbox",
			`dynamic loader "/no/such/ld.so" is not there`},
		{file("cut", dynamic("/no/such/ld.so")[:90], 0o755), unix.ENOENT, 127, "not found in the sandbox", "--read " + dir},
		{file("hidden", "x", 0o755), unix.ENOENT, 127, "not found in the sandbox", "--read " + dir},
		{file("text", "echo", 0o755), unix.ENOEXEC, 126, "exec format error", "#!/bin/sh"},
		{file("bits", "\x7fELF", 0o755), unix.ENOEXEC, 126, "exec format error", "another kind of machine"},
		{file("odd", "x", 0o755), unix.EPERM, 126, "permission denied", ""},
		{file("long", "x", 0o755), unix.E2BIG, 126, "argument list too long", "execve(2)"},
	} {
		err := &StepError{Step: process.Exec{Paths: []string{c.path}, Args: []string{"evil\x1b[2J"}}, Err: c.errno}
		if got := err.Error(); !strings.HasPrefix(got, `run "evil\x1b[2J": `) || !strings.HasSuffix(got, c.words) ||
			strings.ContainsRune(got, 0x1b) {
			t.Errorf("%s, %v: %q", c.path, c.errno, got)
		}
		if got := err.ExitStatus(); got != c.code {
			t.Errorf("%s, %v: exit status %d, want %d", c.path, c.errno, got, c.code)
		}
		if got := Hint(err); !strings.Contains(got, c.hint) || (got == "") != (c.hint == "") {
			t.Errorf("%s, %v: hint %q, want %q", c.path, c.errno, got, c.hint)
		}
	}
	if got := (&StepError{Step: process.Chdir{Dir: "/x"}, Err: unix.ENOENT}).ExitStatus(); got != 125 {
		t.Errorf("another step: exit status %d", got)
	}
}

// dynamic is the beginning of a program that names a dynamic loader.
func dynamic(loader string) string {
	const header, entry = 64, 56
	b := make([]byte, header+entry)
	copy(b, "\x7fELF\x02\x01")
	binary.LittleEndian.PutUint64(b[32:], header)
	binary.LittleEndian.PutUint16(b[56:], 1)
	binary.LittleEndian.PutUint32(b[header:], 3)
	binary.LittleEndian.PutUint64(b[header+8:], header+entry)
	binary.LittleEndian.PutUint64(b[header+32:], uint64(len(loader)+1))
	return string(b) + loader + "\x00"
}
