package policies

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"sbx/policy"
)

const minimal = "version = 1\nsummary = %q\n[expect]\n"

func text(summary string) string { return fmt.Sprintf(minimal, summary) }

func TestLookup(t *testing.T) {
	dir := isolate(t)
	write(t, dir+"/mine.toml", text("the user's"))
	write(t, dir+"/web.toml",
		"version = 1\nsummary = \"wider web\"\nextends = [\"web\"]\n[files]\nread = [\"/srv/www\"]\n[expect]\n")
	write(t, dir+"/base.toml", text("not for embedded policies"))
	write(t, dir+"/beside.toml", "version = 1\nextends = [\"./sub/part.toml\", \"mine\"]\n[expect]\n")
	if err := os.Mkdir(dir+"/sub", 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, dir+"/sub/part.toml", "version = 1\n[files]\nread = [\"/part\"]\n[expect]\n")

	p, err := Find("mine")
	if err != nil || p.Summary != "the user's" || p.Name != "mine" {
		t.Errorf("mine: %v, %v", p, err)
	}
	// The user's goes first, and by its own name extends the embedded one,
	// which in turn extends embedded ones only.
	p, err = Find("web")
	if err != nil || p.Summary != "wider web" {
		t.Fatalf("web: %v", err)
	}
	d, err := policy.Compare(resolved("web"), p)
	if err != nil || fmt.Sprint(d.Wider, d.Narrower) != "[read /srv/www] []" {
		t.Errorf("web: %+v, %v", d, err)
	}
	if p, err = Find("default"); err != nil || p.Digest() != resolved("default").Digest() {
		t.Errorf("default: %v", err)
	}
	p, err = Find("beside")
	if err != nil || strings.Join(p.Files.Read, " ") != "/part" {
		t.Errorf("beside: %v, %v", p, err)
	}
	p, err = Find(dir + "/mine.toml")
	if err != nil || p.Name != dir+"/mine.toml" {
		t.Errorf("by path: %v, %v", p, err)
	}

	// Never from the current directory by name; only as a path.
	here := t.TempDir()
	t.Chdir(here)
	write(t, "here.toml", text("in the repository"))
	write(t, "default.toml", text("in the repository"))
	if _, err := Find("here"); err == nil {
		t.Error("a policy was found in the current directory by name")
	}
	if p, err := Find("default"); err != nil || p.Summary == "in the repository" {
		t.Errorf("default: %v, %v", p, err)
	}
	if p, err := Find("./here.toml"); err != nil || p.Summary != "in the repository" {
		t.Errorf("./here.toml: %v, %v", p, err)
	}
}

func TestExtendsCycle(t *testing.T) {
	dir := isolate(t)
	write(t, dir+"/a.toml", "version = 1\nextends = [\"b\"]\n[expect]\n")
	write(t, dir+"/b.toml", "version = 1\nextends = [\"a\"]\n[expect]\n")
	write(t, dir+"/c.toml", "version = 1\nextends = [\"./c.toml\"]\n[expect]\n")
	write(t, dir+"/d.toml", "version = 1\nextends = [\"d\"]\n[expect]\n")
	for name, want := range map[string]string{"a": "extends itself", "c": "extends itself", "d": `no policy "d"`} {
		if _, err := Find(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The machine's policies, in a mount namespace with an /etc of its own.
func TestSystemPolicies(t *testing.T) {
	asRoot(t)
	if os.Getenv("SBX_TEST_ETC") == "" {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestSystemPolicies$", "-test.v")
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS} // mounts become private
		cmd.Env = append(os.Environ(), "SBX_TEST_ETC=1")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS: TestSystemPolicies") {
			t.Errorf("%v:\n%s", err, out)
		}
		return
	}
	must(t, unix.Mount("none", "/etc", "tmpfs", 0, "mode=755"))
	must(t, os.MkdirAll(systemDir, 0o755))
	user := isolate(t)
	layer := func(dir, name, extends, shown string) {
		write(t, dir+"/"+name+".toml",
			fmt.Sprintf("version = 1\nsummary = %q\nextends = [%s]\n[files]\nread = [%q]\n[expect]\n", dir, extends, shown))
	}
	reads := func(name string) string {
		p, err := Find(name)
		if err != nil {
			return err.Error()
		}
		return strings.Join(p.Files.Read, " ")
	}
	layer(systemDir, "kernel", `"kernel"`, "/system")
	layer(systemDir, "site", `"kernel"`, "/site")
	if got := reads("site"); got != "/site /system" {
		t.Errorf("the machine's: %s", got)
	}
	// A user's policy of a name goes first, and adds to the machine's, which
	// adds to the embedded one; but it is nothing to the machine's others.
	layer(user, "kernel", `"kernel"`, "/user")
	layer(user, "own", `"site", "kernel"`, "/own")
	for name, want := range map[string]string{
		"kernel": "/system /user", "site": "/site /system", "own": "/own /site /system /user",
		"pure": strings.Join(resolved("pure").Files.Read, " "),
	} {
		if got := reads(name); got != want {
			t.Errorf("%s reads %s, want %s", name, got, want)
		}
	}
	chmod(t, systemDir, 0o777)
	if got := reads("site"); !strings.Contains(got, "can be written by others") {
		t.Errorf("a machine's directory that all may write: %s", got)
	}
	chmod(t, systemDir, 0o755)
	chown(t, systemDir+"/site.toml", 65533)
	if got := reads("site"); !strings.Contains(got, "belongs to user 65533") {
		t.Errorf("a machine's policy of another's: %s", got)
	}
}

// asRoot stops a test that needs to give files away. With SBX_MUST_WORK=1,
// which the suite sets where it runs as root, it fails instead.
func asRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("SBX_MUST_WORK") == "1" {
		t.Fatal("this test gives files to other users and must run as root")
	}
	t.Skip("gives files to other users: needs root")
}

func TestDistrustedFiles(t *testing.T) {
	for _, c := range []struct {
		name   string
		root   bool
		spoil  func(t *testing.T, dir, file string)
		want   string
		byPath bool // refused also if given by path
	}{
		{"written by all", false, func(t *testing.T, _, file string) { chmod(t, file, 0o666) },
			"can be written by others than its owner (mode 0666)", true},
		{"written by the group", false, func(t *testing.T, _, file string) { chmod(t, file, 0o664) },
			"can be written by others than its owner (mode 0664)", true},
		{"another's", true, func(t *testing.T, _, file string) { chown(t, file, 65533) },
			"belongs to user 65533, not to you or root", true},
		{"a link", false, func(t *testing.T, dir, file string) {
			rename(t, file, dir+"/real")
			symlink(t, "real", file)
		}, "is a symbolic link", true},
		{"a dangling link", false, func(t *testing.T, _, file string) {
			remove(t, file)
			symlink(t, "/nowhere", file)
		}, "is a symbolic link", true},
		{"a fifo", false, func(t *testing.T, _, file string) {
			remove(t, file)
			if err := unix.Mkfifo(file, 0o644); err != nil {
				t.Fatal(err)
			}
		}, "is not a regular file", true},
		{"a directory", false, func(t *testing.T, _, file string) {
			remove(t, file)
			if err := os.Mkdir(file, 0o755); err != nil {
				t.Fatal(err)
			}
		}, "is not a regular file", true},
		{"a device", false, func(t *testing.T, _, file string) {
			remove(t, file)
			symlink(t, "/dev/zero", file)
		}, "is a symbolic link", true},
		{"too large", false, func(t *testing.T, _, file string) {
			if err := os.Truncate(file, 1<<30); err != nil {
				t.Fatal(err)
			}
		}, "more than 1 MiB", true},
		{"not readable TOML", false, func(t *testing.T, _, file string) { write(t, file, "version = ") }, "not TOML", true},
		{"directory written by all", false, func(t *testing.T, dir, _ string) { chmod(t, dir, 0o777) },
			"policies are looked up below it, and it can be written by others", false},
		{"directory sticky, but not root's", true, func(t *testing.T, dir, _ string) {
			chown(t, dir, 65533)
			chmod(t, dir, os.ModeSticky|0o777)
		}, "policies are looked up below it, and it belongs to user 65533", false},
		{"directory sticky with the policies", false, func(t *testing.T, dir, _ string) {
			chmod(t, dir, os.ModeSticky|0o777)
		}, "policies are looked up below it, and it can be written by others", false},
		{"directory another's", true, func(t *testing.T, dir, _ string) { chown(t, dir, 65533) },
			"policies are looked up below it, and it belongs to user 65533", false},
		{"parent written by the group", false, func(t *testing.T, dir, _ string) { chmod(t, filepath.Dir(dir), 0o775) },
			"policies are looked up below it, and it can be written by others", false},
		{"linked by another", true, func(t *testing.T, dir, _ string) {
			rename(t, dir, dir+"-real")
			symlink(t, "policies-real", dir)
			if err := os.Lchown(dir, 65533, -1); err != nil {
				t.Fatal(err)
			}
		}, "policies are looked up below it, and it belongs to user 65533", false},
		{"linked through a loop", false, func(t *testing.T, dir, _ string) {
			rename(t, dir, dir+"-real")
			symlink(t, "policies", dir)
		}, "too many levels of symbolic links", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.root {
				asRoot(t)
			}
			dir := isolate(t)
			file := dir + "/default.toml"
			write(t, file, text("the user's"))
			c.spoil(t, dir, file)
			_, err := Find("default")
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("by name: %v, want %s", err, c.want)
			}
			if !c.byPath {
				return
			}
			if _, err = Find(file); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("by path: %v, want %s", err, c.want)
			}
		})
	}
}

// What has no policy in it does not matter, whoever it belongs to.
func TestDistrustedButEmpty(t *testing.T) {
	dir := isolate(t)
	chmod(t, dir, 0o777)
	if _, err := Find("default"); err != nil {
		t.Error(err)
	}
	remove(t, dir)
	if _, err := Find("default"); err != nil {
		t.Error(err)
	}
	for _, config := range []string{"relative", "/dev/null/x", "/proc/self/nothing"} {
		t.Setenv("XDG_CONFIG_HOME", config)
		_, err := Find("default")
		if config == "/dev/null/x" {
			// Not a directory: somebody meant something else.
			if !errors.Is(err, unix.ENOTDIR) {
				t.Errorf("%s: %v", config, err)
			}
		} else if err != nil {
			t.Errorf("%s: %v", config, err)
		}
	}
}

// Links of root's or the caller's own, as some keep their ~/.config behind,
// are followed.
func TestOwnLinks(t *testing.T) {
	dir := isolate(t)
	write(t, dir+"/mine.toml", text("the user's"))
	rename(t, dir, filepath.Dir(dir)+"/real")
	for _, target := range []string{"real", "../sbx/./real", filepath.Dir(dir) + "/real"} {
		symlink(t, target, dir)
		if p, err := Find("mine"); err != nil || p.Summary != "the user's" {
			t.Errorf("linked to %s: %v", target, err)
		}
		remove(t, dir)
	}
}

// What is checked is what is read: a name that changes between a good file
// and bad ones never gives what is in the bad ones.
func TestSwapped(t *testing.T) {
	dir := isolate(t)
	file := dir + "/swap.toml"
	write(t, dir+"/good", text("good"))
	write(t, dir+"/bad", text("bad"))
	chmod(t, dir+"/bad", 0o666)
	stop, done := make(chan bool), make(chan error, 1)
	go func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			_ = os.Remove(file + ".new") // is gone after the rename
			var err error
			switch i % 3 {
			case 0:
				err = os.Link(dir+"/good", file+".new")
			case 1:
				err = os.Link(dir+"/bad", file+".new")
			case 2:
				err = os.Symlink("bad", file+".new")
			}
			if err == nil {
				err = os.Rename(file+".new", file)
			}
			if err != nil {
				done <- err
				return
			}
		}
	}()
	good := 0
	for n := 0; n < 3000 || good == 0 && n < 3000000; n++ { // under load it takes longer
		if p, err := Find("swap"); err == nil {
			if good++; p.Summary != "good" {
				t.Errorf("read the %s file", p.Summary)
				break
			}
		}
	}
	close(stop)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if good == 0 {
		t.Error("the good file was never read")
	}
}

// Of a home that the caller cannot look into, such as root's after su, the
// policies are not the caller's.
func TestUnsearchableHome(t *testing.T) {
	if os.Geteuid() == 0 && os.Getenv("SBX_TEST_HOME") == "" {
		// Root can search everything, so the question is another user's.
		dir := isolate(t)
		write(t, dir+"/default.toml", text("root's"))
		chmod(t, dir, 0o700)
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestUnsearchableHome$", "-test.v")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		cmd.Env = append(os.Environ(), "SBX_TEST_HOME="+os.Getenv("XDG_CONFIG_HOME"))
		cmd.Dir = "/"
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS: TestUnsearchableHome") {
			t.Errorf("%v:\n%s", err, out)
		}
		return
	}
	config := os.Getenv("SBX_TEST_HOME")
	if config == "" {
		config = t.TempDir()
		chmod(t, config, 0)
		t.Cleanup(func() { chmod(t, config, 0o700) })
	}
	t.Setenv("XDG_CONFIG_HOME", config)
	if p, err := Find("default"); err != nil || p.Summary == "root's" {
		t.Errorf("%v, %v", p, err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func chmod(t *testing.T, file string, mode os.FileMode) { t.Helper(); must(t, os.Chmod(file, mode)) }
func chown(t *testing.T, file string, uid int)          { t.Helper(); must(t, os.Chown(file, uid, -1)) }
func rename(t *testing.T, from, to string)              { t.Helper(); must(t, os.Rename(from, to)) }
func symlink(t *testing.T, target, link string)         { t.Helper(); must(t, os.Symlink(target, link)) }
func remove(t *testing.T, file string)                  { t.Helper(); must(t, os.Remove(file)) }
