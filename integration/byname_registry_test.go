package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// netJob is what a program does in a world with registries, under a role, as it is typed: no
// variable names a proxy, an index or a host.
type netJob struct {
	name  string
	small bool              // it is part of make test
	as    string            // it is for one of the callers
	files map[string]string // of the project
	flags []string          // of sbx
	run   string            // what is run in it, by sh -ec
	want  string            // what that prints at its end
	stays string            // what a file has afterwards: "file: content"
	keys  bool              // an agent of ssh has a key for the server
	ca    bool              // the project has the authority's certificate
}

// sshGit has the server's key from the project, as a known_hosts that --read shows would say it.
const sshGit = "git -c core.sshCommand='ssh -o UserKnownHostsFile=known -o StrictHostKeyChecking=yes' "

const (
	packageJSON = `{"name":"app","dependencies":{"left-test":"^1.0.0"}}`
	mainRs      = "fn main() { println!(\"{}\", left_crate::left()) }\n"
	cargoToml   = "[package]\nname = \"app\"\nversion = \"1.0.0\"\n[dependencies]\nleft-crate = \"1\"\n"
)

// netJobs are the programs, each with the role that is for it.
var netJobs = []netJob{
	{name: "curl", small: true, flags: []string{"--host", "api.example.com:443"},
		run: "curl -sS https://api.example.com/v1/messages", want: "an answer\n"},
	{name: "git over https", small: true, flags: []string{"-p", "git"},
		run: "git clone -q https://github.com/repo.git r && cat r/file", want: "content\n", stays: "r/file: content\n"},
	{name: "git over ssh", as: "user", flags: []string{"-p", "git", "--read", "~/.ssh/known_hosts"}, keys: true,
		run: "git clone -q root@github.com:repo.git r && cat r/file; ls ~/.ssh", want: "content\nknown_hosts\n"},
	{name: "git push over ssh", flags: []string{"-p", "git"}, keys: true,
		run: sshGit + "clone -q root@github.com:pushed.git r && cp known r && cd r && " +
			"git -c user.name=a -c user.email=b commit -q --allow-empty -m pushed && " +
			sshGit + "push -q origin HEAD:refs/heads/$(id -u) && git log -1 --format=%s",
		want: "pushed\n"},
	{name: "git over ssh, told the server's key", flags: []string{"-p", "git"}, keys: true,
		run:  sshGit + "clone -q root@github.com:repo.git r && cat r/file; ls ~/.ssh 2>&1 || true",
		want: "content\nls: cannot access 'HOME/.ssh': No such file or directory\n"},
	{name: "fetch with --host", flags: []string{"-p", "fetch", "--host", "api.example.com:443"},
		run:  "curl -sS -o got https://api.example.com/v1/messages; cat got; getent hosts github.com || echo no other",
		want: "an answer\nno other\n", stays: "got: an answer\n"},
	{name: "wget", flags: []string{"--host", "api.example.com:443"},
		run: "wget -qO- https://api.example.com/v1/messages", want: "an answer\n"},
	{name: "nc", flags: []string{"--host", "a.example:80"},
		run:  `printf 'GET / HTTP/1.0\r\nHost: a.example\r\n\r\n' | nc -N a.example 80 | tail -n 1`,
		want: "hello from a.example\n"},
	{name: "name servers' clients", flags: []string{"--host", "a.example:80"},
		run: "test $(dig +short a.example A) = $(getent ahostsv4 a.example | awk '{ print $1; exit }'); " +
			"dig +short b.example; host a.example >/dev/null && ! host b.example >/dev/null && " +
			"test -n \"$(dig +short @127.0.0.53 a.example A)\" && echo done", // where systemd-resolved answers on hosts
		want: "done\n"},
	{name: "python", flags: []string{"--host", "api.example.com:443"}, run: "/usr/bin/python3 -c '" +
		"import urllib.request as u; print(u.urlopen(\"https://api.example.com/v1/messages\").read().decode(), end=\"\")'",
		want: "an answer\n"},
	{name: "node", flags: []string{"--host", "a.example:80"}, run: "node -e '" +
		"fetch(\"http://a.example/\").then(r => r.text()).then(s => process.stdout.write(s))'",
		want: "hello from a.example\n"},
	{name: "node's own resolver", flags: []string{"--host", "a.example:80"}, run: "node -e '" +
		"require(\"dns\").resolve4(\"a.example\", (e, a) => require(\"http\").get({host: a[0], " +
		"headers: {host: \"a.example\"}}, r => r.pipe(process.stdout)))'", want: "hello from a.example\n"},
	{name: "java", flags: []string{"--host", "a.example:80"}, files: map[string]string{"Fetch.java": javaFetch},
		run: "java Fetch.java http://a.example/", want: "hello from a.example\nhello from a.example\n"},

	{name: "node by https", flags: []string{"-p", "fetch", "--host", "api.example.com:443"}, run: "node -e '" +
		"const u = \"https://api.example.com/v1/messages\"; fetch(u).then(r => r.text()).then(s => { " +
		"process.stdout.write(s); require(\"https\").get(u, r => r.pipe(process.stdout)) })'",
		want: "an answer\nan answer\n"},
	{name: "java by https", flags: []string{"--host", "api.example.com:443"}, ca: true,
		files: map[string]string{"Fetch.java": javaFetch},
		run: "keytool -importcert -noprompt -file ca.pem -keystore /tmp/trusted -storepass changeit 2>/tmp/log; " +
			"java -Djavax.net.ssl.trustStore=/tmp/trusted -Djavax.net.ssl.trustStorePassword=changeit " +
			"Fetch.java https://api.example.com/v1/messages",
		want: "an answer\nan answer\n"},
	{name: "a static Go program by https", flags: []string{"--read", "../fetch", "--host", "api.example.com:443"},
		run: "../fetch https://api.example.com/v1/messages", want: "an answer\n"},

	{name: "npm", flags: []string{"-p", "npm"}, files: map[string]string{"package.json": packageJSON},
		run: "npm install --no-audit --no-fund --loglevel=error >log && node -p 'require(\"left-test\")'; " +
			"cat node_modules/left-test/installed",
		want: "from the registry\nstolen: cat: ../../../secret.txt: No such file or directory " +
			"cat: HOME/.ssh/id_test: No such file or directory\n",
		stays: "node_modules/left-test/i.js: module.exports = 'from the registry'\n"},
	{name: "pip", flags: []string{"-p", "pip"},
		run: "/usr/bin/python3 -m venv .venv && .venv/bin/pip install -q --disable-pip-version-check pytest-left && " +
			".venv/bin/python -c 'import pytest_left'", want: "from the index\n"},
	{name: "cargo", flags: []string{"-p", "cargo", "--env", "RUSTC_BOOTSTRAP=1"}, // what cargo before 1.70 takes for it
		files: map[string]string{"Cargo.toml": cargoToml, "src/main.rs": mainRs,
			".cargo/config.toml": "[unstable]\nsparse-registry = true\n"},
		run: "/usr/bin/cargo run -q", want: "from the index\n"},
	{name: "cargo of before 1.70", flags: []string{"-p", "cargo", "--host", "github.com"},
		files: map[string]string{"Cargo.toml": cargoToml, "src/main.rs": mainRs},
		run:   "/usr/bin/cargo run -q", want: "from the index\n"},
	{name: "go", flags: []string{"-p", "go"}, files: map[string]string{
		"go.mod": "module app\n\ngo 1.21\n\nrequire left.test/module v1.0.0\n",
		"a.go":   "package app\n\nimport _ \"left.test/module\"\n"},
		run: "go mod tidy 2>log; go mod vendor && tail -n 1 vendor/left.test/module/left.go", want: "const Left = 1\n"},

	{name: "agent", flags: []string{"-p", "agent", "--host", "api.example.com", "--env", "API_KEY"},
		files: map[string]string{"package.json": packageJSON,
			"go.mod": "module app\n\ngo 1.21\n\nrequire left.test/module v1.0.0\n", ".gitignore": "node_modules\nlog\n.npm\n"},
		run: "curl -sS -H \"Authorization: Bearer $API_KEY\" https://api.example.com/v1/messages; npm install --no-audit " +
			"--no-fund --loglevel=error >log; go mod download left.test/module; git add -A; " +
			"git -c user.name=a -c user.email=a@b commit -qm 'by an agent'; git log --format=%s; cat ../secret.txt 2>&1 || true",
		want: "an answer\nby an agent\ncat: ../secret.txt: No such file or directory\n"},
	{name: "worker", flags: []string{"-p", "worker", "--host", "queue.example.com"}, files: map[string]string{
		"work.py": "import urllib.request as u\n" +
			"print(u.urlopen('https://queue.example.com/jobs').read().decode(), end='')\n" +
			"try:\n  open('x', 'w')\nexcept OSError as e: print(e.strerror)\n"},
		run: "/usr/bin/python3 work.py", want: "a job\nRead-only file system\n"},
	{name: "browser", flags: []string{"-p", "browser", "--host", "a.example:80"},
		run: "chromium --headless --no-sandbox --disable-gpu --dump-dom http://a.example/ 2>/dev/null | " +
			"grep -o 'hello from a.example'",
		want: "hello from a.example\n"},
}

const goFetch = `package main

import (
	"io"
	"net/http"
	"os"
)

func main() {
	r, err := http.Get(os.Args[1])
	if err != nil {
		panic(err)
	}
	io.Copy(os.Stdout, r.Body)
}
`

const javaFetch = `import java.net.*;
import java.net.http.*;
class Fetch {
	public static void main(String[] a) throws Exception {
		URI u = URI.create(a[0]);
		System.out.write(u.toURL().openStream().readAllBytes());
		System.out.flush();
		HttpRequest q = HttpRequest.newBuilder(u).build();
		System.out.print(HttpClient.newHttpClient().send(q, HttpResponse.BodyHandlers.ofString()).body());
	}
}
`

// TestByNameRegistries: package managers, git, agents and others work as they are under
// their roles, with servers that have the names of the public ones; and what packages run
// while they are installed reaches neither other files nor other hosts.
func TestByNameRegistries(t *testing.T) {
	if os.Getuid() != 0 || guestFacts != "" {
		return // root's run has done it for the user, too; a guest has not all the programs
	}
	all := os.Getenv("SBX_NETWORK") != "" // make test-network
	layRepository(t)
	layIndex(t)
	push := exec.Command("git", "clone", "-q", "--bare", "repo.git", "pushed.git")
	push.Dir = filepath.Join(base, "git")
	if out, err := push.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	r := newRegistries(t)
	ssh := sshServer{dir: filepath.Join(base, "ssh")}
	serve := []func(*testing.T, *world){r.serve}
	if all {
		serve = append(serve, ssh.serve)
		buildFetch(t)
	}
	onceInWorld(t, func(t *testing.T, w *world) {
		r.trust(t)
		for as, attr := range callers() {
			home := filepath.Join(base, as, "net-home")
			layHome(t, home, attr, r)
			if all {
				layFile(t, filepath.Join(home, "fetch"), readFile(t, filepath.Join(base, "bin", "fetch")))
				if err := os.Chmod(filepath.Join(home, "fetch"), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			for _, j := range netJobs {
				if (all || j.small) && (j.as == "" || j.as == as) {
					j.do(t, as, home, attr, &ssh)
				}
			}
		}
		if n := r.calls("evil.example.com") + w.questions("evil.example.com"); n > 0 {
			t.Errorf("%d came to a host that no role names", n)
		}
		if all && !slices.Contains(r.keys, "Bearer key-of-the-model") {
			t.Errorf("the model has not got its key: %q", r.keys)
		}
	}, serve...)
}

// buildFetch makes a program of Go's with a resolver of its own and no C library.
func buildFetch(t *testing.T) {
	t.Helper()
	source := filepath.Join(t.TempDir(), "fetch.go")
	layFile(t, source, goFetch)
	cmd := exec.Command("go", "build", "-o", filepath.Join(base, "bin", "fetch"), source)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// layIndex makes the index of crates.io that cargo cloned from GitHub before 1.70.
func layIndex(t *testing.T) {
	t.Helper()
	r := newRegistries(t)
	dir := filepath.Join(base, "git", "rust-lang")
	for name, text := range map[string]string{
		"config.json":      string(r.pages["index.crates.io/config.json"]),
		"le/ft/left-crate": string(r.pages["index.crates.io/le/ft/left-crate"]),
	} {
		layFile(t, filepath.Join(dir, "w", name), text)
	}
	cmd := exec.Command("sh", "-c", `set -e; cd "$1/w"; git init -q .; git add -A
git -c user.name=a -c user.email=b commit -qm c; git clone -q --bare . "$1/crates.io-index"`, "sh", dir)
	cmd.Env = append(os.Environ(), "HOME=/nonexistent")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func layFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// layHome makes a caller's home: a key that nobody is to have, and files that say where
// packages come from, since what the public ones vouch for cannot be forged.
func layHome(t *testing.T, home string, attr *syscall.SysProcAttr, r *registries) {
	t.Helper()
	layFile(t, filepath.Join(home, ".ssh/id_test"), "a key\n")
	layFile(t, filepath.Join(home, ".config/go/env"), "GONOSUMDB=left.test/*\n")
	layFile(t, filepath.Join(home, "secret.txt"), "a secret\n")
	// node trusts the authorities that it was built with.
	layFile(t, filepath.Join(home, "ca.pem"), string(r.ca))
	chownAll(t, home, attr)
}

func chownAll(t *testing.T, dir string, attr *syscall.SysProcAttr) {
	t.Helper()
	if attr == nil {
		return
	}
	err := filepath.WalkDir(dir, func(name string, _ os.DirEntry, err error) error {
		if err == nil {
			err = os.Lchown(name, testUser, testUser)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// do does the job in a project of its own.
func (j *netJob) do(t *testing.T, as, home string, attr *syscall.SysProcAttr, ssh *sshServer) {
	dir := filepath.Join(home, "project "+j.name)
	layFile(t, filepath.Join(dir, "readme"), "")
	for name, text := range j.files {
		layFile(t, filepath.Join(dir, name), text)
	}
	if slices.Contains(j.flags, "npm") || slices.Contains(j.flags, "agent") {
		layFile(t, filepath.Join(dir, "ca.pem"), readFile(t, filepath.Join(home, "ca.pem")))
		layFile(t, filepath.Join(dir, ".npmrc"), "cafile=ca.pem\n")
	}
	if j.ca {
		layFile(t, filepath.Join(dir, "ca.pem"), readFile(t, filepath.Join(home, "ca.pem")))
	}
	flags := j.flags
	if slices.Contains(j.flags, "agent") {
		if out, err := exec.Command("git", "init", "-q", dir).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	env := withValues(userEnv(), "HOME="+home, "API_KEY=key-of-the-model",
		"NODE_EXTRA_CA_CERTS="+filepath.Join(home, "ca.pem"))
	if j.keys {
		socket := ssh.agent(t, home, attr)
		env = withValues(env, "SSH_AUTH_SOCK="+socket)
		flags = append(slices.Clone(flags), "--socket", socket, "--env", "SSH_AUTH_SOCK")
		server := "github.com " + readFile(t, filepath.Join(ssh.dir, "host.pub"))
		layFile(t, filepath.Join(dir, "known"), server)
		layFile(t, filepath.Join(home, ".ssh/known_hosts"), server)
	}
	chownAll(t, dir, attr)
	args := append(append([]string{binary("sbx")}, flags...), "--", "sh", "-ec", j.run)
	res := run(t, call{args: args, dir: dir, env: env, attr: attr, limit: patient(90 * time.Second)})
	if want := strings.ReplaceAll(j.want, "HOME", home); res.status != 0 || res.stdout != want {
		t.Errorf("%s, as %s: want %q\n%v", j.name, as, want, res)
	}
	if name, text, ok := strings.Cut(j.stays, ": "); ok {
		if got := readFile(t, filepath.Join(dir, name)); got != text {
			t.Errorf("%s, as %s: %s is %q", j.name, as, name, got)
		}
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Error(err)
	}
	return string(data)
}
