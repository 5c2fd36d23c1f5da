package integration

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// host is what of the machine a run of sbx must leave as it was: mounts,
// sockets, interfaces, IPC objects, cgroups, settings, and the directories
// where programs tend to leave things.
type host map[string]string

// cgroups is the key of the control groups with our name.
const cgroups = "cgroups"

func hostState(t testing.TB) host {
	t.Helper()
	h := host{}
	for _, file := range []string{"/proc/self/mountinfo", "/proc/net/unix", "/proc/sysvipc/shm", "/proc/sysvipc/msg",
		"/proc/sysvipc/sem"} {
		h[file] = content(t, file)
	}
	var interfaces []string
	for line := range strings.Lines(content(t, "/proc/net/dev")) {
		if name, _, ok := strings.Cut(line, ":"); ok {
			interfaces = append(interfaces, strings.TrimSpace(name))
		}
	}
	h["interfaces"] = strings.Join(interfaces, "\n")
	// Those of others come and go; ours have our name, and our user.
	h[cgroups] = strings.Join(below(t, "/sys/fs/cgroup", func(d fs.DirEntry) bool {
		if !d.IsDir() || !strings.HasPrefix(d.Name(), "sbx-") {
			return false
		}
		fi, err := d.Info()
		return err == nil && int(fi.Sys().(*syscall.Stat_t).Uid) == os.Getuid()
	}), "\n")
	// Other people's files come and go in shared directories; this run's are
	// told by their owner, who is nobody else, unless another run is under way.
	mixed := asRoot() || anotherRun(t)
	for _, dir := range []string{"/etc", "/run", "/dev", "/dev/shm", "/dev/mqueue", "/tmp", "/var/tmp", "/var/run",
		"/var/cache", base, "/"} {
		entries, err := os.ReadDir(dir)
		if dir == "/dev/mqueue" && os.IsNotExist(err) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range entries {
			fi, err := e.Info()
			if err != nil {
				continue // gone meanwhile
			}
			st, ok := fi.Sys().(*syscall.Stat_t)
			shared := dir == "/tmp" || dir == "/var/tmp" || dir == "/dev/shm"
			if !ok || shared && int(st.Uid) != os.Getuid() {
				continue
			}
			if shared && mixed && !madeBySbx(e.Name()) {
				continue
			}
			names = append(names, fmt.Sprintf("%s %v %d", e.Name(), fi.Mode(), st.Uid))
		}
		h[dir] = strings.Join(names, "\n")
	}
	for file, value := range settings(t) {
		h[file] = value
	}
	return h
}

// madeBySbx says whether sbx gives such names, in the place of the caller.
func madeBySbx(name string) bool {
	if strings.HasPrefix(name, ".sbx-") {
		return true
	}
	random, ok := strings.CutPrefix(name, "sbx-")
	return ok && strings.Trim(random, "0123456789abcdef") == ""
}

func content(t testing.TB, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// below lists what lies below a directory. What cannot be looked at, or goes
// meanwhile, is not ours.
func below(t testing.TB, dir string, want func(fs.DirEntry) bool) (paths []string) {
	t.Helper()
	if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && want(d) {
			paths = append(paths, path)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return paths
}

// settings are the kernel's, but for counters and random numbers.
func settings(t testing.TB) map[string]string {
	t.Helper()
	values := map[string]string{}
	counts := func(file string) bool {
		for _, s := range []string{"/fs/dentry-state", "/fs/file-nr", "/fs/inode-", "/fs/aio-nr", "/fs/quota/",
			"/kernel/ns_last_pid", "/kernel/pty/nr",
			"/kernel/random/", "/kernel/sched_domain/", "/net/netfilter/nf_conntrack_count", "/kernel/tainted",
			"/vm/nr_hugepages", "/debug/"} {
			if strings.Contains(file, s) {
				return true
			}
		}
		return false
	}
	for _, file := range below(t, "/proc/sys", func(d fs.DirEntry) bool { return d.Type().IsRegular() }) {
		if data, err := os.ReadFile(file); err == nil && !counts(file) {
			values[file] = string(data)
		}
	}
	if len(values) < 100 {
		t.Fatalf("only %d settings in /proc/sys", len(values))
	}
	return values
}

// othersToo says whether other runs of sbx on the machine make and remove things there that
// look like ours.
func othersToo(what string) bool {
	return what == cgroups || what == "/tmp" || what == "/var/tmp" || what == "/dev/shm"
}

// anotherRun says whether these tests run once more on the machine, by the same user.
func anotherRun(t testing.TB) bool {
	t.Helper()
	processes, err := filepath.Glob("/proc/[0-9]*/comm")
	if err != nil {
		t.Fatal(err)
	}
	own := fmt.Sprintf("/proc/%d/comm", os.Getpid())
	for _, file := range processes {
		name, err := os.ReadFile(file)
		if err != nil || file == own || string(name) != content(t, own) {
			continue // or it ended meanwhile
		}
		fi, err := os.Stat(filepath.Dir(file))
		if err == nil && int(fi.Sys().(*syscall.Stat_t).Uid) == os.Getuid() {
			return true
		}
	}
	return false
}

// compare waits until the host is as it was before. Namespaces and cgroups go
// a moment after the last process in them. What others make there too counts if
// it stays: what is left is there at each look.
func (before host) compare(t testing.TB, after host) {
	t.Helper()
	for range 100 * patience {
		if before.differs(after) == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
		now := hostState(t)
		for what, is := range now {
			if othersToo(what) {
				now[what] = without(is, without(is, after[what]))
			}
		}
		after = now
	}
	for _, what := range before.differs(after) {
		t.Errorf("%s changed:\n%s", what, difference(before[what], after[what]))
	}
}

func (before host) differs(after host) (list []string) {
	for what, was := range before {
		is, ok := after[what]
		if othersToo(what) {
			was, is = "", without(is, was) // another run's may have gone meanwhile; none may have come
		}
		if !ok || is != was {
			list = append(list, what)
		}
	}
	return list
}

// without is the lines without those of the other text.
func without(lines, other string) string {
	others := strings.Split(other, "\n")
	return strings.Join(slices.DeleteFunc(strings.Split(lines, "\n"),
		func(s string) bool { return slices.Contains(others, s) }), "\n")
}

// TestCompare: what is left counts, and what others make meanwhile does not.
func TestCompare(t *testing.T) {
	before := hostState(t)
	stop, stopped := make(chan struct{}), make(chan error)
	go func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			other := fmt.Sprintf("/tmp/sbx-%016x", os.Getpid()*1000+i%100)
			if err := os.Mkdir(other, 0o700); err != nil {
				stopped <- err
				return
			}
			if err := os.Remove(other); err != nil {
				stopped <- err
				return
			}
		}
	}()
	before.compare(t, hostState(t))
	close(stop)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	left := fmt.Sprintf("/tmp/sbx-%016x", os.Getpid())
	if err := os.Mkdir(left, 0o700); err != nil {
		t.Fatal(err)
	}
	if differs := before.differs(hostState(t)); !slices.Contains(differs, "/tmp") {
		t.Errorf("a directory that is left: %v", differs)
	}
	if err := os.Remove(left); err != nil {
		t.Fatal(err)
	}
}
