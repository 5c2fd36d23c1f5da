package host

import (
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/sys"
	"sbx/policy"
)

// Account has the target find its own user and group by their numbers, as whoami(1),
// ssh and git do: where the files that the policy shows have no line for them, since
// only a name service knows them (LDAP, sssd), the policy's files become the
// sandbox's own, with such lines. home is the caller's.
func Account(p *policy.Policy, env []string, home string) {
	if !p.Namespaces.OwnMounts() {
		return
	}
	uid, gid := unix.Geteuid(), unix.Getegid()
	if p.Namespaces.UID != nil {
		uid = *p.Namespaces.UID
	}
	if p.Namespaces.GID != nil {
		gid = *p.Namespaces.GID
	}
	user, _ := Lookup(env, "USER")
	shell, _ := Lookup(env, "SHELL")
	if !plainField(shell) || !strings.HasPrefix(shell, "/") {
		shell = "" // the system's default, see passwd(5)
	}
	if !plainField(home) || home == "" {
		home = "/"
	}
	addLine(p, "/etc/passwd", uid, user, func(name string) string {
		return name + ":x:" + strconv.Itoa(uid) + ":" + strconv.Itoa(gid) + "::" + home + ":" + shell + "\n"
	})
	addLine(p, "/etc/group", gid, user, func(name string) string {
		return name + ":x:" + strconv.Itoa(gid) + ":\n"
	})
}

// addLine adds a line to a file of names and numbers, if the policy shows the file
// and nobody in there has the number.
func addLine(p *policy.Policy, file string, id int, user string, line func(name string) string) {
	const most = 1 << 20
	e := p.Files.At(file)
	if e.Kind != policy.KindRead || e.Options != (policy.PathOptions{}) {
		return
	}
	text, err := sys.ReadRegular(file)
	missing := err == unix.ENOENT && e.Name == file
	if err != nil && !missing || len(text) > most {
		return
	}
	number, taken := strconv.Itoa(id), false
	for l := range strings.Lines(text) {
		f := strings.Split(l, ":")
		if len(f) > 2 && strings.TrimSpace(f[2]) == number {
			return
		}
		taken = taken || f[0] == user
	}
	if user == "" || user[0] == '-' || user[0] == '+' || !plainField(user) || strings.ContainsAny(user, "/ ,") || taken {
		user = "user" + number
	}
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	p.Files.Read = slices.DeleteFunc(slices.Clone(p.Files.Read), func(s string) bool {
		return policy.ParsePath(s).Name == file
	})
	inline := map[string]string{file: text + line(user)}
	for name, have := range p.Files.Inline { // a shipped policy's map is everybody's
		inline[name] = have
	}
	p.Files.Inline = inline
}

// plainField says whether the text can be a field of such a line.
func plainField(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == ':' || r == 0x7f })
}
