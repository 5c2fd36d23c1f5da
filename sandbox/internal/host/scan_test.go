package host

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sbx/policy"
)

// hidden are what a search with these files hides, relative to the project, with the
// first words of the reason.
func hidden(t *testing.T, h *Facts, dir string, files policy.Files) (list []string) {
	t.Helper()
	if err := h.findHidden(&policy.Policy{Files: files}, dir, true); err != nil {
		t.Fatal(err)
	}
	for _, f := range h.Found {
		why := f.Why
		if _, pattern, ok := strings.Cut(why, "like "); ok {
			why = pattern
		}
		list = append(list, strings.TrimPrefix(f.Path, dir+"/")+": "+why)
	}
	slices.Sort(list)
	return list
}

// TestMoving exchanges a secret with a link of such a name during the search, without
// pause and with short pauses. Each time the search finds it, and under one name only, or
// says that it never came to rest.
func TestMoving(t *testing.T) {
	for _, pause := range []time.Duration{0, 100 * time.Microsecond, 3 * time.Millisecond} {
		dir := project(t, "sub/.env = secret", "sub/.env.link -> /etc/passwd")
		secret, link := filepath.Join(dir, "sub/.env"), filepath.Join(dir, "sub/.env.link")
		var st unix.Stat_t
		if err := unix.Stat(secret, &st); err != nil {
			t.Fatal(err)
		}
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			for {
				select {
				case <-stop:
					return
				case <-time.After(pause):
				}
				err := unix.Renameat2(unix.AT_FDCWD, secret, unix.AT_FDCWD, link, unix.RENAME_EXCHANGE)
				if err != nil {
					t.Error(err)
					return
				}
			}
		}()
		p := &policy.Policy{Files: policy.Files{Read: []string{dir}, Hide: []string{"**/.env*"}}}
		found, unsettled := 0, 0
		for end := time.Now().Add(700 * time.Millisecond); time.Now().Before(end) && unsettled == 0; {
			var h Facts
			err := h.findHidden(p, dir, true)
			switch {
			case err == nil && len(h.Found) == 1 && h.Found[0].ID == identity(&st):
				found++
			case err == nil:
				t.Errorf("pause %v: found %v, want the secret once", pause, h.Found)
			case strings.Contains(err.Error(), errMoved.Error()):
				unsettled++
			default:
				t.Error(err)
			}
		}
		close(stop)
		<-stopped
		if found == 0 && pause > 0 {
			t.Errorf("pause %v: never found at all", pause)
		}
		if unsettled > 0 && pause >= time.Millisecond {
			t.Errorf("pause %v: it never came to rest", pause)
		}
	}
}

// TestSettles changes the project between the reading of its directories and the look at
// their times: what has changed is read again, and nothing else.
func TestSettles(t *testing.T) {
	dir := project(t, "a/x", "b/.env", "c/d/e")
	h := &Facts{}
	rules := h.newRules(&policy.Files{Hide: []string{"**/.env"}})
	s := scan{dir: dir, limit: 100, look: forSecrets, deep: true, rules: rules}
	root, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(root)
	s.root, s.buf, s.top = root, make([]byte, 4096), &scanned{rel: ".", look: forSecrets}
	names := func() (list []string) {
		for _, d := range s.all() {
			for _, f := range d.found {
				list = append(list, strings.TrimPrefix(f.Path, dir+"/"))
			}
		}
		slices.Sort(list)
		return list
	}
	rels := func(list []*scanned) (out []string) {
		for _, d := range list {
			out = append(out, d.rel)
		}
		slices.Sort(out)
		return out
	}
	if err := s.walk(s.top); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		do      func() error
		changed string
		found   string
	}{
		{func() error { return nil }, "", "b/.env"},
		{func() error { return os.Rename(dir+"/b/.env", dir+"/a/.env") }, "a b", "a/.env"},
		{func() error { return os.Rename(dir+"/a", dir+"/c/d/a") }, ". a c/d", "c/d/a/.env"},
		{func() error { return os.Chmod(dir+"/c/d/a", 0o700) }, "c/d/a", "c/d/a/.env"},
		{func() error { return os.RemoveAll(dir + "/c/d") }, "c c/d c/d/a", ""},
		{func() error {
			put(t, dir, "c/d/.env", "c/.env/x")
			return nil
		}, "c", "c/.env c/d/.env"},
	} {
		if err := c.do(); err != nil {
			t.Fatal(err)
		}
		changed := s.changed(false)
		if got := strings.Join(rels(changed), " "); got != c.changed {
			t.Errorf("changed %q, want %q", got, c.changed)
		}
		for len(changed) > 0 {
			if err := s.walk(changed...); err != nil {
				t.Fatal(err)
			}
			changed = s.changed(false)
		}
		if got := strings.Join(names(), " "); got != c.found {
			t.Errorf("found %q, want %q", got, c.found)
		}
		want := 0
		for _, d := range s.all() {
			want += d.entries
		}
		if s.seen != want {
			t.Errorf("%d names are counted, and %d are there", s.seen, want)
		}
	}
}

// TestTicks: before Linux 6.13 what has just changed is read again until its time tells
// of all changes.
func TestTicks(t *testing.T) {
	dir := project(t, "a/x", "b/x")
	for _, c := range []struct {
		ticks uint8
		young bool
	}{{1, false}, {2, true}} {
		put(t, dir, "a/new")
		if err := os.Remove(dir + "/a/new"); err != nil {
			t.Fatal(err)
		}
		h := &Facts{}
		s := scan{dir: dir, limit: 100, look: forSecrets, deep: true, ticks: c.ticks, rules: h.newRules(&policy.Files{})}
		began := time.Now()
		if err := s.run(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); c.young && took < tick/2 || took > aging {
			t.Errorf("ticks %d: it took %v", c.ticks, took)
		}
		for _, d := range s.all() {
			if c.young && d.young {
				t.Errorf("%s has changed just before it was read", d.rel)
			}
		}
	}
}

// TestLimit: what is beyond the limit is hidden, a large directory alone where the rest
// is small, and too many of those are refused.
func TestLimit(t *testing.T) {
	files := policy.Files{Hide: []string{"?**/.env"}, Unhide: []string{"node_modules/"}}
	var flood []string
	for i := range 50 {
		flood = append(flood, fmt.Sprintf("flood/f%d", i), fmt.Sprintf("node_modules/f%d", i), fmt.Sprintf("top%d", i))
	}
	dir := project(t, append(flood, "a/.env", "z/deep/deeper/.env", ".env")...)
	h := &Facts{searchLimit: 20}
	got := strings.Join(hidden(t, h, dir, files), ", ")
	if want := ".env: .env, a/.env: .env, flood: it was not searched, z/deep/deeper/.env: .env"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if !slices.ContainsFunc(h.Found, func(f Found) bool { return f.Unsearched && f.Dir && f.ID != files0 }) {
		t.Errorf("what is not searched: %+v", h.Found)
	}
	// Shown on purpose.
	files.Unhide = append(files.Unhide, dir+"/flood")
	h = &Facts{searchLimit: 20}
	if got := strings.Join(hidden(t, h, dir, files), ", "); strings.Contains(got, "flood") {
		t.Errorf("shown by its path: %s", got)
	}
	// So many that the search stops.
	var many []string
	for i := range mostUnsearched + 10 {
		many = append(many, fmt.Sprintf("d%d/x/y", i), fmt.Sprintf("d%d/z", i))
	}
	dir = project(t, many...)
	h = &Facts{searchLimit: 5}
	err := h.findHidden(&policy.Policy{Files: files}, dir, true)
	if err == nil || !strings.Contains(err.Error(), "after 5 files, ") {
		t.Errorf("a flood of directories: %v", err)
	}
	h = &Facts{searchLimit: 1000}
	if got := hidden(t, h, dir, files); len(got) > 0 {
		t.Errorf("within the limit: %v", got)
	}
}

var files0 = identity(&unix.Stat_t{})

// TestLongPaths: what has a longer path than can be mounted over is hidden with the
// directory above it.
func TestLongPaths(t *testing.T) {
	dir := project(t)
	part := strings.Repeat("d", 200)
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	for range 25 {
		if err := unix.Mkdirat(fd, part, 0o755); err != nil {
			t.Fatal(err)
		}
		next, err := unix.Openat(fd, part, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		unix.Close(fd)
		if err != nil {
			t.Fatal(err)
		}
		fd = next
	}
	defer unix.Close(fd)
	file, err := unix.Openat(fd, ".env", unix.O_CREAT|unix.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(file)
	h := &Facts{}
	hidden(t, h, dir, policy.Files{Hide: []string{"**/.env"}})
	if len(h.Found) != 1 || !h.Found[0].Unsearched || len(h.Found[0].Path) >= unix.PathMax {
		t.Errorf("found %+v", h.Found)
	}
}

// TestSocketsInProjects: one pass finds secrets and sockets; in trees of packages it finds
// those that tools keep in caches.
func TestSocketsInProjects(t *testing.T) {
	dir := project(t, "a/.env", "node_modules/.cache/nx/x", "node_modules/.pnpm/x/x", "node_modules/x/y", "target/x/x",
		"shown/x")
	for _, name := range []string{"s", "a/s", "node_modules/.cache/nx/s", "node_modules/.pnpm/x/s", "node_modules/x/s",
		"node_modules/s", "target/s", "shown/s"} {
		if err := unix.Mknod(filepath.Join(dir, name), unix.S_IFSOCK|0o600, 0); err != nil {
			t.Fatal(err)
		}
	}
	files := policy.Files{Hide: []string{"**/.env"}, Unhide: []string{"node_modules/", "target/", dir + "/shown"}}
	for masks, want := range map[bool]string{
		true: "a/s node_modules/.cache/nx/s node_modules/s s shown/s target/s", false: "a/s s",
	} {
		h := &Facts{masksSockets: masks}
		if got := hidden(t, h, dir, files); len(got) != 1 {
			t.Errorf("hidden: %v", got)
		}
		var got []string
		for _, s := range h.Sockets {
			got = append(got, strings.TrimPrefix(s.Path, dir+"/"))
		}
		slices.Sort(got)
		if s := strings.Join(got, " "); s != want {
			t.Errorf("masks %v: sockets %s, want %s", masks, s, want)
		}
		if seen := slices.Contains(h.socketsSeen, dir); seen != masks {
			t.Errorf("masks %v: seen %v", masks, seen)
		}
	}
	// What is shown whatever is in it, and not seen, leaves no sockets to the target.
	h := &Facts{masksSockets: true, searchLimit: 1}
	if err := h.findHidden(&policy.Policy{Files: files}, dir, true); err != nil || h.SearchTruncatedAt != dir {
		t.Errorf("not seen: %q, %v", h.SearchTruncatedAt, err)
	}
}
