package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestRememberedProject: what sbx remembers of a large project hides nothing less the next
// time, whatever the program of a launch before or the host has done, and is not the
// program's to write.
func TestRememberedProject(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 4000 {
		put(fmt.Sprintf("d%d/file%d", i/40, i), "")
	}
	put("d3/.env", verySecret)
	put("d4/.npmrc", "fund=false\n")
	put("d5/plain", verySecret)
	time.Sleep(2100 * time.Millisecond) // what has changed just now is not remembered
	inside := func(script string) string {
		t.Helper()
		r := run(t, call{args: []string{binary("sbx"), "-p", "project", "--", "sh", "-c", script}, dir: dir})
		if strings.Contains(r.stdout+r.stderr, verySecret) {
			t.Errorf("%s: it was shown: %v", script, r)
		}
		return r.stdout
	}
	inside("cat d3/.env")
	inside("cat d3/.env; mv d3 vendor; mv d3/.env d9/x; mv d5 node_modules; mkdir d6/.git; touch -d @1 d6 d7 d8")
	put("d7/.env", verySecret)
	put("d8/.git/hooks/pre-commit", "")
	put("d4/.npmrc", "//registry.example/:_authToken="+verySecret+"\n")
	if err := os.Rename(filepath.Join(dir, "node_modules"), filepath.Join(dir, "d5")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "d5/plain"), filepath.Join(dir, "d5/.env.local")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		out := inside("cat d3/.env vendor/.env d9/x d4/.npmrc d5/.env.local d7/.env; " +
			"echo x >d8/.git/hooks/pre-commit || echo guarded; echo end")
		if out != "guarded\nend\n" {
			t.Errorf("the next time: %q", out)
		}
	}
	if !asRoot() {
		return // testUser has no line in /etc/passwd, so nothing is remembered for it
	}
	settings := "/root/.config/sbx/searches"
	r := run(t, call{args: []string{binary("sbx"), "-p", "project", "--write", "/root/.config", "--", "sh", "-c",
		"echo x >" + settings + "/x || mv /root/.config/sbx /root/.config/x || echo kept"}, dir: dir})
	if r.stdout != "kept\n" {
		t.Errorf("the program could write there: %v", r)
	}
}
