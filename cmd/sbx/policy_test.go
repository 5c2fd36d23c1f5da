package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sbx/policy"
)

// ownPolicies writes policies of the user's and makes them the ones found.
func ownPolicies(t *testing.T, texts map[string]string) string {
	t.Helper()
	config := t.TempDir()
	dir := filepath.Join(config, "sbx", "policies")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_CONFIG_HOME", config)
	for name, text := range texts {
		if err := os.WriteFile(filepath.Join(dir, name+".toml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const (
	parentText = `version = 1
summary = "The parent"

[files]
read = ["/usr", "?/opt"] # programs

[[seccomp.rule]]
syscalls = ["read"]
action = "trap"

[expect]
deny = ["read /etc/shadow"]
`
	childText = `version = 1
summary = "The child"
extends = ["parent"]

[namespaces]
net = "host"

[files]
read = ["!/opt", "/srv"]

[expect]
`
)

// got runs a command and gives what it prints, with dir written as DIR.
func got(t *testing.T, dir string, run func(io.Writer) error) string {
	t.Helper()
	var w bytes.Buffer
	if err := run(&w); err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(w.String(), dir, "DIR")
}

func TestPolicyResolve(t *testing.T) {
	dir := ownPolicies(t, map[string]string{"parent": parentText, "child": childText})
	text := got(t, dir, (&policyResolveCmd{Policy: "child"}).run)
	want := `# policy child, resolved
# sha256:DIGEST
version = 1
summary = "The child"

[namespaces]
user = "auto"
mount = "new"
pid = "new"
net = "host"
ipc = "new"
uts = "new"
cgroup = "new"
time = "host"
ranges = false

[files]
read = [
  "/srv",  # DIR/child.toml:9
  "/usr",  # DIR/parent.toml:5
]
own_sockets = false
proc = true
dev = true
set_id = true

[process]
ambient = false
nest = false
landlock = "auto"
landlock_log = false
terminal = "inherit"

[seccomp]
default = "errno:EPERM"
unknown = "errno:ENOSYS"
log = false
spec_allow = false
wait_killable = false

[[seccomp.rule]]  # DIR/parent.toml:7
syscalls = ["read"]
action = "trap"

[expect]
deny = [
  "read /etc/shadow",  # DIR/parent.toml:12
]
`
	plain := got(t, dir, (&policyResolveCmd{Policy: "child", Plain: true}).run)
	p, err := policy.Parse("p", []byte(plain))
	if err != nil {
		t.Fatal(err)
	}
	want = strings.Replace(want, "sha256:DIGEST", p.Digest(), 1)
	if text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
	// What was printed with comments is the same policy.
	if q, err := policy.Parse("q", []byte(text)); err != nil || q.Digest() != p.Digest() {
		t.Errorf("the commented form differs: %v", err)
	}
	var j struct {
		Name, Digest string
		Policy       map[string]any
	}
	if err := json.Unmarshal([]byte(got(t, dir, (&policyResolveCmd{Policy: "child", JSON: true}).run)), &j); err != nil {
		t.Fatal(err)
	}
	if j.Name != "child" || j.Digest != p.Digest() || j.Policy["files"].(map[string]any)["read"].([]any)[0] != "/srv" {
		t.Errorf("JSON: %+v", j)
	}
}

func TestPolicyShow(t *testing.T) {
	dir := ownPolicies(t, map[string]string{"parent": parentText, "broken": "version = 1\n# \x1b[2J\n"})
	if text := got(t, dir, (&policyShowCmd{Policy: "parent"}).run); text != parentText {
		t.Errorf("got\n%s", text)
	}
	text := got(t, dir, (&policyShowCmd{Policy: "parent", JSON: true}).run)
	var j struct{ Name, Source, Path, Text string }
	if err := json.Unmarshal([]byte(text), &j); err != nil || j.Name != "parent" || j.Source != "user" ||
		j.Path != "DIR/parent.toml" || j.Text != parentText {
		t.Errorf("JSON: %+v, %v", j, err)
	}
	// Nothing that is not a policy reaches the terminal.
	var w bytes.Buffer
	if err := (&policyShowCmd{Policy: "broken"}).run(&w); err == nil || w.Len() > 0 ||
		strings.Contains(err.Error(), "\x1b") {
		t.Errorf("%v, printed %q", err, w.String())
	}
}

func TestPolicyList(t *testing.T) {
	dir := ownPolicies(t, map[string]string{"web": parentText, "wrong": "version = 2\n"})
	text := got(t, dir, (&policyListCmd{}).run)
	for _, want := range []string{
		"web      The parent ",
		"DIR/web.toml\n",
		"embedded (not used: the policy above has its name)\n",
		"wrong    error: DIR/wrong.toml:1:11: version 2 is not known",
		"default  Unknown commands: no network, the current directory read-only ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	var all []struct {
		Name, Source, Path, Summary, Error string
		Shadowed                           bool
	}
	if err := json.Unmarshal([]byte(got(t, dir, (&policyListCmd{JSON: true}).run)), &all); err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		if e.Name == "web" && e.Shadowed != (e.Source == "embedded") || e.Name == "wrong" && e.Error == "" {
			t.Errorf("%+v", e)
		}
	}
}

// checked is what a check that finds something prints.
func checked(t *testing.T, names ...string) string {
	t.Helper()
	var w bytes.Buffer
	if err := (&policyCheckCmd{Policies: names}).run(&w); !errors.Is(err, errFindings) {
		t.Errorf("check %q: %v", names, err)
	}
	return w.String()
}

func TestPolicyCheck(t *testing.T) {
	dir := ownPolicies(t, map[string]string{
		"parent": parentText,
		"child":  strings.Replace(childText, `"/srv"`, `"/usr", "/run/docker.sock"`, 1),
		"hopes": "version = 1\nextends = [\"parent\"]\n[seccomp]\nallow = [\"write\"]\n[expect]\nallow = [\"syscall " +
			"mount\", \"read /x\"]\ndeny = [\"syscall write\"]\n",
		"idle":   "version = 1\nextends = [\"strict\"]\n[[seccomp.rule]]\nsyscalls = [\"openat2\"]\naction = \"allow\"\n",
		"strict": "version = 1\n[[seccomp.rule]]\nsyscalls = [\"openat2\"]\naction = \"errno:ENOSYS\"\n",
		"wrong":  "version = 1\n[files]\nraed = []\n[expect]\n",
		"worse":  "version = 1\n[files]\ndeny = []\nread = ['x']\n",
		"worst":  "version = 1\n" + strings.Repeat("x = 1\n", 30),
	})
	for _, c := range []struct{ policy, want string }{
		{"parent", "parent: 1 line of [expect] can only be tried by a run\n"},
		{"hopes", `DIR/hopes.toml:6:10: expect.allow says "syscall mount", but that does not work: errno:EPERM by ` +
			`default (expectation)
DIR/hopes.toml:7:9: expect.deny says "syscall write", but that works: allow by allow write (DIR/hopes.toml:4) ` +
			`(expectation)
hopes: 2 lines of [expect] can only be tried by a run
`},
		{"idle", `DIR/idle.toml:3:3: this rule has no effect: the answer to openat2 is errno:ENOSYS by rule 1 ` +
			`(DIR/strict.toml:2) (no-effect)
	the stricter of two rules counts; another [[seccomp.rule]] with ["!openat2"] takes it out of an inherited one
`},
		{"child", `DIR/child.toml:9:18: files.read has "/usr" already, from parent (inherited)
DIR/child.toml:9:26: "/run/docker.sock" is shown in vain: the target can connect only to what files.sockets names ` +
			`(socket)
child: 1 line of [expect] can only be tried by a run
`},
		{"worse", `DIR/worse.toml:3:1: unknown key "files.deny" (error)
	did you mean "files.hide"?
DIR/worse.toml:4:9: path "x" is neither absolute nor below ~/, ./ or a variable (error)
	"/x" or "./x"
`},
		{"wrong", "DIR/wrong.toml:3:1: unknown key \"files.raed\" (error)\n\tdid you mean \"files.read\"?\n"},
	} {
		var w bytes.Buffer
		err := (&policyCheckCmd{Policies: []string{c.policy}}).run(&w)
		if out := strings.ReplaceAll(w.String(), dir, "DIR"); out != c.want || (c.policy == "parent") != (err == nil) ||
			err != nil && !errors.Is(err, errFindings) {
			t.Errorf("%s: %v, got\n%s\nwant\n%s", c.policy, err, out, c.want)
		}
	}
	text := strings.ReplaceAll(checked(t, "worst"), dir, "DIR")
	if lines := strings.Split(text, "\n"); len(lines) != 42 ||
		lines[38] != `DIR/worst.toml:21:1: unknown key "x" (error)` ||
		lines[40] != "DIR/worst.toml: these are the first 20 errors; there may be more (error)" {
		t.Errorf("very many errors: got\n%s", text)
	}
	var w bytes.Buffer
	if err := (&policyCheckCmd{Policies: []string{"parent", "wrong"}, JSON: true}).run(&w); !errors.Is(err, errFindings) {
		t.Error(err)
	}
	var all checkResult
	if err := json.Unmarshal(w.Bytes(), &all); err != nil || len(all.Findings) != 1 || all.Findings[0].Line != 3 ||
		all.Findings[0].Hint != `did you mean "files.read"?` || len(all.Untried) != 1 || all.Untried["parent"] != 1 {
		t.Errorf("JSON: %+v, %v", all, err)
	}
	w.Reset()
	if err := (&policyCheckCmd{Policies: []string{"hopes"}, JSON: true}).run(&w); !errors.Is(err, errFindings) {
		t.Error(err)
	}
	if err := json.Unmarshal(w.Bytes(), &all); err != nil || len(all.Findings) != 2 ||
		all.Findings[0].Rule != "expectation" || all.Untried["hopes"] != 2 {
		t.Errorf("JSON: %+v, %v", all, err)
	}
	w.Reset()
	if err := (&policyCheckCmd{Policies: []string{"kernel"}, JSON: true}).run(&w); err != nil ||
		strings.Join(strings.Fields(w.String()), "") != `{"findings":[],"untried":{}}` {
		t.Errorf("JSON of nothing: %v, %s", err, &w)
	}
	if err := (&policyCheckCmd{Policies: []string{"nobody"}}).run(&w); err == nil || errors.Is(err, errFindings) {
		t.Errorf("a policy that is not there: %v", err)
	}
}

func TestPolicyDiff(t *testing.T) {
	dir := ownPolicies(t, map[string]string{"parent": parentText, "child": childText})
	want := `child additionally allows:
  the machine's net namespace
  read /srv
child no longer allows:
  read /opt
child is neither wider nor narrower than parent
`
	if text := got(t, dir, (&policyDiffCmd{A: "parent", B: "child"}).run); text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
	if text := got(t, dir, (&policyDiffCmd{A: "child", B: "child"}).run); text != "child allows what child does\n" {
		t.Errorf("got\n%s", text)
	}
	text := got(t, dir, (&policyDiffCmd{A: "parent", B: "child", JSON: true}).run)
	var j map[string]any
	if err := json.Unmarshal([]byte(text), &j); err != nil || j["verdict"] != "neither" ||
		len(j["additionally_allows"].([]any)) != 2 || len(j["not_comparable"].([]any)) != 0 {
		t.Errorf("JSON: %s, %v", text, err)
	}
}

func TestPolicySchema(t *testing.T) {
	var j map[string]any
	if err := json.Unmarshal([]byte(got(t, "\x00", (&policySchemaCmd{}).run)), &j); err != nil ||
		j["title"] != "sbx policy, version 1" {
		t.Errorf("%v, %v", j["title"], err)
	}
}
