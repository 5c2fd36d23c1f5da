package policy

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func resolvedText(t *testing.T, text string) *Policy {
	t.Helper()
	p, err := Parse("p", []byte(head+text+tail))
	if err != nil {
		t.Fatal(err)
	}
	if p, err = Resolve(p, nil); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestExpand(t *testing.T) {
	p := resolvedText(t, `[files]
read = ["/usr", "?~/x", ".", "?${XDG_RUNTIME_DIR}/bus", "/run/user/${UID}", "/home/${USER}/y", `+
		`"${XDG_CONFIG_HOME}/z", "?${XDG_CACHE_HOME}"]
write = ["?./out"]
tmpfs = ["~", "/tmp"]
hide = ["*.pem", "?**/.env*", "?./.git/config", "?~/.ssh"]
[process]
env = ["A", "B=${HOME}/b:${CWD}", "C=${UID}${USER}", "L_*"]`)
	for _, c := range []struct {
		v                              Vars
		read, write, tmpfs, hide, envs string
	}{
		{
			Vars{
				Home:       "/home/u",
				CWD:        "/home/u/p",
				User:       "u",
				UID:        7,
				RuntimeDir: "/run/user/7",
				CacheHome:  "/cache",
				ConfigHome: "relative",
			},
			"/home/u/p ?/home/u/x ?/cache /home/u/.config/z ?/run/user/7/bus /home/u/y /run/user/7 /usr", "?/home/u/p/out",
			"/home/u /tmp",
			"?/home/u/p/.git/config ?/home/u/.ssh ?**/.env* *.pem", "A B=/home/u/b:/home/u/p C=7u L_*",
		},
		{ // no project, no runtime directory
			Vars{Home: "/home/u", User: "u"},
			"?/home/u/x ?/home/u/.cache /home/u/.config/z /home/u/y /run/user/0 /usr", "", "/home/u /tmp",
			"?/home/u/.ssh ?**/.env* *.pem", "A C=0u L_*",
		},
		{ // the root as home: what lies in it, but not the whole
			Vars{Home: "/", User: "u"},
			"?/x ?/.cache /.config/z /home/u/y /run/user/0 /usr", "", "/tmp", "?/.ssh ?**/.env* *.pem", "A C=0u L_*",
		},
		{ // a system user's home: not covered by an empty one
			Vars{Home: "/var/www", User: "u"},
			"?/var/www/x ?/var/www/.cache /var/www/.config/z /home/u/y /run/user/0 /usr", "", "/tmp",
			"?/var/www/.ssh ?**/.env* *.pem", "A C=0u L_*",
		},
		{ // no home
			Vars{CWD: "/p", User: "u"},
			"/p /home/u/y /run/user/0 /usr", "?/p/out", "/tmp", "?/p/.git/config ?**/.env* *.pem", "A C=0u L_*",
		},
	} {
		q, err := p.Expand(c.v)
		if err != nil {
			t.Errorf("%+v: %v", c.v, err)
			continue
		}
		for _, l := range []struct {
			got  []string
			want string
		}{
			{q.Files.Read, c.read}, {q.Files.Write, c.write}, {q.Files.Tmpfs, c.tmpfs}, {q.Files.Hide, c.hide},
			{q.Process.Env, c.envs},
		} {
			if got := strings.Join(l.got, " "); got != l.want {
				t.Errorf("%+v:\n got %s\nwant %s", c.v, got, l.want)
			}
		}
	}
	if strings.Contains(strings.Join(p.Files.Read, ""), "/home/u/p") {
		t.Error("Expand changed the policy it was given")
	}
}

func TestExpandErrors(t *testing.T) {
	all := Vars{Home: "/h", CWD: "/p", User: "u"}
	with := func(change func(*Vars)) Vars {
		v := all
		change(&v)
		return v
	}
	for _, c := range []struct {
		text string
		v    Vars
		want string
	}{
		{"[files]\nhide = ['~/.ssh']", with(func(v *Vars) { v.Home = "" }),
			`p: files.hide: "${HOME}/.ssh": ${HOME} has no value here`},
		{"[files]\nread = ['${XDG_RUNTIME_DIR}/x']", all,
			`p: files.read: "${XDG_RUNTIME_DIR}/x": ${XDG_RUNTIME_DIR} has no value here`},
		{"[files]\nread = ['./x']", with(func(v *Vars) { v.CWD = "/" }),
			`p: files.read: ${CWD} is "/", not the clean path of a directory below /`},
		{"[files]\nread = ['~/x']", with(func(v *Vars) { v.Home = "h" }),
			`p: files.read: ${HOME} is "h", not the clean path of a directory below /`},
		{"[files]\nread = ['~/x']", with(func(v *Vars) { v.Home = "/h/../x" }),
			`p: files.read: ${HOME} is "/h/../x", not the clean path of a directory below /`},
		{"[files]\nread = ['./x']", with(func(v *Vars) { v.CWD = "/p/" }),
			`p: files.read: ${CWD} is "/p/", not the clean path of a directory below /`},
		{"[files]\nread = ['/x/${USER}']", with(func(v *Vars) { v.User = "../etc" }),
			`p: files.read: user name "../etc" is no name of a file`},
		{"[files]\nread = ['/x/${USER}/y']", with(func(v *Vars) { v.User = ".." }),
			`p: files.read: user name ".." is no name of a file`},
		{"[files]\nwrite = ['.']\ntmpfs = ['/x']", with(func(v *Vars) { v.CWD = "/x" }),
			`p:4:10: both files.write and files.tmpfs name /x`},
	} {
		_, err := resolvedText(t, c.text).Expand(c.v)
		var e *Error
		if !errors.As(err, &e) || e.Error() != c.want {
			t.Errorf("%q: got %v\nwant %s", c.text, err, c.want)
		}
	}
}

// Whatever turns out to be one path is one entry, the stronger one.
func TestExpandSamePath(t *testing.T) {
	p := resolvedText(t, "[files]\nread = ['/p', '?.', '/q']\nwrite = ['?/q', '~']")
	q, err := p.Expand(Vars{Home: "/q", CWD: "/p"})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(q.Files.Read, q.Files.Write); got != "[/p] [/q]" {
		t.Errorf("got %s", got)
	}
}

func TestSettings(t *testing.T) {
	for dir, want := range map[string]bool{
		"/h/.config": true, "/h/.config/": true, "/h/.config/nvim": false, "/h/.ssh": true, "/h/.ssh/keys": true,
		"/h/.sshx": false, "/h/.config/sbx/policies": true, "/h/.local/src/p": false, "/h/p": false, "/h": false,
		"/.ssh": false, "/hx/.ssh": false, "": false,
	} {
		if got := Settings(dir, "/h"); got != want {
			t.Errorf("Settings(%q) = %v", dir, got)
		}
	}
	if Settings("/x", "") || !Settings("/.ssh", "/") {
		t.Error("a home that is none, or the root")
	}
}

func TestProjectDir(t *testing.T) {
	for _, c := range []struct{ dir, home, want string }{
		{"/home/u/p", "/home/u", "/home/u/p"},
		{"/home/u/p/", "/home/u", "/home/u/p"},
		{"/home/u/p/..", "/home/u", ""},
		{"/home/u", "/home/u", ""},
		{"/home", "/home/u", ""},
		{"/", "/home/u", ""},
		{"/", "", ""},
		{"/home/user", "/home/u", "/home/user"},
		{"/srv/x", "/", "/srv/x"},
		{"/srv/x", "", "/srv/x"},
		{"/tmp", "/root", ""},
		{"/tmp/x", "/root", "/tmp/x"},
		{"/etc", "/root", ""},
		{"/proc/self/fd", "/root", ""},
		{"/dev/shm", "/root", ""},
		{"relative", "/root", ""},
		{"", "/root", ""},
	} {
		if got := ProjectDir(c.dir, c.home); got != c.want {
			t.Errorf("ProjectDir(%q, %q) = %q, want %q", c.dir, c.home, got, c.want)
		}
	}
}

func TestPrivateHome(t *testing.T) {
	for _, home := range []string{"/root", "/home/u", "/var/lib/x", "/nonexistent"} {
		if got := PrivateHome(home); got != home {
			t.Errorf("PrivateHome(%q) = %q", home, got)
		}
	}
	for _, home := range []string{"", "/", "//", "/bin", "/usr/sbin", "/var/www", "/dev", "/run/x", "/tmp", "/home", "x"} {
		if got := PrivateHome(home); got != "" {
			t.Errorf("PrivateHome(%q) = %q, want none", home, got)
		}
	}
}

// TestSessionVariables: the sockets of a session are named by its variables, if they
// say a path or a name on this machine.
func TestSessionVariables(t *testing.T) {
	p := resolvedText(t, "[files]\nsockets = ['?${SSH_AUTH_SOCK}', '?/tmp/.X11-unix/X${DISPLAY}', "+
		"'?${XDG_RUNTIME_DIR}/${WAYLAND_DISPLAY}']")
	for _, c := range []struct {
		ssh, x, wayland string
		want            string
	}{
		{"/tmp/ssh-x/agent.1", ":0", "wayland-0",
			"?/tmp/ssh-x/agent.1 ?/run/user/7/wayland-0 ?/tmp/.X11-unix/X0"},
		{"", "", "", ""},
		{"", "unix:12.3", "", "?/tmp/.X11-unix/X12"},
		{"agent", "localhost:10.0", "/run/user/7/wayland-0", ""},
		{"", ":/../../x", "..", ""}, {"", ":", "", ""}, {"", "0", "", ""}, {"", ":-1", "", ""}, {"", ":+1", "", ""},
		{"", ":00", "", ""}, {"", ":0.a/b", "", ""}, {"", ":99999", "", ""}, {"", "[::1]:0", "", ""},
	} {
		q, err := p.Expand(Vars{Home: "/home/u", UID: 7, RuntimeDir: "/run/user/7", SSHAuthSock: c.ssh, Display: c.x,
			WaylandDisplay: c.wayland})
		if err != nil {
			t.Errorf("%+v: %v", c, err)
		} else if got := strings.Join(q.Files.Sockets, " "); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
	for _, path := range []string{"${SSH_AUTH_SOCK}", "/tmp/.X11-unix/X${DISPLAY}", "/run/${WAYLAND_DISPLAY}"} {
		if _, err := resolvedText(t, "[files]\nsockets = ['"+path+"']").Expand(Vars{Home: "/h"}); err == nil {
			t.Errorf("%s has no value, and is left out", path)
		}
	}
	agent := resolvedText(t, "[files]\nsockets = ['${SSH_AUTH_SOCK}']")
	if _, err := agent.Expand(Vars{SSHAuthSock: "/a/../b"}); err == nil {
		t.Error("a path that is not clean is taken")
	}
}
