package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	moby "github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"sbx/policies"
)

// insideBare is a script for a place where namespaces are forbidden. $0 is sbx, $1 the
// probe. It is refused first; then the hint is followed.
const insideBare = `cd "$(mktemp -d)"; "$0" -- true 2>refused; echo "refused: $?"; cat refused
s="$0 --no-namespaces"
$s -- sh -c 'echo "runs: $(id -u)"; echo x >~/x && echo y >$TMPDIR/y && echo private
cat /etc/shadow /proc/1/environ 2>/dev/null && echo leaks; (echo x >evil) 2>/dev/null && echo writes; exit 3'
echo "status: $?"
$s -p project -- sh -c 'echo x >made; kill -9 1 $PPID 2>/dev/null && echo killed; (setsid sleep 1000 &); echo done'
$s --read "$1" -- "$1" nest | grep ': ok$'
$s --read "$1" -- "$1" sock 127.0.0.1:1 /x x | grep ': ok$'
echo "left: $(ls -d ${TMPDIR:-/tmp}/sbx-* 2>/dev/null | grep -c 'sbx-[0-9a-f]\{32\}')"
cat made; exit 0`

// wantBare fails unless the script said what it is to say. hint is the fix that stands
// before the second way; empty: nothing was refused.
func wantBare(t *testing.T, r result, hint string) {
	t.Helper()
	r.want(t, 0, "private", "status: 3", "done", "x", "left: 0", "unix pair: ok")
	if hint != "" {
		r.want(t, 0, "refused: 125")
		if !regexp.MustCompile(`(?m)^sbx: hint: .*` + hint + `.*; or run without namespaces, .*: sbx --no-namespaces$`).
			MatchString(r.stdout) {
			t.Errorf("the hint names no second way: %v", r)
		}
	}
	for _, word := range []string{"leaks", "writes", "killed"} {
		if strings.Contains(r.stdout, word+"\n") {
			t.Errorf("%s: %v", word, r)
		}
	}
	if n := strings.Count(r.stdout, ": ok\n"); n != 1 {
		t.Errorf("%d things are allowed but pairs: %v", n-1, r)
	}
}

// TestNoNamespacesForbidden: where the kernel or an outer sandbox forbids namespaces, the
// refusal names the fix and the flag, and what the flag starts runs.
func TestNoNamespacesForbidden(t *testing.T) {
	if bare(t) == nil {
		return
	}
	script := []string{"/bin/sh", "-c", insideBare, binary("sbx"), binary("probe")}
	for _, w := range []struct {
		name, hint string
		wrapper    []string
	}{
		{"max_user_namespaces is 0", "max_user_namespaces", []string{"unshare", "--user", "--map-root-user", "--mount",
			"/bin/sh", "-c", `echo 0 >/proc/sys/user/max_user_namespaces &&
			exec setpriv --bounding-set=-all --inh-caps=-all --ambient-caps=-all "$0" "$@"`}},
		{"bwrap", "", []string{"bwrap", "--bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--unshare-user",
			"--disable-userns"}},
		{"bwrap, pids of its own", "", []string{"bwrap", "--bind", "/", "/", "--dev", "/dev", "--proc", "/proc",
			"--unshare-pid"}},
		{"sbx", "nest = true", []string{binary("sbx"), "--policy", "shell", "--read", binary("sbx"),
			"--read", binary("probe"), "--"}},
		{"sbx without namespaces", "docker: --security-opt seccomp=unconfined", []string{binary("sbx"), "--no-namespaces",
			"--policy", "shell", "--read", "/proc", "--read", binary("sbx"), "--read", binary("probe"), "--"}},
	} {
		t.Run(w.name, func(t *testing.T) {
			wantBare(t, run(t, call{args: append(slices.Clone(w.wrapper), script...), dir: t.TempDir()}), w.hint)
		})
	}
}

// TestNoNamespacesNested: without namespaces there is no list of children inside, so one
// more launch without namespaces is refused, and says what would show it.
func TestNoNamespacesNested(t *testing.T) {
	args := bare(t, "--policy", "shell", "--read", binary("sbx"))
	if args == nil {
		return
	}
	r := run(t, call{args: append(args, "--", binary("sbx"), "--no-namespaces", "--", "true"), dir: t.TempDir()})
	if r.status != 125 || !strings.Contains(r.stderr, "show it: --read /proc") {
		t.Errorf("want a refusal that names the fix: %v", r)
	}
}

// TestNoNamespacesContainer: in a container of runc's with what Docker gives it by
// default: its seccomp profile, masks over /proc, a user without capabilities, or root
// with none.
func TestNoNamespacesContainer(t *testing.T) {
	if !asRoot() || bare(t) == nil {
		return // runc's rootless containers take more than this machine's users have
	}
	handed, err := moby.GetDefaultProfile(&specs.Spec{Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, uid := range []int{testUser, 0} {
		bundle := t.TempDir()
		containerOf(t, bundle, uid, handed)
		r := run(t, call{args: []string{"runc", "--root", filepath.Join(bundle, "state"), "run", "-b", bundle, "sbx-bare"},
			dir: bundle})
		hint := "docker: --security-opt seccomp=unconfined"
		if uid == 0 {
			hint = "" // refused as well, for another reason
		}
		wantBare(t, r, hint)
	}
}

// containerOf writes a bundle whose root file system is the host's software.
func containerOf(t *testing.T, bundle string, uid int, profile *specs.LinuxSeccomp) {
	t.Helper()
	work := filepath.Join(bundle, "rootfs", "work")
	if err := os.MkdirAll(work, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(work, uid, uid); err != nil {
		t.Fatal(err)
	}
	for _, link := range []string{"bin", "sbin", "lib", "lib64"} {
		to, err := os.Readlink("/" + link)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(to, filepath.Join(bundle, "rootfs", link)); err != nil {
			t.Fatal(err)
		}
	}
	bind := func(path string) specs.Mount {
		return specs.Mount{Destination: path, Type: "bind", Source: path, Options: []string{"rbind", "ro"}}
	}
	spec := specs.Spec{
		Version: "1.0.2",
		Process: &specs.Process{
			User: specs.User{UID: uint32(uid), GID: uint32(uid)}, Cwd: "/work", Capabilities: &specs.LinuxCapabilities{},
			Args: []string{"/bin/sh", "-c", insideBare, binary("sbx"), binary("probe")},
			Env:  []string{"PATH=/usr/bin:/bin", "HOME=/work/home", "SECRET=" + canaryString},
		},
		Root: &specs.Root{Path: "rootfs"},
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc"},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "mode=755"}},
			{Destination: "/tmp", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "nodev", "mode=1777"}},
			bind("/usr"), bind("/etc"), bind(filepath.Join(base, "bin")),
		},
		Linux: &specs.Linux{
			Namespaces: []specs.LinuxNamespace{{Type: "pid"}, {Type: "mount"}, {Type: "ipc"}, {Type: "uts"}, {Type: "network"}},
			Seccomp:    profile,
			MaskedPaths: []string{"/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
				"/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware"},
			ReadonlyPaths: []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"},
		},
	}
	data, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bundle, "config.json"), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestNoNamespacesTerminal: at a terminal the job control of the caller's shell works, and the
// program can neither type into the terminal nor signal the rest of the job.
func TestNoNamespacesTerminal(t *testing.T) {
	args := bare(t, "--read", binary("probe"))
	if args == nil {
		return
	}
	term := atTerminal(t, append(slices.Clone(args), "--", binary("probe"), "tty")...)
	term.shows("other terminals", 1)
	term.ends(0)
	answers := result{stdout: strings.ReplaceAll(term.out.String(), "\r\n", "\n")}.answers()
	for what, want := range map[string]string{"window size": "80x24", "tcgetattr": "ok", "foreground": "true",
		"TIOCSTI": "EPERM", "TIOCSTI high": "EPERM", "TIOCLINUX": "EPERM", "TIOCSETD": "EPERM"} {
		if answers[what] != want {
			t.Errorf("%s: %q, want %q\n%s", what, answers[what], want, &term.out)
		}
	}
	term = atTerminal(t, "/bin/sh", "-c",
		`"$0" --no-namespaces -- sh -c "trap '' TERM; kill -9 $PPID; kill -KILL 0; kill -9 \$\$"
echo outside $?`, binary("sbx"))
	term.shows("outside 137", 1)
	term.ends(0)
	insideShell(t, bare(t, "--policy", "shell", "--", "/bin/bash", "--norc", "--noprofile", "-i"))
}

// bareRefusals are the shipped policies that do not run without namespaces, and why; all
// others do. docs/no-namespaces.md lists them.
var bareRefusals = map[string]string{
	"agent": "reach single hosts", "cargo": "reach single hosts", "git": "reach single hosts", "go": "reach single hosts",
	"mcp": "reach single hosts", "npm": "reach single hosts", "pip": "reach single hosts",
	"db":    "allow single Unix sockets, which takes Landlock ABI 9",
	"judge": "limit the size of private directories", "kernel": "policy kernel lets nothing run",
}

// TestNoNamespacesExpect: each shipped policy runs without namespaces, or is refused by name.
// Of the lines of [expect] all that deny hold, and are tried where the machine lets them be.
// Those that allow hold as well, but for what docs/no-namespaces.md lists.
func TestNoNamespacesExpect(t *testing.T) {
	if asRoot() || bare(t) == nil {
		return // it is users who have no other way
	}
	listed := regexp.MustCompile(`^fails +allow (write \./|(write|create) (~|/tmp|/dev/shm|/run/|/var/lib/nginx/)|` +
		`bind |syscall socket AF_UNIX:)`)
	// What is not there cannot be tried, and where there is a network, but no route, neither can that be.
	untried := regexp.MustCompile(`^untried +(allow|deny) +(\?|.*: it is (not there on this host|there already))|` +
		`this machine has no way there: network is unreachable|no name server answers`)
	for _, policy := range policies.Names() {
		if policy == "db" && landlockABI(t) >= 9 {
			continue
		}
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if policy == "commit" {
				run(t, call{args: []string{"git", "init", "-q"}, dir: dir}).want(t, 0)
			}
			file := filepath.Join(t.TempDir(), policy+".toml")
			text := "version = 1\nsummary = \"bare\"\nextends = [\"" + policy + "\"]\n[namespaces]\nall = \"host\"\n"
			if why := bareRefusals[policy]; why != "" {
				r := run(t, call{args: bare(t, "-p", policy, "--", "true"), dir: dir})
				if r.status != 125 || !strings.Contains(r.stderr, "sbx: error: "+why) {
					t.Errorf("want a refusal: %v", r)
				}
				return
			}
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			r := run(t, call{args: []string{binary("sbx"), "policy", "test", file}, dir: dir})
			holds := 0
			for line := range strings.Lines(r.stdout) {
				switch {
				case strings.HasPrefix(line, "holds "):
					holds++
				case strings.HasPrefix(line, "fails ") && !listed.MatchString(line),
					strings.HasPrefix(line, "untried ") && !untried.MatchString(line):
					t.Error(line)
				}
			}
			if holds < 10 {
				t.Errorf("only %d lines hold: %v", holds, r)
			}
		})
	}
}

// TestNoNamespacesOuterFilter: below filters like those of container engines, and below ones
// that lie, a launch without namespaces is as it should be, or refused before anything runs.
func TestNoNamespacesOuterFilter(t *testing.T) {
	args := bare(t)
	if args == nil {
		return
	}
	for _, f := range []struct {
		name   string
		runs   bool
		denied map[uint32]uint32
	}{
		{"clone3 unknown", true, deny(unix.ENOSYS, unix.SYS_CLONE3)},
		{"clone3 forbidden", true, deny(unix.EPERM, unix.SYS_CLONE3)},
		{"nothing of namespaces and mounts", true, deny(unix.EPERM, unix.SYS_UNSHARE, unix.SYS_SETNS, unix.SYS_MOUNT,
			unix.SYS_OPEN_TREE, unix.SYS_MOVE_MOUNT, unix.SYS_FSOPEN, unix.SYS_PIVOT_ROOT, unix.SYS_UMOUNT2)},
		{"Landlock unknown", false, deny(unix.ENOSYS, unix.SYS_LANDLOCK_CREATE_RULESET)},
		{"Landlock forbidden", false, deny(unix.EPERM, unix.SYS_LANDLOCK_CREATE_RULESET)},
		{"no rules", false, deny(unix.EPERM, unix.SYS_LANDLOCK_ADD_RULE)},
		{"no domain", false, deny(unix.EPERM, unix.SYS_LANDLOCK_RESTRICT_SELF)},
		{"the domain lies", false, deny(0, unix.SYS_LANDLOCK_RESTRICT_SELF)},
		{"seccomp forbidden", false, deny(unix.EPERM, unix.SYS_SECCOMP)},
		{"prctl lies", false, deny(0, unix.SYS_PRCTL)},
		{"openat2 unknown", false, deny(unix.ENOSYS, unix.SYS_OPENAT2)},
		{"close_range unknown", false, deny(unix.ENOSYS, unix.SYS_CLOSE_RANGE)},
		{"no directories", false, deny(unix.EPERM, unix.SYS_MKDIRAT)},
	} {
		dir := t.TempDir()
		line := append(slices.Clone(args), "-p", "project", "--", "/bin/sh", "-c",
			"touch ran; cat /etc/shadow 2>/dev/null && echo leaks; exit 7")
		r := runFiltered(t, f.denied, call{args: line, dir: dir})
		_, err := os.Stat(filepath.Join(dir, "ran"))
		switch {
		case f.runs && (r.status != 7 || err != nil || strings.Contains(r.stdout, "leaks")),
			!f.runs && (r.status != 125 || err == nil || !strings.Contains(r.stderr, "sbx: error: ")):
			t.Errorf("%s: %v", f.name, r)
		}
	}
}
