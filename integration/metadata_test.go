package integration

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// handed is a file of the host that a target gets as a standard stream.
type handed struct {
	name string
	file *os.File
	path string
	// spoilable says that its metadata can be changed meanwhile, and is restored.
	spoilable bool
	before    string
	mtime     unix.Timespec
}

// outside is what of a file's metadata must be the same afterwards.
func outside(t *testing.T, path string) (string, unix.Timespec) {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	s := fmt.Sprintf("mode %o, owner %d:%d", st.Mode, st.Uid, st.Gid)
	names := make([]byte, 1<<16)
	n, err := unix.Listxattr(path, names)
	if err == nil && n > 0 {
		list := strings.Split(strings.TrimSuffix(string(names[:n]), "\x00"), "\x00")
		slices.Sort(list)
		for _, name := range list {
			value := make([]byte, 1<<16)
			n, err := unix.Getxattr(path, name, value)
			if err != nil {
				t.Fatal(err)
			}
			s += fmt.Sprintf(", %s %q", name, value[:n])
		}
	}
	if st.Mode&unix.S_IFMT == unix.S_IFREG {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if flags, err := unix.IoctlGetUint32(int(f.Fd()), unix.FS_IOC_GETFLAGS); err == nil {
			s += fmt.Sprintf(", flags %#x", flags)
		}
	}
	return s, st.Mtim
}

// bareTerminal is a new pseudo-terminal; the name is that of its other side.
func bareTerminal(t *testing.T) (slave *os.File, name string) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetUint32(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	name = "/dev/pts/" + strconv.Itoa(int(n))
	if slave, err = os.OpenFile(name, os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	go func() { // what sbx says there would fill it
		b := make([]byte, 1024)
		for {
			if _, err := master.Read(b); err != nil {
				return
			}
		}
	}()
	return slave, name
}

// streams are three files at a time, of every kind that there is.
func streams(t *testing.T) [][3]handed {
	t.Helper()
	dir := t.TempDir()
	file := func(name string, flags int) handed {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("content\n"), 0o640); err != nil {
			t.Fatal(err)
		}
		if err := unix.Setxattr(path, "user.kept", []byte("value"), 0); err != nil && err != unix.EOPNOTSUPP {
			t.Fatal(err)
		}
		f, err := os.OpenFile(path, flags, 0)
		if err != nil {
			t.Fatal(err)
		}
		return handed{name: name, file: f, path: path, spoilable: flags&unix.O_ACCMODE != os.O_RDONLY}
	}
	there := func(path string, flags int) handed {
		f, err := os.OpenFile(path, flags|unix.O_NOCTTY, 0)
		if err != nil {
			t.Fatal(err)
		}
		return handed{name: path, file: f, path: path}
	}
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o640); err != nil {
		t.Fatal(err)
	}
	pty, name := bareTerminal(t)
	all := [][3]handed{
		{file("read", os.O_RDONLY), file("written", os.O_WRONLY), file("appended", os.O_WRONLY|os.O_APPEND)},
		{there("/dev/null", os.O_RDONLY), there("/dev/urandom", os.O_RDONLY), there(fifo, os.O_RDWR)},
		{{name: "terminal", file: pty, path: name}, file("both", os.O_RDWR), {name: "terminal", file: pty, path: name}},
	}
	if disk := blockDevice(t); disk != "" {
		all = append(all, [3]handed{there(disk, os.O_RDONLY), there("/dev/null", os.O_RDWR), there("/dev/full", os.O_WRONLY)})
	}
	for i := range all {
		for j := range all[i] {
			h := &all[i][j]
			h.before, h.mtime = outside(t, h.path)
			t.Cleanup(func() { h.file.Close() })
		}
	}
	return all
}

// blockDevice is one that the caller may read, or "".
func blockDevice(t *testing.T) string {
	t.Helper()
	list, err := filepath.Glob("/sys/class/block/*")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(list) // loop devices first
	for _, name := range list {
		dev := "/dev/" + filepath.Base(name)
		fd, err := unix.Open(dev, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err == nil {
			unix.Close(fd)
			return dev
		}
	}
	return ""
}

// chattr says whether it is a file whose flags, or leases on it, the answer is
// about.
func (h handed) chattr(answer string) bool {
	return !strings.HasPrefix(h.path, "/dev/") && (strings.Contains(answer, "lease") || strings.Contains(answer,
		"setflags"))
}

// changed is what is not as it was, and may not be.
func (h handed) changed(t *testing.T, policy string) string {
	t.Helper()
	now, mtime := outside(t, h.path)
	if policy == "open" { // the files are in what it names to be written
		now, _, _ = strings.Cut(now, ", flags")
		h.before, _, _ = strings.Cut(h.before, ", flags")
	}
	switch {
	case now != h.before:
		return fmt.Sprintf("was %s, is %s", h.before, now)
	case mtime == h.mtime, h.name == "terminal":
	case !h.spoilable:
		return fmt.Sprintf("changed at %d, now at %d", h.mtime.Sec, mtime.Sec)
	case mtime.Sec < h.mtime.Sec || mtime.Sec > time.Now().Unix()+1:
		return fmt.Sprintf("was changed in %d, and pretends it was in %d", h.mtime.Sec, mtime.Sec)
	}
	return ""
}

// TestStreamMetadata: whatever a target has as a standard stream, it changes
// nothing of it but the contents: not its mode, owner, times, attributes,
// access list and flags, by its descriptor or by any other way. Of what is open
// for writing the changes are gone when all has ended.
func TestStreamMetadata(t *testing.T) {
	for _, policy := range append(slices.Clone(launchable), "everything") {
		for _, landlock := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/landlock=%v", policy, landlock), func(t *testing.T) {
				for _, list := range streams(t) {
					spoil(t, policy, landlock, list)
				}
			})
		}
	}
}

func spoil(t *testing.T, name string, landlock bool, list [3]handed) {
	t.Helper()
	policy := name
	dir, args := under(t, policy)
	if !landlock {
		if policy == "everything" {
			policy = "./everything.toml"
		}
		text := fmt.Sprintf("version = 1\nsummary = \"x\"\nextends = [%q]\n[process]\nlandlock = \"off\"\n[expect]\n", policy)
		if err := os.WriteFile(filepath.Join(dir, "off.toml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		args = []string{binary("sbx"), "--policy", "./off.toml"}
	}
	if name != "open" {
		args = append(args, "--read", binary("probe"))
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := exec.Command(args[0], append(args[1:], "--keep-fd", "3", "--", binary("probe"), "metadata-streams")...)
	cmd.Dir, cmd.Env, cmd.ExtraFiles = dir, userEnv(), []*os.File{w}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = list[0].file, list[1].file, list[2].file
	var report bytes.Buffer
	err = cmd.Start()
	w.Close()
	if err == nil {
		_, err = report.ReadFrom(r)
		if e := cmd.Wait(); err == nil {
			err = e
		}
	}
	if err != nil {
		said, _ := os.ReadFile(list[2].path)
		t.Fatalf("%s, %s, %s: %v: %s%s", list[0].name, list[1].name, list[2].name, err, report.String(), said)
	}
	tried := 0
	for line := range strings.Lines(report.String()) {
		tried++
		fd := int(line[0] - '0')
		if name == "everything" && list[fd].name == "terminal" || name == "open" && list[fd].chattr(line) {
			continue // it has a terminal of its own; it may do so by the file's name
		}
		if strings.HasSuffix(line, ": ok\n") && (!list[fd].spoilable || strings.Contains(line, "lease")) {
			t.Errorf("%s: %s", list[fd].name, line)
		}
	}
	if tried < 3*21 {
		t.Errorf("%d attempts:\n%s", tried, report.String())
	}
	for _, h := range list {
		if s := h.changed(t, name); s != "" {
			t.Errorf("%s: %s\n%s", h.name, s, report.String())
		}
	}
}

// TestSpoiledAndKilled: what the target has changed of a file that it writes to
// is restored as well when sbx is killed.
func TestSpoiledAndKilled(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	if err := os.WriteFile(out, nil, 0o640); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(out, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	// It goes on as long as it lives.
	cmd := exec.Command(binary("sbx"), "--", "sh", "-c", "while :; do chmod 0666 /proc/self/fd/1; echo x; done")
	cmd.Dir, cmd.Env, cmd.Stdout = dir, userEnv(), f
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	mode := func() os.FileMode {
		fi, err := os.Stat(out)
		if err != nil {
			t.Fatal(err)
		}
		return fi.Mode()
	}
	wait := func(want os.FileMode) {
		t.Helper()
		for end := time.Now().Add(patient(10 * time.Second)); mode() != want; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("mode %v, want %v", mode(), want)
			}
		}
	}
	wait(0o666)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("it was not killed")
	}
	wait(0o640)
	time.Sleep(100 * time.Millisecond)
	if mode() != 0o640 {
		t.Errorf("mode %v, a moment later", mode())
	}
}

// TestPathMetadata: of all that is visible nothing but what the policy names to
// be written has metadata that the target may change.
func TestPathMetadata(t *testing.T) {
	everywhere(t, func(t *testing.T, policy string) {
		if policy == "open" {
			return // which names everything
		}
		devices := hostDevices(t)
		dir, args := under(t, policy)
		r := run(t, call{dir: dir, limit: 2 * time.Minute, args: append(args, "--read", binary("probe"), "--",
			binary("probe"), "metadata-paths")})
		r.want(t, 0)
		if _, tried, ok := strings.Cut(r.stdout, "tried: "); !ok || len(tried) < len("100\n") {
			t.Errorf("few files were tried: %s", tried)
		}
		for line := range strings.Lines(r.stdout) {
			f := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 4)
			if f[0] == "allowed" && devices[f[2]] && !isWritten(policy, dir, f[3]) {
				t.Errorf("%s of %s is allowed", f[1], f[3])
			}
		}
	})
}

// hostDevices are the numbers of all file systems of the host.
func hostDevices(t *testing.T) map[string]bool {
	t.Helper()
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	list := map[string]bool{}
	for line := range strings.Lines(string(data)) {
		list[strings.Fields(line)[2]] = true
	}
	return list
}

// isWritten says whether a policy names the path to be written, with dir as the
// current directory.
func isWritten(policy, dir, path string) bool {
	switch policy {
	case "open":
		return true
	case "project", "build", "fetch", "everything":
		return path == dir || strings.HasPrefix(path, dir+"/")
	case "web":
		return strings.HasPrefix(path, "/var/log/nginx") || strings.HasPrefix(path, "/var/lib/nginx") ||
			strings.HasPrefix(path, "/var/log/apache2/")
	}
	return false
}

// TestWritableMounts: no mount of a file system of the host is writable but what
// the policy names.
func TestWritableMounts(t *testing.T) {
	everywhere(t, func(t *testing.T, policy string) {
		devices := hostDevices(t)
		dir, args := under(t, policy)
		if policy != "open" {
			args = append(args, "--read", binary("probe"))
		}
		r := run(t, call{dir: dir, args: append(args, "--", binary("probe"), "mountinfo")})
		r.want(t, 0)
		mounts := 0
		for line := range strings.Lines(r.stdout) {
			f := strings.Fields(line)
			if len(f) < 10 || !devices[f[2]] {
				continue
			}
			mounts++
			if options := strings.Split(f[5], ","); !slices.Contains(options, "ro") && !isWritten(policy, dir, f[4]) {
				t.Errorf("%s", line)
			}
		}
		if mounts < 5 {
			t.Errorf("%d mounts of the host's: %v", mounts, r)
		}
	})
}
