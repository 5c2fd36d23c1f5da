package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// TestScript runs testdata/both as whoever the tests run as, and besides it
// testdata/root or testdata/user. Beyond testscript's own commands:
//
//	status N PROG ARGS...    run PROG; it must exit with N (128+n: signal n)
//	start NAME PROG ARGS...  run PROG beside the script
//	signal NAME SIG          send it a signal, e.g. TERM
//	ended NAME N             wait for it to exit with N; stdout and stderr are its
//	await WHAT ARG           wait for: url URL, file PATH, line NAME TEXT
//	freeport VAR             set VAR to a port of the loopback nobody uses
//
// Conditions are in guest_test.go, and so is sysctl, for the scripts of
// testdata/guest: those run, as root and as a user, in the guests of the kernel
// matrix only (see integration/kernels). Those of testdata/jobs need programs that
// are large, and run alone, by make test-jobs.
//
// After each script no process may be left, and the host must be as it was.
func TestScript(t *testing.T) {
	dirs := []string{"testdata/both", "testdata/user"}
	if asRoot() {
		dirs[1] = "testdata/root"
	}
	if guestFacts != "" {
		dirs = append(dirs, "testdata/guest")
	}
	if os.Getenv("SBX_JOBS") != "" {
		dirs = []string{"testdata/jobs"}
	}
	var files []string
	for _, dir := range dirs {
		found, err := filepath.Glob(dir + "/*.txtar")
		if err != nil || len(found) == 0 {
			t.Fatalf("no scripts in %s: %v", dir, err)
		}
		files = append(files, found...)
	}
	testscript.RunT(serial{t}, testscript.Params{
		Files:               files,
		WorkdirRoot:         home(),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setupScript,
		Condition:           condition,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status":   cmdStatus,
			"start":    cmdStart,
			"signal":   cmdSignal,
			"ended":    cmdEnded,
			"await":    cmdAwait,
			"freeport": cmdFreeport,
			"sysctl":   cmdSysctl,
		},
	})
}

// serial runs scripts one after the other: they share ports, and each checks
// that it left no process.
type serial struct{ *testing.T }

func (s serial) Parallel()     {}
func (s serial) Verbose() bool { return testing.Verbose() }
func (s serial) Run(name string, f func(testscript.T)) {
	s.T.Run(name, func(t *testing.T) {
		before := hostState(t)
		f(serial{t})
		t.Cleanup(func() {
			noStrays(t)
			before.compare(t, hostState(t))
		})
	})
}

type jobsKey struct{}

// jobs are the programs a script has started, by name.
type jobs struct {
	sync.Mutex
	named map[string]*job
}

type job struct {
	cmd            *exec.Cmd
	stdout, stderr lockedBuffer
	done           chan error
}

// lockedBuffer is read by a script while a program writes it.
type lockedBuffer struct {
	sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.Lock()
	defer b.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.Lock()
	defer b.Unlock()
	return b.buf.String()
}

func setupScript(e *testscript.Env) error {
	for _, v := range userEnv() {
		name, value, _ := strings.Cut(v, "=")
		e.Setenv(name, value)
	}
	e.Setenv("BIN", filepath.Join(base, "bin"))
	e.Setenv("PROBE", binary("probe"))
	e.Setenv("CANARY", canaryArg)
	e.Setenv("UID", strconv.Itoa(os.Getuid()))
	running := &jobs{named: map[string]*job{}}
	e.Values[jobsKey{}] = running
	e.Defer(func() {
		running.Lock()
		defer running.Unlock()
		for _, j := range running.named {
			if err := j.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
				panic(err)
			}
			<-j.done
		}
	})
	// Files in a script are 0666; a script that begins with #! is meant to run.
	return filepath.WalkDir(e.WorkDir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if err == nil && bytes.HasPrefix(data, []byte("#!")) {
			err = os.Chmod(path, 0o755)
		}
		return err
	})
}

func noNeg(ts *testscript.TestScript, neg bool) {
	if neg {
		ts.Fatalf("unsupported: !")
	}
}

func cmdStatus(ts *testscript.TestScript, neg bool, args []string) {
	noNeg(ts, neg)
	if len(args) < 2 {
		ts.Fatalf("usage: status N PROG ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), patient(60*time.Second))
	defer cancel()
	cmd := command(ts, ctx, args[1:])
	cmd.Stdout, cmd.Stderr = ts.Stdout(), ts.Stderr()
	got, err := exitStatus(cmd.Run())
	if ctx.Err() != nil {
		ts.Fatalf("did not end within a minute")
	}
	ts.Check(err)
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// command is a program as exec would start it.
func command(ts *testscript.TestScript, ctx context.Context, args []string) *exec.Cmd {
	path := args[0]
	if !strings.Contains(path, "/") {
		for dir := range strings.SplitSeq(ts.Getenv("PATH"), ":") {
			if unix.Access(filepath.Join(dir, args[0]), unix.X_OK) == nil {
				path = filepath.Join(dir, args[0])
				break
			}
		}
	}
	cmd := exec.CommandContext(ctx, path, args[1:]...)
	cmd.Dir = ts.MkAbs(".")
	cmd.WaitDelay = 2 * time.Second
	for _, name := range strings.Fields(ts.Getenv("SBX_ENV_NAMES")) {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	for _, v := range userEnv() {
		name, _, _ := strings.Cut(v, "=")
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	cmd.Env = append(cmd.Env, "PWD="+cmd.Dir)
	return cmd
}

func cmdStart(ts *testscript.TestScript, neg bool, args []string) {
	noNeg(ts, neg)
	if len(args) < 2 {
		ts.Fatalf("usage: start NAME PROG ARGS...")
	}
	j := &job{cmd: command(ts, context.Background(), args[1:]), done: make(chan error, 1)}
	j.cmd.Stdout, j.cmd.Stderr = &j.stdout, &j.stderr
	ts.Check(j.cmd.Start())
	go func() { j.done <- j.cmd.Wait() }()
	running := scriptJobs(ts)
	running.Lock()
	defer running.Unlock()
	running.named[args[0]] = j
}

func scriptJobs(ts *testscript.TestScript) *jobs {
	running, ok := ts.Value(jobsKey{}).(*jobs)
	if !ok {
		ts.Fatalf("no jobs in this script")
	}
	return running
}

func findJob(ts *testscript.TestScript, name string) *job {
	running := scriptJobs(ts)
	running.Lock()
	defer running.Unlock()
	j := running.named[name]
	if j == nil {
		ts.Fatalf("nothing was started as %s", name)
	}
	return j
}

func cmdSignal(ts *testscript.TestScript, neg bool, args []string) {
	noNeg(ts, neg)
	if len(args) != 2 {
		ts.Fatalf("usage: signal NAME SIG")
	}
	s := unix.SignalNum("SIG" + args[1])
	if s == 0 {
		ts.Fatalf("no signal %s", args[1])
	}
	ts.Check(findJob(ts, args[0]).cmd.Process.Signal(s))
}

func cmdEnded(ts *testscript.TestScript, neg bool, args []string) {
	noNeg(ts, neg)
	if len(args) != 2 {
		ts.Fatalf("usage: ended NAME N")
	}
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	j := findJob(ts, args[0])
	select {
	case err = <-j.done:
		j.done <- nil
	case <-time.After(patient(20 * time.Second)):
		ts.Fatalf("%s did not end within 20 seconds\n%s%s", args[0], &j.stdout, &j.stderr)
	}
	fmt.Fprint(ts.Stdout(), &j.stdout)
	fmt.Fprint(ts.Stderr(), &j.stderr)
	got, err := exitStatus(err)
	ts.Check(err)
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

func cmdAwait(ts *testscript.TestScript, neg bool, args []string) {
	noNeg(ts, neg)
	if len(args) < 2 {
		ts.Fatalf("usage: await url URL | file PATH | line NAME TEXT")
	}
	var ok func() bool
	switch args[0] {
	case "url":
		_, rest, _ := strings.Cut(args[1], "://")
		addr, _, _ := strings.Cut(rest, "/")
		ok = func() bool {
			conn, err := net.DialTimeout("tcp", addr, time.Second)
			if err != nil {
				return false
			}
			return conn.Close() == nil
		}
	case "file":
		ok = func() bool { _, err := os.Stat(ts.MkAbs(args[1])); return err == nil }
	case "line":
		j := findJob(ts, args[1])
		ok = func() bool {
			return strings.Contains(j.stdout.String(), args[2]) || strings.Contains(j.stderr.String(), args[2])
		}
	default:
		ts.Fatalf("cannot await %s", args[0])
	}
	for range 1000 * patience {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	for name, j := range scriptJobs(ts).named {
		ts.Logf("[%s]\n%s%s", name, &j.stdout, &j.stderr)
	}
	ts.Fatalf("waited ten seconds for %s", strings.Join(args, " "))
}

func cmdFreeport(ts *testscript.TestScript, neg bool, args []string) {
	noNeg(ts, neg)
	if len(args) != 1 {
		ts.Fatalf("usage: freeport VAR")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	_, port, err := net.SplitHostPort(l.Addr().String())
	ts.Check(err)
	ts.Check(l.Close())
	ts.Setenv(args[0], port)
}
