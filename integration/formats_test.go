package integration

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	libseccomp "github.com/seccomp/libseccomp-golang"

	"sbx/policies"
	"sbx/policy/seccomp"
)

// exported runs "sbx policy export" and gives what it wrote: every shipped
// policy says more than a filter, so the status is 3 without --lossy, and each
// line on standard error names a key.
func exported(t *testing.T, policy, format string) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "export")
	r := sbx(t, "policy", "export", policy, "--to", format, "-o", file)
	if r.status != 3 || r.stdout != "" {
		t.Fatal(r)
	}
	for line := range strings.Lines(r.stderr) {
		if !strings.HasPrefix(line, "sbx: "+format+" cannot say ") &&
			!strings.HasPrefix(line, "sbx: note: a launch here also loads filter ") {
			t.Errorf("%s: %q", format, line)
		}
	}
	if r := sbx(t, "policy", "export", policy, "--to", format, "--lossy", "-o", file); r.status != 0 || r.stderr == "" {
		t.Fatal(r)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestExportOCI has runc run the probe with an exported profile, and the kernel
// say what the filters that runc loaded answer: the same as the policy. runc
// takes a bundle from root only, unless it also makes it a user namespace.
func TestExportOCI(t *testing.T) {
	if !asRoot() {
		return
	}
	own := filepath.Join(t.TempDir(), "own.toml")
	if err := os.WriteFile(own, []byte(runtimePolicy), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"default", "web", "git", own} {
		if name != own && !shipped(name) {
			continue
		}
		t.Run(filepath.Base(name), func(t *testing.T) {
			p, err := policies.Find(name)
			if err != nil {
				t.Fatal(err)
			}
			answers, err := p.Calls().Answers(seccomp.Native())
			if err != nil {
				t.Fatal(err)
			}
			bundle := t.TempDir()
			writeBundle(t, bundle, exported(t, name, "oci"))
			questions, want := interview(t, p.Calls(), answers)
			got := askRunc(t, bundle, questions)
			unnamed := said(answers.Unknown.Action)
			for i, w := range want {
				a, call, _ := asked(t, questions[i])
				if got[i] != w && !(got[i] == unnamed && !named(t, a, call)) {
					t.Errorf("%s: runc's filter says %q, the policy %q", questions[i], got[i], w)
				}
			}
		})
	}
}

// runtimePolicy has several actions, and comparisons of all kinds.
const runtimePolicy = `version = 1
extends = ["default"]

[[seccomp.rule]]
syscalls = ["socket"]
when = ["arg0 in {AF_UNIX, AF_INET, AF_INET6} && arg1 & 0xf != 3"]
action = "allow"

[[seccomp.rule]]
syscalls = ["kill", "tgkill"]
when = ["arg1 in {SIGKILL, SIGSTOP..SIGTTOU}"]
action = "errno:EXDEV"

[[seccomp.rule]]
syscalls = ["lseek"]
when = ["arg1 > 0x7fffffff"]
action = "errno:EOVERFLOW"

[[seccomp.rule]]
syscalls = ["sysinfo"]
action = "trap"

[expect]
`

func shipped(name string) bool {
	for _, n := range policies.Names() {
		if n == name {
			return true
		}
	}
	return false
}

// named reports whether the installed libseccomp, which runc asks, has a number
// for a call of an architecture.
func named(t *testing.T, a seccomp.Arch, call string) bool {
	t.Helper()
	arch, err := libseccomp.GetArchFromString(strings.Replace(a.String(), "386", "x86", 1))
	if err != nil {
		t.Fatal(err)
	}
	nr, err := libseccomp.GetSyscallFromNameByArch(call, arch)
	return err == nil && nr >= 0
}

// writeBundle lays out a container with nothing but the probe in it.
func writeBundle(t *testing.T, bundle string, profile []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(bundle, "rootfs/proc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := copyFile(binary("probe"), filepath.Join(bundle, "rootfs/probe"), 0o755); err != nil {
		t.Fatal(err)
	}
	type object = map[string]any
	none := []string{}
	namespaces := []object{{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"}}
	config, err := json.Marshal(object{
		"ociVersion": "1.0.2",
		"process": object{
			"user": object{"uid": 0, "gid": 0}, "args": []string{"/probe", "oracle"}, "cwd": "/", "noNewPrivileges": true,
			"capabilities": object{"bounding": none, "effective": none, "permitted": none, "inheritable": none, "ambient": none},
		},
		"root":   object{"path": "rootfs", "readonly": true},
		"mounts": []object{{"destination": "/proc", "type": "proc", "source": "proc"}},
		"linux":  object{"namespaces": namespaces, "seccomp": json.RawMessage(profile)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bundle, "config.json"), config, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestExportBwrap has bubblewrap load an exported program; what it answers is
// the policy's.
func TestExportBwrap(t *testing.T) {
	p, err := policies.Find("default")
	if err != nil {
		t.Fatal(err)
	}
	answers, err := p.Calls().Answers(seccomp.Native())
	if err != nil {
		t.Fatal(err)
	}
	program := exported(t, "default", "bwrap")
	if !bytes.Equal(program, exported(t, "default", "bpf")) {
		t.Error("bpf and bwrap are not alike")
	}
	file := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(file, program, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	questions, want := interview(t, p.Calls(), answers)
	r := run(t, call{
		args: []string{"bwrap", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--seccomp", "3",
			binary("probe"), "oracle"},
		dir:   t.TempDir(),
		stdin: strings.Join(questions, "\n") + "\n",
		files: []*os.File{f},
		limit: 5 * 60e9,
	})
	if got := strings.TrimSuffix(r.stdout, "\n"); r.status != 0 || got != strings.Join(want, "\n") {
		t.Errorf("bwrap's filter does not answer as the policy: %.2000v", r)
	}
}

// TestExportSystemd has systemd read exported lines. It warns of calls that its
// libseccomp is too old for, and of nothing else.
func TestExportSystemd(t *testing.T) {
	for _, name := range policies.Names() {
		unit := append(exported(t, name, "systemd"), "ExecStart=/usr/bin/true\n"...)
		file := filepath.Join(t.TempDir(), "sbx-it.service")
		if err := os.WriteFile(file, unit, 0o600); err != nil {
			t.Fatal(err)
		}
		r := run(t, call{args: []string{"systemd-analyze", "verify", "--man=no", file}})
		if r.status != 0 {
			t.Errorf("%s: %v", name, r)
		}
		for line := range strings.Lines(r.stderr) {
			if strings.HasPrefix(line, file) && !strings.Contains(line, "Failed to parse system call, ignoring") {
				t.Errorf("%s: %s", name, line)
			}
		}
	}
}

// TestRoundTrip imports what was exported and compares: nothing of the system
// calls is lost on the way, but that what sbx answers itself at each launch, for
// set-id files, other runtimes refuse.
func TestRoundTrip(t *testing.T) {
	dir := t.TempDir()
	profile := filepath.Join(dir, "profile.json")
	if err := os.WriteFile(profile, exported(t, "default", "docker"), 0o600); err != nil {
		t.Fatal(err)
	}
	own := "version = 1\nextends = [\"default\"]\n[seccomp]\noci = \"profile.json\"\n[expect]\n"
	if err := os.WriteFile(filepath.Join(dir, "own.toml"), []byte(own), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := run(t, call{args: []string{binary("sbx"), "policy", "diff", "default", "./own.toml"},
		dir: dir}); r.status != 0 || r.stdout != "./own.toml allows what default does\n" {
		t.Error(r)
	}
	r := run(t, call{args: []string{binary("sbx"), "--policy", "./own.toml", "--", "/usr/bin/id", "-u"}, dir: dir})
	if r.status != 0 {
		t.Error(r)
	}
	if r := run(t, call{args: []string{binary("sbx"), "policy", "import", "--from", "oci", profile}}); r.status != 0 ||
		!strings.Contains(r.stdout, "[seccomp]") {
		t.Error(r)
	}
}
