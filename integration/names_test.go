package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// oddNames are names that a hostile project can have.
var oddNames = []string{
	"a\nb", "\n", "a\x1b[31mred", "\x1b]0;title\x07", "\r", "a\u202eb", "\u2028", "\x7f", "\x80\xff", "\xc3\x28",
	"a\tb", " ", " lead", "trail ",
	"'", `"`, "`id`", "$(touch pwned)", `a\b`, `\012`, "%s%n", "-rf", "--", "*", "?", "[a]", "!", "~", "#", "a:b",
	"a,b", "...", "a=b", "\u00e9",
}

// harmless fails if a message would do something to a terminal, or break a
// line.
func harmless(t *testing.T, what, text string) {
	t.Helper()
	for _, c := range text {
		if c < ' ' && c != '\n' || c == 0x7f || c >= 0x80 && c < 0xa0 || c == '\u202e' || c == '\u2028' {
			t.Errorf("%s hands a terminal %q: %q", what, c, text)
			return
		}
	}
	for line := range strings.Lines(text) {
		if what == "a message" && !strings.HasPrefix(line, "sbx: error: ") && !strings.HasPrefix(line, "sbx: hint: ") &&
			!strings.HasPrefix(line, "sbx: note: ") {
			t.Errorf("a line that is not sbx's: %q in %q", line, text)
		}
	}
}

// TestOddNames: as the project's directory, as a path of a flag, as a secret, as
// the program, and as what is missing: the name works or is refused, and no
// message is one that its name has written.
func TestOddNames(t *testing.T) {
	probe := binary("probe")
	for _, name := range oddNames {
		t.Run(fmt.Sprintf("%q", name), func(t *testing.T) {
			top := t.TempDir()
			project := mkdir(t, top, name)
			for file, text := range map[string]string{name: "plain", ".env" + name: verySecret, "x" + name +
				".pem": verySecret} {
				if err := os.WriteFile(filepath.Join(project, file), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			// The directory one stands in, said on purpose, because one that begins with a dot
			// is no project otherwise; what is in it under such names.
			r := run(t, call{args: []string{binary("sbx"), "--policy", "project", "-C", ".", "--read", probe, "--", probe,
				"hidden",
				"./.env" + name, "./x" + name + ".pem"}, dir: project})
			if r.status != 0 || strings.Contains(r.stdout, verySecret) || !strings.Contains(r.stdout, "read ") {
				t.Errorf("as the project: %v", r)
			}
			r = run(t, call{args: []string{binary("sbx"), "--policy", "project", "-C", ".", "--", "cat", "./" + name},
				dir: project})
			if r.status != 0 || r.stdout != "plain" {
				t.Errorf("a file in the project: %v", r)
			}
			// A path of a flag.
			shown := filepath.Join(project, name)
			r = run(t, call{args: []string{binary("sbx"), "--policy", "pure", "--read", shown, "--", "cat", shown}, dir: top})
			if r.status != 0 || r.stdout != "plain" {
				t.Errorf("--read: %v", r)
			}
			r = run(t, call{args: []string{binary("sbx"), "--policy", "pure", "--read", project, "--hide", shown, "--", "cat",
				shown}, dir: top})
			pattern := strings.ContainsAny(name, "*?[\\$") // is refused, not taken for another name
			if r.stdout != "" || r.status != 1 && !(pattern && r.status == 125) {
				t.Errorf("--hide: %v", r)
			}
			// What is missing, in every place that takes a name.
			for _, flags := range [][]string{{"--read", "/no/" + name}, {"--write", "/no/" + name}, {"--dir", "/no/" + name},
				{"--policy", "./" + name}, {"--policy", name},
				{"--net", name}, {"--keep-fd", name}, {"--no" + name}, {"--env", "=" + name}} {
				r = run(t, call{args: append(append([]string{binary("sbx")}, flags...), "--", "true"), dir: top})
				if r.status != 125 {
					t.Errorf("%q: want 125: %v", flags, r)
				}
				harmless(t, "a message", r.stderr)
			}
			r = run(t, call{args: []string{binary("sbx"), "--", "/no/" + name}, dir: top})
			if r.status != 127 {
				t.Errorf("as the program: want 127: %v", r)
			}
			harmless(t, "a message", r.stderr)
			// The plan, in both forms.
			for _, flags := range [][]string{{"--dry-run"}, {"--dry-run", "--json"}} {
				r = run(t, call{args: append(append([]string{binary("sbx"), "--policy", "project", "--read", shown}, flags...),
					"--", "x"+name), dir: project})
				r.want(t, 0)
				harmless(t, "the plan", r.stdout)
			}
		})
	}
}

// deep makes directories below each other until the path has n bytes, and a
// file in the last one.
func deep(t *testing.T, dir string, n int) string {
	t.Helper()
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	path := dir
	for len(path) < n {
		left := n - len(path) - 1
		if left > 200 {
			left = min(left-2, 200) // the next name must have a place as well
		}
		name := strings.Repeat("d", left)
		if len(path)+1+left == n {
			if err := unix.Mknodat(fd, name, unix.S_IFREG|0o600, 0); err != nil {
				t.Fatal(err)
			}
			path += "/" + name
			break
		}
		if err := unix.Mkdirat(fd, name, 0o755); err != nil {
			t.Fatal(err)
		}
		next, err := unix.Openat(fd, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		unix.Close(fd)
		fd, path = next, path+"/"+name
	}
	unix.Close(fd)
	return path
}

// TestLongPaths: 4,095 bytes are the most that the kernel takes with their
// zero. One more is refused by name, not cut; a project that goes on below is
// searched as far as paths go, and the run says so.
func TestLongPaths(t *testing.T) {
	const most = unix.PathMax - 1
	dir := t.TempDir()
	longest := deep(t, dir, most)
	sbxIn := func(dir string, args ...string) result {
		return run(t, call{args: append([]string{binary("sbx")}, args...), dir: dir})
	}
	sbxIn(dir, "--policy", "pure", "--read", longest, "--", "test", "-f", longest).want(t, 0)
	sbxIn(dir, "--policy", "pure", "--read", filepath.Dir(longest), "--", "test", "-f", longest).want(t, 0)
	r := sbxIn(dir, "--policy", "pure", "--read", longest+"x", "--", "true")
	if r.status != 125 || !strings.Contains(r.stderr, "file name too long") {
		t.Errorf("%d bytes: %v", most+1, r)
	}
	if r = sbxIn(dir, "--policy", "pure", "--hide", longest+"x", "--", "true"); r.status != 125 {
		t.Errorf("hide %d bytes: %v", most+1, r)
	}
	if r = sbxIn(dir, "--policy", "pure", "--read", "/"+strings.Repeat("n", 256), "--", "true"); r.status != 125 {
		t.Errorf("a name of 256 bytes: %v", r)
	}
	if r = sbxIn(dir, "--", "/"+strings.Repeat("n/", 3000)); r.status == 0 {
		t.Errorf("a program's path of 6,000 bytes: %v", r)
	}
	// Deeper than any path reaches.
	run(t, call{args: []string{"/usr/bin/python3", "-c", `
import os, sys
for i in range(40):
    os.mkdir("d" * 200); os.chdir("d" * 200)
open(".env", "w").write(sys.argv[1])`, verySecret}, dir: mkdir(t, dir, "below")}).want(t, 0)
	r = sbxIn(filepath.Join(dir, "below"), "--", "true")
	if r.status != 0 || !strings.Contains(r.stderr, "sbx: note: ") {
		t.Errorf("a project deeper than paths reach: nothing said: %v", r)
	}
}

// TestTenThousand: a directory of 10,000 entries, half of them secrets, each
// hidden; and 10,000 mounts by flags. A user has 2,000, which take a fifth of the time.
func TestTenThousand(t *testing.T) {
	n := 10_000
	if !asRoot() {
		n = 2000
	}
	dir := t.TempDir()
	project := mkdir(t, dir, "project")
	var flags []string
	for i := range n {
		name := fmt.Sprintf("%s/f%d", project, i)
		if i%2 == 0 {
			name = fmt.Sprintf("%s/.env%d", project, i)
		}
		if err := os.WriteFile(name, []byte(verySecret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		flags = append(flags, "--read", name)
	}
	r := run(t, call{args: []string{binary("sbx"), "--", "/bin/sh", "-c",
		"cat .env* 2>/dev/null; ls -A | wc -l; cat f* | wc -l"}, dir: project})
	r.want(t, 0, fmt.Sprint(n), fmt.Sprint(n/2))
	if strings.Contains(r.stdout, verySecret) {
		t.Errorf("a secret among %d was shown", n)
	}
	r = run(t, call{args: append(append([]string{binary("sbx"), "--policy", "pure"}, flags...), "--", "/bin/sh", "-c",
		"ls -A "+project+" | wc -l; wc -l </proc/self/mountinfo"), dir: dir})
	r.want(t, 0, fmt.Sprint(n))
	noStrays(t)
}

// TestHardLinks: another name of the same file is hidden with it: of a secret
// found by its name, at the top and deep below, and of what a flag hides.
func TestHardLinks(t *testing.T) {
	dir := t.TempDir()
	for name, others := range map[string][]string{".env": {"notes.txt", "sub/deep/notes.txt"},
		"sub/key.pem": {"a", "sub/b"}, "private.txt": {"public.txt", "sub/public.txt"}, "plain": {"sub/plain"}} {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		text := verySecret
		if strings.HasSuffix(name, "plain") {
			text = "plain"
		}
		if err := os.WriteFile(name, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, other := range others {
			other = filepath.Join(dir, other)
			if err := os.MkdirAll(filepath.Dir(other), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Link(name, other); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, policy := range []string{"default", "project"} {
		r := run(t, call{args: []string{binary("sbx"), "--policy", policy, "--hide", "./private.txt", "--", "/bin/sh", "-c",
			"find . -type f -exec cat {} +; find . -type f -exec sh -c 'echo x >$0' {} \\; ; echo end"}, dir: dir})
		r.want(t, 0, "plain", "end")
		if strings.Contains(r.stdout, verySecret) {
			t.Errorf("%s: shown by another name: %v", policy, r)
		}
	}
	if got := content(t, filepath.Join(dir, "notes.txt")); got != verySecret+"\n" {
		t.Errorf("changed by another name: %q", got)
	}
	// Shown by name, and so on purpose.
	r := run(t, call{args: []string{binary("sbx"), "--read", "notes.txt", "--", "cat", "notes.txt"}, dir: dir})
	r.want(t, 0, verySecret)
}
