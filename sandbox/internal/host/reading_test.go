package host

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sbx/policy"
)

// TestReadAhead: what a search finds, and what it leaves, does not depend on whether a
// second thread reads, in whatever project.
func TestReadAhead(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 12 {
		dir := project(t)
		dirs := []string{dir}
		for i := range 30 + rng.IntN(60) {
			in := dirs[rng.IntN(len(dirs))]
			name := filepath.Join(in, [...]string{"src", ".git", "vendor", "node_modules", ".env.d", "x"}[rng.IntN(6)]+
				fmt.Sprint(i%7))
			if os.MkdirAll(name, 0o755) == nil {
				dirs = append(dirs, name)
			}
		}
		for i := range 300 {
			name := filepath.Join(dirs[rng.IntN(len(dirs))], [...]string{".env", "a.pem", "HEAD", "main.go", ".envrc",
				strings.Repeat("n", 200)}[rng.IntN(6)]+[...]string{"", ".bak", fmt.Sprint(i)}[rng.IntN(3)])
			if rng.IntN(9) == 0 {
				if err := os.Symlink("../.env", name); err != nil && !os.IsExist(err) {
					t.Fatal(err)
				}
			} else if err := os.WriteFile(name, []byte("x"), 0o600); err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
		}
		// One that takes more than a buffer.
		for i := range 300 {
			put(t, dir, fmt.Sprintf("many/%s%d", strings.Repeat("m", 240), i))
		}
		put(t, dir, "many/.env")
		files := policy.Files{Hide: []string{"**/.env*", "**/*.pem"}, Unhide: []string{"node_modules*/", "vendor*/"},
			Guard: []string{"**/.git", ".*"}, Unguard: []string{"vendor*/"}}
		for _, limit := range []int{1000, 150, 20} {
			var first string
			for _, many := range []int{1 << 30, 1, 5} {
				h := &Facts{}
				s := scan{dir: dir, limit: limit, look: forSecrets | forGuarded | forSockets, deep: true,
					rules: h.newRules(&files), guarding: newGuarding(&files, dir), many: many}
				if err := s.run(); err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, d := range s.all() {
					got = append(got, fmt.Sprintf("%s %d %d %d %v %d %v", d.rel, d.look, d.state, d.entries, d.found,
						len(d.marks), d.links))
				}
				text := fmt.Sprintf("%d\n", s.seen) + strings.Join(got, "\n")
				if first == "" {
					first = text
				}
				if text != first {
					t.Fatalf("limit %d, read ahead from %d:\n%s\nwant\n%s", limit, many, text, first)
				}
			}
		}
	}
}

// openBelow are the names of what this process has open below the directory.
func openBelow(t *testing.T, dir string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.HasPrefix(to, dir+"/") {
			list = append(list, to)
		}
	}
	return list
}

// TestReadAheadCloses: whatever ends a search, no descriptor of it stays open.
func TestReadAheadCloses(t *testing.T) {
	dir := project(t)
	for i := range 100 {
		put(t, dir, fmt.Sprintf("d%d/d%d/x", i, i))
	}
	for _, taken := range []int{0, 1, 15, 16, 17, 40, 99, 100} {
		root, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		q := queue{root: root, many: 1}
		for i := range 100 {
			q.add(&scanned{rel: fmt.Sprintf("d%d", i)}, i%3 == 0)
		}
		var got []string
		for range taken {
			d, r := q.next()
			if r == nil || r.openErr != nil || r.err != nil || !r.end || len(r.names) == 0 {
				t.Fatalf("%s was not read: %+v", d.rel, r)
			}
			got = append(got, d.rel)
			r.close()
		}
		q.end()
		unix.Close(root)
		slices.Sort(got)
		if got = slices.Compact(got); len(got) != taken {
			t.Errorf("read: %v", got)
		}
		if list := openBelow(t, dir); len(list) > 0 {
			t.Errorf("after %d: %v are open", taken, list)
		}
	}
}
