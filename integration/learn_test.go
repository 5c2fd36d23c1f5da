package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sbx/policy/seccomp"
)

// learnt is a program that a policy is learnt of.
type learnt struct {
	name string
	// files are made in its directory, before it runs, setup is run there by a shell.
	files map[string]string
	setup string
	// script is what is learnt from, and out what it prints at its end.
	script, out string
	flags       []string
	user        bool // it does not run as root
	// host are calls that it makes on the host alone, since it lists /sys there, which no
	// role shows.
	host []string
	// steady says that two runs of it make the same calls.
	steady bool
	quick  bool // it is part of make test
}

// idle waits until a server of python's has ended all its threads: each makes calls of its
// own at its end.
const idle = `until set -- /proc/$!/task/*; [ $# = 1 ]; do sleep 0.1; done; `

// learnts are the programs. Servers are started and asked in one script, in a network of
// the sandbox's own.
var learnts = []learnt{
	{name: "gcc", quick: true, steady: true,
		files:  map[string]string{"a.c": "#include <stdio.h>\nint main(void) { return puts(\"built\") < 0; }\n"},
		script: "gcc -O1 -o a a.c && ./a", out: "built\n"},
	{name: "sqlite3", quick: true, steady: true,
		script: "sqlite3 x.db 'create table t(a); insert into t values (7); select a from t'; rm x.db", out: "7\n"},
	{name: "python", quick: true, files: map[string]string{"site/index.html": "served\n"},
		script: "python3 -m http.server -b 127.0.0.1 -d site 8765 >/dev/null 2>&1 & " +
			"until grep -q ' 0100007F:223D .* 0A ' /proc/net/tcp; do sleep 0.1; done; " + // it listens
			"curl -s http://127.0.0.1:8765/index.html; " + idle + "kill $!",
		out: "served\n"},
	{name: "make", files: map[string]string{
		"Makefile": "prog: a.o b.o\n\tcc -o $@ $^\n%.o: %.c\n\tcc -O1 -c -o $@ $<\n",
		"a.c":      "#include <stdio.h>\nint b(void);\nint main(void) { return printf(\"%d\\n\", b()) < 0; }\n",
		"b.c":      "int b(void) { return 42; }\n",
	}, script: "make -s -j2 && ./prog && rm -f prog a.o b.o", out: "42\n"},
	{name: "nginx", files: map[string]string{
		"nginx.conf": "daemon off;\npid run/pid;\nerror_log stderr;\nevents {}\nhttp {\n access_log off;\n" +
			" client_body_temp_path run/1; proxy_temp_path run/2; fastcgi_temp_path run/3; uwsgi_temp_path run/4;" +
			" scgi_temp_path run/5;\n server { listen 127.0.0.1:8766; root site; }\n}\n",
		"site/index.html": "nginx\n", "run/.keep": "",
	}, setup: "chmod 777 run; chmod -R a+rX .",
		script: "nginx -p $PWD/ -c nginx.conf 2>/dev/null & sleep 1; curl -s http://127.0.0.1:8766/; kill -HUP " +
			"$!; sleep 1;" +
			" curl -s http://127.0.0.1:8766/; kill -QUIT $!; wait $!",
		out: "nginx\nnginx\n"},
	{name: "git", files: map[string]string{"served/.keep": ""},
		setup: "git init -q src && cd src && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m " +
			"first &&" +
			" git clone -q --bare . ../served/src.git && git -C ../served/src.git update-server-info",
		script: "python3 -m http.server -b 127.0.0.1 -d served 8767 >/dev/null 2>&1 & sleep 1;" +
			" git clone -q http://127.0.0.1:8767/src.git copy && git -C copy log --format=%s; " + idle +
			"kill $!; rm -rf copy",
		out: "first\n"},
	{name: "go", files: map[string]string{
		"go.mod":  "module x\n\ngo 1.21\n",
		"main.go": "package main\n\nimport \"fmt\"\n\nfunc main() { fmt.Println(\"gone\") }\n",
	}, script: "GOFLAGS=-buildvcs=false GOTOOLCHAIN=local go build -o x . && ./x && rm x", out: "gone\n"},
	{name: "npm", files: map[string]string{
		"dep/package.json": `{"name": "dep", "version": "1.0.0", "main": "i.js"}`,
		"dep/i.js":         "module.exports = 'required'\n",
		"app/package.json": `{"name": "app", "version": "1.0.0", "dependencies": {"dep": "file:../dep-1.0.0.tgz"}}`,
	},
		setup: "cd dep && npm pack -s --pack-destination .. >/dev/null && cd ../app && npm install -s && rm -rf " +
			"node_modules",
		script: "cd app && npm ci -s --no-audit --no-fund && node -p 'require(\"dep\")'; rm -rf node_modules",
		out:    "required\n"},
	{name: "pip", files: map[string]string{
		"dist/pyproject.toml": "[build-system]\nrequires = ['setuptools']\nbuild-backend = " +
			"'setuptools.build_meta'\n" +
			"[project]\nname = 'wheeled'\nversion = '1'\n[tool.setuptools]\npy-modules = ['wheeled']\n",
		"dist/wheeled.py": "print('wheeled')\n",
	}, setup: "cd dist && python3 -m pip wheel -q --no-build-isolation --no-index -w .. .",
		script: "python3 -m pip install -q --no-index --root-user-action=ignore --disable-pip-version-check " +
			"--target lib " +
			"wheeled-1-py3-none-any.whl && PYTHONPATH=lib python3 -c 'import wheeled'; rm -rf lib", out: "wheeled\n"},
	{name: "ffmpeg", host: []string{"getdents64"},
		script: "ffmpeg -v error -f lavfi -i testsrc=duration=1:size=64x64:rate=5 -y out.mkv && test -s out.mkv " +
			"&& echo video; rm out.mkv",
		out: "video\n"},
	{name: "redis",
		script: "redis-server --port 8768 --bind 127.0.0.1 --save '' --daemonize no >/dev/null & sleep 1;" +
			" redis-cli -p 8768 set a 5; redis-cli -p 8768 get a; redis-cli -p 8768 shutdown nosave; wait $!",
		out: "OK\n5\n"},
	{name: "initdb", user: true,
		script: "$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)/initdb -D data -A trust -U me >/dev/null && " +
			"test -s data/PG_VERSION && echo made; rm -rf data",
		out: "made\n"},
	{name: "postgres", user: true, // a shell, initdb, the server and a client
		script: "P=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1); $P/initdb -D data -A trust -U me >/dev/null &&" +
			" $P/pg_ctl -D data -o \"-k $PWD -p 8769\" -l log -w start >/dev/null && " +
			" psql -h 127.0.0.1 -p 8769 -U me -d postgres -Atc 'select 6*7'; $P/pg_ctl -D data -m fast stop " +
			">/dev/null; rm -rf data log",
		out: "42\n"},
}

// TestLearn learns a policy of each program, runs the program under it, and compares with
// strace.
func TestLearn(t *testing.T) {
	every := os.Getenv("SBX_LEARN") != ""
	for _, c := range learnts {
		if !every && !c.quick || c.user && asRoot() {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			for _, tight := range []bool{false, true} {
				if every || tight {
					c.learn(t, tight)
				}
			}
		})
	}
}

// lay makes the program's directory.
func (c *learnt) lay(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(home(), "learn-"+c.name+"-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range c.files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if c.setup != "" {
		if out, err := c.shell(dir, c.setup).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	return dir
}

func (c *learnt) shell(dir, script string) *exec.Cmd {
	cmd := exec.Command("sh", "-c", script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH=/usr/local/go/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
	return cmd
}

func (c *learnt) run(t *testing.T, dir string, args ...string) result {
	t.Helper()
	args = append(append(append([]string{binary("sbx")}, args...), c.flags...), "--", "sh", "-c", c.script)
	r := run(t, call{args: args, dir: dir, limit: patient(6 * time.Minute), // Go's library is built anew
		env: append(os.Environ(), "PATH=/usr/local/go/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")})
	if r.status != 0 || r.stdout != c.out {
		t.Fatalf("sbx %q: %v", args, r)
	}
	return r
}

func (c *learnt) learn(t *testing.T, tight bool) {
	dir := c.lay(t)
	file := filepath.Join(t.TempDir(), "learned.toml")
	args := []string{"learn", "-o", file}
	if tight {
		args = append(args, "--tight")
	}
	c.run(t, dir, args...)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	r := run(t, call{args: []string{binary("sbx"), "policy", "check", file}, dir: dir})
	for line := range strings.Lines(r.stdout + r.stderr) {
		// That root's program has capabilities, and that it uses a part of ~/.config, is what
		// the check should say.
		known := strings.HasSuffix(line, "(capability)\n") || strings.HasSuffix(line,
			"can only be tried by a run\n") ||
			strings.Contains(line, " ${HOME}/.config, with secrets")
		if !known {
			t.Errorf("%s\n%s", line, data)
		}
	}
	// The lines of [expect] hold, as far as they can be tried here. The program that tries them
	// is in Go, and does what a tight policy for another one denies.
	if r := run(t, call{args: []string{binary("sbx"), "policy", "test", file}, dir: dir}); !tight && r.status != 0 {
		t.Errorf("%v\n%s", r, data)
	}
	if len(denials(t, c.run(t, dir, "--policy", file, "--explain-files", "-v"))) > 0 {
		t.Errorf("%s", data)
	}
	allowed := map[string]bool{}
	r = run(t, call{args: []string{binary("sbx"), "policy", "resolve", "--json", file}, dir: dir})
	var p struct {
		Policy struct {
			Seccomp struct{ Allow []string }
		}
	}
	if err := json.Unmarshal([]byte(r.stdout), &p); err != nil {
		t.Fatalf("%v: %v", err, r)
	}
	for _, e := range p.Policy.Seccomp.Allow {
		list, err := seccomp.Expand(e)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range list {
			allowed[name] = true
		}
	}
	traced := c.traced(t, dir)
	lacks := slices.DeleteFunc(slices.Clone(traced), func(name string) bool {
		return allowed[name] || slices.Contains(triedCalls[:], name) || slices.Contains(nobodysCalls[:], name) ||
			slices.Contains(c.host, name)
	})
	if len(lacks) > 0 {
		t.Errorf("strace has seen %q, and the policy does not allow it:\n%s", lacks, data)
	}
	if !tight {
		return
	}
	// A quarter of what the usual roles allow is left at most, or what the run makes itself.
	native, most := 0, 0
	var unmade []string
	service, err := seccomp.Expand("@system-service")
	if err != nil {
		t.Fatal(err)
	}
	for s := range seccomp.Syscalls() {
		if _, ok := s.Number(seccomp.Native()); !ok {
			continue
		}
		if slices.Contains(service, s.Name()) {
			most++
		}
		if !allowed[s.Name()] {
			continue
		}
		native++
		if !slices.Contains(traced, s.Name()) && !slices.Contains(sometimes[:], s.Name()) {
			unmade = append(unmade, s.Name())
		}
	}
	t.Logf("%d of %d calls are left, and strace has seen %d", native, most, len(traced))
	if native > most/4 && len(unmade) > 0 {
		t.Errorf("%d calls are left of %d, and the run makes no %q", native, most, unmade)
	}
	// The union with a second run has all that the first has, and mostly nothing else.
	again := file + ".again.toml"
	c.run(t, dir, "learn", "-o", again, "--tight", "--merge", file)
	second, err := os.ReadFile(again)
	if err != nil || c.steady && string(second) != string(data) {
		t.Errorf("%v: the second run makes of\n%s\n%s", err, data, second)
	}
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, "  ") && !strings.Contains(string(second), line) {
			t.Errorf("the second run has lost %q:\n%s", line, second)
		}
	}
}

// sometimes are calls that each tight policy has: whether a run makes them is chance, or strace
// does not count them, as they do not return.
var sometimes = [...]string{
	"clock_nanosleep", "execve", "exit", "exit_group", "futex", "nanosleep", "restart_syscall", "rt_sigreturn",
	"rt_sigsuspend", "sched_yield",
}

// triedCalls are those that programs try first, and that sbx answers as an older kernel would.
// To name clone3 in a policy would allow it with all flags, which no filter sees.
var triedCalls = [...]string{"clone3", "io_uring_setup"}

// nobodysCalls are those by which the C library asks systemd for a user without a line in
// /etc/passwd, as the tests run as. In a sandbox there is one.
var nobodysCalls = [...]string{"prctl", "readlinkat"}

// traced are the calls that strace counts.
func (c *learnt) traced(t *testing.T, dir string) (list []string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "strace")
	script := fmt.Sprintf("strace -f -c -S name -U name -o %s sh -c %s", file, quoteShell(c.script))
	cmd := c.shell(dir, script)
	if c.user { // it asks for its user, whom the host does not know
		file = filepath.Join(dir, "strace")
		script = fmt.Sprintf("strace -f -c -S name -U name -o strace sh -c %s", quoteShell(c.script))
		cmd = c.shell(dir, binary("sbx")+" --policy debug -- sh -c "+quoteShell(script))
	}
	if out, err := cmd.Output(); err != nil || string(out) != c.out {
		t.Fatalf("strace: %v: %s", err, out)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		name := strings.TrimSpace(line)
		if _, err := seccomp.LookupSyscall(name); err == nil {
			list = append(list, name)
		}
	}
	if len(list) < 5 {
		t.Fatalf("strace has seen %q", list)
	}
	return list
}

func quoteShell(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// denials are the lines of a report of what was denied, without what is harmless.
func denials(t *testing.T, r result) (list []string) {
	t.Helper()
	report := false
	lines := strings.Split(r.stderr, "\n")
	for i, line := range lines {
		report = report || strings.HasPrefix(line, "sbx: explain:")
		if report && strings.HasPrefix(line, "  ") && !strings.HasPrefix(line, "    ") && i+1 < len(lines) &&
			!strings.Contains(lines[i+1], "harmless: ") {
			list = append(list, line)
		}
	}
	if !report {
		t.Errorf("there is no report: %v", r)
	}
	if len(list) > 0 {
		t.Errorf("denied under the policy that was learnt:\n%s", r.stderr)
	}
	return list
}
