package policy

import (
	"strings"
	"testing"
)

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
	for mark := range RepositoryMarks() {
		if why := NoProject("/srv/p/"+mark+"/x", "/home/u"); (why == "") != (mark == "CVS") { // a name of people's, too
			t.Errorf("%s: %q", mark, why)
		}
	}
	for _, name := range toolDirs {
		if NoProject("/srv/p/"+name+"/x", "/home/u") == "" {
			t.Errorf("%s", name)
		}
	}
}

// TestSystemPlace: what the machine's own programs run or obey is no project, and where
// people, services and images of containers work is one.
func TestSystemPlace(t *testing.T) {
	for _, dir := range []string{
		"/etc", "/etc/", "/etc/cron.d", "/etc/ssh", "/usr", "/usr/lib/python3/dist-packages", "/usr/local", "/usr/local/bin",
		"/usr/share/x", "/lib/systemd/system", "/boot/grub", "/var/lib", "/var/lib/dpkg/info", "/var/lib/systemd",
		"/var/spool/cron/crontabs", "/var/log/x", "/var/cache/apt",
	} {
		if SystemPlace(dir) == "" {
			t.Errorf("%s is a project", dir)
		}
	}
	for _, dir := range []string{
		"/usr/src/app", "/usr/app", "/usr/local/src/x", "/usr/local/app", "/opt/x", "/srv/x", "/var/www/html", "/app",
		"/var/lib/jenkins/workspace/x", "/var/lib/dpkg-x", "/etcetera", "/home/u/etc", "/root/x", "/tmp/x", "/builds/x",
		"/mnt/etc",
		"/workspace", "/var/tmp/x", "/data",
	} {
		if why := SystemPlace(dir); why != "" {
			t.Errorf("%s: %s", dir, why)
		}
	}
	for _, d := range systemPlaces {
		if place, _ := obeyed(strings.TrimSuffix(d, "/.")); place == "" {
			t.Errorf("%s is no place that a policy is warned of", d)
		}
	}
}
