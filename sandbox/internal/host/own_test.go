package host

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sbx/policy"
)

// TestOwn: sbx's own directories are found for the HOME that it has and for that
// of the password file, there or not, and links on the way are judged.
func TestOwn(t *testing.T) {
	dir := tree(t, "home/.config/sbx/policies/", "home/.cache/", "home/.local/state/sbx/",
		"account/x", "pr/dot/sbx/", "linked/.config -> ../pr/dot",
		"pr/cfg -> ../elsewhere", "elsewhere/sbx/", "rv/.local/state/sbx/review/1a/x", "disk/.sbx-review-1/0/")
	err := os.WriteFile(filepath.Join(dir, "rv/.local/state/sbx/review/1a/places"),
		[]byte(filepath.Join(dir, "disk/.sbx-review-1")+"\x00"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		env     string
		account string
		write   string
		want    string // NAME=REAL, "-" in front: not there, "!" in front: refused
	}{
		{
			"two homes", "HOME=$D/home", "$D/account", "$D/pr",
			"$D/home/.config/sbx=$D/home/.config/sbx $D/account/.config/sbx=-$D/account/.config/sbx " +
				"$D/home/.cache/sbx=-$D/home/.cache/sbx $D/account/.cache/sbx=-$D/account/.cache/sbx " +
				"$D/home/.local/state/sbx=$D/home/.local/state/sbx $D/account/.local/state/sbx=-$D/account/.local/state/sbx",
		},
		{
			"a link to the project", "HOME=$D/linked", "$D/linked", "$D/pr",
			"$D/linked/.config/sbx=$D/pr/dot/sbx $D/linked/.cache/sbx=-$D/linked/.cache/sbx " +
				"$D/linked/.local/state/sbx=-$D/linked/.local/state/sbx",
		},
		{
			"a link in the project", "XDG_CONFIG_HOME=$D/pr/cfg", "$D/account", "$D/pr",
			"$D/pr/cfg/sbx=!$D/elsewhere/sbx $D/account/.config/sbx=-$D/account/.config/sbx " +
				"$D/account/.cache/sbx=-$D/account/.cache/sbx $D/account/.local/state/sbx=-$D/account/.local/state/sbx",
		},
		{
			"reports in the project", "XDG_STATE_HOME=$D/pr/dot", "$D/account", "$D/pr",
			"$D/account/.config/sbx=-$D/account/.config/sbx $D/account/.cache/sbx=-$D/account/.cache/sbx " +
				"$D/pr/dot/sbx=$D/pr/dot/sbx $D/account/.local/state/sbx=-$D/account/.local/state/sbx",
		},
		{
			"reviews", "HOME=$D/rv", "$D/rv", "$D/pr",
			"$D/rv/.config/sbx=-$D/rv/.config/sbx $D/rv/.cache/sbx=-$D/rv/.cache/sbx " +
				"$D/rv/.local/state/sbx=$D/rv/.local/state/sbx $D/disk/.sbx-review-1=$D/disk/.sbx-review-1",
		},
		{"nothing is written", "HOME=$D/home", "$D/account", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			at := func(s string) string { return strings.ReplaceAll(s, "$D", dir) }
			var files policy.Files
			if c.write != "" {
				files.Write = []string{at(c.write)}
			}
			target := Target{Env: []string{at(c.env)}, AccountHome: at(c.account)}
			h := probed(t, files, target)
			if err := h.probeOwn(nil, (&policy.Policy{Files: files}).Tree(), target); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, d := range h.Own {
				e, refused := d.File.Err.(*LinkError)
				switch {
				case d.Name == SystemDir:
				case refused:
					got = append(got, d.Name+"=!"+e.File.Real)
				case d.File.Mode == 0:
					got = append(got, d.Name+"=-"+d.File.Real)
				default:
					got = append(got, d.Name+"="+d.File.Real)
				}
			}
			if s := strings.Join(got, " "); s != at(c.want) {
				t.Errorf("got  %s\nwant %s", s, at(c.want))
			}
			if sys := slices.ContainsFunc(h.Own, func(d OwnDir) bool { return d.Name == SystemDir }); sys != (c.write != "") {
				t.Errorf("the machine's policies: %v", sys)
			}
		})
	}
}

// TestBarred: what is not there can be made by whoever owns a directory over it, or may write there.
func TestBarred(t *testing.T) {
	dir := tree(t, "closed/x", "open/x")
	for name, mode := range map[string]os.FileMode{"closed": 0o500, "open": 0o700} {
		if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
			t.Fatal(err)
		}
		if h := probed(t, policy.Files{}, Target{}); h.barred(filepath.Join(dir, name, "none/deeper")) {
			t.Errorf("%s, which is the caller's own: nothing could be made", name)
		}
	}
	if h := probed(t, policy.Files{}, Target{}); h.barred("/etc/none") != (os.Geteuid() != 0) {
		t.Error("/etc: only root can make something there")
	}
}

// TestAliases: a file that must not be written is found under its other names
// where the target may write; a directory that cannot be searched is hidden.
func TestAliases(t *testing.T) {
	find := func(dir string, files policy.Files) (*Facts, error) {
		h := probed(t, files, Target{})
		p := &policy.Policy{Files: files}
		return h, h.probeAliases(p, p.Tree(), Target{})
	}
	dir := tree(t, "w/guard", "w/d/x", "other/y", "w/plain")
	for _, name := range []string{"w/d/second", "other/third"} {
		if err := os.Link(dir+"/w/guard", filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	files := policy.Files{Write: []string{dir + "/w"}, Read: []string{dir + "/w/guard", dir + "/w/plain"}}
	h, err := find(dir, files)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range h.Aliases {
		if a.Of != dir+"/w/guard" {
			t.Errorf("another name of %s", a.Of)
		}
		got = append(got, strings.TrimPrefix(a.File.Real, dir))
	}
	slices.Sort(got)
	if s := strings.Join(got, " "); s != "/w/d/second /w/guard" {
		t.Errorf("names: %s", s)
	}
	// What is guarded by its shape alone.
	h = probed(t, policy.Files{Write: []string{dir + "/w"}}, Target{})
	guard := h.look(dir + "/w/guard")
	h.Guarded = []Found{{Path: guard.Real, ID: guard.ID(), Links: guard.Links}, {Path: dir + "/w", Dir: true, Links: 3}}
	guards := &policy.Policy{Files: policy.Files{Write: []string{dir + "/w"}}}
	if err := h.probeAliases(guards, guards.Tree(), Target{}); err != nil || len(h.Aliases) != 2 {
		t.Errorf("of a guard: %v, %v", h.Aliases, err)
	}
	// A policy's own file and a receipt without a name are looked for, too.
	var st unix.Stat_t
	if err := unix.Stat(dir+"/other/third", &st); err != nil {
		t.Fatal(err)
	}
	h = probed(t, policy.Files{Write: []string{dir + "/w"}}, Target{})
	h.Receipt = describe(opened{st: st})
	p := &policy.Policy{Files: policy.Files{Write: []string{dir + "/w"}}}
	if err := h.probeAliases(p, p.Tree(), Target{}); err != nil || len(h.Aliases) != 2 {
		t.Errorf("of a receipt: %v, %v", h.Aliases, err)
	}
	// Too many files to look at.
	h = probed(t, files, Target{})
	h.searchLimit = 3
	p = &policy.Policy{Files: files}
	err = h.probeAliases(p, p.Tree(), Target{})
	if err == nil || !strings.Contains(err.Error(), "more than 3 files") {
		t.Errorf("too many: %v", err)
	}
}

// TestUnreadable: a directory that cannot be searched is hidden whole, if the
// target could change that, and the rest is found.
func TestUnreadable(t *testing.T) {
	for _, mode := range []os.FileMode{0, 0o100, 0o200, 0o300, 0o400, 0o600} {
		dir := tree(t, "d/.env", "e/.env", "shared/x", ".env -> shared/x")
		err := filepath.WalkDir(dir, func(name string, _ os.DirEntry, err error) error {
			if err != nil || os.Geteuid() != 0 {
				return err
			}
			return os.Lchown(name, 4711, 4711)
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"d", "shared"} {
			if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
				t.Fatal(err)
			}
		}
		var h Facts
		asUser(t, func() {
			err = h.findHidden(&policy.Policy{Files: policy.Files{Hide: []string{"**/.env"}}}, dir, true)
		})
		var got []string
		for _, f := range h.Found {
			if f.Unread {
				got = append(got, strings.TrimPrefix(f.Path, dir))
			} else if f.Path != dir+"/e/.env" && f.Path != dir+"/shared/x" {
				t.Errorf("%+v", f)
			}
		}
		slices.Sort(got)
		if s := strings.Join(got, " "); err != nil || s != "/d /shared" {
			t.Errorf("mode %04o: %s, %v", mode, s, err)
		}
		for _, name := range []string{"d", "shared"} {
			if err := os.Chmod(filepath.Join(dir, name), 0o700); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestClosed: a path behind somebody else's directory is told from one behind a
// directory that the caller could open up, or behind a link.
func TestClosed(t *testing.T) {
	dir := tree(t, "mine/f", "theirs/f", "theirs/d/f", "by -> theirs/d", "to -> mine")
	for name, uid := range map[string]int{"": 4711, "mine": 4711, "by": 4711, "to": 4711, "theirs": 4712} {
		if os.Geteuid() == 0 {
			if err := os.Lchown(filepath.Join(dir, name), uid, uid); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, name := range []string{"mine", "theirs"} {
		if err := os.Chmod(filepath.Join(dir, name), 0); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]bool{
		"mine/f": false, "theirs/f": os.Geteuid() == 0, "theirs/d/f": os.Geteuid() == 0, "by/f": false, "to/f": false,
	} {
		var f File
		asUser(t, func() {
			h := Facts{UID: os.Geteuid()}
			defer h.CloseFiles()
			f = h.look(filepath.Join(dir, name))
		})
		if f.Err != unix.EACCES || f.Closed != want {
			t.Errorf("%s: %v, closed %v, want %v", name, f.Err, f.Closed, want)
		}
	}
	for _, name := range []string{"mine", "theirs"} {
		if err := os.Chmod(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
}

// asUser calls f as an ordinary user, on a thread of its own that is then gone.
func asUser(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		f()
		return
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		none := ^uintptr(0)
		_, _, err := unix.RawSyscall(unix.SYS_SETRESUID, none, 4711, none)
		if err != 0 {
			done <- err
			return
		}
		f()
		done <- nil
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
