package integration

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// bootScript makes a systemd the first process of its namespaces: with a cgroup tree and a
// /run of its own, a network of its own, and nothing of the host's that it could change. The
// root file system is the host's, or the directory $3.
const bootScript = `set -e
mount --make-rprivate /
root=$3
if [ -n "$root" ]; then
  mount --bind "$root" "$root"
  mount --rbind /dev "$root/dev"
  mount -t sysfs sysfs "$root/sys"
else
  umount -R /sys/fs/cgroup
fi
mount -o remount,bind,ro "$root/"
mount -t cgroup2 none "$root/sys/fs/cgroup"
mount -t proc proc "$root/proc"
ip link set lo up
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
mkdir -p "$root/run/systemd/system"
cp "$1"/*.service "$1"/*.socket "$1"/*.target "$root/run/systemd/system"
cp "$1"/notifier.py "$2" "$root/run"
chmod 755 "$root/run/systemd/system"
mount -t tmpfs tmpfs "$root/var/tmp"
mount -t tmpfs tmpfs "$root/var/lib"
mount -t tmpfs tmpfs "$root/etc/systemd"
if [ -n "$root" ]; then
  cd "$root"
  mkdir run/host
  pivot_root . run/host
  umount -l /run/host
fi
exec env -i PATH=/usr/bin:/bin:/usr/sbin:/sbin container=sbx-test SYSTEMD_UNIT_PATH=/run/systemd/system \
  /lib/systemd/systemd --system --unit=test.target --log-target=console --show-status=no`

// bootedSystemd is a real service manager.
type bootedSystemd struct {
	pid int
	log bytes.Buffer
}

// bootSystemd boots the one of a root file system, "" for the host's, with these units.
func bootSystemd(t *testing.T, root string, units map[string]string) *bootedSystemd {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	units["test.target"], units["notifier.py"] = "[Unit]\nDefaultDependencies=no\n", notifier
	for name, text := range units {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	group := filepath.Join(cgroup2(t), fmt.Sprintf("sbx-systemd-%d", os.Getpid()))
	if err := os.Mkdir(group, 0o755); err != nil {
		t.Fatal(err)
	}
	at, err := os.Open(group)
	if err != nil {
		t.Fatal(err)
	}
	defer at.Close()
	s := &bootedSystemd{}
	cmd := exec.Command("unshare", "-C", "-m", "-n", "-p", "-u", "-i", "-f", "--kill-child", "bash", "-c",
		bootScript, "bash", dir, binary("sbx"), root)
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(at.Fd()), Setsid: true}
	cmd.Stdout, cmd.Stderr = &s.log, &s.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		eventually(t, "all of systemd to be gone", func() bool { return removeCgroups(group) == nil })
	})
	eventually(t, "systemd to boot", func() bool {
		child, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", cmd.Process.Pid))
		if err != nil {
			return false
		}
		s.pid, _ = strconv.Atoi(strings.TrimSpace(string(child)))
		_, err = s.control("show", "-p", "Version")
		return s.pid != 0 && err == nil
	})
	return s
}

// cgroup2 is where cgroups of version 2 can be made.
func cgroup2(t *testing.T) string {
	t.Helper()
	mounts, err := os.ReadFile("/proc/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); len(f) > 2 && f[2] == "cgroup2" {
			return f[1]
		}
	}
	t.Fatal("no cgroups of version 2 are mounted")
	return ""
}

func removeCgroups(dir string) error {
	list, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range list {
		if e.IsDir() {
			if err := removeCgroups(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return os.Remove(dir)
}

// control is systemctl.
func (s *bootedSystemd) control(args ...string) (string, error) {
	cmd := exec.Command("nsenter", append([]string{"-t", strconv.Itoa(s.pid), "-m", "-n", "-p", "-C", "-u", "-i",
		"systemctl"}, args...)...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// must is control that has to succeed.
func (s *bootedSystemd) must(t *testing.T, args ...string) {
	t.Helper()
	if out, err := s.control(args...); err != nil {
		t.Errorf("systemctl %q: %v\n%s", args, err, out)
	}
}

// show are properties of a unit, in the order that was asked for.
func (s *bootedSystemd) show(unit string, properties ...string) string {
	var values []string
	for _, p := range properties {
		out, _ := s.control("show", unit, "--value", "-p", p)
		values = append(values, strings.TrimSpace(out))
	}
	return strings.Join(values, " ")
}

// read is a file in its /run.
func (s *bootedSystemd) read(name string) string {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/root/run/%s", s.pid, name))
	return string(data)
}

// service is a unit that logs to /run/NAME.log.
func service(name, lines string) string {
	return "[Unit]\nDefaultDependencies=no\n[Service]\nTimeoutStartSec=20\nStandardOutput=truncate:/run/" + name +
		".log\nStandardError=inherit\n" + lines + "\n"
}

// notifier is a program that tells its manager what it does.
const notifier = `import os, socket, signal, sys, time
def tell(m, *fds):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.connect(os.environ["NOTIFY_SOCKET"])
    socket.send_fds(s, [m.encode()], list(fds))
def hup(*a):
    tell("RELOADING=1\nMONOTONIC_USEC=%d" % (time.monotonic_ns() // 1000)); tell("READY=1\nSTATUS=reloaded")
def term(*a):
    tell("STOPPING=1"); sys.exit(0)
signal.signal(signal.SIGHUP, hup); signal.signal(signal.SIGTERM, term)
signal.signal(signal.SIGUSR1, lambda *a: print("usr1", flush=True))
print(os.environ.get("LISTEN_FDNAMES"), os.environ.get("LISTEN_PID") == str(os.getpid()),
      os.environ["RUNTIME_DIRECTORY"],
    os.environ.get("WATCHDOG_PID") in (None, str(os.getpid())), flush=True)
tell("FDSTORE=1\nFDNAME=kept", os.memfd_create("kept")) # a pipe would hang up with the program
b, e = os.pipe()
tell("READY=1\nMAINPID=%d" % os.getpid())
tell("BARRIER=1", e); os.close(e); os.read(b, 1)
tell("STATUS=after the barrier")
while True:
    tell("WATCHDOG=1"); time.sleep(.2)
`

// TestSystemd runs units under a real systemd, which has sbx as the prefix of ExecStart=. All
// of it takes SBX_SYSTEMD; without, it is what most units do.
func TestSystemd(t *testing.T) {
	if !asRoot() || guestFacts != "" {
		return // systemd wants to be root, and a guest has none
	}
	t.Parallel()
	const web = "/run/sbx --policy web -- "
	units := map[string]string{
		"simple.service":  service("simple", "Type=simple\nExecStart="+web+"sleep 1000"),
		"exec.service":    service("exec", "Type=exec\nExecStart="+web+"sleep 1000"),
		"missing.service": service("missing", "Type=exec\nExecStart="+web+"no-such-program"),
		"once.service":    service("once", "Type=oneshot\nExecStart="+web+"sh -c 'echo line; echo other >&2'"),
		"fails.service":   service("fails", "Type=oneshot\nExecStart="+web+"sh -c 'exit 3'"),
		"notify.service":  notifyUnit("notify") + "ExecReload=kill -HUP $MAINPID\n",
		"deaf.service": service("deaf", "Type=simple\nTimeoutStopSec=1\nExecStart="+web+
			"sh -c 'trap \"\" TERM; echo deaf; while :; do sleep .1; done'"),
		"mixed.service":   service("mixed", "KillMode=mixed\nExecStart="+web+"sh -c 'sleep 1000 & sleep 1000'"),
		"process.service": service("process", "KillMode=process\nExecStart="+web+"sh -c 'sleep 1000 & sleep 1000'"),
		"again.service":   service("again", "Restart=on-failure\nRestartSec=0\nExecStart="+web+"sleep 1000"),
		"ask.socket":      "[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=/run/ask\nAccept=yes\n",
		"ask@.service": service("ask",
			"StandardInput=socket\nStandardOutput=socket\nExecStart="+web+"sh -c 'read x; echo got $x'"),
	}
	// Options of systemd's beside sbx: it works, or names the option that keeps it from that.
	options := map[string]struct{ lines, refusal string }{
		"user": {"User=nobody", ""}, "nnp": {"NoNewPrivileges=yes", ""}, "tmp": {"PrivateTmp=yes", ""},
		"strict":  {"ProtectSystem=strict\nProtectHome=yes", ""},
		"group":   {"User=nobody\nGroup=daemon\nStateDirectory=group", ""},
		"users":   {"PrivateUsers=yes", "PrivateUsers="},
		"dynamic": {"DynamicUser=yes\nStateDirectory=dyn", "DynamicUser="},
		"suid":    {"RestrictSUIDSGID=yes", "RestrictSUIDSGID="},
		"spaces":  {"RestrictNamespaces=yes", "RestrictNamespaces="},
		"calls":   {"SystemCallFilter=@system-service\nSystemCallErrorNumber=EPERM", "SystemCallFilter="},
	}
	for name, o := range options {
		units["o-"+name+".service"] = service("o-"+name, "Type=oneshot\n"+o.lines+"\nExecStart="+web+"sh -c 'echo in; id -u'")
	}
	whole := os.Getenv("SBX_SYSTEMD") != ""
	if !whole {
		options = nil
	}
	s := bootSystemd(t, "", units)
	for _, name := range []string{"simple", "exec"} {
		s.must(t, "start", name)
		if got := s.show(name, "ActiveState", "SubState"); got != "active running" {
			t.Errorf("%s: %s\n%s", name, got, s.read(name+".log"))
		}
		began := time.Now()
		s.must(t, "stop", name)
		if took := time.Since(began); took > patient(time.Second) {
			t.Errorf("%s was stopped in %v", name, took)
		}
		if got := s.show(name, "ActiveState", "Result"); got != "inactive success" {
			t.Errorf("%s, stopped: %s", name, got)
		}
	}
	s.must(t, "start", "once")
	if got := s.show("once", "ActiveState", "Result") + s.read("once.log"); got != "inactive successline\nother\n" {
		t.Errorf("once: %q", got)
	}
	for name, status := range map[string]string{"fails": "3", "missing": "127"} {
		s.control("start", name)
		eventually(t, name+" to fail", func() bool {
			return s.show(name, "ActiveState", "ExecMainStatus") == "failed "+status
		})
	}
	s.tryNotify(t)
	s.tryInspect(t)
	if whole {
		s.tryEnds(t)
	}
	for name, o := range options {
		out, err := s.control("start", "o-"+name)
		log := s.read("o-" + name + ".log")
		switch works := strings.HasPrefix(log, "in\n"); {
		case o.refusal == "" && (err != nil || !works):
			t.Errorf("%s: %v, %s%s, %s", o.lines, err, out, log, s.show("o-"+name, "Result", "ExecMainStatus"))
		case o.refusal != "" && (works || !strings.Contains(log, "sbx: hint: ") || !strings.Contains(log, o.refusal)):
			t.Errorf("%s: %s", o.lines, log)
		}
	}
	s.must(t, "start", "ask.socket")
	out, err := exec.Command("nsenter", "-t", strconv.Itoa(s.pid), "-m", "python3", "-c", `import socket
s = socket.socket(socket.AF_UNIX); s.connect("/run/ask"); s.send(b"word\n"); print(s.recv(99))`).CombinedOutput()
	if string(out) != "b'got word\\n'\n" || err != nil {
		t.Errorf("a connection on standard input: %s, %v", out, err)
	}
}

// notifyUnit is a unit whose program tells of itself.
func notifyUnit(kind string) string {
	return service("notify", "Type="+kind+"\nRuntimeDirectory=notify\nFileDescriptorStoreMax=2\nWatchdogSec=5\n"+
		"ExecStart=/run/sbx --policy web --read /run/notifier.py -- python3 /run/notifier.py\n")
}

// TestSystemdNewer: a newer systemd than Debian 12's, which knows Type=notify-reload: it sends
// SIGHUP, and believes no RELOADING without the time of its own clock.
func TestSystemdNewer(t *testing.T) {
	root := os.Getenv("SBX_SYSTEMD_ROOT")
	if root == "" || !asRoot() {
		return // see make test-systemd
	}
	s := bootSystemd(t, root, map[string]string{
		"notify.service": notifyUnit("notify-reload"),
		"ask.socket":     "[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=/run/ask\n",
		"once.service":   service("once", "Type=oneshot\nExecStart=/run/sbx --policy web -- sh -c 'echo line'"),
	})
	if out, err := s.control("--version"); err != nil || strings.HasPrefix(out, "systemd 252") {
		t.Fatalf("%v: %s", err, out)
	}
	s.must(t, "start", "once")
	if got := s.show("once", "ActiveState", "Result") + s.read("once.log"); got != "inactive successline\n" {
		t.Errorf("once: %q", got)
	}
	s.tryNotify(t)
}

// tryNotify: NotifyAccess=main, which is the default, and what it allows.
func (s *bootedSystemd) tryNotify(t *testing.T) {
	s.must(t, "start", "notify")
	eventually(t, "the status", func() bool { return s.show("notify", "StatusText") == "after the barrier" })
	if got := s.show("notify", "ActiveState", "NFileDescriptorStore"); got != "active 1" {
		t.Errorf("notify: %s\n%s", got, s.read("notify.log"))
	}
	main := s.show("notify", "MainPID")
	s.must(t, "reload", "notify")
	eventually(t, "the reload", func() bool { return s.show("notify", "StatusText") == "reloaded" })
	s.must(t, "kill", "--kill-who=main", "-s", "USR1", "notify")
	eventually(t, "the signal", func() bool { return strings.HasSuffix(s.read("notify.log"), "usr1\n") })
	if got := s.show("notify", "ActiveState", "MainPID"); got != "active "+main {
		t.Errorf("notify, later: %s, was %s", got, main)
	}
	s.must(t, "restart", "notify")
	eventually(t, "the stored descriptor", func() bool {
		return strings.HasPrefix(s.read("notify.log"), "kept True /run/notify True\n")
	})
	began := time.Now()
	s.must(t, "stop", "notify")
	if got, took := s.show("notify", "ActiveState", "Result"), time.Since(began); got != "inactive success" ||
		took > patient(time.Second) {
		t.Errorf("notify, stopped in %v: %s", took, got)
	}
}

// tryEnds: how units end that do not end by themselves.
func (s *bootedSystemd) tryEnds(t *testing.T) {
	for _, name := range []string{"mixed", "process", "again", "deaf"} {
		s.must(t, "start", name)
	}
	for _, name := range []string{"mixed", "process"} {
		eventually(t, name+" to have started its programs", func() bool { return s.show(name, "TasksCurrent") != "0" })
		s.must(t, "stop", name)
		if got := s.show(name, "ActiveState", "Result"); got != "inactive success" {
			t.Errorf("%s, stopped: %s", name, got)
		}
	}
	first := s.show("again", "MainPID")
	s.must(t, "kill", "-s", "KILL", "again")
	eventually(t, "again to be started once more", func() bool {
		return s.show("again", "ActiveState", "NRestarts") == "active 1" && s.show("again", "MainPID") != first
	})
	eventually(t, "deaf to ignore the signal", func() bool { return s.read("deaf.log") == "deaf\n" })
	s.must(t, "stop", "deaf")
	if got := s.show("deaf", "Result"); got != "timeout" {
		t.Errorf("deaf: %s", got)
	}
	s.must(t, "stop", "again")
	if got := s.show("again", "ActiveState"); got != "inactive" {
		t.Errorf("again: %s", got)
	}
}
