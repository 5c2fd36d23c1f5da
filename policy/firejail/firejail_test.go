package firejail_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"sbx/policy"
	"sbx/policy/firejail"
)

// load imports a profile beside these others.
func load(profile string, others map[string]string) (p *policy.Policy, losses, notes []string, err error) {
	return firejail.Import("x.profile", []byte(profile), firejail.Options{
		Include: func(name string) ([]byte, bool, error) {
			text, ok := others[name]
			return []byte(text), ok, nil
		},
		Glob: func(pattern string) []string { return []string{strings.ReplaceAll(pattern, "*", "1")} },
	})
}

// TestImport: what both can say becomes entries of a policy that can be read again.
func TestImport(t *testing.T) {
	for _, c := range []struct {
		profile    string
		want, lost []string
	}{
		{"blacklist ${HOME}/.ssh\nnoblacklist /a\nblacklist /a\nblacklist /etc/s*", []string{`"?~/.ssh"`, `"?/etc/s1"`}, nil},
		{"blacklist ${HOME}/../other\nblacklist /a..b", []string{`"?/a..b"`},
			[]string{`~/../other, since it has a .. in it`}},
		{"whitelist ${HOME}/x\nwhitelist /usr/share/y", []string{`"?~/x"`, `"~"`, `"?/usr/share/y"`, `"/usr/share"`}, nil},
		{"private\nprivate-tmp\nread-only ${HOME}/r\nread-write /srv/w", []string{`"~"`, `"/tmp"`, `"?/srv/w"`}, nil},
		{"private-bin sh,ls # two\nprivate-etc hosts,@tls-ca", []string{`"?/usr/bin/sh"`, `"?/etc/hosts"`, `"/etc"`},
			[]string{"private-etc: @tls-ca"}},
		{"caps.keep net_raw\nnet none\nipc-namespace\nhostname h", []string{`"?net_raw"`, `net = "new"`, `ipc = "new"`,
			`hostname = "h"`}, []string{"net none: firejail mounts a /sys of the new network"}},
		{"net none\nblacklist /sys", []string{`net = "new"`}, nil},
		{"seccomp !chroot,kexec_load\nprotocol unix,inet", []string{`"kexec_load"`, `arg0 not in {AF_INET, AF_UNIX}`}, nil},
		{"seccomp.keep read,write,execve", []string{"allow = [\n  \"execve\",\n  \"read\",\n  \"write\",\n]"}, nil},
		{"memory-deny-write-execute\nnoexec /tmp", []string{`"mprotect"`, `path."/tmp" = { exec = false }`}, nil},
		{"timeout 00:01:30\nrlimit-nproc 20\nrlimit-cpu 5",
			[]string{`time = "90s"`, `processes = 20`, `cpu_time = "5s"`}, nil},
		{"env A=b\nrmenv C", []string{`"A=b"`}, []string{"x.profile:2: rmenv C"}},
		{"ignore net\nnet none\ninclude a.inc\ninclude b.local\ninclude c.inc", []string{`net = "host"`, `"?/from/a"`},
			[]string{"x.profile:5: include c.inc"}},
		{"dbus-user filter\nx11 none\nnet eth0\nprivate-lib x", []string{`"?${XDG_RUNTIME_DIR}/bus"`, `"?/tmp/.X11-unix"`},
			[]string{"dbus-user filter", "net eth0", "private-lib x"}},
	} {
		p, losses, _, err := load(c.profile, map[string]string{"a.inc": "blacklist /from/a\n"})
		if err != nil {
			t.Errorf("%s: %v", c.profile, err)
			continue
		}
		written := string(p.Print())
		if _, err := policy.Parse("x", []byte(written)); err != nil {
			t.Errorf("%s: %v\n%s", c.profile, err, written)
		}
		for _, want := range c.want {
			if !strings.Contains(written, want) {
				t.Errorf("%s: no %s in\n%s", c.profile, want, written)
			}
		}
		for _, want := range c.lost {
			if !slices.ContainsFunc(losses, func(s string) bool { return strings.Contains(s, want) }) {
				t.Errorf("%s: %s is not among the losses: %q", c.profile, want, losses)
			}
		}
		if len(losses) != len(c.lost) {
			t.Errorf("%s: losses %q", c.profile, losses)
		}
		if strings.Contains(written, `"?/a"`) {
			t.Errorf("%s: a path of noblacklist is hidden", c.profile)
		}
	}
}

// TestWrong: what is not understood has its place.
func TestWrong(t *testing.T) {
	for profile, want := range map[string]string{
		"quiet\ncaps.keep nosuch":                  `x.profile:2: caps.keep: there is no capability "nosuch"`,
		"protocol unix,warp":                       `x.profile:1: protocol: there is no protocol "warp"`,
		"rlimit-nproc many":                        `x.profile:1: rlimit-nproc: "many" is no number`,
		"timeout 5":                                `x.profile:1: timeout: hh:mm:ss is missing`,
		"blacklist /\x1b[2J":                       `x.profile:1: a control character`,
		"env A":                                    `x.profile:1: env: NAME=VALUE is missing`,
		"include self.inc":                         `profiles include one another more than 16 deep`,
		strings.Repeat("quiet\n", 1e6):             `more than 1048576 bytes`,
		"include wide1.inc":                        `more than 20000 lines, with those of what is included`,
		"private-bin " + strings.Repeat("*,", 3e4): `x.profile:1: more than 20000 lines`,
	} {
		others := map[string]string{"self.inc": "include self.inc\n"}
		for i := range 15 { // 40 to the power of 15 lines in all
			others[fmt.Sprintf("wide%d.inc", i)] = strings.Repeat(fmt.Sprintf("include wide%d.inc\n", i+1), 40)
		}
		_, _, _, err := load(profile, others)
		var e *firejail.Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: %v, want %s", profile, err, want)
		}
	}
}
