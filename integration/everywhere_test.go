package integration

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// launchable are the shipped policies that a program can run with.
var launchable = []string{"default", "pure", "filter", "project", "build", "fetch", "web", "shell", "open"}

// within asks the probe under a policy; open shows it without being told.
func askUnder(t *testing.T, policy string, question ...string) result {
	t.Helper()
	flags := []string{"--policy", policy}
	if policy != "open" {
		flags = append(flags, "--read", binary("probe"))
	}
	r := sbx(t, append(append(flags, "--", binary("probe")), question...)...)
	if r.status != 0 {
		t.Fatalf("%s: %q: %v", policy, question, r)
	}
	return r
}

// everywhere runs a test under each shipped policy.
func everywhere(t *testing.T, test func(t *testing.T, policy string)) {
	for _, policy := range launchable {
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
		above := sbx(t, "--policy", policy, "--", "/bin/sh", "-c", "ls -id /.. /../.. / /../proc /proc; tr '\\0' ' ' </../proc/1/cmdline")
		above.want(t, 0)
		if lines := strings.Split(above.stdout, "\n"); strings.Fields(lines[0])[0] != strings.Fields(lines[2])[0] || !strings.Contains(above.stdout, "sbx-init") {
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
		for what, said := range askUnder(t, policy, "secrets", "/proc/kcore", "/proc/keys", "/proc/key-users", "/proc/kmsg", "/proc/sysrq-trigger",
			"/proc/timer_list", "/proc/sched_debug", "/proc/slabinfo", "/proc/vmallocinfo", "/proc/kpagecount", "/proc/kpageflags",
			"/proc/1/environ", "/proc/1/maps", "/proc/1/mem", "/dev/mem", "/dev/kmsg", "/dev/port", "/dev/vda", "/dev/sda", "/dev/fuse", "/dev/kvm", "/dev/net/tun").answers() {
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
			few := "chown dac_override setgid setuid net_bind_service"
			want["CapPrm"], want["CapEff"], want["CapBnd"], want["securebits"] = few, few, few, "234"
		}
		for what, value := range want {
			if caps[what] != value {
				t.Errorf("%s: %q, want %q", what, caps[what], value)
			}
		}
		refused := regexp.MustCompile(`^(EPERM|EACCES|ENOENT|ENOSYS|ESRCH|killed by SIGSYS)$`)
		nest := askUnder(t, policy, "nest").answers()
		if len(nest) < 15 {
			t.Errorf("only %d attempts to nest", len(nest))
		}
		for what, said := range nest {
			if !refused.MatchString(said) {
				t.Errorf("%s: %s", what, said)
			}
		}
		for what, said := range askUnder(t, policy, "abi").answers() {
			if !strings.HasPrefix(what, "native ") && said != "killed by SIGSYS" {
				t.Errorf("%s: %s", what, said)
			}
		}
		for what := range askUnder(t, policy, "fds").answers() {
			if what != "fd 0" && what != "fd 1" && what != "fd 2" {
				t.Errorf("%s is open", what)
			}
		}
		for what, said := range askUnder(t, policy, "trace").answers() {
			if strings.HasPrefix(what, "pid 1 ") && said == "ok" {
				t.Errorf("%s is allowed", what)
			}
		}
	})
}

// TestKernelSurface: what is not for programs is refused by the filter, not by
// the lack of a right.
func TestKernelSurface(t *testing.T) {
	everywhere(t, func(t *testing.T, policy string) {
		for what, said := range askUnder(t, policy, "ipc").answers() {
			switch what {
			case "keyctl", "add_key", "perf_event_open", "bpf", "userfaultfd", "io_uring_setup", "kexec_load", "syslog":
				if said != "EPERM" {
					t.Errorf("%s: %s", what, said)
				}
			}
		}
	})
}

// TestArgumentsAreSecret: what the launcher was told is nowhere to be found
// inside, neither its arguments nor its environment.
func TestArgumentsAreSecret(t *testing.T) {
	everywhere(t, func(t *testing.T, policy string) {
		args := []string{binary("sbx"), "--policy", policy, "--read", binary("probe"), "--read", "?/no/" + canaryString, "--hide", canaryString, "--", binary("probe"), "canary", canaryArg}
		env := userEnv()
		if policy == "open" { // it hands over the environment
			env = slices.DeleteFunc(env, func(v string) bool { return strings.Contains(v, canaryString) })
		}
		r := run(t, call{args: args, dir: t.TempDir(), env: env})
		r.want(t, 0)
		if !strings.Contains(r.stdout, "canary: 0 places") {
			t.Errorf("found: %v", r)
		}
	})
}

// TestNoCoreDumps: a crash inside leaves no file, whatever the caller's limit
// allows, and the limit is the one that keeps a handler from being started.
func TestNoCoreDumps(t *testing.T) {
	for _, policy := range []string{"project", "open"} {
		dir := t.TempDir()
		script := `ulimit -c unlimited 2>/dev/null; exec "$@"`
		line := []string{"/bin/bash", "-c", script, "bash", binary("sbx"), "--policy", policy, "--read", binary("probe"), "--"}
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
