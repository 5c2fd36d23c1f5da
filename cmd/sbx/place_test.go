package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestObeyed: a directory of PATH and a bare repository of git's are told by what
// is there, not by their names.
func TestObeyed(t *testing.T) {
	home := t.TempDir()
	at := func(name string) string { return filepath.Join(home, name) }
	for _, d := range []string{"tools/sub", "toolsx", "p/src", "bare.git/objects", "bare.git/refs", "bare.git/hooks",
		"half/objects", "half/refs", "apart/commondir", "apart/hooks"} {
		if err := os.MkdirAll(at(d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"bare.git/HEAD", "apart/HEAD"} {
		if err := os.WriteFile(at(name), []byte("ref: refs/heads/main\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("tools", at("link")); err != nil {
		t.Fatal(err)
	}
	for _, search := range []string{at("tools"), "/usr/bin:" + at("link") + ":/bin", at("link") + "/.:" + home} {
		for dir, want := range map[string]bool{
			"tools": true, "tools/sub": true, "toolsx": false, "p": false, "p/src": false,
			"bare.git": true, "bare.git/hooks": true, "half": false, "half/refs": false,
			"apart": true, "apart/hooks": true,
		} {
			if got := obeyed(at(dir), home, search); (got != "") != want {
				t.Errorf("PATH %s: %s: %q", search, dir, got)
			}
		}
	}
	if got := obeyed("/srv", home, ".:bin::/usr/bin"); got != "" {
		t.Errorf("relative entries: %q", got)
	}
}
