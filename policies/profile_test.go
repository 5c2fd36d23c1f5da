package policies

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sbx/policy"
	"sbx/policy/seccomp"
)

const profileText = `{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 13, "syscalls": [
  {"names": ["read", "write", "exit_group"], "action": "SCMP_ACT_ALLOW"},
  {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
  {"names": ["io_uring_setup"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "99.1"}}]}`

// writeProfile writes a profile and policies beside it, and gives their
// directory.
func writeProfile(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	files["profile.json"] = profileText
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestProfile: what seccomp.oci names stands in the place of what is
// inherited, for the capabilities that the whole policy keeps.
func TestProfile(t *testing.T) {
	dir := writeProfile(t, map[string]string{
		"plain.toml": "version = 1\nextends = [\"base\"]\n[seccomp]\noci = \"profile.json\"\ndeny = [\"write\"]\n[expect]\n",
		"admin.toml": "version = 1\nextends = [\"./plain.toml\"]\n[process]\ncapabilities = [\"sys_admin\", " +
			"\"?bpf\"]\n[expect]\n",
	})
	for _, c := range []struct {
		file, call string
		want       seccomp.Action
	}{
		{"plain", "read", seccomp.Action{Kind: seccomp.Allow}},
		{"plain", "write", seccomp.Action{Kind: seccomp.Errno, Errno: 13}},
		{"plain", "openat", seccomp.Action{Kind: seccomp.Errno, Errno: 38}}, // above exit_group, the last: as runc
		{"plain", "mount", seccomp.Action{Kind: seccomp.Errno, Errno: 13}},
		{"admin", "mount", seccomp.Action{Kind: seccomp.Allow}},
		{"admin", "write", seccomp.Action{Kind: seccomp.Errno, Errno: 13}},
		{"admin", "io_uring_setup", seccomp.Action{Kind: seccomp.Errno, Errno: 38}},
	} {
		p, err := Find(dir + "/" + c.file + ".toml")
		if err != nil {
			t.Fatal(err)
		}
		s, err := seccomp.LookupSyscall(c.call)
		if err != nil {
			t.Fatal(err)
		}
		nr, ok := s.Number(seccomp.Native())
		if seccomp.Native() != seccomp.AMD64 && c.call == "openat" || !ok {
			continue // numbered elsewhere
		}
		got, err := p.Seccomp.Decide(seccomp.Native(), seccomp.Native().Audit(), nr, [6]uint64{})
		if err != nil || got.Action != c.want {
			t.Errorf("%s: %s is answered %v, want %v (%v)", c.file, c.call, got.Action, c.want, err)
		}
		// What is printed says the same, and names no file any more.
		again, err := policy.Parse("printed", p.Print())
		if err != nil || strings.Contains(string(p.Print()), "oci") {
			t.Fatalf("%v\n%s", err, p.Print())
		}
		if again.Seccomp.Key() != p.Seccomp.Key() || slices.Contains(p.Seccomp.Allow, "@system-service") {
			t.Errorf("%s: printed it says\n%s\nnot\n%s", c.file, again.Seccomp.Key(), p.Seccomp.Key())
		}
	}
}

// TestProfileIdle: the check tells of rules that another one makes idle.
func TestProfileIdle(t *testing.T) {
	dir := writeProfile(t, map[string]string{
		"own.toml": "version = 1\n[seccomp]\noci = \"idle.json\"\n[expect]\n",
		"idle.json": `{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["kill"], "action": "SCMP_ACT_ALLOW"},
			{"names": ["kill"], "action": "SCMP_ACT_TRAP", "args": [{"index": 1, "value": 9, "op": "SCMP_CMP_EQ"}]}]}`,
	})
	l, err := Load(dir + "/own.toml")
	if err != nil {
		t.Fatal(err)
	}
	found, _, err := l.Lint()
	if err != nil || !slices.ContainsFunc(found, func(f policy.Finding) bool {
		return f.Rule == "no-effect" && strings.Contains(f.Msg, "trap for kill")
	}) {
		t.Errorf("%v, %v", found, err)
	}
}

func TestProfileRefused(t *testing.T) {
	head, tail := "version = 1\n[seccomp]\noci = ", "\n[expect]\n"
	dir := writeProfile(t, map[string]string{
		"missing.toml": head + `"none.json"` + tail,
		"beside.toml":  head + "\"profile.json\"\nallow = [\"read\"]" + tail,
		"bad.toml":     head + `"bad.json"` + tail,
		"bad.json":     "{\"defaultAction\": \"SCMP_ACT_ERRNO\",\n \"sycalls\": []}",
		"open.toml":    head + `"open.json"` + tail,
		"open.json":    profileText,
	})
	if err := os.Chmod(filepath.Join(dir, "open.json"), 0o666); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"missing": "no such file",
		"beside":  "seccomp.allow beside seccomp.oci",
		"bad":     "bad.json:2:2: unknown key \"sycalls\"",
		"open":    "can be written by others",
	} {
		_, err := Find(dir + "/" + name + ".toml")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}
