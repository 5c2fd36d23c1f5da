package integration

import (
	"bufio"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sbx/policies"
)

// writes are the shipped roles that can write to the current directory.
var writes = []string{"project", "build", "fetch", "commit", "debug", "open", "npm", "pip", "cargo", "go", "git",
	"agent",
	"db"}

// projectOf is a directory that the role can start in: commit takes a repository.
func projectOf(t *testing.T, policy string) string {
	t.Helper()
	dir := t.TempDir()
	if policy == "commit" {
		if err := os.MkdirAll(filepath.Join(dir, ".git", "hooks"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, ".git", "config"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// noSetID is an error if there is a set-id or a device file below the directory.
func noSetID(t *testing.T, what, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && !info.IsDir() && info.Mode()&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeDevice) != 0 {
			t.Errorf("%s: left on the host: %v %s", what, info.Mode(), p)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestSetID: nothing set-id and no device file is left in what can be written,
// by any call that could, as root and as a user, in every role that writes. What a
// user's openat2 has made is named.
func TestSetID(t *testing.T) {
	// The bait is good: without sbx the calls that are denied below work.
	r := run(t, call{args: []string{binary("probe"), "setid", t.TempDir()}, dir: t.TempDir()})
	r.want(t, 0, "left chmod: true", "left chmod gid: true", "left openat: true", "left tmpfile: true",
		"left openat2: true", "left mknodat: true", "left whiteout: true", "left rename whiteout: true")
	ways := 0
	for _, policy := range writes {
		dir := projectOf(t, policy)
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		r := run(t, call{dir: dir, args: []string{binary("sbx"), "--policy", policy, "--read", binary("probe"), "--",
			binary("probe"), "setid", dir}})
		openat2 := "setid openat2: ok"
		if os.Getuid() == 0 {
			openat2 = "setid openat2: ENOSYS"
		}
		r.want(t, 0, "setid mkdir: ok", "left mkdir: false", openat2)
		note := "sbx: note: took the set-id bits from 1 file that the target has made: " + filepath.Join(dir, "setid-openat2")
		if strings.Contains(r.stderr, note) != (os.Getuid() != 0) {
			t.Errorf("%s: %s", policy, r.stderr)
		}
		for what, said := range r.answers() {
			way, ok := strings.CutPrefix(what, "setid ")
			if !ok || way == "mkdir" || way == "openat2" {
				continue
			}
			ways++
			if said != "EPERM" {
				t.Errorf("%s: %s: %s, want EPERM from the filter", policy, way, said)
			}
		}
		noSetID(t, policy, dir)
	}
	if ways < len(writes)*13 {
		t.Errorf("only %d ways were tried", ways)
	}
	// A file that is handed over is by no means below what can be written.
	dir := t.TempDir()
	out, err := os.Create(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	for _, policy := range []string{"pure", "default"} {
		r := run(t, call{dir: t.TempDir(), files: []*os.File{out}, args: []string{binary("sbx"), "--policy", policy,
			"--keep-fd",
			"3", "--", "python3", "-c", "import os; os.fchmod(3, 0o4755)"}})
		if r.status == 0 || !strings.Contains(r.stderr, "Operation not permitted") {
			t.Errorf("%s: a file by its descriptor: %v", policy, r)
		}
	}
	noSetID(t, "handed over", dir)
}

// TestOpenat2: the call works in every shipped role, as it has no fallback in current
// tar and attr; but for root where a directory of the host can be written.
func TestOpenat2(t *testing.T) {
	for _, policy := range policies.Names() {
		if policy == "kernel" || policy == "base" {
			continue // parts of others
		}
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			dir, name := "/usr/bin", "env"
			want := []string{"openat2: ok", "beyond: EXDEV"}
			project := projectOf(t, policy)
			switch {
			case slices.Contains(writes, policy):
				dir, name = project, "member"
			case policy == "web":
				dir, name = "/run", "member"
			case policy != "pure":
				dir, name = "/tmp", "member"
			}
			if name == "member" {
				want = append(want, "write: ok")
			}
			if os.Getuid() == 0 && slices.Contains(writes, policy) {
				want = []string{"openat2: ENOSYS"}
			}
			r := run(t, call{dir: project, args: []string{binary("sbx"), "--policy", policy, "--read", binary("probe"), "--",
				binary("probe"), "beneath", dir, name}})
			r.want(t, 0, want...)
			if strings.Contains(r.stderr, "took the set-id") {
				t.Error(r.stderr)
			}
		})
	}
}

// TestSetIDKilled: the bits are taken by the janitor if the launcher is killed; a file
// that was there before keeps them; a directory that nobody may read is no place to hide.
func TestSetIDKilled(t *testing.T) {
	if os.Getuid() == 0 {
		return // for root there is no openat2
	}
	const program = `
import ctypes, os, struct, sys, time
libc = ctypes.CDLL(None, use_errno=True)
os.makedirs("in/side")
for name in b"m", b"in/side/m":
    how = struct.pack("QQQ", os.O_CREAT | os.O_WRONLY, 0o6755, 0)
    if libc.syscall(437, os.open(".", os.O_PATH), name, how, 24) < 0:
        sys.exit(os.strerror(ctypes.get_errno()))
os.chmod("in/side", 0o111)
os.chmod("in", 0o311)
print("made", flush=True)
if "wait" in sys.argv:
    time.sleep(1000)
`
	for _, kill := range []bool{true, false} {
		dir := t.TempDir()
		before := filepath.Join(dir, "before")
		if err := os.WriteFile(before, []byte("x"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(before, fs.ModeSetuid|0o755); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
		args := []string{"--policy", "project", "--", "python3", "-c", program}
		if kill {
			args = append(args, "wait")
		}
		cmd := exec.Command(binary("sbx"), args...)
		cmd.Dir, cmd.Env = dir, userEnv()
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(out).ReadString('\n')
		if err != nil || line != "made\n" {
			t.Fatalf("%q, %v: %s", line, err, &stderr)
		}
		made := func() fs.FileMode {
			info, err := os.Stat(filepath.Join(dir, "m"))
			if err != nil {
				t.Fatal(err)
			}
			return info.Mode()
		}
		if kill {
			if made()&fs.ModeSetuid == 0 {
				t.Error("there is nothing to look for")
			}
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		if status, err := exitStatus(cmd.Wait()); err != nil || status != 0 && !kill {
			t.Fatal(status, err, &stderr)
		}
		eventually(t, "the bits to be taken", func() bool { return made() == 0o755 })
		noStrays(t)
		const want = "sbx: note: took the set-id bits from 2 files that the target has made: "
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("said %q", &stderr)
		}
		for _, locked := range []string{"in", "in/side"} {
			var st unix.Stat_t
			if err := unix.Stat(filepath.Join(dir, locked), &st); err != nil {
				t.Fatal(err)
			}
			if want := map[string]uint32{"in": 0o311, "in/side": 0o111}[locked]; st.Mode&0o7777 != want {
				t.Errorf("%s has %o", locked, st.Mode&0o7777)
			}
			if err := os.Chmod(filepath.Join(dir, locked), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if info, err := os.Stat(before); err != nil || info.Mode()&fs.ModeSetuid == 0 {
			t.Errorf("the file that was there before: %v, %v", info.Mode(), err)
		}
		if err := os.Chmod(before, 0o755); err != nil {
			t.Fatal(err)
		}
		noSetID(t, "killed", dir)
	}
}

// TestSetGID: directories get their set-group-ID bit by every call, files by none,
// whatever a name means meanwhile.
func TestSetGID(t *testing.T) {
	for _, where := range []struct{ policy, dir string }{{"project", "."}, {"open", "."}, {"default", "/tmp"}} {
		t.Run(where.policy, func(t *testing.T) {
			dir := t.TempDir()
			if where.dir == "." {
				where.dir = dir
			}
			r := run(t, call{dir: dir, args: []string{binary("sbx"), "--policy", where.policy, "--read", binary("probe"), "--",
				binary("probe"), "setgid", where.dir}})
			r.want(t, 0, "link itself: ENOTSUP", "set-user-ID directory: EPERM", "missing: ENOENT", "below a file: ENOTDIR",
				"no descriptor: EBADF", "no address: EFAULT",
				"race: set sometimes true, a file has it false")
			ways := 0
			for what, said := range r.answers() {
				switch {
				case strings.HasPrefix(what, "directory ") && strings.HasSuffix(what, " mode"):
					ways++
					if said != "2750" {
						t.Errorf("%s: %s", what, said)
					}
				case strings.HasPrefix(what, "directory "):
					if said != "ok" {
						t.Errorf("%s: %s", what, said)
					}
				case strings.HasPrefix(what, "file "):
					if said != "EPERM" {
						t.Errorf("%s: %s", what, said)
					}
				}
			}
			if ways != 12 {
				t.Errorf("%d ways: %v", ways, r)
			}
			if got := r.answers()["of another's process"]; got != "EACCES" && got != "ELOOP" {
				t.Errorf("a magic link: %s", got)
			}
			noSetID(t, where.policy, dir)
		})
	}
	// A read-only mount stays one.
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, ".git", "hooks"), 0o755); err != nil {
		t.Fatal(err)
	}
	r := run(t, call{dir: dir, args: []string{binary("sbx"), "--policy", "project", "--", "chmod", "2755", ".git/hooks"}})
	if r.status != 1 || !strings.Contains(r.stderr, "Read-only file system") {
		t.Error(r)
	}
}

// TestSetGIDJobs does with directories that hand their group down what people do:
// GNU chmod, cp, tar, install and git give the bit that is inherited once more.
func TestSetGIDJobs(t *testing.T) {
	const job = `set -e
umask 022
mkdir a; chmod 750 a; echo x >a/f; mkdir a/deep; chmod u=rwx,go= a/deep
cp -a a b
tar cf t.tar a
mkdir c; tar xpf t.tar -C c
install -d -m 2755 e
install -m 755 a/f e/f
mkdir g; cd g; chmod 2711 ../e; cd ..
python3 -c 'import shutil; shutil.copytree("a", "h")'
git -c init.defaultBranch=main init -q --shared repo
git -c safe.directory='*' clone -q repo repo2 2>/dev/null
stat -c '%n %a' a a/deep b b/deep c/a e h repo/.git/objects
`
	for _, policy := range append(writes, "default", "shell", "filter") {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			dir := projectOf(t, policy)
			if err := os.Chmod(dir, fs.ModeSetgid|0o755); err != nil {
				t.Fatal(err)
			}
			script := job
			if !slices.Contains(writes, policy) {
				script = "mkdir /tmp/d; chmod g+s /tmp/d; cd /tmp/d\n" + job
			}
			r := run(t, call{dir: dir, args: []string{binary("sbx"), "--policy", policy, "--", "sh", "-c", script}})
			r.want(t, 0, "a 2750", "a/deep 2700", "b 2750", "b/deep 2700", "c/a 2750", "e 2711", "h 2750",
				"repo/.git/objects 2775")
			noSetID(t, policy, dir)
		})
	}
}

// TestSetIDOverlay: an overlay's changes lie on the host too.
func TestSetIDOverlay(t *testing.T) {
	if os.Getuid() == 0 {
		return
	}
	dir := t.TempDir()
	for _, name := range []string{"upper", "work", "app"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	app := filepath.Join(dir, "app")
	policy := "[files]\noverlay = [\"" + app + "\"]\npath.\"" + app + "\" = { upper = \"" + dir +
		"/upper\", work = \"" + dir +
		"/work\" }\n"
	r := run(t, call{dir: dir, args: append(boxedArgs(t, t.TempDir(), policy), binary("probe"), "setid", app)})
	r.want(t, 0, "setid openat2: ok")
	if _, err := os.Stat(filepath.Join(dir, "upper", "setid-openat2")); err != nil {
		t.Error(err)
	}
	noSetID(t, "overlay", filepath.Join(dir, "upper"))
}

// TestSetIDExplained: an explained run, whose one listener answers for both, does the same.
func TestSetIDExplained(t *testing.T) {
	dir := t.TempDir()
	r := run(t, call{dir: dir, args: []string{binary("sbx"), "--explain", "--policy", "project", "--read",
		binary("probe"), "--",
		"sh", "-c", "mkdir a && chmod 2750 a && stat -c %a a; : >f; chmod g+s f; " + binary("probe") + " setid " + dir}})
	openat2 := "setid openat2: ok"
	if os.Getuid() == 0 {
		openat2 = "setid openat2: ENOSYS"
	}
	r.want(t, 0, "2750", openat2, "setid chmod: EPERM")
	if !strings.Contains(r.stderr, "fchmodat(f, 02644) failed with EPERM") || strings.Contains(r.stderr, "fchmodat(a") ||
		strings.Contains(r.stderr, "took the set-id bits") != (os.Getuid() != 0) {
		t.Error(r.stderr)
	}
	noSetID(t, "explained", dir)
}

// TestSetIDWithoutListener: under an outer filter that has a listener of its own,
// directories get no bit; openat2 works, and what it makes is looked for.
func TestSetIDWithoutListener(t *testing.T) {
	dir := t.TempDir()
	listener := map[uint32]uint32{unix.SYS_SWAPON: unix.SECCOMP_RET_USER_NOTIF}
	r := runFiltered(t, listener, call{dir: dir, args: []string{binary("sbx"), "--policy", "project",
		"--read", binary("probe"), "--", binary("probe"), "setid", dir}})
	openat2 := "setid openat2: ok"
	if os.Getuid() == 0 {
		openat2 = "setid openat2: ENOSYS"
	}
	r.want(t, 0, openat2, "setid chmod: EPERM", "setid chmod directory: EPERM")
	if strings.Contains(r.stderr, "took the set-id bits") != (os.Getuid() != 0) {
		t.Error(r.stderr)
	}
	noSetID(t, "under a filter", dir)
	// A filter without one takes nothing away.
	r = runFiltered(t, deny(unix.EPERM, unix.SYS_SWAPON), call{dir: t.TempDir(), args: []string{binary("sbx"), "--policy",
		"project", "--", "sh", "-c", "mkdir a && chmod 2755 a && stat -c %a a"}})
	r.want(t, 0, "2755")
}
