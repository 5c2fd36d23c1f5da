package integration

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestByNameLoad is what takes long of connections by name, for "make test-network": a
// server that does not read, many idle connections, and sbx killed at any moment.
func TestByNameLoad(t *testing.T) {
	if os.Getenv("SBX_NETWORK") == "" {
		return // make test-network
	}
	inWorld(t, func(t *testing.T, w *world, try func([]string, ...string) result) {
		attempts(t, try, []string{"--host", "a.example:11"}, "stuff=a.example:11", "ok")
	})
	onceInWorld(t, func(t *testing.T, w *world) {
		for as, attr := range callers() {
			idleConnections(t, w, as, attr)
			for after := time.Millisecond; after < 80*time.Millisecond; after += time.Millisecond {
				killedAfter(t, w, as, attr, after)
			}
		}
	})
}

// startByName starts sbx with the probe, which is to reach one host.
func startByName(
	t *testing.T, as string, attr *syscall.SysProcAttr, host, attempt string,
) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	var a syscall.SysProcAttr
	if attr != nil {
		a = *attr
	}
	cmd := exec.Command(binary("sbx"), "--read", binary("probe"), "--host", host, "--", binary("probe"), "byname",
		attempt)
	cmd.Dir, cmd.Env, cmd.SysProcAttr = filepath.Join(base, as), userEnv(), &a
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewReader(out)
}

// idleConnections: 1,000 of them take 3 MB of the launcher, and no processor time; and the
// host asks whether their peers are still there.
func idleConnections(t *testing.T, w *world, as string, attr *syscall.SysProcAttr) {
	t.Helper()
	var memory [2]int
	for i, count := range [...]int{1, 1000} {
		cmd, said := startByName(t, as, attr, serverAddr+":9", "many="+serverAddr+":9/"+strconv.Itoa(count))
		if line, err := said.ReadString('\n'); line != "held\n" {
			t.Fatalf("as %s: %q, %v", as, line, err)
		}
		for before := time.Now(); w.held.Load() < int64(count) && time.Since(before) < 20*time.Second; {
			time.Sleep(time.Millisecond)
		}
		memory[i] = statusField(t, cmd.Process.Pid, "VmRSS:")
		before := threadTime(t, cmd.Process.Pid)
		time.Sleep(2 * time.Second)
		if used := threadTime(t, cmd.Process.Pid) - before; used > 20*time.Millisecond {
			t.Errorf("as %s: %d idle connections take %v of 2 s", as, count, used)
		}
		if i == 0 && !keepsAlive(t) {
			t.Errorf("as %s: the host does not ask whether the peer is there", as)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // it was killed
		for range count {
			<-w.ended
		}
		w.held.Store(0)
	}
	if more := memory[1] - memory[0]; more > 3<<10 {
		t.Errorf("as %s: 1,000 idle connections take %d kB", as, more)
	}
}

// killedAfter: whenever sbx is killed, its connections end, and what it started.
func killedAfter(t *testing.T, w *world, as string, attr *syscall.SysProcAttr, after time.Duration) {
	t.Helper()
	cmd, said := startByName(t, as, attr, serverAddr+":9", "again="+serverAddr+":9")
	time.Sleep(after)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := waitEnd(said); err != nil { // the last process inside has ended
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	for ended := int64(0); ; ended++ {
		select {
		case <-w.ended:
			continue
		case <-time.After(300 * time.Millisecond):
		}
		if n := w.held.Swap(0); n != ended {
			t.Errorf("as %s, killed after %v: of %d connections %d have ended", as, after, n, ended)
		}
		return
	}
}

func statusField(t *testing.T, pid int, name string) int {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == name {
			n, err := strconv.Atoi(f[1])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("no %s of %d", name, pid)
	return 0
}

// threadTime is what all threads of a process have used of the processor.
func threadTime(t *testing.T, pid int) (d time.Duration) {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(files) == 0 {
		t.Fatalf("the threads of %d: %v", pid, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		f := strings.Fields(string(data))
		if err != nil || len(f) == 0 {
			t.Fatal(err)
		}
		n, err := strconv.ParseInt(f[0], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		d += time.Duration(n)
	}
	return d
}

// keepsAlive says whether the host's connection to the server has a timer for that.
func keepsAlive(t *testing.T) bool {
	t.Helper()
	data, err := os.ReadFile("/proc/thread-self/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	const server, established, timer = "507100CB:0009", "01", "02:" // 203.0.113.80:9
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		if len(f) > 5 && f[2] == server && f[3] == established && strings.HasPrefix(f[5], timer) {
			return true
		}
	}
	return false
}
