package integration

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// callersLong says that the callers are tried that take packages; see make test-callers.
var callersLong = os.Getenv("SBX_CALLERS") != ""

// callerPrograms start what their arguments say, in the manner of their language: with pipes,
// by a signal, and with a status.
var callerPrograms = map[string]string{
	"rust.rs": `use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
fn command(more: &[&str]) -> Command {
    let args: Vec<String> = std::env::args().skip(1).chain(more.iter().map(|s| s.to_string())).collect();
    let mut c = Command::new(&args[0]);
    c.args(&args[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    c
}
fn main() {
    let mut child = command(&["sh", "-c", "cat; echo e >&2; exit 3"]).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"in").unwrap();
    let out = child.wait_with_output().unwrap();
    println!("{:?} {:?} {:?}", out.stdout, out.stderr, out.status.code());
    let mut child = command(&["cat"]).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"1\n").unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    drop(stdin);
    println!("{:?} {:?}", line, child.wait().unwrap().code());
    let mut child = command(&["sleep", "1000"]).spawn().unwrap();
    child.kill().unwrap();
    println!("{:?}", child.wait().unwrap().signal());
}`,
	"node.js": `const { spawn, spawnSync, execFileSync } = require("child_process");
const run = process.argv.slice(2), args = (...more) => [run.concat(more)[0], run.concat(more).slice(1)];
const r = spawnSync(...args("sh", "-c", "cat; echo e >&2; exit 3"), { input: "in", encoding: "utf8" });
console.log(r.stdout, r.stderr, r.status, r.signal);
console.log(execFileSync(...args("echo", "said"), { encoding: "utf8" }));
try { execFileSync(...args("false"), { stdio: "pipe" }); } catch (e) { console.log(e.status); }
const late = spawnSync(...args("sleep", "1000"), { timeout: 300 });
console.log(late.status, late.signal, late.error.code);
const cat = spawn(...args("cat"));
cat.stdout.once("data", d => { console.log(String(d)); cat.stdin.end(); });
cat.stdin.write("1\n");
cat.on("close", (code, signal) => {
  console.log(code, signal);
  const slow = spawn(...args("sh", "-c", "echo up; exec sleep 1000"));
  slow.stdout.once("data", () => slow.kill("SIGINT"));
  slow.on("exit", (code, signal) => console.log(code, signal));
});`,
}

// same runs a script as it is, and with nothing in the place of RUN.
func same(t *testing.T, script, dir string) {
	t.Helper()
	var results [2]result
	for i, prefix := range []string{"", binary("sbx") + " --policy default -- "} {
		results[i] = run(t, call{args: []string{"bash", "-c", strings.ReplaceAll(script, "RUN ", prefix)}, dir: dir,
			limit: patient(time.Minute)})
		results[i].stderr = "" // shells tell of signals, with the command line
	}
	if results[0] != results[1] || results[0].stdout == "" {
		t.Errorf("%s\nwithout sbx: %v\nwith: %v", script, results[0], results[1])
	}
}

// TestCallersLong: programs in Rust and JavaScript, sudo, su, ssh and cron start sbx as
// they would start its target.
func TestCallersLong(t *testing.T) {
	if !callersLong {
		return
	}
	dir := t.TempDir()
	for name, text := range callerPrograms {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, x := range []struct{ name, build, script string }{
		{"rust", "rustc -o rust rust.rs", "./rust RUN "},
		{"node", "", "node node.js RUN "},
	} {
		t.Run(x.name, func(t *testing.T) {
			if x.build != "" {
				r := run(t, call{args: []string{"bash", "-c", x.build}, dir: dir, limit: patient(5 * time.Minute)})
				if r.status != 0 {
					t.Fatal(r)
				}
			}
			same(t, x.script, dir)
		})
	}
	t.Run("ssh", sshCaller)
	if !asRoot() {
		return // sudo, su and cron want to be root
	}
	for _, as := range []string{"sudo -n -u nobody -- RUN ", "su -s /bin/sh nobody -c 'exec \"$0\" \"$@\"' -- RUN "} {
		name, _, _ := strings.Cut(as, " ")
		t.Run(name, func(t *testing.T) {
			for _, script := range []string{
				as + `sh -c 'id -un; cat; echo $1; exit 5' x "a b" <<<in; echo $?`,
				`printf 'b\na\n' | ` + as + `sort | ` + as + `head -1; echo ${PIPESTATUS[@]}`,
				as + `sh -c 'kill -TERM $$'; echo $?`,
				as + `sh -c 'echo up; exec sleep 1000' >$$.o & until grep -q up $$.o; do sleep .02; done; ` +
					`kill %1; wait $!; echo $?`,
			} {
				same(t, script, shared(t))
			}
		})
	}
	t.Run("cron", cronCaller)
}

// shared is a new directory in which everybody may write.
func shared(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

// sshCaller: a server runs sbx for its client.
func sshCaller(t *testing.T) {
	me, err := user.Current()
	if err != nil || exec.Command("getent", "passwd", me.Uid).Run() != nil {
		if asRoot() {
			t.Fatal(err)
		}
		return // sshd knows no such user; root's is the same server
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	layFile(t, filepath.Join(dir, "config"), fmt.Sprintf("ListenAddress 127.0.0.1:%d\nHostKey %s/host\n"+
		"AuthorizedKeysFile %[2]s/user.pub\nStrictModes no\nUsePAM no\nPidFile none\nPermitRootLogin yes\n", port, dir))
	for _, key := range []string{"host", "user"} {
		r := run(t, call{args: []string{"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, key)}})
		if r.status != 0 {
			t.Fatal(r)
		}
	}
	// It wants a /run/sshd, which the machine need not have.
	server := exec.Command("unshare", "-m", "bash", "-c",
		"mount -t tmpfs -o mode=755 tmpfs /run && mkdir /run/sshd && exec /usr/sbin/sshd -D -e -f "+filepath.Join(dir,
			"config"))
	background(t, server)
	await(t, "the ssh server", func() bool {
		c, err := net.Dial("tcp", l.Addr().String())
		return err == nil && c.Close() == nil
	})
	ssh := fmt.Sprintf("ssh -F none -i %s/user -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null "+
		"-o LogLevel=ERROR -p %d %s@127.0.0.1 cd %s '&&' ", dir, port, me.Username, t.TempDir())
	for _, script := range []string{
		ssh + `RUN sh -c "'echo out; echo err >&2; exit 7'" 2>&1; echo $?`,
		`printf 'b\na\n' | ` + ssh + `RUN sort; echo ${PIPESTATUS[@]}`,
		`head -c 300000 /dev/zero | ` + ssh + `RUN cat | wc -c`,
		ssh + `RUN sh -c "'kill -TERM \$\$'"; echo $?`,
		strings.Replace(ssh, "ssh ", "ssh -tt ", 1) +
			`RUN sh -c "'test -t 0 && tty -s && echo terminal'" </dev/null; echo $?`,
	} {
		same(t, script, t.TempDir())
	}
}

// cronCaller: cron, which starts its jobs with few variables and no terminal, as root and as
// another user.
func cronCaller(t *testing.T) {
	dir := shared(t)
	var table strings.Builder
	jobs := 0
	for _, name := range []string{"root", "nobody"} {
		for kind, prefix := range map[string]string{"plain": "", "sbx": binary("sbx") + " --policy default -- "} {
			jobs++
			fmt.Fprintf(&table, "@reboot %s cd /run/jobs && { %ssh -c 'id -un; ps -o tty= -p $$; pwd | wc -l; cat; exit 3'; "+
				"echo $?; } >%s.%s 2>&1; touch %[3]s.%[4]s.done\n", name, prefix, name, kind)
		}
	}
	layFile(t, filepath.Join(dir, "crontab"), table.String())
	server := exec.Command("unshare", "-m", "bash", "-c",
		`mount -t tmpfs -o mode=755 tmpfs /run && mkdir -m 777 /run/jobs &&
mount --bind "$1" /run/jobs && mount -t tmpfs tmpfs /var/spool/cron && mkdir /var/spool/cron/crontabs &&
mount -t tmpfs -o mode=755 tmpfs /etc/cron.d && cp "$1"/crontab /etc/cron.d/jobs && chmod 644 /etc/cron.d/jobs &&
mount --bind /dev/null /etc/crontab && exec cron -f`, "bash", dir)
	background(t, server)
	await(t, "the jobs", func() bool {
		done, err := filepath.Glob(filepath.Join(dir, "*.done"))
		return err == nil && len(done) == jobs
	})
	for _, name := range []string{"root", "nobody"} {
		plain, sbx := readFile(t, filepath.Join(dir, name+".plain")), readFile(t, filepath.Join(dir, name+".sbx"))
		if plain != sbx || !strings.HasPrefix(plain, name+"\n") || !strings.HasSuffix(plain, "3\n") {
			t.Errorf("%s: without sbx %q, with %q", name, plain, sbx)
		}
	}
}
