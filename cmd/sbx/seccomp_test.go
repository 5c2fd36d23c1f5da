package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sbx/policy/seccomp"
)

func TestSeccompResolve(t *testing.T) {
	for _, c := range []struct {
		cmd  seccompResolveCmd
		want string
	}{
		{seccompResolveCmd{Names: []string{"openat", "257"}, Arch: "amd64"}, "257\nopenat\n"},
		{seccompResolveCmd{Names: []string{"0x38"}, Arch: "aarch64"}, "openat\n"},
		{seccompResolveCmd{Names: []string{"execve"}, Arch: "x32"}, "1073742344\n"},
		{seccompResolveCmd{Names: []string{"@swap"}, Arch: "amd64"}, "swapoff  amd64  168\nswapon   amd64  167\n"},
		{seccompResolveCmd{Names: []string{"mseal"}, Arch: "arm64", Long: true},
			"mseal  arm64  462  Linux 6.10  @default @jit @known @system-service\n"},
		{seccompResolveCmd{Names: []string{"open"}, Arch: "arm64"}, "error: look up open: arm64 has no such system call"},
		{seccompResolveCmd{Names: []string{"400"}, Arch: "amd64"},
			"error: look up 400: no system call of amd64 has that number"},
		{seccompResolveCmd{Names: []string{"opne"}, Arch: "amd64"},
			`error: unknown system call "opne", did you mean "open"?`},
		{seccompResolveCmd{Names: []string{"open"}, Arch: "amd46"},
			`error: unknown architecture "amd46", did you mean "amd64"?`},
	} {
		var b bytes.Buffer
		got := ""
		if err := c.cmd.run(&b); err != nil {
			got = "error: " + err.Error()
		} else {
			got = b.String()
		}
		if got != c.want {
			t.Errorf("%+v: got %q, want %q", c.cmd, got, c.want)
		}
	}
	for names, want := range map[string]int{"@swap": 1, "open": 0} {
		if n := (&seccompResolveCmd{Names: []string{names}}).notes(); len(n) != want ||
			want > 0 && !strings.Contains(n[0], "systemd 258") {
			t.Errorf("%s: notes %q", names, n)
		}
	}
	var b bytes.Buffer
	if err := (&seccompResolveCmd{Names: []string{"open"}, Arch: "all", JSON: true}).run(&b); err != nil ||
		!strings.Contains(b.String(), `"number": null`) || !strings.Contains(b.String(), `"number": 2`) {
		t.Errorf("%v\n%s", err, &b)
	}
}

func TestSeccompDump(t *testing.T) {
	ownPolicies(t,
		map[string]string{"mine": "version = 1\n[seccomp]\nallow = ['read', 'write', 'exit_group', 'execve']\n[expect]\n"})
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	for _, policy := range []string{"default", "mine"} {
		for _, arch := range []string{"amd64", "arm64"} {
			var text, raw, again bytes.Buffer
			if err := (&seccompDumpCmd{Target: policy, Arch: arch}).run(&text, io.Discard); err != nil {
				t.Fatal(err)
			}
			if err := (&seccompDumpCmd{Target: policy, Arch: arch, Raw: true}).run(&raw, io.Discard); err != nil {
				t.Fatal(err)
			}
			if err := (&seccompDisasmCmd{File: "-", Arch: arch}).run(&raw, &again); err != nil {
				t.Fatal(err)
			}
			if text.String() != again.String() || !strings.Contains(text.String(), "return KILL_PROCESS") {
				t.Errorf("%s on %s: dumped\n%sread back\n%s", policy, arch, &text, &again)
			}
		}
	}
	for _, c := range []struct {
		cmd  seccompDumpCmd
		want string
	}{
		{seccompDumpCmd{Target: "4194304"}, "trace process 4194304: no such process"},
		{seccompDumpCmd{Target: "1", Arch: "amd64"},
			"a process has its filters for its own architecture: --arch is for policies"},
		{seccompDumpCmd{Target: "default", Filter: 9}, "print filter 9: there are "},
		{seccompDumpCmd{Target: "default", Arch: "s390x"}, "no filters can be made for s390x"},
		{seccompDumpCmd{Target: "default", Arch: "x32"}, "make a filter for x32: no machine is one"},
	} {
		if err := c.cmd.run(&bytes.Buffer{}, io.Discard); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %s", c.cmd, err, c.want)
		}
	}
	file := filepath.Join(t.TempDir(), "half.bpf")
	if err := os.WriteFile(file, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := (&seccompDisasmCmd{File: file}).run(nil, &bytes.Buffer{}); err == nil {
		t.Error("half an instruction is taken")
	}
}

func TestSeccompEmulate(t *testing.T) {
	dir := ownPolicies(t, map[string]string{"mine": `version = 1
[seccomp]
allow = ["@system-service",
  "@known"]
deny = ["@debug"]
architectures = ["386"]

[[seccomp.rule]]
syscalls = ["socket"]
when = ["arg0 in {AF_UNIX, AF_INET}"]
action = "allow"

[expect]
`})
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	file := filepath.Join(dir, "mine.toml")
	for _, c := range []struct{ syscall, args, arch, want string }{
		{"openat", "AT_FDCWD 0 O_RDONLY|O_CLOEXEC", "amd64",
			"openat(0xffffffffffffff9c, 0x0, 0x80000) on amd64, number 257: allow\n  by allow @system-service (" + file + ":3)"},
		{"bpf", "", "amd64", "bpf() on amd64, number 321: allow\n  by allow @known (" + file + ":4)"},
		{"ptrace", "", "arm64", "ptrace() on arm64, number 117: errno:EPERM\n  by deny @debug (" + file + ":5)"},
		{"socket", "AF_INET", "amd64", "socket(0x2) on amd64, number 41: allow\n  by rule 1 (" + file + ":8)"},
		{"socket", "AF_VSOCK", "amd64", "socket(0x28) on amd64, number 41: errno:EPERM\n  by default\n"},
		{"102", "1", "386", "socketcall(0x1) on 386, number 102: errno:EPERM\n  by default, because its arguments are out " +
			"of sight, for socket\n"},
		{"102", "3", "386", "socketcall(0x3) on 386, number 102: allow\n  by allow @system-service, for connect (" +
			file + ":3)"},
		{"read", "", "x32", "read() on x32, number 1073741824: kill-process\n  by the architecture is not listed\n"},
		{"999", "", "amd64", "syscall 999() on amd64, number 999: errno:ENOSYS\n  by unknown: no call has the number\n"},
		{"ioctl", "0 TIOCSTI", "arm",
			"ioctl(0x0, 0x5412) on arm, number 54: kill-process\n  by the architecture is not listed\n"},
	} {
		var b bytes.Buffer
		cmd := seccompEmulateCmd{Policy: "mine", Syscall: c.syscall, Arg: strings.Fields(c.args), Arch: c.arch}
		if err := cmd.run(&b); err != nil || !strings.HasPrefix(b.String(), c.want) {
			t.Errorf("%s %s on %s: %v\n%s\nwant\n%s", c.syscall, c.args, c.arch, err, &b, c.want)
		}
	}
	var b bytes.Buffer
	cmd := seccompEmulateCmd{Policy: "mine", Syscall: "socket", Arg: []string{"AF_VSOCK"}, Arch: "amd64", Trace: true}
	if err := cmd.run(&b); err != nil || !strings.Contains(b.String(), "\n> 0000: ") ||
		!strings.Contains(b.String(), "AF_INET") {
		t.Errorf("%v\n%s", err, &b)
	}
	for _, bad := range []seccompEmulateCmd{
		{Policy: "mine", Syscall: "opne"},
		{Policy: "mine", Syscall: "openat", Arg: []string{"AT_FDCWDX"}},
		{Policy: "mine", Syscall: "openat", Arg: strings.Fields("1 2 3 4 5 6 7")},
		{Policy: "nosuch", Syscall: "openat"},
		{Policy: "mine", Syscall: "open", Arch: "arm64"},
	} {
		if err := bad.run(&b); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}

// TestSeccompCache makes sure that a custom policy's filter is kept, and that
// what is kept makes no difference.
func TestSeccompCache(t *testing.T) {
	ownPolicies(t, map[string]string{"mine": "version = 1\n[seccomp]\nallow = ['read', 'execve']\n[expect]\n"})
	home := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", home)
	var first, second, third bytes.Buffer
	cmd := seccompDumpCmd{Target: "mine", Raw: true}
	if err := cmd.run(&first, io.Discard); err != nil {
		t.Fatal(err)
	}
	kept, err := filepath.Glob(home + "/sbx/filters/*")
	if err != nil || len(kept) != 1 {
		t.Fatalf("%v, %v", kept, err)
	}
	if err := cmd.run(&second, io.Discard); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(kept[0])
	if err != nil {
		t.Fatal(err)
	}
	data[40] ^= 1
	if err := os.WriteFile(kept[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := cmd.run(&third, io.Discard); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) || !bytes.Equal(first.Bytes(), third.Bytes()) || first.Len()%8 != 0 {
		t.Errorf("%d, %d and %d bytes", first.Len(), second.Len(), third.Len())
	}
	if seccomp.Native() != seccomp.AMD64 && seccomp.Native() != seccomp.ARM64 {
		t.Error("filters are made for amd64 and arm64")
	}
}

// TestEmulateAdded: rules that [network] adds are explained as well, and with
// nesting, which takes one away, those of the policy keep their places.
func TestEmulateAdded(t *testing.T) {
	dir := ownPolicies(t, map[string]string{
		"ports": "version = 1\n[namespaces]\nnet = 'host'\n[network]\nconnect = [443]\n[seccomp]\nallow = " +
			"['@system-service']\n",
		"nests": "version = 1\n[process]\nnest = true\n[seccomp]\nallow = ['@system-service']\n" +
			"[[seccomp.rule]]\nsyscalls = ['openat2']\naction = 'errno:ENOSYS'\n[[seccomp.rule]]\nsyscalls = " +
			"['personality']\naction = 'trap'\n",
	})
	for _, c := range []struct {
		cmd  seccompEmulateCmd
		want string
	}{
		{seccompEmulateCmd{Policy: "ports", Syscall: "socket", Arg: []string{"AF_PACKET"}},
			": errno:EAFNOSUPPORT\n  by rule 1\n"},
		{seccompEmulateCmd{Policy: "nests", Syscall: "personality"}, ": trap\n  by rule 1 (DIR/nests.toml:9)\n"},
	} {
		var b bytes.Buffer
		if err := c.cmd.run(&b); err != nil {
			t.Fatal(err)
		}
		if got := strings.ReplaceAll(b.String(), dir, "DIR"); !strings.Contains(got, c.want) {
			t.Errorf("%+v: got %s", c.cmd, got)
		}
	}
}

// TestNestIsOne holds that what is explained of a policy that nests is the
// filter that is loaded for it.
func TestNestIsOne(t *testing.T) {
	file := filepath.Join(t.TempDir(), "nest.toml")
	if err := os.WriteFile(file, []byte("version = 1\nextends = [\"shell\"]\n[process]\nnest = "+
		"true\n[expect]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := (&seccompEmulateCmd{Policy: file, Syscall: "unshare", JSON: true}).run(&out); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), `"action": "allow"`) {
		t.Errorf("unshare in a nest: %s", &out)
	}
}
