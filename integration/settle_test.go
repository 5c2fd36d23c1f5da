package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// beside does something again and again, a few hundred times a second, while f runs.
func beside(t *testing.T, something func() error, f func()) {
	t.Helper()
	stop, stopped := make(chan struct{}), make(chan error)
	go func() {
		for {
			select {
			case <-stop:
				stopped <- nil
				return
			case <-time.After(4 * time.Millisecond): // as git or an editor could at most
			}
			if err := something(); err != nil {
				stopped <- err
				return
			}
		}
	}()
	defer func() { // also where f ends the test
		close(stop)
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	}()
	f()
}

// TestStartsBesideRenames: a file with a secret's name that comes and goes, as an editor
// or git makes them, is no reason not to start, and is never shown.
func TestStartsBesideRenames(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := os.Mkdir(at(".git"), 0o755); err != nil {
		t.Fatal(err)
	}
	rewrite := func(name, text string) error {
		if err := os.WriteFile(at(name+".lock"), []byte(text), 0o600); err != nil {
			return err
		}
		return os.Rename(at(name+".lock"), at(name))
	}
	for _, c := range []struct {
		name      string
		something func() error
	}{
		{"names that come and go", func() error {
			if err := os.WriteFile(at(".env.tmp"), []byte(verySecret), 0o600); err != nil {
				return err
			}
			if err := os.Rename(at(".env.tmp"), at(".env.new")); err != nil {
				return err
			}
			return os.Remove(at(".env.new"))
		}},
		{"a file that is replaced", func() error { return rewrite(".env", verySecret) }},
		{"git's settings, with a token", func() error {
			return rewrite(".git/config", "[remote \"o\"]\nurl = https://a:"+verySecret+"@host/x\n")
		}},
		{"settings in place", func() error { return rewrite(".editorconfig", "x") }},
	} {
		for _, policy := range []string{"project", "default"} {
			t.Run(c.name+", "+policy, func(t *testing.T) {
				if err := c.something(); err != nil { // so that there is something from the first start on
					t.Fatal(err)
				}
				beside(t, c.something, func() {
					for range 25 {
						r := run(t, call{args: []string{binary("sbx"), "-p", policy, "--", "true"}, dir: dir})
						if r.status != 0 {
							t.Fatalf("%v", r)
						}
					}
				})
			})
		}
	}
	noStrays(t)
}

// TestStreamsOfASecondStart: a start that has to be made anew has the standard streams of
// the first, and the pipes end when the target closes them.
func TestStreamsOfASecondStart(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ".env"), []byte(verySecret), 0o600); err != nil {
		t.Fatal(err)
	}
	swapped := false
	r := whilePlanned(t, dir, []string{"-p", "project", "--", "/bin/sh", "-c",
		"cat .env .env.was; echo out; exec >&-; sleep 0.2; echo err >&2"}, func() {
		if err := os.Rename(filepath.Join(dir, ".env"), filepath.Join(dir, ".env.was")); err != nil {
			t.Error(err)
		}
		swapped = true
	})
	if !swapped || r.status != 0 || !strings.Contains(r.stdout, "out") || !strings.Contains(r.stderr, "err") {
		t.Errorf("swapped %v: %v", swapped, r)
	}
	if strings.Contains(r.stdout, verySecret) {
		t.Errorf("the secret was shown: %v", r)
	}
}

// TestNever: where a secret changes between two such names all the time, either nothing
// runs, with the reason, or it is hidden under both.
func TestNever(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ".env"), []byte(verySecret), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, ".env.link")); err != nil {
		t.Fatal(err)
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		exchange(t, stop, filepath.Join(dir, ".env"), filepath.Join(dir, ".env.link"), 0)
	}()
	for range 5 {
		r := run(t, call{args: []string{binary("sbx"), "-p", "default", "--", "cat", ".env", ".env.link"}, dir: dir})
		if strings.Contains(r.stdout, verySecret) {
			t.Errorf("the secret was shown: %v", r)
		}
		if r.status == 125 && !strings.Contains(r.stderr, "renamed or removed there all the time") &&
			!strings.Contains(r.stderr, "replaced while sbx was starting") {
			t.Errorf("the reason: %v", r)
		}
	}
	close(stop)
	<-done
}

// TestSecretsLine: at a terminal one line says how many files are hidden, and nothing is
// said where there are none.
func TestSecretsLine(t *testing.T) {
	dir := t.TempDir()
	at := func(want string) {
		t.Helper()
		term := atTerminal(t, "/bin/sh", "-c", `cd "$1" && exec "$0" -- echo ended`, binary("sbx"), dir)
		term.ends(0)
		out := strings.ReplaceAll(term.out.String(), "\r", "")
		if out != want+"ended\n" {
			t.Errorf("at the terminal: %q, want %q before", out, want)
		}
	}
	at("")
	for i, want := range []string{"1 file that looks like a secret is", "2 files that look like secrets are"} {
		if err := os.WriteFile(filepath.Join(dir, string(rune('a'+i))+".env"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		at("sbx: note: " + want + " hidden (sbx --dry-run lists them; --show PATH shows one)\n")
	}
}

// TestStartsAgainWithItsStreams: without namespaces it is the target that sees that a hidden
// file is another one by now. The next try has the caller's standard streams still.
func TestStartsAgainWithItsStreams(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	args := bare(t, "-p", "default", "--", "cat", "-", "file1", ".env")
	if args == nil {
		return
	}
	for i := range 3000 { // a rule for each, so that the target takes its time
		if err := os.WriteFile(at(fmt.Sprint("file", i)), []byte("shown\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	replace := func() error {
		if err := os.WriteFile(at(".env.new"), []byte(verySecret), 0o600); err != nil {
			return err
		}
		return os.Rename(at(".env.new"), at(".env"))
	}
	if err := replace(); err != nil {
		t.Fatal(err)
	}
	stop, stopped := time.Now().Add(time.Second), make(chan struct{})
	go func() {
		defer close(stopped)
		for time.Now().Before(stop) {
			if err := replace(); err != nil {
				t.Error(err)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	defer func() { <-stopped }()
	r := run(t, call{args: args, dir: dir, stdin: "asked\n"})
	if r.stdout != "asked\nshown\n" || r.status != 1 {
		t.Errorf("%v", r)
	}
}
