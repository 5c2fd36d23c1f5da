package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sbx/policy/formats"
	"sbx/sandbox"
)

// bareText is a policy that is nothing but a filter: a format for filters can
// say all of it but what no policy is without.
const bareText = `version = 1
summary = "A filter"

[namespaces]
user = "host"
mount = "host"
pid = "host"
net = "host"
ipc = "host"
uts = "host"
cgroup = "host"

[seccomp]
allow = ["@default"]

[expect]
`

func TestPolicyExport(t *testing.T) {
	ownPolicies(t, map[string]string{"bare": bareText})
	for _, format := range formats.Names() {
		var out, losses bytes.Buffer
		err := (&policyExportCmd{Policy: "bare", To: format}).run(&out, &losses)
		if !errors.Is(err, errLosses) || out.Len() == 0 {
			t.Errorf("%s: %v, %d bytes", format, err, out.Len())
		}
		for line := range strings.Lines(losses.String()) {
			if !strings.HasPrefix(line, "sbx: "+format+" cannot say ") &&
				(format != "kubernetes" || !strings.HasPrefix(line, "sbx: note: the profile sbx/bare.json follows")) {
				t.Errorf("%s: %q", format, line)
			}
		}
		losses.Reset()
		if err := (&policyExportCmd{Policy: "bare", To: format, Lossy: true}).run(&out, &losses); err != nil ||
			losses.Len() == 0 {
			t.Errorf("%s, lossy: %v, %q", format, err, &losses)
		}
	}
}

// TestPolicyExportKubernetes: the profile lies where the context names it.
func TestPolicyExportKubernetes(t *testing.T) {
	ownPolicies(t, map[string]string{"bare": bareText})
	dir := t.TempDir()
	c := &policyExportCmd{Policy: "bare", To: "kubernetes", Output: filepath.Join(dir, "pod.yaml"), Lossy: true}
	var out, losses bytes.Buffer
	if err := c.run(&out, &losses); err != nil || out.Len() > 0 {
		t.Fatal(err, out.String())
	}
	if at := filepath.Join(dir, "sbx", "bare.json"); !strings.Contains(losses.String(), "the profile is "+at) {
		t.Errorf("nothing about %s in %s", at, &losses)
	}
	// Without -o it is not lost either, and the place is said.
	losses.Reset()
	if err := (&policyExportCmd{Policy: "bare", To: "kubernetes", Lossy: true}).run(&out, &losses); err != nil ||
		!strings.Contains(out.String(), "# sbx/bare.json\n{") || !strings.Contains(losses.String(), "-o FILE") ||
		!strings.Contains(losses.String(), "/var/lib/kubelet/seccomp/sbx/bare.json") {
		t.Errorf("%v\n%s\n%s", err, &losses, &out)
	}
	context, err := os.ReadFile(c.Output)
	if err != nil || !strings.Contains(string(context), "type: Localhost\n    localhostProfile: sbx/bare.json\n") {
		t.Fatalf("%v\n%s", err, context)
	}
	profile, err := os.ReadFile(filepath.Join(dir, "sbx", "bare.json"))
	if err != nil || !json.Valid(profile) {
		t.Fatalf("%v\n%s", err, profile)
	}
}

func TestPolicyImport(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"p.json": `{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
			{"names": ["read"], "action": "SCMP_ACT_ALLOW"},
			{"names": ["kill"], "action": "SCMP_ACT_ALLOW"}, {"names": ["kill"], "action": "SCMP_ACT_TRAP"},
			{"names": ["bpf"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_BPF"], "minKernel": "5.8"}}]}`,
		"bad.json":  `{"defaultAction": "SCMP_ACT_EERNO"}`,
		"x.service": "[Service]\nSystemCallFilter=read\nUser=nobody\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	try := func(c policyImportCmd, stdin string) (out, losses string, err error) {
		t.Helper()
		var w, l bytes.Buffer
		err = c.run(strings.NewReader(stdin), &w, &l)
		return w.String(), l.String(), err
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	profile, stdin := []string{at("p.json")}, []string{"-"}

	out, notes, err := try(policyImportCmd{From: "oci", File: profile, Kernel: "6.1"}, "")
	if err != nil || !strings.Contains(out, `"read"`) || strings.Contains(out, `"bpf",`+"\n]") {
		t.Errorf("%v\n%s", err, out)
	}
	if !strings.Contains(notes, "note: ") || !strings.Contains(notes, "kill has no effect") {
		t.Errorf("notes %q", notes)
	}
	written := filepath.Join(dir, "p.toml")
	none, _, err := try(policyImportCmd{From: "oci", File: profile, Kernel: "6.1", Output: written}, "")
	if err != nil || none != "" {
		t.Errorf("-o: %v, printed %q", err, none)
	}
	if text, err := os.ReadFile(written); err != nil || string(text) != out {
		t.Errorf("-o: %v, wrote\n%s", err, text)
	}
	if err := os.Symlink(written, at("link.toml")); err != nil {
		t.Fatal(err)
	}
	_, _, err = try(policyImportCmd{From: "oci", File: profile, Kernel: "6.1", Output: at("link.toml")}, "")
	if err == nil {
		t.Error("a symbolic link was followed")
	}
	out, _, err = try(policyImportCmd{From: "docker", File: profile, Kernel: "6.1", Cap: []string{"CAP_BPF"}}, "")
	if err != nil || !strings.Contains(out, "capabilities = [\n  \"bpf\",\n]") ||
		!strings.Contains(out, "allow = [\n  \"bpf\",") {
		t.Errorf("%v\n%s", err, out)
	}
	if _, _, err := try(policyImportCmd{From: "oci", File: stdin}, `{"defaultAction": "SCMP_ACT_ALLOW"}`); err != nil {
		t.Error(err)
	}
	if _, _, err := try(policyImportCmd{From: "oci", File: []string{at("bad.json")}}, ""); err == nil ||
		sandbox.Hint(err) != `did you mean "SCMP_ACT_ERRNO"?` {
		t.Errorf("%v, hint %q", err, sandbox.Hint(err))
	}
	out, losses, err := try(policyImportCmd{From: "systemd", File: []string{at("x.service")}}, "")
	if !errors.Is(err, errLosses) || !strings.Contains(losses, "x.service:3: User=nobody") ||
		!strings.Contains(out, "default = \"kill-process\"") {
		t.Errorf("%v\n%s\n%s", err, losses, out)
	}
	if _, _, err := try(policyImportCmd{From: "systemd", File: []string{at("x.service")}, Lossy: true}, ""); err != nil {
		t.Error(err)
	}
	for _, x := range []struct {
		cmd          policyImportCmd
		stdin        string
		errs, losses string
		out          string
	}{
		{policyImportCmd{From: "systemd", File: stdin, Instance: "a"}, "Environment=A=%i\n", "", "", `"A=a"`},
		{policyImportCmd{From: "systemd", File: stdin}, "\nEnvironment=A=%i\n",
			"standard input:2: Environment=: what \"%i\" stands for", "", ""},
		{policyImportCmd{From: "oci", File: stdin, Instance: "a"}, "{}", "has no templates", "", ""},
		{policyImportCmd{From: "systemd", File: stdin}, "Environment=A=%H-%m-%v-%b-%o\n", "", "", `"A=`},
		{policyImportCmd{From: "systemd", File: stdin, Lossy: true}, "SystemCallFilter=read warp_drive\n", "",
			"standard input:1: SystemCallFilter=read warp_drive", `"read"`},
		{policyImportCmd{From: "systemd", File: stdin}, "SystemCallFilter=read warp_drive\n", "standard input:1: ", "", ""},
		{policyImportCmd{From: "systemd", File: stdin}, "PrivateTmp=yes\n", "",
			"sbx: note: where the unit says nothing the policy refuses: ", `"/tmp"`},
		{policyImportCmd{From: "oci", File: stdin, Lossy: true}, `{"defaultAction": "SCMP_ACT_ERRNO",
			"syscalls": [{"names": ["read", "warp_drive"], "action": ` +
			`"SCMP_ACT_ALLOW"}]}`, "", "standard input:2:17: ", `"read"`},
		{policyImportCmd{From: "oci", File: stdin}, `{"defaultAction": "SCMP_ACT_ERRNO",
			"syscalls": [{"names": ["getpid"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 1, "op": ` +
			`"SCMP_CMP_EQ"}]}]}`,
			"standard input:2:1: getpid: it has no argument 0", "", ""},
		{policyImportCmd{From: "oci", File: stdin},
			`{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["read", "clone3"], "action": "SCMP_ACT_ALLOW"}]}`,
			"", "", `"clone3"`},
	} {
		out, losses, err := try(x.cmd, x.stdin)
		if x.errs != "" {
			if err == nil || !strings.Contains(err.Error(), x.errs) {
				t.Errorf("%+v: %v, want %s", x.cmd, err, x.errs)
			}
			continue
		}
		if err != nil && !errors.Is(err, errLosses) || !strings.Contains(out, x.out) || !strings.Contains(losses, x.losses) {
			t.Errorf("%+v: %v\n%s\n%s", x.cmd, err, losses, out)
		}
	}
	for _, c := range []policyImportCmd{
		{From: "oci", File: []string{at("none")}}, {From: "oci", File: profile, Arch: "vax"},
		{From: "oci", File: profile, Kernel: "6"}, {From: "oci", File: profile, Cap: []string{"root"}},
	} {
		if _, _, err := try(c, ""); err == nil {
			t.Errorf("%+v was accepted", c)
		}
	}
}

// TestFormatStatus: what got lost makes the exit status 3.
func TestFormatStatus(t *testing.T) {
	ownPolicies(t, map[string]string{"bare": bareText})
	file := filepath.Join(t.TempDir(), "out")
	if code := run([]string{"policy", "export", "bare", "--to", "oci", "-o", file}); code != 3 {
		t.Errorf("status %d", code)
	}
	if code := run([]string{"policy", "export", "bare", "--to", "oci", "--lossy", "-o", file}); code != 0 {
		t.Errorf("with --lossy, status %d", code)
	}
}

// TestGlobber: patterns of a profile find what they match, and no profile has sbx look at the
// whole machine.
func TestGlobber(t *testing.T) {
	home := t.TempDir()
	for _, name := range []string{"a/b/c", "a/x/c", "a/.y/c", "file"} {
		if err := os.MkdirAll(filepath.Join(home, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	g := globber{home: home, session: filepath.Join(home, "a"), left: 100}
	for pattern, want := range map[string]string{
		"~/a/*/c": "~/a/.y/c ~/a/b/c ~/a/x/c", "~/a/[bx]": "~/a/b ~/a/x", "~/n*/c": "", "~/*/b/c": "~/a/b/c", "~/a/[": "",
		home + "/f*": home + "/file", "f*": "",
		"${XDG_RUNTIME_DIR}/x*": "${XDG_RUNTIME_DIR}/x", "${HOME}/x*": "",
	} {
		if got := strings.Join(g.paths(pattern), " "); got != want {
			t.Errorf("%s: %s, want %s", pattern, got, want)
		}
	}
	if g.err != nil {
		t.Error(g.err)
	}
	for range 100 {
		g.paths("~/*/*/*")
	}
	if got := g.paths("~/a/*"); got != nil || g.err == nil || !strings.Contains(g.err.Error(),
		"names are to be compared") {
		t.Errorf("%q, %v", got, g.err)
	}
}
