package sandbox_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sbx/internal/fdtest"
	"sbx/sandbox"
)

// callerState is what of this process a sandbox must leave alone.
func callerState(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	fmt.Fprintln(&b, "dumpable", dumpable, err)
	for fd := range 3 {
		var st unix.Stat_t
		err := unix.Fstat(fd, &st)
		flags, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		fmt.Fprintln(&b, "descriptor", fd, st.Dev, st.Ino, flags, err)
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		for _, name := range []string{"SigIgn", "SigCgt", "Cap", "NoNewPrivs", "Seccomp", "Uid", "Gid", "Umask"} {
			if strings.HasPrefix(line, name) {
				b.WriteString(line)
			}
		}
	}
	dir, err := os.Getwd()
	fmt.Fprintln(&b, dir, err, len(os.Environ()), crc32.ChecksumIEEE([]byte(strings.Join(os.Environ(), "\x00"))))
	return b.String()
}

func threads(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// TestMain runs this binary as a program that uses the package, so that nothing else goes
// on in it.
func TestMain(m *testing.M) {
	if os.Getenv("SANDBOX_CALLER") != "" {
		os.Args = []string{os.Args[0], "-test.run=^TestAsCaller$", "-test.v"}
	}
	flag.Parse()
	if testing.Short() && os.Getenv("SBX_MUST_WORK") == "" {
		if err := flag.Set("test.run", "^Test"); err != nil { // examples start sandboxes
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// asCaller runs TestAsCaller's part of that name in a process of its own.
func asCaller(t *testing.T, part string) {
	t.Helper()
	t.Parallel()
	shipped(t, "pure")
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "SANDBOX_CALLER="+part)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	t.Logf("%s", out)
	if err != nil || !strings.Contains(string(out), "--- PASS: TestAsCaller") || stderr.Len() != 0 {
		t.Errorf("%v, standard error %q", err, stderr.String())
	}
}

// TestCallerIsLeftAlone: threads, signal handlers, environment, descriptors 0 to 2 and the
// dumpable flag stay, nothing is written to standard error, and no descriptor stays open.
func TestCallerIsLeftAlone(t *testing.T) { asCaller(t, "alone") }

// TestManyAtOnce: sandboxes of many goroutines do not meet.
func TestManyAtOnce(t *testing.T) { asCaller(t, "many") }

// TestLargeCaller: the init of a large caller does not hold on to its memory. It is of 256
// MB, or of as many as SBX_CALLER_MB says.
func TestLargeCaller(t *testing.T) { asCaller(t, "large") }

// TestAsCaller is what asCaller runs.
func TestAsCaller(t *testing.T) {
	switch os.Getenv("SANDBOX_CALLER") {
	case "alone":
		callerAlone(t)
	case "many":
		callerMany(t)
	case "large":
		callerLarge(t)
	}
}

func callerAlone(t *testing.T) {
	p := shipped(t, "default")
	usr1 := make(chan os.Signal, 1)
	signal.Notify(usr1, unix.SIGUSR1)
	signal.Notify(make(chan os.Signal, 1), unix.SIGTERM, unix.SIGCHLD)
	if err := sandbox.Command(p, "true").Run(); err != nil { // what is opened once and kept
		t.Fatal(err)
	}
	before, fds, tasks := callerState(t), fdtest.Count(t), threads(t)
	for _, script := range []string{"exit 0", "exit 3", "(sleep .05; kill -CONT $$) & kill -STOP $$; exit 1", "kill -9 $$",
		"sleep 100 & exit 0"} {
		c := sandbox.Command(p, "sh", "-c", script)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		if now := callerState(t); now != before {
			t.Errorf("%s: while it runs\n%s\nbefore\n%s", script, now, before)
		}
		if err := c.Wait(); err != nil && !errors.As(err, new(*sandbox.ExitError)) {
			t.Errorf("%s: %v", script, err)
		}
		if now := callerState(t); now != before {
			t.Errorf("%s: afterwards\n%s\nbefore\n%s", script, now, before)
		}
	}
	for _, wrong := range []string{"no-such-program", "/etc/passwd"} {
		if err := sandbox.Command(p, wrong).Run(); err == nil {
			t.Errorf("%s was run", wrong)
		}
	}
	if n := fdtest.Count(t); n != fds {
		t.Errorf("%d descriptors are open, %d were", n, fds)
	}
	time.Sleep(50 * time.Millisecond) // a thread that ends
	if n := threads(t); n > tasks+4 {
		t.Errorf("%d threads, there were %d", n, tasks)
	}
	if err := unix.Kill(os.Getpid(), unix.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	<-usr1
	var ws unix.WaitStatus
	if _, err := unix.Wait4(-1, &ws, unix.WNOHANG, nil); err != unix.ECHILD {
		t.Errorf("a child is left: %v", err)
	}
}

func callerMany(t *testing.T) {
	p := shipped(t, "pure")
	filters, err := sandbox.Compile(p)
	if err != nil {
		t.Fatal(err)
	}
	n := 40
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			c := sandbox.Command(p, "sh", "-c", "cat; exit $1", "sh", strconv.Itoa(i))
			c.Filters = filters
			c.Stdin = strings.NewReader(strings.Repeat(strconv.Itoa(i)+"\n", 1000))
			out, err := c.CombinedOutput()
			if string(out) != strings.Repeat(strconv.Itoa(i)+"\n", 1000) || c.ProcessState.ExitCode() != i {
				t.Errorf("%d: %d bytes, %v", i, len(out), err)
			}
		})
		group.Go(func() {
			if out, err := exec.Command("echo", strconv.Itoa(i)).Output(); err != nil || string(out) != strconv.Itoa(i)+"\n" {
				t.Errorf("os/exec beside it: %q, %v", out, err)
			}
		})
	}
	group.Wait()
}

// large is the memory of callerLarge.
var large []byte

func callerLarge(t *testing.T) {
	p := shipped(t, "pure")
	size := int64(256 << 20)
	if s := os.Getenv("SBX_CALLER_MB"); s != "" {
		mb, err := strconv.ParseInt(s, 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		size = mb << 20
	}
	if free := availableMemory(t); free < 2*size {
		t.Fatalf("%d MB of memory are available, too few to tell", free>>20)
	}
	large = make([]byte, size)
	touch := func(x byte) {
		for i := 0; i < len(large); i += 4096 {
			large[i] = x
		}
	}
	touch(1)
	c := sandbox.Command(p, "sh", "-c", "echo; exec sleep 1000")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	init := parentOf(t, c.Process.Pid)
	before := ownMemory(t, init)
	touch(2) // of what the init kept the kernel makes copies
	grown := ownMemory(t, init) - before
	rss := field(t, "/proc/"+strconv.Itoa(init)+"/status", "VmRSS:")
	t.Logf("start took %v; the init has %d kB resident; it and the caller grew by %d MB", took, rss, grown>>20)
	if rss > 16<<10 {
		t.Errorf("the init has %d kB resident", rss)
	}
	if grown > size/4 {
		t.Errorf("the caller's writes took %d MB", grown>>20)
	}
	if err := c.Process.Kill(); err != nil {
		t.Error(err)
	}
	c.Wait()
	runtime.KeepAlive(large)
	large = nil
	debug.FreeOSMemory()
}

func availableMemory(t *testing.T) int64 {
	return field(t, "/proc/meminfo", "MemAvailable:") << 10
}

// ownMemory is what this process and another have, each page counted once.
func ownMemory(t *testing.T, pid int) int64 {
	pss := field(t, "/proc/self/smaps_rollup", "Pss:")
	if os.Geteuid() == 0 { // the other is not dumpable
		pss += field(t, "/proc/"+strconv.Itoa(pid)+"/smaps_rollup", "Pss:")
	}
	return pss << 10
}

func parentOf(t *testing.T, pid int) int {
	return int(field(t, "/proc/"+strconv.Itoa(pid)+"/status", "PPid:"))
}

// field is the number behind the name in a file of /proc.
func field(t *testing.T, file, name string) int64 {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Fields(string(data))
	if i := slices.Index(words, name); i >= 0 && i+1 < len(words) {
		n, err := strconv.ParseInt(words[i+1], 10, 64)
		if err == nil {
			return n
		}
	}
	t.Fatalf("%s has no %s", file, name)
	return 0
}
