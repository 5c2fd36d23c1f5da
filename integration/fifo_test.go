package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestFIFO: a FIFO in the place of any file that sbx looks at makes nobody wait:
// there is an error, or it is passed over.
func TestFIFO(t *testing.T) {
	dir, home := t.TempDir(), t.TempDir()
	fifo, tool := filepath.Join(dir, "fifo"), filepath.Join(dir, "bin/tool")
	mine := filepath.Join(home, "sbx/policies/mine.toml")
	for _, name := range []string{tool, mine} {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{fifo, tool, mine, filepath.Join(dir, ".env")} {
		if err := unix.Mkfifo(name, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	const refused, notRun, notFound = 125, 126, 127
	for _, c := range []struct {
		status int
		says   string
		args   []string
	}{
		{notFound, "is no regular file, and only those can be run", []string{"--policy", "pure", "--", fifo}},
		{notFound, "is no regular file, and only those can be run", []string{"--policy", "pure", "--", "tool"}},
		{notRun, "is no regular file, and only those can be run", []string{"--policy", "project", "--", "./fifo"}},
		{notRun, "is no regular file, and only those can be run", []string{"--read", fifo, "--", fifo}},
		{refused, "not a regular file", []string{"--policy", fifo, "--", "true"}},
		{refused, "not a regular file", []string{"--policy", "mine", "--", "true"}},
		{0, "", []string{"--read", fifo, "--hide", "bin/tool", "--", "true"}},
		{0, "", []string{"policy", "list"}},
	} {
		env := append(userEnv(), "XDG_CONFIG_HOME="+home)
		for i := range env {
			if path, ok := strings.CutPrefix(env[i], "PATH="); ok {
				env[i] = "PATH=" + filepath.Join(dir, "bin") + ":" + path
			}
		}
		r := run(t, call{args: append([]string{binary("sbx")}, c.args...), dir: dir, env: env,
			limit: patient(10 * time.Second)})
		if r.status != c.status || !strings.Contains(r.stderr, c.says) {
			t.Errorf("%q: want %d and %q: %v", c.args, c.status, c.says, r)
		}
	}
}
