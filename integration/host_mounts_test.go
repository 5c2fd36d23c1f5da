package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Surroundings in which a sandbox may be impossible. There are two right
// answers: the same sandbox as ever, or exit 125 with the reason and a hint,
// and the target never ran. Anything else is the failure that this product
// exists to prevent.

// markTarget leaves a mark and says how it is confined.
func markTarget() []string {
	return []string{"--policy", "project", "--read", binary("probe"), "--", "/bin/sh", "-c", "touch ran; exec " +
		binary("probe") + " caps"}
}

// fullOrRefused fails unless it is one of the two; hint, if not empty, is
// what a refusal's hint must match. It reports whether it was refused.
func fullOrRefused(t *testing.T, dir string, r result, hint string) bool {
	t.Helper()
	_, err := os.Stat(filepath.Join(dir, "ran"))
	ran := err == nil
	switch r.status {
	case 0:
		r.want(t, 0, "CapInh: none", "CapPrm: none", "CapEff: none", "CapBnd: none", "CapAmb: none", "NoNewPrivs: 1",
			"Seccomp: 2")
		if !ran {
			t.Errorf("exit 0, but the target did not run: %v", r)
		}
		return false
	case 125:
		if ran {
			t.Errorf("refused, but the target had run: %v", r)
		}
		if !strings.Contains(r.stderr, "sbx: error: ") {
			t.Errorf("refused without a reason: %v", r)
		}
		if hint != "" && !regexp.MustCompile("(?m)^sbx: hint: .*("+hint+")").MatchString(r.stderr) {
			t.Errorf("no hint that matches %q: %v", hint, r)
		}
		return true
	}
	t.Errorf("want 0 or 125: %v", r)
	return false
}

// within runs sbx below a wrapper command, e.g. unshare or bwrap.
func within(t *testing.T, wrapper ...string) (dir string, r result) {
	t.Helper()
	dir = t.TempDir()
	args := append(append([]string{}, wrapper...), binary("sbx"))
	return dir, run(t, call{args: append(args, markTarget()...), dir: dir})
}

// TestNoUserNamespaces: none are to be had in a namespace whose count is 0.
// Root inside needs none.
func TestNoUserNamespaces(t *testing.T) {
	dir, r := within(t, "unshare", "--user", "--map-root-user", "--mount", "/bin/sh", "-c",
		`echo 0 >/proc/sys/user/max_user_namespaces &&
		exec setpriv --bounding-set=-all --inh-caps=-all --ambient-caps=-all "$0" "$@"`)
	if !fullOrRefused(t, dir, r, "max_user_namespaces") {
		t.Errorf("want a refusal: %v", r)
	}
	// Uid 0 with all capabilities in its namespace may do without a new one.
	dir, r = within(t, "unshare", "--user", "--map-root-user", "--mount", "/bin/sh", "-c",
		`echo 0 >/proc/sys/user/max_user_namespaces && exec "$0" "$@"`)
	fullOrRefused(t, dir, r, "")
	// No mount namespaces.
	dir, r = within(t, "unshare", "--user", "--map-root-user", "/bin/sh", "-c",
		`echo 0 >/proc/sys/user/max_mnt_namespaces && exec "$0" "$@"`)
	if !fullOrRefused(t, dir, r, "max_mnt_namespaces|user\\.max_") {
		t.Errorf("want a refusal: %v", r)
	}
}

// TestOuterFilter: seccomp filters like those of container engines, which
// refuse new namespaces or the mount calls.
func TestOuterFilter(t *testing.T) {
	for _, f := range []struct {
		name   string
		denied map[uint32]uint32 // number: action
		lacks  string            // what the doctor says of it, where the start is refused
	}{
		{"no unshare, clone with namespaces, setns, mounts",
			deny(unix.EPERM, unix.SYS_UNSHARE, unix.SYS_SETNS, unix.SYS_MOUNT, unix.SYS_OPEN_TREE, unix.SYS_MOVE_MOUNT,
				unix.SYS_FSOPEN, unix.SYS_PIVOT_ROOT, unix.SYS_CLONE3), "clone3 "},
		{"clone3 unknown", deny(unix.ENOSYS, unix.SYS_CLONE3), "clone3 "},
		{"clone3 forbidden", deny(unix.EPERM, unix.SYS_CLONE3), "clone3 "},
		{"new mount API unknown", deny(unix.ENOSYS, unix.SYS_OPEN_TREE, unix.SYS_MOVE_MOUNT, unix.SYS_FSOPEN,
			unix.SYS_FSMOUNT, unix.SYS_FSCONFIG, unix.SYS_MOUNT_SETATTR), "mounts "},
		{"openat2 unknown", deny(unix.ENOSYS, unix.SYS_OPENAT2), "openat2 "},
		{"close_range unknown", deny(unix.ENOSYS, unix.SYS_CLOSE_RANGE), "openat2 and close_range "},
		{"seccomp forbidden", deny(unix.EPERM, unix.SYS_SECCOMP), "seccomp filter "},
		{"landlock unknown", deny(unix.ENOSYS, unix.SYS_LANDLOCK_CREATE_RULESET), ""},
		{"landlock off", deny(unix.EOPNOTSUPP, unix.SYS_LANDLOCK_CREATE_RULESET), ""},
		{"capset lies", deny(0, unix.SYS_CAPSET), ""},
		{"prctl lies", deny(0, unix.SYS_PRCTL), ""},
		{"seccomp lies", deny(0, unix.SYS_SECCOMP), ""},
		{"mount_setattr lies", deny(0, unix.SYS_MOUNT_SETATTR), ""},
		{"pivot_root lies", deny(0, unix.SYS_PIVOT_ROOT), ""},
		{"umount lies", deny(0, unix.SYS_UMOUNT2), ""},
		{"close_range lies", deny(0, unix.SYS_CLOSE_RANGE), ""},
		{"setgroups lies", deny(0, unix.SYS_SETGROUPS), ""},
	} {
		t.Run(f.name, func(t *testing.T) {
			dir := t.TempDir()
			r := runFiltered(t, f.denied, call{args: append([]string{binary("sbx")}, markTarget()...), dir: dir})
			refused := fullOrRefused(t, dir, r, "")
			if f.lacks != "" && (!refused || !strings.Contains(r.stderr, "sbx doctor: "+f.lacks)) {
				t.Errorf("want a diagnosis that says %s: %v", f.lacks, r)
			}
		})
	}
}

func deny(errno unix.Errno, numbers ...uint32) map[uint32]uint32 {
	m := map[uint32]uint32{}
	for _, nr := range numbers {
		m[nr] = unix.SECCOMP_RET_ERRNO | uint32(errno)
	}
	return m
}

// runFiltered runs a call below a seccomp filter that answers the numbers so.
// The filter is put on by this binary, started once more.
func runFiltered(t *testing.T, denied map[uint32]uint32, c call) result {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var spec []string
	for nr, action := range denied {
		spec = append(spec, fmt.Sprintf("%d=%d", nr, action))
	}
	c.env = append(userEnv(), "SBX_IT_FILTER="+strings.Join(spec, ","))
	c.args = append([]string{exe}, c.args...)
	return run(t, c)
}

// TestNestedAndWrapped: sbx inside sbx, inside bwrap, under no_new_privs, in
// a chroot, in a user namespace.
func TestNestedAndWrapped(t *testing.T) {
	for _, w := range []struct {
		name, hint string
		wrapper    []string
	}{
		{"no_new_privs", "", []string{"setpriv", "--no-new-privs"}},
		{"user namespace as root", "setgroups", []string{"unshare", "--user", "--map-root-user"}},
		{"user namespace as oneself", "", []string{"unshare", "--user", "--map-current-user"}},
		{"user namespace without a map", "", []string{"unshare", "--user"}},
		{"bwrap", "", []string{"bwrap", "--bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--unshare-pid"}},
		{"bwrap, nothing nested", "", []string{"bwrap", "--bind", "/", "/", "--dev", "/dev", "--proc", "/proc",
			"--unshare-user", "--disable-userns"}},
		{"bwrap, /proc read-only", "", []string{"bwrap", "--bind", "/", "/", "--dev", "/dev", "--ro-bind", "/proc", "/proc"}},
		{"bwrap, no /proc", "", []string{"bwrap", "--bind", "/", "/", "--dev", "/dev", "--tmpfs", "/proc"}},
		{"bwrap, root read-only", "", []string{"bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc",
			"--bind", "$DIR", "$DIR"}},
		{"nest denied", "", []string{binary("sbx"), "--policy", "project", "--read", binary("sbx"), "--read",
			binary("probe"), "--"}},
	} {
		t.Run(w.name, func(t *testing.T) {
			dir := t.TempDir()
			var args []string
			for _, a := range w.wrapper {
				args = append(args, strings.ReplaceAll(a, "$DIR", dir))
			}
			args = append(append(args, binary("sbx")), markTarget()...)
			fullOrRefused(t, dir, run(t, call{args: args, dir: dir}), w.hint)
		})
	}
}

// TestChroot: in a chroot the kernel allows no user namespaces.
func TestChroot(t *testing.T) {
	if !asRoot() {
		return // only root can chroot
	}
	for _, uid := range []int{0, testUser} {
		dir := t.TempDir()
		for parent := dir; parent != base; parent = filepath.Dir(parent) {
			if err := os.Chmod(parent, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chown(dir, uid, uid); err != nil {
			t.Fatal(err)
		}
		// A mount of the same root that is not the mount namespace's root, in
		// a namespace of its own, so that nothing of it reaches the host.
		script := `root=$1 dir=$2 uid=$3; shift 3
mount --rbind / "$root" && exec chroot --userspec=$uid:$uid "$root" /bin/sh -c 'cd "$0" && exec "$@"' "$dir" "$@"`
		args := []string{"unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", script, "sh",
			mkdir(t, t.TempDir(), "root"), dir, strconv.Itoa(uid), binary("sbx")}
		r := run(t, call{args: append(args, markTarget()...), dir: dir})
		refused := fullOrRefused(t, dir, r, "")
		if uid != 0 && (!refused || !strings.Contains(r.stderr, "chroot")) {
			t.Errorf("uid %d: want a refusal whose hint names the chroot: %v", uid, r)
		}
	}
}

func mkdir(t *testing.T, dir, name string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestEvilPath: no helper is found by PATH or argv[0].
func TestEvilPath(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"newuidmap", "newgidmap", "mount", "ip", "sh", "true", "unshare", "bwrap", "sbx"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\ntouch "+filepath.Join(dir, "evil-ran")+"\n"),
			0o755); err != nil {
			t.Fatal(err)
		}
	}
	env := userEnv()
	for i, v := range env {
		if strings.HasPrefix(v, "PATH=") {
			env[i] = "PATH=.:" + dir + ":/usr/bin:/bin"
		}
	}
	r := run(t, call{args: []string{binary("sbx"), "--policy", "project", "--", "/bin/true"}, dir: dir, env: env})
	r.want(t, 0)
	if _, err := os.Stat(filepath.Join(dir, "evil-ran")); err == nil {
		t.Error("a program of the PATH's was started as a helper")
	}
	// argv[0] is the caller's to choose; it starts nothing.
	cmd := exec.Command(binary("sbx"), "--version")
	cmd.Args[0] = filepath.Join(dir, "sbx")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if _, err := os.Stat(filepath.Join(dir, "evil-ran")); err == nil {
		t.Error("argv[0] was started")
	}
}

// TestSymlinkedDestinations: a project full of links cannot make sbx mount or
// write outside of the new root.
func TestSymlinkedDestinations(t *testing.T) {
	before := hostState(t)
	dir := t.TempDir()
	sentinel := mkdir(t, dir, "outside")
	project := mkdir(t, dir, "project")
	for link, to := range map[string]string{"out": sentinel, "etc": "/etc", "up": "../..", "abs": "/", "self": "self",
		"proc": "/proc/self/root", ".git": sentinel, ".env": "/etc/passwd", "dangling": "/no/such"} {
		if err := os.Symlink(to, filepath.Join(project, link)); err != nil {
			t.Fatal(err)
		}
	}
	// 40 links in a row are the most that the kernel follows.
	for i := range 42 {
		if err := os.Symlink(fmt.Sprintf("chain%d", i+1), filepath.Join(project, fmt.Sprintf("chain%d", i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(sentinel, filepath.Join(project, "chain42")); err != nil {
		t.Fatal(err)
	}
	for _, flags := range [][]string{
		{"--policy", "project", "--write", "./chain0"}, {"--policy", "project", "--read", "./chain4/x"},
		{"--policy", "project", "--hide", "chain9"},
		{"--policy", "project", "--write", "./out/x"}, {"--policy", "project", "--write", "./up/x"},
		{"--policy", "project", "--read", "./proc/etc"},
		{"--policy", "project", "--dir", "./proc/tmp"}, {"--policy", "project", "--dir", "./chain0"},
		{"--policy", "project"}, {"--policy", "project", "--hide", "out"}, {"--policy", "project", "--hide", "etc"},
		{"--policy", "project", "--hide", "self"}, {"--policy", "project", "--write", "./out"},
		{"--policy", "project", "--write", "./dangling"},
		{"--policy", "project", "--read", "./self"}, {"--policy", "project", "--hide", "dangling"},
	} {
		r := run(t, call{args: append(append([]string{binary("sbx")}, flags...), "--", "/bin/true"), dir: project})
		if r.status != 0 && r.status != 125 {
			t.Errorf("%q: %v", flags, r)
		}
		entries, err := os.ReadDir(sentinel)
		if err != nil || len(entries) != 0 {
			t.Errorf("%q left %v outside (%v)", flags, entries, err)
		}
	}
	before.compare(t, hostState(t))
}
