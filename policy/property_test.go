package policy

import (
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"

	"sbx/internal/many"
)

// author writes random policies that are valid.
type author struct{ *rand.Rand }

func (a author) some(of ...string) []string {
	var out []string
	for _, s := range of {
		if a.IntN(3) == 0 {
			out = append(out, s)
		}
	}
	a.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

func (a author) one(of ...string) string { return of[a.IntN(len(of))] }

func (a author) list(w *strings.Builder, key string, entries ...string) {
	if picked := a.some(entries...); len(picked) > 0 || a.IntN(8) == 0 {
		fmt.Fprintf(w, "%s = %s\n", key, quoteList(picked))
	}
}

func (a author) scalar(w *strings.Builder, key string, values ...string) {
	if a.IntN(4) == 0 {
		fmt.Fprintf(w, "%s = %s\n", key, a.one(values...))
	}
}

// grants is what may be shown, kept or allowed; the others are the rest.
func (a author) grants(w *strings.Builder, key string) {
	switch key {
	case "files":
		a.list(w, "read", "/usr", "?/etc/x", "~/r", ".", "/usr/lib", "/srv/${USER}", "/")
		a.list(w, "write", "/var/w", "?./out", "/usr/share", "~/w")
		a.list(w, "sockets", "?/run/x.sock", "/var/w", "${XDG_RUNTIME_DIR}/y")
	case "process":
		a.list(w, "env", "LANG", "LC_*", "LC_ALL", "TERM", "*")
		a.list(w, "capabilities", "net_raw", "?chown", "sys_admin")
	case "seccomp":
		a.list(w, "allow", "read", "@system-service", "socket", "ptrace", "@mount", "ioctl", "clone3", "@nest")
	}
}

func (a author) policy(extends ...string) string {
	var w strings.Builder
	w.WriteString(head)
	if len(extends) > 0 {
		fmt.Fprintf(&w, "extends = %s\n", quoteList(extends))
	}
	tables := []string{"namespaces", "files", "network", "process", "limits", "seccomp"}
	net := a.one("", "new", "host", "/run/netns/x")
	a.Shuffle(len(tables), func(i, j int) { tables[i], tables[j] = tables[j], tables[i] })
	for _, table := range tables {
		fmt.Fprintf(&w, "[%s]\n", table)
		a.grants(&w, table)
		switch table {
		case "namespaces":
			for _, ns := range []string{"mount", "pid", "ipc", "uts", "cgroup", "time"} {
				a.scalar(&w, ns, `"new"`, `"host"`, `"/run/netns/x"`)
			}
			if net != "" {
				fmt.Fprintf(&w, "net = %q\n", net)
			}
			a.scalar(&w, "user", `"auto"`, `"new"`)
			a.scalar(&w, "uid", "0", "1000", "4294967294")
			a.scalar(&w, "gid", "0", "65534")
			a.scalar(&w, "ranges", "true", "false")
		case "network":
			if (net == "" || net == "new") && a.IntN(2) == 0 {
				a.list(&w, "hosts", "a.example.com:443", "*.example.com:443", "@github", "10.0.0.0/8:5432", "[::1]:80", "b.org")
				a.scalar(&w, "port", "443")
				a.list(&w, "listen", "8080", "0.0.0.0:80:8080", "[::1]:80")
				break
			}
			if net == "" || net == "new" { // no ports there
				a.ports(&w, "bind")
				a.ports(&w, "connect")
				break
			}
			a.ports(&w, "bind", "0", "80", "443", "8080")
			a.ports(&w, "connect", "22", "443", "65535")
		case "files":
			a.list(&w, "tmpfs", "/tmp", "~", "/usr/local")
			a.list(&w, "overlay", "?/opt", "${XDG_CACHE_HOME}/x", "./over", "/lower")
			a.list(&w, "directories", "/mnt", "/usr/empty", "~/d")
			a.files(&w)
			a.list(&w, "hide", "*.pem", "?**/.env*", "?~/.ssh", "/usr/lib/secret")
			a.scalar(&w, "own_sockets", "true", "false")
			a.list(&w, "devices", "?/dev/dri", "/dev/dri/card0", "/dev/kvm")
			a.scalar(&w, "proc", "true", "false")
			a.scalar(&w, "dev", "true", "false")
		case "process":
			a.scalar(&w, "nest", "true", "false")
			a.scalar(&w, "landlock", `"auto"`, `"off"`, `"require"`)
			a.scalar(&w, "ambient", "true", "false")
			a.scalar(&w, "landlock_log", "true", "false")
			a.scalar(&w, "supervise", "true", "false")
			a.scalar(&w, "terminal", `"inherit"`, `"new-session"`, `"pty"`)
			a.scalar(&w, "apparmor", `"docker-default"`, `"a//b.c:d"`)
			a.scalar(&w, "selinux", `"system_u:system_r:x_t:s0:c1,c2"`)
		case "limits":
			a.scalar(&w, "processes", "5", "500", `"none"`)
			a.scalar(&w, "memory", `"1G"`, `"512M"`, `"none"`)
			a.scalar(&w, "time", `"1h"`, `"90s"`, `"none"`)
			a.scalar(&w, "cpu", `"50%"`, `"?200%"`, `"none"`)
			a.scalar(&w, "io", `"10M"`, `"?1G"`)
			a.scalar(&w, "cpu_time", `"1h"`, `"?90s"`)
			a.scalar(&w, "file_size", `"1G"`, `"?2K"`)
			a.scalar(&w, "open_files", "64", `"?1024"`, `"none"`)
			a.scalar(&w, "core", "0", `"?0"`, `"1M"`)
			a.scalar(&w, "tmp", `"64M"`, `"?1G"`)
		case "seccomp":
			a.list(&w, "deny", "@debug", "keyctl", "@kernel-surface", "mount", "socket")
			a.scalar(&w, "default", `"allow"`, `"errno:EPERM"`, `"kill-process"`, `"errno:77"`)
			a.scalar(&w, "unknown", `"trap"`, `"errno:ENOSYS"`)
			a.scalar(&w, "log", "true", "false")
			a.list(&w, "architectures", "386", "arm")
			for range a.IntN(3) {
				fmt.Fprintf(&w, "[[seccomp.rule]]\nsyscalls = [%q]\n", a.one("socket", "bind"))
				a.entries(&w, "when", "arg0 == 1", "arg0 & 0xff != 2 && arg1 <= 10", "arg0 in {1, 5..9}")
				fmt.Fprintf(&w, "action = %q\n", a.one("allow", "errno:EPERM", "trap", "kill-process", "log", "notify"))
			}
		}
	}
	w.WriteString("[expect]\n")
	a.list(&w, "deny", "read /etc/shadow", "syscall keyctl")
	return w.String()
}

// ports is list, of numbers.
func (a author) ports(w *strings.Builder, key string, of ...string) {
	if a.IntN(3) == 0 {
		fmt.Fprintf(w, "%s = [%s]\n", key, strings.Join(a.some(of...), ", "))
	}
}

// files are the tables by path.
func (a author) files(w *strings.Builder) {
	for _, path := range a.some("/etc/resolv.conf", "~/.profile", "${XDG_RUNTIME_DIR}/f", "/srv/${USER}/f") {
		fmt.Fprintf(w, "file.%q = %s\n", path, a.one(`""`, `"x"`, `"a\tb\n"`, `"""`+"\nnameserver \\\"1\\\"\\\\\n\n"+`"""`))
	}
	for _, path := range a.some("/bin", "~/.link", "/var/w/l") {
		fmt.Fprintf(w, "symlink.%q = %s\n", path, a.one(`"usr/bin"`, `"${HOME}/x"`, `"../.."`))
	}
}

// entries is list, but never an empty one.
func (a author) entries(w *strings.Builder, key string, of ...string) {
	if picked := a.some(of...); len(picked) > 0 {
		fmt.Fprintf(w, "%s = %s\n", key, quoteList(picked))
	}
}

// random gives many resolved policies, with their texts. Texts that are
// refused for a reason that the author does not avoid are left out.
func random(t *testing.T, n int, do func(a author, text string, p *Policy)) {
	t.Helper()
	used := 0
	n = many.Times(n)
	for seed := range uint64(n) {
		a := author{rand.New(rand.NewPCG(seed, 1))}
		text := a.policy()
		p, err := Parse("p", []byte(text))
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		r, err := Resolve(p, findNone)
		if err != nil {
			continue // read and private at once
		}
		used++
		do(a, text, r)
	}
	if used < n/2 {
		t.Errorf("only %d of %d policies were used", used, n)
	}
}

func TestRandomFixpointAndCut(t *testing.T) {
	random(t, 40, func(a author, text string, r *Policy) {
		fixpoint(t, r)
		cut(t, []byte(text))
	})
}

// Nothing differs from itself, and the other way round the verdict is turned.
func TestRandomCompare(t *testing.T) {
	turned := map[string]string{"equal": "equal", "wider": "narrower", "narrower": "wider", "neither": "neither"}
	seen := map[string]int{}
	var last *Policy
	random(t, 40, func(a author, text string, p *Policy) {
		d := compare(t, p, p)
		if d.Verdict() != "equal" || len(d.Notes) > 0 {
			t.Errorf("differs from itself: %+v\n%s", d, text)
		}
		if last != nil {
			there, back := compare(t, last, p).Verdict(), compare(t, p, last).Verdict()
			seen[there]++
			if turned[there] != back {
				t.Errorf("%s, but the other way %s:\n%s\n%s", there, back, last.Print(), p.Print())
			}
		}
		last = p
	})
}

// A child that only adds to lists of grants is never narrower; one that takes
// out what it inherits is never wider.
func TestRandomChild(t *testing.T) {
	random(t, 40, func(a author, _ string, parent *Policy) {
		// Resolved once more from its print, so that it can be extended.
		text := parent.Print()
		find := func(string, *Policy) (*Policy, error) { return Parse("parent", text) }
		var w strings.Builder
		w.WriteString(head + "extends = ['parent']\n")
		for _, table := range []string{"files", "process", "seccomp"} {
			fmt.Fprintf(&w, "[%s]\n", table)
			a.grants(&w, table)
		}
		if child := resolve(t, w.String()+tail, find); child != nil {
			if d := compare(t, parent, child); len(d.Narrower) > 0 && !nested(parent) {
				t.Errorf("adding made it narrower: %+v\n%s\n%s", d, text, w.String())
			}
		}

		w.Reset()
		w.WriteString(head + "extends = ['parent']\n")
		out := func(list []string) string {
			var picked []string
			for _, e := range a.some(list...) {
				picked = append(picked, "!"+withoutMark(e))
			}
			return quoteList(picked)
		}
		fmt.Fprintf(&w, "[files]\nread = %s\nwrite = %s\n", out(parent.Files.Read), out(parent.Files.Write))
		fmt.Fprintf(&w, "[process]\nenv = %s\ncapabilities = %s\n", out(parent.Process.Env), out(parent.Process.Capabilities))
		child := resolve(t, w.String()+tail, find)
		if child == nil {
			t.Fatalf("taking out made a policy invalid:\n%s\n%s", text, w.String())
		}
		if d := compare(t, parent, child); len(d.Wider) > 0 && !covers(parent) {
			t.Errorf("taking out made it wider: %+v\n%s\n%s", d, text, w.String())
		}
	})
}

// nested: a path that a child reads in one that is writable narrows that.
func nested(p *Policy) bool {
	return slices.ContainsFunc(p.Files.Write, func(w string) bool {
		return slices.ContainsFunc([]string{"/usr", "/usr/lib", "/etc/x", "/srv/${USER}", "${HOME}/r", "${CWD}"}, func(
			r string,
		) bool {
			return Within(r, withoutMark(w))
		})
	})
}

// Whatever the variables are, expanded paths are absolute, clean, unique and
// without variables; or there is an error.
func TestRandomExpand(t *testing.T) {
	values := []string{"", "/", "/h", "/h/u", "/usr", "/var/www", "relative", "/x/../y", "/h/", "/tmp"}
	random(t, 300, func(a author, text string, p *Policy) {
		v := Vars{
			Home: a.one(values...), CWD: a.one(values...), User: a.one("u", "", "..", "a/b"), UID: a.IntN(9),
			ConfigHome: a.one(values...), CacheHome: a.one(values...), RuntimeDir: a.one(values...),
		}
		q, err := p.Expand(v)
		if err != nil {
			return
		}
		shown := slices.Concat(q.Files.Read, q.Files.Write, q.Files.Tmpfs)
		seen := map[string]bool{}
		for i, e := range slices.Concat(shown, q.Files.Hide) {
			s := withoutMark(e)
			isPattern := i >= len(shown) && s[0] != '/'
			if !isPattern && (s[0] != '/' || path.Clean(s) != s) || strings.Contains(e, "$") || i < len(shown) && seen[s] {
				t.Errorf("%+v makes %q of\n%s", v, e, text)
			}
			seen[s] = true
		}
		// Only a policy that names the root shows the root.
		if seen["/"] && !slices.Contains(p.Files.Read, "/") {
			t.Errorf("%+v shows the root in\n%s", v, text)
		}
	})
}

// covers: taking out a read-only or empty path uncovers what is around it.
func covers(p *Policy) bool {
	all := slices.Concat(p.Files.Read, p.Files.Write, p.Files.Tmpfs)
	for _, inner := range all {
		for _, outer := range all {
			if inner != outer && Within(withoutMark(inner), withoutMark(outer)) {
				return true
			}
		}
	}
	return false
}

func compare(t *testing.T, a, b *Policy) *Difference {
	t.Helper()
	d, err := Compare(a, b)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// resolve gives nil where the whole is refused.
func resolve(t *testing.T, text string, find Finder) *Policy {
	t.Helper()
	p, err := Parse("p", []byte(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	r, err := Resolve(p, find)
	if err != nil {
		return nil
	}
	return r
}
