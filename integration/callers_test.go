package integration

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestCallers: programs that start others get from sbx what they would get from its target.
// Each script is run as it is, and with nothing in the place of RUN.
func TestCallers(t *testing.T) {
	t.Parallel()
	for _, x := range []struct{ name, script string }{
		{"nohup", `nohup RUN sh -c 'kill -HUP $$; echo survived' 2>&1; echo $?`},
		{"nohup in the background", `nohup RUN sh -c 'echo in; sleep .3; echo survived' >o 2>&1 &
until grep -q in o 2>/dev/null; do sleep .02; done; kill -HUP $!; wait $!; echo $?; cat o`},
		{"timeout", `timeout .3 RUN sleep 1000; echo $?`},
		{"timeout with a signal", `timeout -s USR1 .3 RUN sh -c 'trap "echo told; exit 7" USR1; while :; do sleep .02; done'
echo $?`},
		{"timeout that is not heeded", `timeout -k .2 .3 RUN sh -c 'trap "" TERM; while :; do sleep .02; done'; echo $?`},
		{"timeout with the status", `timeout --preserve-status .3 RUN sh -c 'trap "exit 3" TERM; while :; do sleep .02; done'
echo $?`},
		{"setsid", `setsid -w RUN sh -c 'echo in; exit 5'; echo $?`},
		{"xargs", `seq 20 | xargs -P 4 -n 1 RUN sh -c 'echo $0; exit $(($0 == 7))' | sort -n; echo ${PIPESTATUS[1]}`},
		{"xargs that is told to stop",
			`seq 3 | xargs -n 1 RUN sh -c 'echo $0; [ $0 = 2 ] && exit 255; exit 0' 2>/dev/null; echo $?`},
		{"find -exec", `mkdir d; touch d/a d/b; find d -type f -exec RUN echo found {} \; | sort; find d -exec RUN false {} +
echo $?; find d -name a -exec RUN true \; -print`},
		{"make", `printf 'all: a b\n\techo done\na b:\n\t@RUN sh -c "echo $@; exit 0"\nbad:\n\tRUN sh -c "exit 4"\n' >Makefile
make -s | sort; make -s bad 2>/dev/null; echo $?`},
		{"process substitution",
			`RUN cat <(echo one) <(echo two); RUN diff <(echo a) <(echo b); echo $?; echo x > >(RUN cat); wait`},
		{"pipes", `yes | RUN head -3; echo ${PIPESTATUS[@]}; RUN sh -c 'echo a; exit 3' | RUN cat; echo ${PIPESTATUS[@]}`},
		{"a closed pipe", `RUN yes | head -1; echo ${PIPESTATUS[0]}`},
		{"command substitution", `x=$(RUN printf 'a\n\n'); echo "$x$?"; y=$(RUN sh -c 'exit 9'); echo $?`},
		{"exec", `exec RUN sh -c 'echo instead; exit 6'`},
		{"wait", `RUN sh -c 'exit 3' & a=$!; RUN sleep 1000 & b=$!; wait $a; echo $?; kill $b; wait $b; echo $?`},
		{"here document", "RUN cat <<X\nline\nX"},
		{"read loop", `printf 'a\nb\nc\n' >f; while read x; do echo $x; RUN sh -c 'read y; echo "($y)"'; done <f`},
		{"env", `env -i PATH="$PATH" HOME="$HOME" RUN sh -c 'echo ${USER-none}'; echo $?`},
		{"nice", `nice -n 5 RUN nice`},
		{"umask", `umask 027; RUN sh -c umask`},
		{"time", `TIMEFORMAT=; time RUN false; echo $?`},
		{"python", `python3 -c 'import subprocess, signal
p = subprocess.run("RUN sh -c".split() + ["cat; echo e >&2; exit 3"], input=b"in", capture_output=True)
print(p.stdout, p.stderr, p.returncode)
p = subprocess.Popen("RUN sleep 1000".split())
p.terminate(); print(p.wait())
p = subprocess.Popen("RUN cat".split(), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
p.stdin.write(b"1\n"); p.stdin.flush(); print(p.stdout.readline()); p.stdin.close(); print(p.wait())
try: subprocess.run("RUN sleep 1000".split(), timeout=.3)
except subprocess.TimeoutExpired: print("timeout")'`},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			results := make([]result, 2)
			for i, prefix := range []string{"", binary("sbx") + " --policy default --"} {
				dir := t.TempDir()
				script := strings.ReplaceAll(x.script, "RUN ", strings.TrimLeft(prefix+" ", " "))
				results[i] = run(t, call{args: []string{"bash", "-c", script}, dir: dir})
			}
			// Shells tell of signals, with the command line.
			results[0].stderr, results[1].stderr = "", ""
			if results[0] != results[1] {
				t.Errorf("without sbx: %v\nwith: %v", results[0], results[1])
			}
		})
	}
}

// TestCalledByGo: os/exec gets from sbx what it would get from its target.
func TestCalledByGo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	said := func(prefix ...string) (lines []string) {
		say := func(values ...any) { lines = append(lines, fmt.Sprint(values...)) }
		command := func(args ...string) *exec.Cmd {
			args = append(slices.Clone(prefix), args...)
			cmd := exec.Command(args[0], args[1:]...)
			cmd.Dir, cmd.Env = dir, userEnv()
			return cmd
		}
		var stderr strings.Builder
		cmd := command("sh", "-c", "cat; echo e >&2; exit 3")
		cmd.Stdin, cmd.Stderr = strings.NewReader("in"), &stderr
		out, err := cmd.Output()
		say(string(out), stderr.String(), err)
		cmd = command("cat")
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		from, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.WriteString(in, "1\n")
		line, readErr := bufio.NewReader(from).ReadString('\n')
		say(line, err, readErr, in.Close(), cmd.Wait())
		cmd = command("sleep", "1000")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		say(cmd.Process.Signal(syscall.SIGTERM), cmd.Wait())
		return lines
	}
	plain, inside := said(), said(binary("sbx"), "--policy", "default", "--")
	if !slices.Equal(plain, inside) {
		t.Errorf("without sbx: %q\nwith: %q", plain, inside)
	}
}

// TestJobserver: a make in a sandbox takes part in the jobs of the one that runs it.
func TestJobserver(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	makefile := "all:\n\t+@RUN $(MAKE) -s -f inner\n"
	inner := "all: a b c d\na b c d:\n\t@echo start >>log; sleep .2; echo end >>log\n"
	for name, text := range map[string]string{"inner": inner,
		"Makefile": strings.ReplaceAll(makefile, "RUN", binary("sbx")+" --policy build --write . --")} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r := run(t, call{args: []string{"make", "-s", "-j", "2"}, dir: dir})
	log, err := os.ReadFile(filepath.Join(dir, "log"))
	if r.status != 0 || err != nil {
		t.Fatalf("%v\n%v", r, err)
	}
	running, most := 0, 0
	for line := range strings.Lines(string(log)) {
		if line == "start\n" {
			running++
		} else {
			running--
		}
		most = max(most, running)
	}
	if most != 2 || running != 0 || r.stderr != "" {
		t.Errorf("%d at once\n%s%v", most, log, r)
	}
}

// TestCalledAsAnotherUser: su runs sbx as another user, who is restricted as ever.
func TestCalledAsAnotherUser(t *testing.T) {
	if !asRoot() {
		return
	}
	t.Parallel()
	cmd := exec.Command("su", "-s", "/bin/sh", "-c", binary("sbx")+
		" --policy default -- sh -c 'id -un; cat /etc/shadow; exit 3'", "nobody")
	cmd.Dir, cmd.Env = "/", userEnv()
	out, err := cmd.CombinedOutput()
	if status, _ := exitStatus(err); status != 3 || !strings.HasPrefix(string(out), "nobody\n") ||
		strings.Contains(string(out), "root:") {
		t.Errorf("%v\n%s", err, out)
	}
	// From a directory that the user cannot read.
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	r := run(t, call{args: []string{"su", "-s", "/bin/sh", "-c", binary("sbx") + " -- sh -c 'echo ran; ls -d " +
		dir + "'", "nobody"}, dir: dir})
	if r.stdout != "ran\n" || r.status != 2 {
		t.Error(r)
	}
}
