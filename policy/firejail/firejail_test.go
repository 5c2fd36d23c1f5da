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
		{"whitelist ${HOME}/x\nwhitelist /usr/share/y", []string{`"?~/x"`, `"?~"`, `"?/usr/share/y"`, `"?/usr/share"`}, nil},
		{"private\nprivate-tmp\nread-only ${HOME}/r\nread-write /srv/w", []string{`"?~"`, `"?/tmp"`, `"?/srv/w"`}, nil},
		{"private-bin sh,ls # two\nprivate-etc hosts,@tls-ca", []string{`"?/usr/bin/sh"`, `"?/etc/hosts"`, `"?/etc"`},
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

// TestPaths: what the lines say together of paths, which depends on their order and on
// what is inside what. Each list is the whole one, but for what every profile has.
func TestPaths(t *testing.T) {
	for _, c := range []struct {
		profile                          string
		read, write, tmpfs, hide, noexec []string
		lost                             int
	}{
		{profile: "", write: []string{"~", "/tmp", "/var/tmp"}},
		{profile: "blacklist /a\nnoblacklist /a\nnoblacklist /b*\nblacklist /b1\nblacklist-nolog /b/c",
			write: []string{"~", "/tmp", "/var/tmp"}, hide: []string{"/a", "/b/c"}},
		{profile: "blacklist ${RUNUSER}/*x", write: []string{"~", "/tmp", "/var/tmp"},
			hide: []string{"${XDG_RUNTIME_DIR}/1x"}},
		{profile: "blacklist ${NOSUCH}/x\nblacklist x\nwhitelist /usr/lib/x\nwhitelist /sys/module/x\napparmor",
			write: []string{"~", "/tmp", "/var/tmp"}, lost: 5},
		{profile: "blacklist /proc/kallsyms\nnoprinters\nx11 none", write: []string{"~", "/tmp", "/var/tmp"},
			hide: []string{"/proc/kallsyms", "/run/cups/cups.sock", "/tmp/.X11-unix", "~/.Xauthority"}},
		{profile: "read-only ${HOME}\nread-write ${HOME}/a\nread-only ${HOME}/a/b",
			read: []string{"~", "~/a/b"}, write: []string{"/tmp", "/var/tmp", "~/a"}},
		{profile: "read-write ${HOME}/a\nread-only ${HOME}", read: []string{"~", "~/a"}, write: []string{"/tmp", "/var/tmp"}},
		{profile: "whitelist ${HOME}/a\nread-only ${HOME}/a/b\nread-only ${HOME}/c",
			read: []string{"~/a/b"}, write: []string{"/tmp", "/var/tmp", "~/a"}, tmpfs: []string{"~"}},
		{profile: "whitelist-ro ${HOME}/a", read: []string{"~/a"}, write: []string{"/tmp", "/var/tmp"}, tmpfs: []string{"~"}},
		{profile: "nowhitelist ${HOME}/a\nwhitelist ${HOME}/a\nwhitelist ${HOME}/b\nnowhitelist ${HOME}/b",
			write: []string{"/tmp", "/var/tmp", "~/b"}, tmpfs: []string{"~"}},
		{profile: "whitelist ${HOME}/a\nprivate", write: []string{"/tmp", "/var/tmp"}, tmpfs: []string{"~"}},
		{profile: "whitelist /opt/none*\nwhitelist /mnt/a", read: []string{"/mnt/a"},
			write: []string{"~", "/tmp", "/var/tmp"},
			tmpfs: []string{"/opt", "/mnt"}},
		{profile: "whitelist /var/a\nwhitelist /var/tmp/b", read: []string{"/var/a"},
			write: []string{"~", "/tmp", "/var/tmp/b"}, tmpfs: []string{"/var"}},
		{profile: "whitelist ${HOME}/a\nnoexec ${HOME}\nnoexec /opt", read: []string{"/opt"},
			write: []string{"/tmp", "/var/tmp", "~/a"}, tmpfs: []string{"~"}, noexec: []string{"~", "~/a", "/opt"}},
		{profile: "whitelist ${HOME}/a\nnoexec ${HOME}/a/b\nnoexec /dev/shm",
			write: []string{"/tmp", "/var/tmp", "~/a", "~/a/b"},
			tmpfs: []string{"~"}, noexec: []string{"~/a/b"}, lost: 1},
		{profile: "?HAS_APPIMAGE: ignore read-only\n?BROWSER_DISABLE_U2F: read-only ${HOME}\n?NOSUCH: private",
			read: []string{"~"}, write: []string{"/tmp", "/var/tmp"}, lost: 1},
		{profile: "ignore read-only\n?BROWSER_DISABLE_U2F: read-only ${HOME}", write: []string{"~", "/tmp", "/var/tmp"}},
	} {
		p, losses, _, err := firejail.Import("x.profile", []byte(c.profile), firejail.Options{
			Glob: func(pattern string) []string {
				if strings.Contains(pattern, "none") {
					return nil
				}
				return []string{strings.ReplaceAll(pattern, "*", "1")}
			},
		})
		if err != nil || len(losses) != c.lost {
			t.Errorf("%s: losses %q, error %v", c.profile, losses, err)
			continue
		}
		f := p.Files
		noexec := []string{}
		for path, o := range f.Paths {
			if o.Exec != nil && !*o.Exec {
				noexec = append(noexec, "?"+path)
			}
		}
		always := []string{"/", "?/home", "?${XDG_RUNTIME_DIR}"}
		for what, lists := range map[string][2][]string{"read": {f.Read, c.read}, "write": {f.Write, c.write},
			"tmpfs": {f.Tmpfs, c.tmpfs}, "hide": {f.Hide, c.hide}, "noexec": {noexec, c.noexec}} {
			var got, want []string
			for _, s := range lists[0] {
				if !slices.Contains(always, s) {
					got = append(got, s)
				}
			}
			for _, s := range lists[1] {
				want = append(want, "?"+s)
			}
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("%s: %s %q, want %q", c.profile, what, got, want)
			}
		}
		if !slices.Contains(f.Tmpfs, "?/home") {
			t.Errorf("%s: the homes of others are there", c.profile)
		}
	}
	if p, _, _, err := load("allusers", nil); err != nil || len(p.Files.Tmpfs) != 0 {
		t.Errorf("allusers: %v, error %v", p.Files.Tmpfs, err)
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
		"quiet\nignore":                            `x.profile:2: ignore: what is to be ignored is missing`,
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
