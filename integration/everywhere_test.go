package integration

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// launchable are the shipped policies that a program can run with.
var launchable = []string{"default", "pure", "filter", "project", "build", "fetch", "web", "shell", "open"}

// under is a directory to start in and the flags for a policy: a shipped one by
// its name, or "everything", which has a step of each kind.
func under(t *testing.T, policy string) (dir string, flags []string) {
	t.Helper()
	dir = t.TempDir()
	if policy == "everything" {
		everythingIn(t, dir)
		policy = "./everything.toml"
	}
	return dir, []string{binary("sbx"), "--policy", policy}
}

// askUnder asks the probe under a policy; open shows it without being told.
func askUnder(t *testing.T, policy string, question ...string) result {
	t.Helper()
	dir, args := under(t, policy)
	if policy != "open" {
		args = append(args, "--read", binary("probe"))
	}
	r := run(t, call{args: append(append(args, "--", binary("probe")), question...), dir: dir})
	if r.status != 0 {
		t.Fatalf("%s: %q: %v", policy, question, r)
	}
	return r
}

// everywhere runs a test under each shipped policy and one that has everything.
func everywhere(t *testing.T, test func(t *testing.T, policy string)) {
	for _, policy := range append(slices.Clone(launchable), "everything") {
		t.Run(policy, func(t *testing.T) { test(t, policy) })
	}
}

// TestMountFlags: no mount lets set-user-ID programs work, none but our own /dev
// has devices, and ".." at the root leads nowhere else: the whole outside, shown
// by open, once had the old root left over it.
func TestMountFlags(t *testing.T) {
	everywhere(t, func(t *testing.T, policy string) {
		mounts := 0
		roots := 0
		for line := range strings.Lines(askUnder(t, policy, "mounts").stdout) {
			place, flags, _ := strings.Cut(strings.TrimSpace(line), " ")
			mounts++
			if place == "/" {
				roots++
			}
			has := func(flag string) bool { return slices.Contains(strings.Split(flags, ","), flag) }
			ours := regexp.MustCompile(`^/dev/(full|null|random|tty|urandom|zero|pts)$`).MatchString(place)
			if !has("nosuid") || !has("nodev") && !ours {
				t.Errorf("%s is mounted %s", place, flags)
			}
		}
		if mounts < 5 || roots != 1 {
			t.Errorf("%d mounts, %d of them the root", mounts, roots)
		}
		dir, args := under(t, policy)
		above := run(t, call{dir: dir, args: append(args, "--", "/bin/sh", "-c",
			"ls -id /.. /../.. / /../proc /proc; tr '\\0' ' ' </../proc/1/cmdline")})
		above.want(t, 0)
		if lines := strings.Split(above.stdout, "\n"); strings.Fields(lines[0])[0] != strings.Fields(lines[2])[0] ||
			!strings.Contains(above.stdout, "sbx-init") {
			t.Errorf("the root is not the end of \"..\": %v", above)
		}
	})
}

// TestProcAndSys: nothing in /proc and /sys can be opened for writing, under any
// policy, by root neither, also by a way round the root.
func TestProcAndSys(t *testing.T) {
	everywhere(t, func(t *testing.T, policy string) {
		r := askUnder(t, policy, "walkproc", "/proc", "/sys", "/../proc", "/../sys")
		for line := range strings.Lines(r.stdout) {
			if strings.HasPrefix(line, "writable: ") {
				t.Errorf("%s", line)
			}
		}
		if !strings.Contains(r.stdout, "/proc: ") {
			t.Errorf("did not look: %v", r)
		}
		for what, said := range askUnder(t, policy, "secrets", "/proc/kcore", "/proc/keys", "/proc/key-users",
			"/proc/kmsg", "/proc/sysrq-trigger",
			"/proc/timer_list", "/proc/sched_debug", "/proc/slabinfo", "/proc/vmallocinfo", "/proc/kpagecount",
			"/proc/kpageflags",
			"/proc/1/environ", "/proc/1/maps", "/proc/1/mem", "/dev/mem", "/dev/kmsg", "/dev/port", "/dev/vda", "/dev/sda",
			"/dev/fuse", "/dev/kvm", "/dev/net/tun").answers() {
			if !regexp.MustCompile(`^(ENOENT|EACCES|EPERM|ENXIO|0 bytes)$`).MatchString(said) {
				t.Errorf("%s: %s", what, said)
			}
		}
	})
}

// TestViewCannotBePeeled: nothing undoes, covers or moves what is mounted.
func TestViewCannotBePeeled(t *testing.T) {
	everywhere(t, func(t *testing.T, policy string) {
		r := askUnder(t, policy, "peel")
		if len(r.answers()) < 25 {
			t.Errorf("only %d attempts: %v", len(r.answers()), r)
		}
		for what, said := range r.answers() {
			if said == "ok" {
				t.Errorf("%s is allowed", what)
			}
		}
	})
}

// TestNoPower: no capability, no namespace, no other ABI, no descriptor, and no
// power over anything seen, under any policy.
func TestNoPower(t *testing.T) {
	everywhere(t, func(t *testing.T, policy string) {
		caps := askUnder(t, policy, "caps").answers()
		want := map[string]string{"CapInh": "none", "CapPrm": "none", "CapEff": "none", "CapBnd": "none", "CapAmb": "none",
			"NoNewPrivs": "1", "Seccomp": "2", "securebits": "239"}
		if policy == "web" && asRoot() {
			few := "dac_override kill setgid setuid net_bind_service"
			want["CapPrm"], want["CapEff"], want["CapBnd"], want["securebits"] = few, few, few, "234"
		}
		for what, value := range want {
			if caps[what] != value {
				t.Errorf("%s: %q, want %q", what, caps[what], value)
			}
		}
		ask := func(question ...string) result { return askUnder(t, policy, question...) }
		strict(t, ask)
		for what, said := range ask("trace").answers() {
			if strings.HasPrefix(what, "pid 1 ") && said == "ok" {
				t.Errorf("%s is allowed", what)
			}
		}
	})
}

// strict fails unless a sandbox refuses what no sandbox allows, whatever it is made of.
func strict(t *testing.T, ask func(question ...string) result) {
	t.Helper()
	refused := regexp.MustCompile(`^(EPERM|EACCES|ENOENT|ENOSYS|ESRCH|killed by SIGSYS)$`)
	nest := ask("nest").answers()
	if len(nest) < 15 {
		t.Errorf("only %d attempts to nest", len(nest))
	}
	for what, said := range nest {
		if !refused.MatchString(said) {
			t.Errorf("%s: %s", what, said)
		}
	}
	for what, said := range ask("abi").answers() {
		if !strings.HasPrefix(what, "native ") && said != "killed by SIGSYS" {
			t.Errorf("%s: %s", what, said)
		}
	}
	for what := range ask("fds").answers() {
		if what != "fd 0" && what != "fd 1" && what != "fd 2" {
			t.Errorf("%s is open", what)
		}
	}
}

// TestKernelSurface: what is not for programs is refused by the filter, not by
// the lack of a right.
func TestKernelSurface(t *testing.T) {
	everywhere(t, func(t *testing.T, policy string) { closedSurface(t, askUnder(t, policy, "ipc")) })
}

func closedSurface(t *testing.T, ipc result) {
	t.Helper()
	for what, said := range ipc.answers() {
		switch what {
		case "keyctl", "add_key", "request_key", "perf_event_open", "bpf", "userfaultfd", "io_uring_setup", "kexec_load",
			"syslog", "snapshot", "snapshot, v2", "snapshot, bcachefs":
			if said != "EPERM" {
				t.Errorf("%s: %s", what, said)
			}
		}
	}
}

// TestArgumentsAreSecret: what the launcher was told is nowhere to be found
// inside, neither its arguments nor its environment.
func TestArgumentsAreSecret(t *testing.T) {
	everywhere(t, func(t *testing.T, policy string) {
		dir, args := under(t, policy)
		args = append(args, "--read", binary("probe"), "--read", "?/no/"+canaryString, "--hide", canaryString, "--",
			binary("probe"), "canary", canaryArg)
		env := userEnv()
		if policy == "open" { // it hands over the environment
			env = slices.DeleteFunc(env, func(v string) bool { return strings.Contains(v, canaryString) })
		}
		r := run(t, call{args: args, dir: dir, env: env})
		r.want(t, 0)
		if !strings.Contains(r.stdout, "canary: 0 places") {
			t.Errorf("found: %v", r)
		}
	})
}

// TestSecretsAreNotPrinted: neither the plan nor a message has the value of a
// variable in it.
func TestSecretsAreNotPrinted(t *testing.T) {
	for _, flags := range [][]string{{"--dry-run"}, {"--dry-run", "--json"}, {"--net", "none", "--dir", "/no/such"},
		{"--keep-fd", "99"}} {
		args := append([]string{"--env", "TOKEN=" + canaryString, "--env", "AWS_SECRET_ACCESS_KEY"}, flags...)
		if r := sbx(t, append(args, "--", "/no/such/program")...); strings.Contains(r.stdout+r.stderr, canaryString) {
			t.Errorf("%q: %v", flags, r)
		}
	}
}

// TestNoCoreDumps: a crash inside leaves no file, whatever the caller's limit
// allows, and the limit is the one that keeps a handler from being started.
func TestNoCoreDumps(t *testing.T) {
	for _, policy := range []string{"project", "open"} {
		dir := t.TempDir()
		script := `ulimit -c unlimited 2>/dev/null; exec "$@"`
		line := []string{"/bin/bash", "-c", script, "bash", binary("sbx"), "--policy", policy, "--read",
			binary("probe"), "--"}
		r := run(t, call{args: append(line, binary("probe"), "core"), dir: dir})
		if r.status != 134 {
			t.Errorf("%s: want 134: %v", policy, r)
		}
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != 0 {
			t.Errorf("%s: left %v (%v)", policy, entries, err)
		}
		run(t, call{args: append(line, binary("probe"), "limits"), dir: dir}).want(t, 0, "rlimit core: 1 1")
	}
}

// TestNestedPeel: in a sandbox that may nest, root of a namespace within has all
// capabilities there. What was mounted for it stays as it is all the same: the
// kernel locks it together. Root itself does not nest; see TestNest.
func TestNestedPeel(t *testing.T) {
	if asRoot() {
		return
	}
	dir := t.TempDir()
	policy := "version = 1\nsummary = \"nest\"\nextends = [\"default\"]\n[files]\nwrite = [\".\"]\nread = " +
		"[\"./guarded\"]\nhide = [\"hidden\", \"hiddendir\"]\n[process]\nnest = true\n[expect]\n"
	for name, text := range map[string]string{"nest.toml": policy, "hidden": verySecret, "guarded/file": "guarded",
		"hiddendir/file": verySecret} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const script = `mkdir /tmp/at
mount -t tmpfs none /tmp/at && echo mounts && umount /tmp/at
for p in /usr hidden hiddendir guarded / . /proc /dev /dev/null; do
  umount $p && echo "OUT umount $p"; umount -l $p && echo "OUT umount -l $p"
done
for p in /usr guarded /; do mount -o remount,bind,rw $p && echo "OUT rw $p"; done
for p in . guarded hiddendir; do mount --move $p /tmp/at && echo "OUT move $p"; done
for p in . / hiddendir guarded; do mount --bind $p /tmp/at && { echo x >/tmp/at/guarded/file
cat /tmp/at/hidden /tmp/at/hiddendir/file /tmp/at$PWD/hidden; umount -l /tmp/at; }; done
for p in . / guarded /usr; do mount --rbind $p /tmp/at && { mount -o remount,bind,rw /tmp/at && echo x >/tmp/at/file
umount /tmp/at/hidden; umount -l /tmp/at/hiddendir
cat /tmp/at/hidden /tmp/at/hiddendir/file /tmp/at$PWD/hidden; umount -l /tmp/at; }; done
mount -t sysfs s /tmp/at && echo "OUT sysfs"
mount -t proc p /tmp/at && { ls /tmp/at/1/root/../../etc/shadow && echo "OUT proc"
echo 1 >/tmp/at/sys/kernel/sysrq && echo "OUT sysctl"; umount /tmp/at; }
echo x >guarded/file && echo "OUT wrote"; echo x >/usr/x && echo "OUT wrote /usr"
mv guarded moved && echo "OUT renamed"
cat hidden hiddendir/file
echo end`
	inside := `unshare --user --map-root-user --mount --pid --fork /bin/sh -c "$0" 2>/dev/null`
	r := run(t, call{args: []string{binary("sbx"), "--policy", "./nest.toml", "--", "/bin/sh", "-c", inside, script},
		dir: dir})
	r.want(t, 0, "mounts", "end")
	if strings.Contains(r.stdout, "OUT ") || strings.Contains(r.stdout, verySecret) {
		t.Errorf("peeled: %v", r)
	}
	if got := content(t, filepath.Join(dir, "guarded/file")); got != "guarded" {
		t.Errorf("the guarded file is %q", got)
	}
}
