package host

import (
	"os"
	"path/filepath"
	"testing"
)

func TestUnitOf(t *testing.T) {
	for groups, want := range map[string]string{
		"0::/system.slice/x.service\n":                                     "x.service",
		"12:pids:/a\n1:name=systemd:/system.slice/a@b.service\n0::/\n":     "a@b.service",
		"0::/user.slice/user-1.slice/user@1.service/app.slice/x.service\n": "",
		"0::/system.slice/x.service/payload\n":                             "",
		"5:pids:/system.slice/x.service\n":                                 "",
		"0::/\n":                                                           "", "": "", "x": "",
	} {
		if got := unitOf(groups); got != want {
			t.Errorf("%q: %q, want %q", groups, got, want)
		}
	}
}

// TestUnitType: the type is that of the first file, changed by drop-ins, and it is told where
// sbx is certain to be the main process.
func TestUnitType(t *testing.T) {
	const main = "ExecStart=/usr/bin/sbx -- x\n"
	for _, c := range []struct {
		name, unit, want string
		files            map[string]string
	}{
		{"none", "x.service", "", nil},
		{"said", "x.service", "forking", map[string]string{"a/x.service": "[Service]\nType = forking\n" + main}},
		{"the first", "x.service", "exec", map[string]string{"a/x.service": "[Service]\nType=exec\n" + main,
			"b/x.service": "[Service]\nType=dbus\n" + main}},
		{"a template", "x@y.service", "dbus", map[string]string{"b/x@.service": "[Service]\nType=dbus\n" + main}},
		{"by a bus's name", "x.service", "dbus", map[string]string{"a/x.service": "[Service]\nBusName=a.b\n" + main}},
		{"a drop-in", "x.service", "notify", map[string]string{"a/x.service": "[Service]\nType=dbus\n" + main,
			"b/x.service.d/2.conf": "[Service]\nType=notify\n", "b/x.service.d/1.conf": "[Service]\nType=forking\n"}},
		{"a hidden drop-in", "x.service", "dbus", map[string]string{"a/x.service": "[Service]\nType=dbus\n" + main,
			"a/x.service.d/1.conf": "", "b/x.service.d/1.conf": "[Service]\nType=forking\n"}},
		{"sbx by a drop-in", "x.service", "dbus", map[string]string{
			"a/x.service":          "[Service]\nType=dbus\nExecStart=/usr/bin/x\n",
			"a/x.service.d/1.conf": "[Service]\nExecStart=\nExecStart=-/opt/sbx \\\n -- x\n"}},
		{"another section", "x.service", "", map[string]string{"a/x.service": "[Unit]\nType=dbus\n[Service]\n" + main}},
		{"another program", "x.service", "", map[string]string{"a/x.service": "[Service]\nType=dbus\nExecStart=/bin/x\n"}},
		{"sbx beforehand as well", "x.service", "", map[string]string{
			"a/x.service": "[Service]\nType=dbus\nExecStartPre=/usr/bin/sbx -- y\n" + main}},
	} {
		dir := t.TempDir()
		for name, text := range c.files {
			file := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got := unitType(c.unit, []string{dir + "/a", dir + "/b"}); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
