package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// reviewLab is a project with guarded and hidden files, and a state directory of its own.
type reviewLab struct {
	t            testing.TB
	dir, project string
	env          []string
}

func newReviewLab(t testing.TB, files ...string) *reviewLab {
	t.Helper()
	l := &reviewLab{t: t, dir: t.TempDir()}
	l.project = filepath.Join(l.dir, "project")
	l.env = append(userEnv(), "XDG_STATE_HOME="+filepath.Join(l.dir, "state"))
	if err := os.Mkdir(filepath.Join(l.dir, "state"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, f := range append(files, ".git/HEAD=ref: refs/heads/main", ".git/objects/x=", ".git/refs/x=", ".env=KEY=1") {
		name, content, _ := strings.Cut(f, "=")
		at := filepath.Join(l.project, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// sbx runs sbx in the project.
func (l *reviewLab) sbx(args ...string) result {
	l.t.Helper()
	return run(l.t, call{args: append([]string{binary("sbx")}, args...), dir: l.project, env: l.env,
		limit: patient(2 * time.Minute)})
}

// id is that of the only review.
func (l *reviewLab) id() string {
	l.t.Helper()
	r := l.sbx("review", "list")
	if strings.Count(r.stdout, "\n") != 1 {
		l.t.Fatalf("not one review: %v", r)
	}
	return strings.Fields(r.stdout)[0]
}

// none says that nothing of a review is left.
func (l *reviewLab) none() {
	l.t.Helper()
	left, err := filepath.Glob(filepath.Join(l.dir, "state/sbx/review/*"))
	hidden, err2 := filepath.Glob(filepath.Join(l.dir, "state/sbx/review/.*"))
	if err != nil || err2 != nil || len(left)+len(hidden) != 0 {
		l.t.Errorf("left are %v %v (%v, %v)", left, hidden, err, err2)
	}
}

func (l *reviewLab) has(name, want string) {
	l.t.Helper()
	got, err := os.ReadFile(filepath.Join(l.project, name))
	if err != nil && want != "" || string(got) != want {
		l.t.Errorf("%s has %q (%v), want %q", name, got, err, want)
	}
}

// TestReviewAsk: at a terminal sbx shows the changes and asks, however the program left the
// terminal.
func TestReviewAsk(t *testing.T) {
	if guestFacts != "" {
		return // the guests of the kernel matrix have no terminal to ask at
	}
	l := newReviewLab(t, "a=old\n", "b=old\n", "c d=old\n")
	ask := func(program string) *terminal {
		return atTerminal(t, "env", "-C", l.project, "XDG_STATE_HOME="+filepath.Join(l.dir, "state"),
			binary("sbx"), "--review", "-p", "project", "--", "sh", "-c", program)
	}
	const prompt = "or later? "
	term := ask("echo new >a; rm b; echo new >'c d'; stty raw -echo; printf '\\033[8m'; exit 5")
	term.shows(prompt, 1)
	term.shows("\x1b[!p", 1) // what hides text is switched off
	term.types("diff a\n")
	term.shows("+new", 1)
	term.types("keep --force nonsense/../../..\n")
	term.shows("is in no directory of review", 1)
	term.types("keep a\n")
	term.shows(prompt, 4)
	l.has("a", "new\n")
	l.has("b", "old\n")
	term.types("discard \"c d\"\n")
	term.shows(prompt, 5)
	term.types("keep\n")
	term.ends(5)
	l.has("c d", "old\n")
	if _, err := os.Stat(filepath.Join(l.project, "b")); err == nil {
		t.Error("b is still there")
	}
	l.none()
	term = ask("echo again >a")
	term.shows(prompt, 1)
	term.types("\x03")
	term.ends(0)
	l.has("a", "new\n")
	term = ask("echo again >b")
	term.shows(prompt, 1)
	term.types("discard\n")
	term.ends(0)
	l.has("b", "")
	l.sbx("review", "keep", l.id()).want(t, 0)
	l.has("a", "again\n")
	l.none()
}

// TestReviewKilled: a launcher that is killed leaves the review, which is locked as long as
// the program runs.
func TestReviewKilled(t *testing.T) {
	l := newReviewLab(t, "a=old")
	cmd := exec.Command(binary("sbx"), "--review=keep", "-p", "project", "--", "sh", "-c",
		"echo new >a; echo ready; sleep 60")
	cmd.Dir, cmd.Env = l.project, l.env
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 6)); err != nil {
		t.Error(err)
	}
	id := l.id()
	if r := l.sbx("review", "list"); !strings.Contains(r.stdout, " running ") {
		t.Errorf("it does not say that the program runs: %v", r)
	}
	for _, what := range []string{"keep", "discard", "show"} {
		if r := l.sbx("review", what, id); r.status != 125 || !strings.Contains(r.stderr, "still running") {
			t.Errorf("%s: %v", what, r)
		}
	}
	l.sbx("review", "gc").want(t, 0)
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // it was killed
	eventually(t, "the sandbox to be gone", func() bool {
		return strings.Contains(l.sbx("review", "list").stdout, " killed ")
	})
	l.has("a", "old")
	l.sbx("review", "keep", id).want(t, 0)
	l.has("a", "new\n")
	l.none()
	noStrays(t)
}

// TestReviewPlaces: what lies on another file system than sbx's state is kept beside it, out
// of the reach of other launches, and nothing is left of it.
func TestReviewPlaces(t *testing.T) {
	l := newReviewLab(t, "a=old")
	state, err := os.MkdirTemp("/dev/shm", "sbx-review-")
	if err != nil {
		t.Fatal(err)
	}
	top, err := os.MkdirTemp("/tmp", "sbx-review-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, dir := range []string{state, top} {
			if err := os.RemoveAll(dir); err != nil {
				t.Error(err)
			}
		}
	})
	var st, shm unix.Stat_t
	if unix.Stat(l.dir, &st) != nil || unix.Stat(state, &shm) != nil || st.Dev == shm.Dev {
		t.Fatal("/dev/shm is no other file system")
	}
	l.env = append(userEnv(), "XDG_STATE_HOME="+state)
	second := filepath.Join(l.dir, "second")
	if err := os.Mkdir(second, 0o755); err != nil {
		t.Fatal(err)
	}
	// Two directories at once.
	l.sbx("--review", "-p", "project", "--write", second, "--", "sh", "-c",
		"echo new >a; echo new >"+second+"/f").want(t, 0)
	places, err := filepath.Glob(filepath.Join(l.dir, ".sbx-review-*"))
	if err != nil || len(places) != 1 {
		t.Fatalf("%v, %v", places, err)
	}
	if info, err := os.Stat(places[0]); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
	r := l.sbx("--write", l.dir, "--", "sh", "-c",
		"echo x >"+places[0]+"/x; mv "+places[0]+" "+l.dir+"/y; touch "+l.dir+"/z")
	if !strings.Contains(r.stderr, "Read-only file system") || !strings.Contains(r.stderr, "busy") {
		t.Errorf("a program could write there: %v", r)
	}
	l.sbx("review", "keep", l.id()).want(t, 0)
	l.has("a", "new\n")
	l.has("../second/f", "new\n")
	if places, err = filepath.Glob(filepath.Join(l.dir, ".sbx-review-*")); err != nil || len(places) != 0 {
		t.Errorf("left: %v, %v", places, err)
	}
	// Where all directories over it can be written by others there is no place.
	if !asRoot() {
		r = l.sbx("--review", "--write", top, "--", "touch", top+"/ran")
		if r.status != 125 || !strings.Contains(r.stderr, "there is no place for its changes") {
			t.Errorf("%v", r)
		}
	}
	if left, err := os.ReadDir(filepath.Join(state, "sbx/review")); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestReviewRefused: where an overlay cannot be had nothing runs, and nothing is written.
func TestReviewRefused(t *testing.T) {
	l := newReviewLab(t, "a=old")
	policy := filepath.Join(l.dir, "host.toml")
	for _, kind := range []string{"mount", "pid"} {
		text := "version = 1\nsummary = \"test\"\nextends = [\"base\"]\n[namespaces]\n" + kind + " = \"host\"\n" +
			"[files]\nwrite = [\".\"]\n[expect]\n"
		if err := os.WriteFile(policy, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		r := l.sbx("--review=keep", "-p", policy, "--", "touch", "ran")
		if r.status != 125 || !strings.Contains(r.stderr, kind+" namespace that is not new") {
			t.Errorf("the host's %s namespace: %v", kind, r)
		}
	}
	if asRoot() {
		// Overlayfs on overlayfs: in a mount namespace of its own, with the project below one.
		script := fmt.Sprintf("mkdir u w m; mount -t overlay overlay -o lowerdir=project,upperdir=u,workdir=w m && cd m && "+
			"XDG_STATE_HOME=%s/state exec %s --review=keep -p project -- touch ran", l.dir, binary("sbx"))
		r := run(t, call{args: []string{"unshare", "-m", "sh", "-c", script}, dir: l.dir})
		if r.status != 125 || !strings.Contains(r.stderr,
			"its file system is overlayfs, which cannot keep an overlay's changes") {
			t.Errorf("overlay on overlay: %v", r)
		}
		if _, err := os.Stat(filepath.Join(l.dir, "u/ran")); err == nil {
			t.Error("the program ran")
		}
		script = "mount -t tmpfs tmpfs sub && exec env XDG_STATE_HOME=" + l.dir + "/state " + binary("sbx") +
			" --review=keep -p project -- touch ran"
		if err := os.Mkdir(filepath.Join(l.project, "sub"), 0o755); err != nil {
			t.Fatal(err)
		}
		r = run(t, call{args: []string{"unshare", "-m", "sh", "-c", script}, dir: l.project})
		if r.status != 125 || !strings.Contains(r.stderr, "/project/sub is mounted in it") {
			t.Errorf("a mount below: %v", r)
		}
	}
	if _, err := os.Stat(filepath.Join(l.project, "ran")); err == nil {
		t.Error("the program ran")
	}
	l.none()
}

// killedAfter runs a command and kills it after a time.
func (l *reviewLab) killedAfter(after time.Duration, args ...string) {
	l.t.Helper()
	cmd := exec.Command(binary("sbx"), args...)
	cmd.Dir, cmd.Env = l.project, l.env
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	time.Sleep(after)
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil &&
		err != os.ErrProcessDone { //nolint:errorlint // that value
		l.t.Error(err)
	}
	_ = cmd.Wait() // it may have been killed
}
