package integration

import (
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// placeScript puts what docs/systemd.md says in its place, below $1, and sbx, $2: in copies of
// the host's directories that only the booted systemd has. Its users are made there as well.
const placeScript = `set -e
mkdir /run/etc
cp -a /etc/. /run/etc
mount --bind /run/etc /etc
for dir in /usr/local/bin /opt /var/log; do mount -t tmpfs -o mode=755 tmpfs $dir; done
mkdir /var/lib/nginx /var/log/nginx
touch /var/log/nginx/access.log /var/log/nginx/error.log
chown www-data:adm /var/log/nginx/*.log
cp -R "$1"/. /
cp "$2" /usr/local/bin/sbx
cp /etc/systemd/system/*.s* /run/systemd/system
for unit in /etc/systemd/system/*.service; do
  log=/run/systemd/system/$(basename "$unit").d
  mkdir "$log"
  printf '[Service]\nStandardOutput=append:/run/%s.log\nStandardError=inherit\n' "$(basename "$unit")" >"$log/log.conf"
done
useradd --system api
useradd --system app`

// TestSystemdUnits runs the units of docs/systemd.md as they stand there, and those types of
// services that it says do not work, under a real systemd.
func TestSystemdUnits(t *testing.T) {
	if os.Getenv("SBX_SYSTEMD") == "" || !asRoot() || guestFacts != "" {
		return
	}
	units := map[string]string{}
	for _, name := range []string{"sysinit", "basic", "shutdown", "sockets", "network", "multi-user"} {
		units[name+".target"] = "[Unit]\nDefaultDependencies=no\n"
	}
	otherTypes(units)
	doc, err := os.ReadFile(filepath.Join(base, "docs/systemd.md"))
	if err != nil {
		t.Fatal(err)
	}
	s := bootSystemd(t, "", units)
	s.place(t, string(doc))
	tried := 0
	for _, section := range strings.Split(string(doc), "\n### ")[1:] {
		r := recipesOf("## " + section + "\n")
		if len(r) != 1 {
			t.Fatalf("%d recipes in: %s", len(r), section)
		}
		tried++
		t.Run(r[0].name, func(t *testing.T) { s.tryUnit(t, &r[0]) })
	}
	if tried != 5 {
		t.Errorf("%d units were tried", tried)
	}
	t.Run("forking", s.tryForking)
	t.Run("dbus", s.tryDBus)
}

// unitDocs are the documents with units, which a guest does not have.
func unitDocs() []string {
	if guestFacts != "" {
		return nil
	}
	return []string{"docs/systemd.md"}
}

// inside is bash in all of the manager's namespaces.
func (s *bootedSystemd) inside(script string, args ...string) (string, error) {
	cmd := exec.Command("nsenter", append([]string{"-t", strconv.Itoa(s.pid), "-m", "-n", "-p", "-C", "-u", "-i",
		"bash", "-c", script, "bash"}, args...)...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// place puts the document's files in their places, and builds its server.
func (s *bootedSystemd) place(t *testing.T, doc string) {
	dir := t.TempDir()
	for _, b := range fencedBlock.FindAllStringSubmatch(doc, -1) {
		name := ""
		if f := namedFile.FindStringSubmatch(b[2]); f != nil {
			name = f[1]
		} else if b[1] == "go" {
			name = "/opt/api/server.go"
		}
		if !filepath.IsAbs(name) {
			continue
		}
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(b[2]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.Command("go", "build", "-o", "server", "server.go")
	build.Dir = filepath.Join(dir, "opt/api")
	root, err := user.LookupId("0") // whose build cache has Go's own packages; the tests' HOME is empty
	if err != nil {
		t.Fatal(err)
	}
	build.Env = append(os.Environ(), "HOME="+root.HomeDir)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("the Go server: %v\n%s", err, out)
	}
	share := filepath.Join("/proc", strconv.Itoa(s.pid), "root/run/placed")
	if out, err := exec.Command("cp", "-R", dir, share).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if out, err := s.inside(placeScript, "/run/placed", "/run/sbx"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s.must(t, "daemon-reload")
}

// tryUnit starts a unit, asks its server, reloads it where it says how, and stops it.
func (s *bootedSystemd) tryUnit(t *testing.T, r *recipe) {
	unit, text := "", ""
	for name, content := range r.files {
		if strings.HasSuffix(name, ".service") {
			unit, text = filepath.Base(name), content
		}
	}
	if unit == "" || len(r.script) == 0 {
		t.Fatalf("no unit, or nothing that asks it: %q", r.files)
	}
	s.must(t, "start", unit)
	state := func() string { return s.show(unit, "ActiveState", "SubState", "Result", "NRestarts") }
	log := func() string {
		out, _ := s.inside("tail -n 50 /var/log/nginx/error.log")
		return out + s.read(unit+".log")
	}
	ask := func() {
		t.Helper()
		if got := state(); got != "active running success 0" {
			t.Fatalf("%s: %s\n%s", unit, got, log())
		}
		for _, x := range r.script {
			out, err := s.inside(x.command)
			if !pattern(x.prints).MatchString(strings.TrimSuffix(out, "\n")) {
				t.Errorf("%s: $ %sprints %s (%v), want %s\n%s", unit, x.command, out, err, x.prints, log())
			}
		}
	}
	main := s.show(unit, "MainPID")
	ask()
	if out, err := s.inside(`readlink /proc/"$1"/exe`, main); strings.TrimSpace(out) != "/usr/local/bin/sbx" {
		t.Errorf("%s: the main process is %s, %v", unit, out, err)
	}
	if strings.Contains(text, "\nExecReload=") {
		s.must(t, "reload", unit)
		ask()
		if got := s.show(unit, "MainPID"); got != main {
			t.Errorf("%s: the reload made %s of the main process %s", unit, got, main)
		}
	}
	began := time.Now()
	s.must(t, "stop", unit)
	took := time.Since(began)
	if got := state(); got != "inactive dead success 0" || took > patient(time.Second) {
		t.Errorf("%s, stopped in %v: %s\n%s", unit, took, got, log())
	}
	eventually(t, "the cgroup of "+unit+" to be gone", func() bool {
		out, err := s.inside(`find /sys/fs/cgroup -name "$1"`, unit)
		return out == "" && err == nil
	})
}

// otherTypes are units of the types Type=forking and Type=dbus.
func otherTypes(units map[string]string) {
	const daemon = "sh -c 'echo started; sleep 1000 & echo $! >/run/forks/pid'"
	forks := "Type=forking\nRuntimeDirectory=forks\n"
	units["plain.service"] = service("plain", forks+"PIDFile=/run/forks/pid\nExecStart="+daemon)
	units["forks.service"] = service("forks", forks+
		"PIDFile=/run/forks/pid\nExecStart=/run/sbx --policy web -- "+daemon)
	units["place.service"] = strings.ReplaceAll(service("place", forks+
		"PIDFile=/run/forks/pid\nExecStart=/run/sbx --policy /run/inplace.toml -- "+daemon),
		"truncate:/run/place.log", "null")
	units["guess.service"] = service("guess", forks+"ExecStart=/run/sbx --policy web -- "+daemon)
	units["other.service"] = service("other", "ExecStart=sleep 1000")
	units["stray.service"] = service("stray", forks+"PIDFile=/run/forks/pid\nExecStart="+
		"/run/sbx --policy web --read /run/other -- sh -c 'cat /run/other >/run/forks/pid; sleep 1000 &'")
	units["dbus.socket"] = "[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=/run/dbus/system_bus_socket\n"
	units["dbus.service"] = service("dbus",
		"ExecStart=/usr/bin/dbus-daemon --config-file=/run/bus.conf --address=systemd: --nofork --nopidfile")
	bus := "Type=dbus\nTimeoutStartSec=5\nBusName=org.example."
	units["nobus.service"] = service("nobus", bus+"None\nExecStart=/run/sbx --policy web "+
		"--read /run/owner.py -- python3 /run/owner.py")
	units["bus.service"] = service("bus", bus+
		"Bus\nExecStart=/run/sbx --policy web "+
		"--socket /run/dbus/system_bus_socket --read /run/owner.py -- python3 /run/owner.py")
}

// busConf is a bus on which all is allowed.
const busConf = `<busconfig><type>system</type><listen>unix:path=/run/unused</listen>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/>
</policy></busconfig>`

// busOwner is a program that takes a name on the system's bus, in D-Bus's own words.
const busOwner = `import os, socket, struct, time
s = socket.socket(socket.AF_UNIX); s.connect("/run/dbus/system_bus_socket")
s.send(b"\0AUTH EXTERNAL " + str(os.getuid()).encode().hex().encode() + b"\r\n"); s.recv(999); s.send(b"BEGIN\r\n")
def field(code, kind, text):
    size = bytes([len(text)]) if kind == "g" else struct.pack("<I", len(text))
    return bytes([code, 1, ord(kind), 0]) + size + text.encode() + b"\0"
def pad(data):
    return data + b"\0" * (-len(data) % 8)
def call(serial, member, signature="", body=b""):
    fields = b""
    for f in [(1, "o", "/org/freedesktop/DBus"), (2, "s", "org.freedesktop.DBus"), (3, "s", member),
              (6, "s", "org.freedesktop.DBus")] + ([(8, "g", signature)] if signature else []):
        fields = pad(fields) + field(*f)
    s.send(pad(struct.pack("<cBBBIII", b"l", 1, 0, 1, len(body), serial, len(fields)) + fields) + body)
call(1, "Hello"); s.recv(999)
name = b"org.example.Bus\0"
call(2, "RequestName", "su", struct.pack("<I", len(name) - 1) + name + struct.pack("<I", 0))
print("asked", flush=True)
time.sleep(1000)
`

// tryForking: it is refused, with a pid file or without, since sbx ends the process that
// stays; in place it works. No pid in a file is believed of another process.
func (s *bootedSystemd) tryForking(t *testing.T) {
	s.must(t, "start", "other")
	other := s.show("other", "MainPID")
	const policy = "version = 1\nextends = [\"web\"]\n[namespaces]\npid = \"host\"\n[process]\nsupervise = false\n"
	if out, err := s.inside(`echo "$1" >/run/other; printf %s "$2" >/run/inplace.toml`, other, policy); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, x := range []struct {
		unit, state string
		refused     bool
	}{
		{"plain", "active running success", false},
		{"place", "active running success", false},
		{"forks", "failed failed exit-code", true},
		{"guess", "failed failed exit-code", true},
		{"stray", "failed failed exit-code", true},
	} {
		out, err := s.control("start", x.unit)
		log := s.read(x.unit + ".log")
		state := s.show(x.unit, "ActiveState", "SubState", "Result")
		said := strings.Contains(log, "sbx: error: be the main process of a service of Type=forking: ") &&
			strings.Contains(log, "sbx: hint: keep the program in the foreground")
		if state != x.state || (err == nil) == x.refused || said != x.refused {
			t.Errorf("%s: %s, %s, %v\n%s", x.unit, state, out, err, log)
		}
		main := s.show(x.unit, "MainPID")
		if x.unit == "place" && strings.TrimSpace(s.read("forks/pid")) != main || main == other {
			t.Errorf("%s: the main process is %s, the pid file has %s", x.unit, main, s.read("forks/pid"))
		}
		began := time.Now()
		s.must(t, "stop", x.unit)
		if got, took := s.show(x.unit, "ActiveState", "Result"), time.Since(began); !x.refused &&
			(got != "inactive success" || took > patient(time.Second)) {
			t.Errorf("%s, stopped in %v: %s", x.unit, took, got)
		}
	}
}

// tryDBus: Type=dbus works where the policy shows the bus, and is refused where it does not.
func (s *bootedSystemd) tryDBus(t *testing.T) {
	for name, text := range map[string]string{"bus.conf": busConf, "owner.py": busOwner} {
		file := filepath.Join("/proc", strconv.Itoa(s.pid), "root/run", name)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s.must(t, "start", "dbus.socket") // before the service, which takes its socket
	s.must(t, "start", "dbus.service")
	s.must(t, "start", "bus")
	if got := s.show("bus", "ActiveState", "SubState", "Result"); got != "active running success" {
		t.Errorf("bus: %s\n%s%s", got, s.read("bus.log"), s.read("dbus.log"))
	}
	s.must(t, "stop", "bus")
	if got := s.show("bus", "ActiveState", "Result"); got != "inactive success" {
		t.Errorf("bus, stopped: %s", got)
	}
	out, err := s.control("start", "nobus")
	if log := s.read("nobus.log"); err == nil ||
		!strings.Contains(log, "sbx: error: be the main process of a service of Type=dbus: ") ||
		!strings.Contains(log, "sbx: hint: add --socket /run/dbus/system_bus_socket, ") {
		t.Errorf("nobus: %s, %v, %s\n%s", out, err, s.show("nobus", "ActiveState", "Result"), log)
	}
}
