package policies

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"

	"sbx/policies/internal/generate"
	"sbx/policy"
	"sbx/policy/seccomp"
)

// isolate makes the user's own policies those in a directory that it gives.
func isolate(t *testing.T) (dir string) {
	t.Helper()
	config := t.TempDir()
	dir = filepath.Join(config, "sbx", "policies")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	// Temporary directories are made below one that may be writable by all.
	t.Setenv("XDG_CONFIG_HOME", config)
	return dir
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestGenerated(t *testing.T) {
	files, err := generate.Files(os.DirFS("."))
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range files {
		if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what the policies say: run go generate ./policies (%v)", file, err)
		}
	}
	for _, pattern := range generate.Kept() {
		kept, err := filepath.Glob(pattern)
		if err != nil || len(kept) == 0 {
			t.Errorf("%s: %v, %v", pattern, kept, err)
		}
		for _, file := range kept {
			if files[file] == nil {
				t.Errorf("%s belongs to no policy: run go generate ./policies", file)
			}
		}
	}
}

// What is used at launch is what the files say.
func TestResolvedAhead(t *testing.T) {
	isolate(t)
	for _, name := range Names() {
		ahead, err := Find(name)
		if err != nil {
			t.Fatal(err)
		}
		l, err := Load(name)
		if err != nil {
			t.Fatal(err)
		}
		now, err := l.Resolve()
		if err != nil {
			t.Fatal(err)
		}
		if resolved(name) == nil || ahead.Digest() != now.Digest() || ahead.Name != name || now.Name != name {
			t.Errorf("%s: resolved ahead it is %q %s, from the file %q %s", name, ahead.Name, ahead.Digest(), now.Name,
				now.Digest())
		}
	}
}

func TestShipped(t *testing.T) {
	want := "agent base browser build cargo commit db debug default fetch filter git go judge kernel mcp npm open pip " +
		"project pure shell web worker"
	if got := strings.Join(Names(), " "); got != want {
		t.Errorf("there are %s", got)
	}
	for _, name := range Names() {
		data, err := files.ReadFile(name + ".toml")
		if err != nil {
			t.Fatal(err)
		}
		text := string(data)
		// One readable screen, that also says what not to rely on.
		if n := strings.Count(text, "\n"); n > 80 {
			t.Errorf("%s has %d lines", name, n)
		}
		for i, line := range strings.Split(text, "\n") {
			if len(line) > 120 {
				t.Errorf("%s:%d has %d bytes", name, i+1, len(line))
			}
		}
		if !strings.HasPrefix(text, "# ") || !strings.Contains(text, "does NOT") {
			t.Errorf("%s does not begin with what it does and does NOT do", name)
		}
		p, err := policy.Parse(name, data)
		if err != nil {
			t.Fatal(err)
		}
		if p.Summary == "" || len(p.Expect.Deny) == 0 {
			t.Errorf("%s has no summary or no expectations", name)
		}
	}
}

// The protections that no shipped role but open goes without.
func TestShippedPromises(t *testing.T) {
	for _, name := range Names() {
		p := resolved(name)
		if p.Namespaces.Mount != "new" || p.Namespaces.PID != "new" || *p.Process.Nest ||
			p.Seccomp.Default.String() != "errno:EPERM" || p.Seccomp.Unknown.String() != "errno:ENOSYS" ||
			len(p.Seccomp.Architectures) > 0 {
			t.Errorf("%s lacks a protection:\n%s", name, p.Print())
		}
		isOpen, hasNet := name == "open", name == "open" || name == "fetch" || name == "web"
		if (p.Namespaces.Net == "host") != hasNet {
			t.Errorf("%s has network namespace %s", name, p.Namespaces.Net)
		}
		if (p.Namespaces.IPC == "host") != isOpen || p.Process.Landlock == "off" {
			t.Errorf("%s: ipc %s, landlock %s", name, p.Namespaces.IPC, p.Process.Landlock)
		}
		if len(p.Process.Capabilities) > 0 != (name == "web") {
			t.Errorf("%s keeps %v", name, p.Process.Capabilities)
		}
		for _, c := range p.Process.Capabilities {
			if c[0] != '?' {
				t.Errorf("%s: %s is required, so that a user without it cannot use the policy", name, c)
			}
		}
		if d, err := policy.Compare(resolved("kernel"), p); err != nil ||
			len(d.Narrower) > 0 && has(d.Narrower, "system calls") {
			t.Errorf("%s: %v, %v", name, d, err)
		}
	}
	for _, x := range []struct{ a, b, verdict string }{
		{"base", "default", "wider"}, {"default", "pure", "narrower"}, {"filter", "pure", "narrower"},
		{"project", "build", "wider"}, {"project", "fetch", "wider"}, {"default", "web", "wider"},
		{"default", "open", "wider"},
	} {
		d, err := policy.Compare(resolved(x.a), resolved(x.b))
		if err != nil || d.Verdict() != x.verdict {
			t.Errorf("%s to %s: %s, want %s: %+v", x.a, x.b, d.Verdict(), x.verdict, d)
		}
	}
}

// TestRequests: no role makes snapshots, or changes what stays with a console of Linux:
// its keyboard, font, mode and the one that is shown. What terminals are asked is allowed.
func TestRequests(t *testing.T) {
	for _, name := range Names() {
		for request, want := range map[uint64]string{
			0x50009401: "errno:EPERM", 0x50009417: "errno:EPERM", 0x4020bc10: "errno:EPERM", // snapshots
			0x4b3a: "errno:ENOTTY", 0x4b45: "errno:ENOTTY", 0x4b72: "errno:ENOTTY", 0x1_00004b47: "errno:ENOTTY", // KD*
			0x5602: "errno:ENOTTY", 0x5606: "errno:ENOTTY", // VT_SETMODE, VT_ACTIVATE
			0x5401: "allow", 0x5413: "allow", 0x541b: "allow", 0x80045430: "allow", // TCGETS, TIOCGWINSZ, FIONREAD, TIOCGPTN
			0x80685600: "allow", 0x4004f50c: "allow", // a camera's query, one of the sandbox's own
		} {
			if want == "allow" && name == "kernel" {
				continue // which allows nothing
			}
			c, err := resolved(name).Seccomp.Decide(seccomp.AMD64, seccomp.AMD64.Audit(), 16, [6]uint64{0, request})
			if err != nil || c.Action.String() != want {
				t.Errorf("%s: request %#x: %v, want %s (%v)", name, request, c.Action, want, err)
			}
		}
	}
}

func has(lines []string, part string) bool {
	for _, l := range lines {
		if strings.Contains(l, part) {
			return true
		}
	}
	return false
}

// Nothing in the shipped policies is idle, and only open is dangerous, but for
// tracing among a sandbox's own processes, and git's own files for commit.
func TestShippedLint(t *testing.T) {
	isolate(t)
	for _, name := range Names() {
		l, err := Load(name)
		if err != nil {
			t.Fatal(err)
		}
		found, _, err := l.Lint()
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]bool{}
		for _, f := range found {
			got[f.Rule] = true
			meant := name == "open" ||
				slices.Contains([]string{"build", "debug", "shell", "cargo", "go"}, name) && f.Rule == "kernel-surface" ||
				(name == "commit" || name == "git" || name == "agent") && (f.Rule == "startup-writable" || f.Rule == "secret-shown")
			if !meant {
				t.Error(f)
			}
		}
		if name == "open" && fmt.Sprint(slices.Sorted(maps.Keys(got))) !=
			"[env-secret host-ipc kernel-surface path-writable secret-shown socket startup-writable]" {
			t.Errorf("open: %v", found)
		}
	}
}

// The schema takes every shipped policy, and refuses what Parse refuses for
// its shape.
func TestSchema(t *testing.T) {
	data, err := policy.Schema()
	if err != nil {
		t.Fatal(err)
	}
	s := newSchema(t, data)
	for _, name := range Names() {
		text, err := files.ReadFile(name + ".toml")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.check(text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		// The canonical form says everything there is to say.
		if err := s.check(resolved(name).Print()); err != nil {
			t.Errorf("%s, resolved: %v", name, err)
		}
	}
	for _, good := range []string{
		"", "[expect]\ndeny = ['read /x']\n[files]\nread = ['/usr']",
		"[namespaces]\nuid = 0\nhostname = 'a-1.b'\nmonotonic = '-1h30m'\nranges = true",
		"[files]\noverlay = ['?/x']\nfile.'/y' = ''\nfile.'~/z' = false\npath.'/x' = { upper = '/u', " +
			"exec = false }\npath.'/v' = false\nsymlink.'/l' = '..'",
		"[network]\nbind = [0, '80', '!443']\nconnect = []", "[network]\nhosts = ['a.example']\nport = '443'",
		"[limits]\nprocesses = '?5'\ncpu = '?50%'\ncore = 0\nopen_files = 'none'\ncpu_time = '1h'\ntmp = '1M'",
	} {
		text := []byte("version = 1\n" + good + "\n")
		if err := s.check(text); err != nil {
			t.Errorf("the schema refuses %q: %v", good, err)
		}
		if _, err := policy.Parse("p", text); err != nil {
			t.Errorf("Parse refuses %q: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "version = 2\n[expect]", "version = 1\nx = 1\n[expect]", "version = 1\n[files]\nraed = []\n[expect]",
		"version = 1\n[files]\nread = 'x'\n[expect]", "version = 1\n[files]\nread = ['x']\n[expect]",
		"version = 1\n[files]\nproc = 1\n[expect]",
		"version = 1\n[process]\ncapabilities = ['x']\n[expect]", "version = 1\n[namespaces]\nnet = 'x'\n[expect]",
		"version = 1\n[limits]\nprocesses = 0\n[expect]", "version = 1\n[limits]\nmemory = '0'\n[expect]",
		"version = 1\n[limits]\ntime = '1d'\n[expect]",
		"version = 1\n[seccomp]\nallow = ['opnat']\n[expect]", "version = 1\n[seccomp]\ndefault = 'x'\n[expect]",
		"version = 1\n[[seccomp.rule]]\naction = 'allow'\n[expect]",
		"version = 1\n[[seccomp.rule]]\nsyscalls = ['read']\nwhen = []\n[expect]",
		"version = 1\n[expect]\ndeny = ['x']",
		"version = 1\n[namespaces]\nuid = 4294967295\n[expect]", "version = 1\n[namespaces]\nhostname = 'a_b'\n[expect]",
		"version = 1\n[files]\npath.'/x'.siez = '1M'\n[expect]", "version = 1\n[files]\nfile.'/x' = true\n[expect]",
		"version = 1\n[files]\noverlay = ['x']\n[expect]",
		"version = 1\n[network]\nbind = [65536]\n[expect]", "version = 1\n[network]\nbind = ['?80']\n[expect]",
		"version = 1\n[process]\nterminal = 'x'\n[expect]",
		"version = 1\n[limits]\ncpu = '50'\n[expect]", "version = 1\n[limits]\nmemory = '?none'\n[expect]",
	} {
		if s.check([]byte(bad)) == nil {
			t.Errorf("the schema takes %q", bad)
		}
		if _, err := policy.Parse("p", []byte(bad)); err == nil {
			t.Errorf("Parse takes %q", bad)
		}
	}
}

// decode reads TOML as an editor does, knowing nothing of policies.
func decode(text []byte) (any, error) {
	var v map[string]any
	err := toml.Unmarshal(text, &v)
	return v, err
}

func TestUnknownName(t *testing.T) {
	isolate(t)
	for name, hint := range map[string]string{
		"wbe":      `did you mean "web"?`,
		"web.toml": "a policy file is given by a path with a slash, as ./web.toml",
		"":         "a policy file is given by a path with a slash, as ./.toml",
		"zzzzzz":   "sbx policy list prints those that there are",
		"-x":       "a policy file is given by a path with a slash, as ./-x.toml",
		"..":       "a policy file is given by a path with a slash, as ./...toml",
	} {
		_, err := Find(name)
		var e *policy.Error
		if !errors.As(err, &e) || e.Fix != hint {
			t.Errorf("%q: %v, hint %q; want %q", name, err, e.Fix, hint)
		}
	}
}

func BenchmarkFind(b *testing.B) {
	b.Setenv("XDG_CONFIG_HOME", b.TempDir())
	for b.Loop() {
		if _, err := Find("default"); err != nil {
			b.Fatal(err)
		}
	}
}
