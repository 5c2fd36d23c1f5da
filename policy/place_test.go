package policy

import "testing"

func TestNoProject(t *testing.T) {
	for dir, want := range map[string]bool{
		"/h/p": false, "/h/p/": false, "/h/p/src": false, "/h": false, "/srv/p": false, "/h/binary": false, "/h/p/bin": false,
		"/hx/.something/p": false, "/tmp/.tmpx1/p": false, "/h/p.git": false, "/h/a..b": false,
		"/h/.config/gh": true, "/h/.cargo/bin": true, "/h/.vim": true, "/h/.vim/": true, "/h/.anything/deep/p": true,
		"/h/bin":     true,
		"/h/bin/sub": true, "/h/p/.git": true, "/h/p/.git/hooks": true, "/h/p/.github/workflows": true, "/h/p/.own": true,
		"/srv/p/.git": true, "/srv/p/.git/modules/x": true, "/srv/p/.github": true, "/srv/p/.vscode": true, "/.ssh": true,
	} {
		if got := NoProject(dir, "/h"); (got != "") != want {
			t.Errorf("%s: %q", dir, got)
		}
	}
	if NoProject("/.own", "/") == "" || NoProject("/srv/.own", "") != "" {
		t.Error("a home that is the root, or none")
	}
}

// TestNoProjectGuards: what a policy guards by name in a project is no project.
func TestNoProjectGuards(t *testing.T) {
	for _, name := range toolDirs {
		if NoProject("/srv/p/"+name+"/x", "/home/u") == "" {
			t.Errorf("%s", name)
		}
	}
}
