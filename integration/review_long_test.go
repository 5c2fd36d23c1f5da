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

// longReviews says that the tests of this file are to run, which take minutes and programs
// that are large: make test-review.
func longReviews() bool { return os.Getenv("SBX_REVIEW") != "" }

// hostile is what a program does that wants to have something kept elsewhere, or wants to
// hold up or mislead who reviews it. Each line may fail.
const hostile = `
import os, socket, stat, sys
outside = sys.argv[1]
def attempt(f, *args, **kwargs):
    try:
        return f(*args, **kwargs)
    except Exception as e:
        print("refused:", getattr(f, "__name__", f), args[:2], e)
def write(name, text="evil"):
    with open(name, "w") as f:
        f.write(text)
# Links, in the place of directories and files.
attempt(os.symlink, outside, "link-to-outside")
attempt(write, "link-to-outside/planted")
os.makedirs("turned/sub"); write("turned/sub/f")
import shutil
shutil.rmtree("dir"); attempt(os.symlink, outside, "dir")
os.remove("file"); attempt(os.symlink, outside + "/sentinel", "file")
attempt(os.symlink, "../../../../../../../../" + outside, "climb")
attempt(os.symlink, ".git", "git-by-link")
# What overlayfs means by attributes.
for attr, value in (("redirect", outside.encode()), ("opaque", b"y"), ("metacopy", b""), ("whiteout", b""),
        ("origin", b"x" * 29)):
    for target in ("plain", "kept-dir"):
        attempt(os.setxattr, target, "user.overlay." + attr, value)
        attempt(os.setxattr, target, "trusted.overlay." + attr, value)
        attempt(os.setxattr, target, "user.overlay.overlay." + attr, value)
# Whiteouts, devices, set-id files.
attempt(os.mknod, "whiteout", stat.S_IFCHR | 0o600, os.makedev(0, 0))
attempt(os.mknod, "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
write("suid"); attempt(os.chmod, "suid", 0o4755)
write("sgid"); attempt(os.chmod, "sgid", 0o2755)
# What waits or is dead.
attempt(os.mkfifo, "fifo")
os.remove("becomes-fifo"); attempt(os.mkfifo, "becomes-fifo")
s = socket.socket(socket.AF_UNIX); attempt(s.bind, "socket")
# Hard links, of its own and of the guarded.
write("one"); attempt(os.link, "one", "two")
attempt(os.link, ".git/HEAD", "head"); attempt(os.link, ".env", "env")
attempt(os.rename, ".git", "git-moved"); attempt(os.rename, ".env", "env-moved")
attempt(shutil.rmtree, ".git")
os.makedirs("x", exist_ok=True)
attempt(os.rename, "with-secret", "x/with-secret")
attempt(shutil.rmtree, "with-secret")
# Names and sizes.
write("\x1b[2J\x07 clear"); write("new\nline"); write(b"\xff\xfe not text"); write("\u202egpj.exe")
write("-rf"); write(" ")
with open("sparse", "wb") as f:
    f.truncate(1 << 40)
os.makedirs("closed/in"); write("closed/in/f"); os.chmod("closed/in", 0); os.chmod("closed", 0)
write("silent", "0123456789"); st = os.stat("times")
write("times", "CHANGED!"); os.utime("times", ns=(st.st_atime_ns, st.st_mtime_ns))
top = os.getcwd()
for i in range(300):
    os.mkdir("d" * 100); os.chdir("d" * 100)
write("bottom")
os.chdir(top)
if os.fork() == 0:
    os.setsid()
    while True:
        attempt(write, "by-a-daemon")
`

// TestReviewHostile: whatever a program leaves, keeping all of it by force changes nothing
// outside of the project, nor what is guarded or hidden, and lets nothing through that is
// never to cross.
func TestReviewHostile(t *testing.T) {
	if !longReviews() {
		return
	}
	l := newReviewLab(t, "dir/f=1", "file=1", "plain=1", "kept-dir/f=1", "becomes-fifo=1", "times=original",
		"with-secret/deep/.env=KEY=2", "with-secret/free=1")
	outside := filepath.Join(l.dir, "outside")
	if err := os.Mkdir(outside, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(outside, "sentinel"), []byte("safe"), 0o644); err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(l.dir, "hostile.py")
	if err := os.WriteFile(script, []byte(hostile), 0o644); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(filepath.Join(l.project, "times"))
	if err != nil {
		t.Fatal(err)
	}
	r := l.sbx("--review=later", "-p", "project", "--read", script, "--", "/usr/bin/python3", script, outside)
	if r.status != 0 {
		t.Fatalf("%v", r)
	}
	id := l.id()
	for _, args := range [][]string{{"show", id}, {"diff", id}, {"show", "--json", id}} {
		r := l.sbx(append([]string{"review"}, args...)...)
		obeyed := "\x1b\x07\u202e"
		if args[1] == "--json" { // JSON is for programs, and escapes the control characters alone
			obeyed = "\x1b\x07"
		}
		if r.status != 0 || strings.ContainsAny(r.stdout+r.stderr, obeyed) {
			t.Errorf("%v: status %d, or a character that a terminal obeys: %.2000q", args, r.status, r.stdout+r.stderr)
		}
		if args[0] == "show" && !strings.Contains(r.stdout, "times") {
			t.Errorf("%v hides a change whose time was set back", args)
		}
	}
	for range 2 {
		r = l.sbx("review", "keep", "--force", id)
		if r.status != 1 || !strings.Contains(r.stderr, "its path is too long") {
			t.Fatalf("%v", r)
		}
	}
	if got, err := os.ReadDir(outside); err != nil || len(got) != 1 {
		t.Errorf("outside there is %v, %v", got, err)
	}
	for name, want := range map[string]string{
		"../outside/sentinel": "safe", ".git/HEAD": "ref: refs/heads/main", ".env": "KEY=1", "with-secret/deep/.env": "KEY=2",
		"one": "evil", "times": "CHANGED!",
	} {
		l.has(name, want)
	}
	if now, err := os.Stat(filepath.Join(l.project, "times")); err != nil || !now.ModTime().Equal(st.ModTime()) {
		t.Errorf("the time of times: %v, %v", now.ModTime(), err)
	}
	if to, err := os.Readlink(filepath.Join(l.project, "dir")); err != nil || to != outside {
		t.Errorf("dir is no link: %q, %v", to, err)
	}
	err = filepath.WalkDir(l.project, func(path string, d os.DirEntry, err error) error {
		var st unix.Stat_t
		if err != nil || unix.Lstat(path, &st) != nil {
			return nil // what may not be read
		}
		switch kind := st.Mode & unix.S_IFMT; {
		case kind == unix.S_IFCHR, kind == unix.S_IFBLK, kind == unix.S_IFSOCK,
			kind == unix.S_IFREG && st.Mode&(unix.S_ISUID|unix.S_ISGID) != 0:
			t.Errorf("%s has the mode %o", path, st.Mode)
		}
		buf := make([]byte, 4096)
		if n, err := unix.Llistxattr(path, buf); err == nil && strings.Contains(string(buf[:n]), "user.overlay.o") {
			t.Errorf("%s has the attributes %q", path, buf[:n])
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	l.sbx("review", "discard", id).want(t, 0)
	l.none()
	noStrays(t)
	// The test's own clean-up may not enter it.
	for _, name := range []string{"closed", "closed/in"} {
		if err := os.Chmod(filepath.Join(l.project, name), 0o700); err != nil {
			t.Error(err)
		}
	}
}

// TestReviewMany: 100,000 files are scanned in bounded memory, and a keep of them that is
// killed again and again ends as if it had not been.
func TestReviewMany(t *testing.T) {
	if !longReviews() {
		return
	}
	l := newReviewLab(t)
	const dirs, each = 500, 200
	l.sbx("--review=later", "-p", "project", "--", "sh", "-c",
		fmt.Sprintf("for d in $(seq %d); do mkdir -p n/$d; (cd n/$d; seq %d | xargs touch); done", dirs, each)).want(t, 0)
	id := l.id()
	cmd := exec.Command(binary("sbx"), "review", "show", "--json", id)
	cmd.Dir, cmd.Env = l.project, l.env
	out, err := cmd.Output()
	if err != nil || strings.Count(string(out), "\n") != dirs*each+dirs+1 {
		t.Fatalf("%d changes, %v", strings.Count(string(out), "\n"), err)
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok || usage.Maxrss > 64<<10 {
		t.Errorf("sbx review show took %v KiB", usage.Maxrss)
	}
	for n := range 20 {
		l.killedAfter(time.Duration(n*50)*time.Millisecond, "review", "keep", id)
		if !strings.Contains(l.sbx("review", "list").stdout, id) {
			t.Logf("kept at the %dth time", n)
			break
		}
	}
	if strings.Contains(l.sbx("review", "list").stdout, id) {
		l.sbx("review", "keep", id).want(t, 0)
	}
	count := 0
	err = filepath.WalkDir(filepath.Join(l.project, "n"), func(_ string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			count++
		}
		if err == nil && d.IsDir() {
			if info, err := d.Info(); err != nil || info.Mode().Perm() != 0o755 {
				t.Errorf("%s: %v, %v", d.Name(), info, err)
			}
		}
		return err
	})
	if err != nil || count != dirs*each {
		t.Errorf("%d files, %v", count, err)
	}
	l.sbx("review", "gc").want(t, 0)
}

// TestReviewPrograms: installers and editors work as without a review.
func TestReviewPrograms(t *testing.T) {
	if !longReviews() {
		return
	}
	l := newReviewLab(t, "package.json={\"name\":\"p\",\"version\":\"1.0.0\"}", "text=one\ntwo\n")
	dep := filepath.Join(l.dir, "dep")
	for name, content := range map[string]string{
		"package.json": `{"name":"dep","version":"1.2.3","bin":{"tool":"tool.js"}}`, "index.js": "module.exports = 7\n",
		"tool.js": "#!/usr/bin/env node\nconsole.log('tool')\n",
	} {
		if err := os.MkdirAll(filepath.Join(dep, "package"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dep, "package", name), []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	tarball := filepath.Join(l.dir, "dep-1.2.3.tgz")
	run(t, call{args: []string{"tar", "-czf", tarball, "-C", dep, "package"}}).want(t, 0)
	npm := []string{"npm", "--offline", "--no-audit", "--no-fund", "--no-update-notifier"}
	install := append(append([]string{"--review=keep", "-p", "project", "--read", tarball, "--"}, npm...), "install",
		tarball)
	for range 2 { // the second time over what is there
		if r := l.sbx(install...); r.status != 0 {
			t.Fatalf("npm install: %v", r)
		}
		run(t, call{args: []string{"node", "-e", "console.log(require('dep'))"}, dir: l.project}).want(t, 0, "7")
		run(t, call{args: []string{"node_modules/.bin/tool"}, dir: l.project}).want(t, 0, "tool")
	}
	if r := l.sbx(append(append([]string{"--review=keep", "-p", "project", "--"}, npm...), "uninstall",
		"dep")...); r.status != 0 {
		t.Fatalf("npm uninstall: %v", r)
	}
	if _, err := os.Stat(filepath.Join(l.project, "node_modules/dep")); err == nil {
		t.Error("the package is still there")
	}
	// vim saves by rename, with a backup, and in place.
	for set, edit := range map[string]string{
		"backup backupcopy=no writebackup": "%s/o/O/g", "nobackup backupcopy=yes": "%s/t/T/g",
	} {
		r := l.sbx("--review=keep", "-p", "project", "--", "vim", "-es", "-N", "-u", "NONE", "-c", "set "+set,
			"-c", edit, "-c", "wq", "text")
		if r.status != 0 {
			t.Fatalf("vim: %v", r)
		}
	}
	l.has("text", "One\nTwO\n")
	l.sbx("review", "gc").want(t, 0)
	l.none()
}

// TestReviewFUSE: a file system that cannot keep an overlay's changes, really mounted. NFS is
// refused in the same way; there is none here to try.
func TestReviewFUSE(t *testing.T) {
	if !longReviews() || !asRoot() {
		return // it takes a mount of fuse2fs's
	}
	l := newReviewLab(t, "a=old")
	script := "truncate -s 16M image && mke2fs -q -t ext4 -d project image && mkdir m && fuse2fs image m && cd m && " +
		"XDG_STATE_HOME=" + l.dir + "/state " + binary("sbx") + " --review=keep -p project -- touch ran; status=$?; cd ..; " +
		"ls m; umount m; exit $status"
	r := run(t, call{args: []string{"unshare", "-m", "sh", "-c", script}, dir: l.dir})
	if r.status != 125 || !strings.Contains(r.stderr, "its file system is FUSE, which cannot keep an overlay's changes") ||
		!strings.Contains(r.stdout, "a\n") || strings.Contains(r.stdout, "ran") {
		t.Errorf("%v", r)
	}
	l.none()
	noStrays(t)
}
