package systemd

import (
	"strings"
	"testing"

	"sbx/policy/seccomp"
)

// TestVariables: quoting and escapes are those of systemd.syntax(7).
func TestVariables(t *testing.T) {
	for text, want := range map[string]string{
		`Environment=A="b c"`:                            "A=b c",
		`Environment="A=b c" 'B=d "e"' C=f`:              `A=b c|B=d "e"|C=f`,
		`Environment=A=b\x20c "B=\u00e4\163"`:            "A=b c|B=äs",
		`Environment=A='b 'c" d"`:                        "A=b c d",
		"Environment=A=1 B=2\nEnvironment=A=3":           "B=2|A=3",
		"Environment=A=1\nEnvironment=\nEnvironment=B=2": "B=2",
		"Environment=A=1 B=2\nUnsetEnvironment=A B=3":    "B=2",
		"PassEnvironment=LANG A\nEnvironment=A=1":        "LANG|A=1",
		"PassEnvironment=LANG\nPassEnvironment=":         "",
		"Environment=A=100%%":                            "A=100%",
		"Environment=A=%n B=%N C=%p":                     "A=x.service|B=x|C=x",
		"Environment=A=%h/x B=%u C=%U":                   "A=${HOME}/x|B=${USER}|C=${UID}",
		"Environment=\"A=b\\\nc\"":                       "A=b c",
		"StateDirectory=a b\nLogsDirectory=c": "STATE_DIRECTORY=/var/lib/a:/var/lib/b|" +
			"LOGS_DIRECTORY=/var/log/c",
		"RuntimeDirectory=a\nEnvironment=RUNTIME_DIRECTORY=/x": "RUNTIME_DIRECTORY=/x",
	} {
		p, _ := imported(t, text)
		if got := strings.Join(p.Process.Env, "|"); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", text, got, want)
		}
	}
}

// TestInstances: a template's specifiers need the instance, which the file's
// name or an option gives.
func TestInstances(t *testing.T) {
	const text = "Environment=A=%i B=%I C=%n D=%p E=%f F=%j G=%J\n"
	for _, c := range []struct{ file, instance, want, err string }{
		{"/lib/a-b@.service", `x-y\x2dz`, `A=x-y\x2dz B=x/y-z C=a-b@x-y\x2dz.service D=a-b E=/x/y-z F=b G=b`, ""},
		{"a-b@x.service", "", "A=x B=x C=a-b@x.service D=a-b E=/x F=b G=b", ""},
		{"a-b@x.service", "x", "A=x B=x C=a-b@x.service D=a-b E=/x F=b G=b", ""},
		{"a-b@.service.d/own.conf", "x", "A=x B=x C=a-b@x.service D=a-b E=/x F=b G=b", ""},
		{"a-b.service", "", "A= B= C=a-b.service D=a-b E=/a/b F=b G=b", ""},
		{"a@.service", "", "", "depends on the instance"},
		{"standard input", "", "", "depends on the instance"},
		{"standard input", "x", "", "has no unit's name"},
		{"a.service", "x", "", "is no template"},
		{"a@x.service", "y", "", `is the instance "x" already`},
		{"a@.service", "${HOME}", "", "is no instance's name"},
	} {
		p, _, _, err := Import(c.file, []byte(text), Options{Native: seccomp.AMD64, Instance: c.instance})
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s, %q: %v, want %s", c.file, c.instance, err, c.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s, %q: %v", c.file, c.instance, err)
			continue
		}
		if got := strings.Join(p.Process.Env, " "); got != c.want {
			t.Errorf("%s, %q\ngot  %s\nwant %s", c.file, c.instance, got, c.want)
		}
	}
	machine := func(c byte) (string, error) { return map[byte]string{'H': "box", 'v': "6.1"}[c], nil }
	p, _, _, err := Import("x.service", []byte("Environment=A=%H-%v\n"), Options{Native: seccomp.AMD64, Machine: machine})
	if err != nil || p.Process.Env[0] != "A=box-6.1" {
		t.Error(p, err)
	}
	// A machine's name is no way to write variables.
	machine = func(byte) (string, error) { return "${HOME}", nil }
	_, _, _, err = Import("x.service", []byte("ReadWritePaths=/srv/%H\n"),
		Options{Native: seccomp.AMD64, Machine: machine})
	if err == nil {
		t.Error("a variable came by way of the hostname")
	}
}
