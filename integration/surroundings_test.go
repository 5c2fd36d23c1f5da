package integration

import (
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestForgedSources: what masks and devices are made of is checked by what it
// is: /dev/null is another device or a file, /proc is no /proc, or a part of
// one. Refused, and the reason is named; the target never ran.
func TestForgedSources(t *testing.T) {
	for _, c := range []struct{ name, forge, want string }{
		{"a file at /dev/null", "touch forged && mount --bind forged /dev/null", "/dev/null"},
		{"/dev/zero at /dev/null", "mount --bind /dev/zero /dev/null", "/dev/null"},
		{"/dev/full at /dev/urandom", "mount --bind /dev/full /dev/urandom", "/dev/urandom"},
		{"a tmpfs at /proc", "mount -t tmpfs none /proc", "/proc"},
		{"a forged /proc", "mkdir -p forged/self && touch forged/version forged/self/uid_map && mount --bind forged /proc",
			"/proc"},
		{"part of /proc", "mount --bind /proc/self /proc", "/proc"},
		{"a tmpfs at /dev", "mount -t tmpfs none /dev", "/dev/"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, r := within(t, "unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--mount-proc",
				"/bin/sh", "-c", c.forge+` && exec "$0" "$@"`)
			if !fullOrRefused(t, dir, r, "") || !strings.Contains(r.stderr, c.want) {
				t.Errorf("want a refusal that names %s: %v", c.want, r)
			}
			if !asRoot() {
				return
			}
			// Root of the machine makes no user namespace and writes no map.
			dir, r = within(t, "unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", c.forge+` && exec "$0" "$@"`)
			if !fullOrRefused(t, dir, r, "") || !strings.Contains(r.stderr, c.want) {
				t.Errorf("as root want a refusal that names %s: %v", c.want, r)
			}
		})
	}
}

// Calls by which a name comes to be or goes, with their first two arguments.
var naming = regexp.MustCompile(`^\d+ +(mkdir|mkdirat|mknod|mknodat|symlink|symlinkat|link|linkat|` +
	`rename|renameat|renameat2|unlink|unlinkat|rmdir|bind|creat|open|openat|openat2)\((.*)`)

// TestNoNamesInSharedPlaces: strace shows every name that a launch makes. None
// is looked up from the current directory or the root but the cache of filters
// in the caller's own home: what others put in /tmp cannot matter. With a link,
// a FIFO or somebody's directory in the cache's place the launch is as ever, and
// what the link leads to stays as it was.
func TestNoNamesInSharedPlaces(t *testing.T) {
	dir := t.TempDir()
	everythingIn(t, dir)
	cache := mkdir(t, t.TempDir(), "cache")
	env := append(userEnv(), "XDG_CACHE_HOME="+cache)
	for _, policy := range []string{"./everything.toml", "default", "project", "web", "open"} {
		log := filepath.Join(t.TempDir(), "trace")
		r := run(t, call{args: []string{"strace", "-f", "-b", "execve", "-o", log, binary("sbx"), "--policy", policy, "--",
			"true"}, dir: dir, env: env})
		r.want(t, 0)
		seen := 0
		for line := range strings.Lines(content(t, log)) {
			m := naming.FindStringSubmatch(line)
			if m == nil || strings.HasPrefix(m[1], "open") && !strings.Contains(m[2], "O_CREAT") {
				continue
			}
			seen++
			from, path, _ := strings.Cut(m[2], ", ")
			if !strings.HasSuffix(m[1], "at") && m[1] != "openat2" && m[1] != "renameat2" {
				from, path = "AT_FDCWD", m[2]
			}
			switch args := strings.SplitN(m[2], ", ", 4); {
			case m[1] == "symlinkat" && len(args) > 2:
				from, path = args[1], args[2]
			case m[1] == "linkat" && len(args) > 3: // from a descriptor, to a name
				from, path = args[2], args[3]
			}
			if from == "AT_FDCWD" && !strings.HasPrefix(path, `"`+cache+"/") {
				t.Errorf("%s: %s", policy, line)
			}
		}
		if seen < 10 {
			t.Errorf("%s: only %d names made: is that strace's output?", policy, seen)
		}
	}
	var outside string
	for name, forge := range map[string]func(place string) error{
		"link": func(place string) error {
			outside = mkdir(t, t.TempDir(), "outside")
			return os.Symlink(outside, place)
		},
		"fifo": func(place string) error { return unix.Mkfifo(place, 0o666) },
		"open directory": func(place string) error {
			if err := os.Mkdir(place, 0o777); err != nil {
				return err
			}
			return os.Chmod(place, 0o777)
		},
		"another's": func(place string) error {
			if err := os.Mkdir(place, 0o700); err != nil || !asRoot() {
				return err
			}
			return os.Chown(place, 1, 1)
		},
	} {
		cache := mkdir(t, t.TempDir(), "cache")
		for _, place := range []string{cache + "/sbx", cache + "/sbx/filters"} {
			if place != cache+"/sbx" {
				if err := os.RemoveAll(cache + "/sbx"); err != nil {
					t.Fatal(err)
				}
				mkdir(t, cache, "sbx")
			}
			if err := forge(place); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				r := run(t, call{args: []string{binary("sbx"), "--policy", "./everything.toml", "--", "true"}, dir: dir,
					env: append(userEnv(), "XDG_CACHE_HOME="+cache)})
				if r.status != 0 {
					t.Errorf("%s at %s: %v", name, place, r)
				}
			}
			if place == cache+"/sbx" && name == "link" {
				continue // the caller's own link to the caller's own directory
			}
			if name == "link" {
				if left := below(t, outside, anyEntry); len(left) > 1 {
					t.Errorf("%s at %s: wrote %v", name, place, left)
				}
			}
		}
	}
}

// TestPIDsWrap: with few process numbers and a storm of processes the numbers
// come round all the time. Each signal reaches the one it is meant for; nobody
// else ends.
func TestPIDsWrap(t *testing.T) {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		t.Fatal(err)
	}
	var major, minor int
	if _, err := fmt.Sscanf(unix.ByteSliceToString(uts.Release[:]), "%d.%d", &major, &minor); err != nil {
		t.Fatal(err)
	}
	if major < 6 || major == 6 && minor < 14 {
		t.Logf("Linux %d.%d: pid_max is the whole machine's before 6.14", major, minor)
		return
	}
	const script = `echo 400 >/proc/sys/kernel/pid_max || exit 99
for i in $(seq 20); do sleep 1000 & bystanders="$bystanders $!"; done
(while :; do /bin/true; done) & storm=$!
(while :; do /bin/true; done) & storm="$storm $!"
n=0
while [ $n -lt 15 ]; do
  "$1" --policy project -- /bin/sh -c 'echo up >up; while :; do sleep 0.05; done' & sbx=$!
  until [ -s up ]; do kill -0 $sbx || exit 98; sleep 0.01; done
  kill -TERM $sbx; wait $sbx; s=$?
  [ $s = 143 ] || { echo "run $n: status $s"; exit 97; }
  rm up; n=$((n+1))
done
kill -0 $bystanders || { echo "a bystander is gone"; exit 96; }
kill -9 $storm $bystanders
echo "runs: $n"; exit 0`
	r := run(t, call{args: []string{"unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount",
		"--mount-proc", "--kill-child", "/bin/sh", "-c", script, "sh", binary("sbx")},
		dir: t.TempDir(), limit: 2 * time.Minute})
	r.want(t, 0, "runs: 15")
	noStrays(t)
}

// TestOverflowUser: in a user namespace that does not map it, everybody's file
// is shown as nobody's; whoever is nobody there does not trust it for that.
func TestOverflowUser(t *testing.T) {
	if !asRoot() {
		return // it takes two users' files
	}
	dir := t.TempDir()
	for d := dir; d != base; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	policy := filepath.Join(dir, "theirs.toml")
	if err := os.WriteFile(policy, []byte("version = 1\nsummary = \"theirs\"\nextends = [\"default\"]\n[expect]\n"),
		0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(policy, 4711, 4711); err != nil {
		t.Fatal(err)
	}
	nobody := []syscall.SysProcIDMap{{ContainerID: 65534, HostID: 0, Size: 1}}
	r := run(t, call{args: []string{binary("sbx"), "--policy", policy, "--", "true"}, dir: dir,
		attr: &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER, UidMappings: nobody, GidMappings: nobody}})
	if r.status != 125 || !strings.Contains(r.stderr, "no number here") {
		t.Errorf("want a refusal: %v", r)
	}
}

// TestStaticBinary: no loader, no libraries, no name service, nothing that is
// found by a path before sbx's own first instruction.
func TestStaticBinary(t *testing.T) {
	f, err := elf.Open(binary("sbx"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("sbx has a %v", p.Type)
		}
	}
	// Nor does it look for anything else than what its work names.
	log := filepath.Join(t.TempDir(), "trace")
	run(t, call{args: []string{"strace", "-f", "-b", "execve", "-e", "trace=execve,execveat,openat,open", "-o", log,
		binary("sbx"), "--", "true"}, dir: t.TempDir()}).want(t, 0)
	trace := content(t, log)
	for _, name := range []string{"nsswitch.conf", "ld.so", "/lib", "resolv.conf", "gconv", "locale"} {
		if regexp.MustCompile(`open(at)?\([^"]*"[^"]*`+regexp.QuoteMeta(name)).MatchString(trace) &&
			!strings.Contains(trace, "O_PATH") {
			t.Errorf("it opens something like %s:\n%s", name, trace)
		}
	}
	if n := strings.Count(trace, "execve"); n < 2 {
		t.Errorf("%d execs in the trace:\n%s", n, trace)
	}
	for line := range strings.Lines(trace) {
		if strings.Contains(line, `execve("`) && !strings.Contains(line, binary("sbx")) && !strings.Contains(line, `/true"`) {
			t.Errorf("it starts something else: %s", line)
		}
	}
}
