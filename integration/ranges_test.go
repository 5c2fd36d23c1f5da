package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestRanges: the ids of /etc/subuid, mapped by the system's own programs; as
// a user and as root, whose files and password file are those of a mount
// namespace of the test's own.
func TestRanges(t *testing.T) {
	policy := "[namespaces]\nuser = \"new\"\nuid = 0\ngid = 0\nranges = true\n[process]\ncapabilities = [\"setuid\", " +
		"\"setgid\"]\n"
	if !asRoot() {
		// There is no line for a user whom the machine does not know.
		r := boxed(t, policy, "/bin/true")
		none := strings.Contains(r.stderr, "/etc/subuid gives user 61042 none") &&
			strings.Contains(r.stderr, "usermod --add-subuids")
		if nameless := strings.Contains(r.stderr, "newuidmap: Cannot determine your user name"); r.status != 125 ||
			!none && !nameless {
			t.Errorf("without a line: %v", r)
		}
		return
	}
	for _, c := range []struct {
		name, subuid string
		uid          int
		status       int
		said         string
	}{
		{"user", "sbxtest:700000:1000", testUser, 0, ""},
		{"user by number", "61042:700000:1000", testUser, 0, ""},
		{"root", "root:700000:1000", 0, 0, ""},
		{"none", "other:700000:1000", testUser, 125, "gives user sbxtest none"},
		{"bad line", "other:x\nsbxtest:0x10:1000", testUser, 125, "/etc/subuid:2: sbxtest:0x10:1000: not a number"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for parent := dir; parent != base; parent = filepath.Dir(parent) {
				if err := os.Chmod(parent, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			layIDs(t, dir, c.subuid)
			inside := `tr -s ' ' </proc/self/uid_map; ` + binary("probe") + ` caps; python3 -c '
import os
try:
    os.setuid(2000)
except OSError:
    print("no such user", flush=True)
os.setgroups([7, 8]); os.setresgid(6, 6, 6); os.setresuid(5, 5, 5)
os.execvp("sh", ["sh", "-c", "id -u; id -g; id -G; grep ^CapEff /proc/self/status; exec " +
	"` + binary("probe") + ` nest"])'`
			args := append(append(withIDs(c.uid), boxedArgs(t, dir, policy)...), "/bin/sh", "-c", inside)
			r := run(t, call{args: args, dir: dir})
			if r.status != c.status || !strings.Contains(r.stderr, c.said) {
				t.Fatal(r)
			}
			if c.status != 0 {
				return
			}
			r.want(t, 0, fmt.Sprintf(" 0 %d 1", c.uid), " 1 700000 1000", "Uid: 0 0 0 0", "Groups: ", "CapEff: setgid setuid",
				"CapBnd: setgid setuid",
				"5", "6", "6 7 8", "CapEff:\t0000000000000000", "unshare user: EPERM", "no such user")
		})
	}
}

// layIDs writes what withIDs shows in the place of /etc/subuid, /etc/subgid and
// /etc/passwd, to a directory that everybody can enter.
func layIDs(t *testing.T, dir, subuid string) {
	t.Helper()
	for parent := dir; parent != base; parent = filepath.Dir(parent) {
		if err := os.Chmod(parent, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	passwd, err := os.ReadFile("/etc/passwd")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"sub": subuid + "\n", "passwd": string(passwd) +
		"sbxtest:x:61042:61042::/:/bin/sh\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// withIDs is a wrapper that runs a command as that user in a mount namespace
// with the files of layIDs, found in the current directory. It is the command
// by the end, not its parent.
func withIDs(uid int) []string {
	script := `for f in subuid subgid; do [ -e /etc/$f ] || : >/etc/$f; mount --bind sub /etc/$f; done &&
		mount --bind passwd /etc/passwd && exec "$@"`
	return []string{"unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", script, "sh",
		"setpriv", "--reuid", strconv.Itoa(uid), "--regid", strconv.Itoa(uid), "--groups", "4,20"}
}

// TestRangesKilled: a launcher that is killed at any moment leaves nobody who
// waits for ids.
func TestRangesKilled(t *testing.T) {
	if !asRoot() {
		return // see TestRanges
	}
	dir := t.TempDir()
	layIDs(t, dir, "sbxtest:700000:1000")
	args := append(append(withIDs(testUser), boxedArgs(t, dir,
		"[namespaces]\nuser = \"new\"\nuid = 0\ngid = 0\nranges = true\n")...), "sleep", "1000")
	for i := range max(8, 40/patience) {
		endedAfter(t, dir, args, time.Duration(i)*time.Millisecond, syscall.SIGKILL)
		noStrays(t)
	}
}
