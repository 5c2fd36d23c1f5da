package integration

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TestListenDirectories: the descriptors of LISTEN_FDS are sockets and the like. A
// directory of the host leads out of the sandbox, and crosses only by --keep-fd.
func TestListenDirectories(t *testing.T) {
	const open = `exec 3</; LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" `
	inside := `-- ls /proc/self/fd/3/root`
	r := run(t, call{args: []string{"/bin/sh", "-c", open + inside, binary("sbx")}, dir: t.TempDir()})
	if r.status != 125 || !strings.Contains(r.stderr, "hand over descriptor 3: it is open to a directory of the host") ||
		!strings.Contains(r.stderr, "sbx: hint: ") {
		t.Errorf("a directory: %v", r)
	}
	run(t, call{args: []string{"/bin/sh", "-c", open + "--keep-fd 3 -- true", binary("sbx")}, dir: t.TempDir()}).want(t, 0)
	run(t, call{args: []string{"/bin/sh", "-c", `exec 3</dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" -- true`,
		binary("sbx")},
		dir: t.TempDir()}).want(t, 0)
}

// TestKeptDirectory: from a directory that is kept on purpose nothing leads up, and nothing
// in it is changed, neither contents nor modes, with Landlock and without.
func TestKeptDirectory(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"up/in/file", "up/beside"} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, landlock := range []string{"auto", "off"} {
		policy := filepath.Join(t.TempDir(), "p.toml")
		text := "version = 1\nsummary = 'x'\nextends = ['default']\n[process]\nlandlock = '" + landlock + "'\n"
		if err := os.WriteFile(policy, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		r := run(t, call{args: []string{"/bin/sh", "-c", `exec 3<up/in; cd /; exec "$0" -p "$1" --keep-fd 3 -- sh -c '
			cat /proc/self/fd/3/file /proc/self/fd/3/../beside; chmod 600 /proc/self/fd/3/file /proc/self/fd/3/../beside
			touch /proc/self/fd/3/new /proc/self/fd/3/../new; rm -f /proc/self/fd/3/file; exit 0'`,
			binary("sbx"), policy}, dir: dir})
		r.want(t, 0)
		if strings.Contains(r.stdout, "beside") || landlock == "off" && !strings.Contains(r.stdout, "up/in/file") {
			t.Errorf("landlock %s: %v", landlock, r)
		}
		for name, want := range map[string]os.FileMode{"up/in/file": 0o644, "up/beside": 0o644, "up/in/new": 0, "up/new": 0} {
			if st, err := os.Stat(filepath.Join(dir, name)); err == nil && st.Mode() != want || err != nil && want != 0 {
				t.Errorf("landlock %s: %s is changed, or gone: %v, %v", landlock, name, err, r)
			}
		}
	}
	r := run(t, call{args: []string{"/bin/sh", "-c", `exec 3</proc/self/task; exec "$0" --keep-fd 3 -- true`,
		binary("sbx")}})
	if r.status != 125 || !strings.Contains(r.stderr, "cannot be had once more") || !strings.Contains(r.stderr, "fd:3") {
		t.Errorf("a directory that has no name: %v", r)
	}
}

// TestDescriptorsThatAct: a descriptor by which its maker's powers are used, and not the
// target's, crosses only on purpose, and an io_uring never: whoever has its memory has the
// kernel do what it likes with the files of the host.
func TestDescriptorsThatAct(t *testing.T) {
	made := func(fd int, err error) *os.File {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		f := os.NewFile(uintptr(fd), "")
		t.Cleanup(func() { f.Close() })
		return f
	}
	kinds := map[string]*os.File{
		"eventfd": made(unix.Eventfd(0, unix.EFD_CLOEXEC)),
		"pidfd":   made(unix.PidfdOpen(os.Getpid(), 0)),
		// What shares it reads what the target has put in: data of events, names of files.
		"eventpoll": made(unix.EpollCreate1(unix.EPOLL_CLOEXEC)),
		"inotify":   made(unix.InotifyInit1(unix.IN_CLOEXEC)),
	}
	for kind, name := range map[string]string{"namespace": "ns/mnt", "memory of a process": "mem"} {
		kinds[kind] = made(unix.Open("/proc/self/"+name, unix.O_RDONLY|unix.O_CLOEXEC, 0))
	}
	var params [120]byte // struct io_uring_params
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&params)), 0)
	if errno == 0 {
		kinds["io_uring"] = made(int(fd), nil)
	} else if errno != unix.EPERM && errno != unix.ENOSYS { // the kernel lets nobody have one
		t.Fatal(errno)
	}
	for kind, f := range kinds {
		for how, command := range map[string]string{
			"0":          `exec "$0" -- true <&3 3<&-`,
			"LISTEN_FDS": `LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" -- true`,
			"--keep-fd":  `exec "$0" --keep-fd 3 -- true`,
		} {
			r := run(t, call{args: []string{"/bin/sh", "-c", command, binary("sbx")}, dir: t.TempDir(), files: []*os.File{f}})
			if kind == "eventfd" || kind != "io_uring" && how == "--keep-fd" {
				r.want(t, 0)
			} else if r.status != 125 || !strings.Contains(r.stderr, kind) || !strings.Contains(r.stderr, "sbx: hint: ") {
				t.Errorf("%s by %s: %v", kind, how, r)
			}
		}
	}
}

// TestMemory: memory that is handed over can be read and, if it is open for that, written;
// what is open for reading alone cannot be written, nor run where nothing of the target's
// own making is.
func TestMemory(t *testing.T) {
	const program = "#!/bin/sh\necho it runs\n"
	const still = "[files]\npath.\"/tmp\".exec = false\npath.\"/var/tmp\".exec = false\npath.\"~\".exec = false\n"
	for _, c := range []struct {
		name, policy, script string
		seal                 int
		readOnly             bool
		status               int
		want                 string
	}{
		{"sealed", still, "cat", unix.F_SEAL_WRITE | unix.F_SEAL_GROW, false, 0, "it runs"},
		{"sealed, for reading", "", "cat /dev/stdin", unix.F_SEAL_WRITE, true, 0, "it runs"},
		{"for writing", "", "cat; echo more >/dev/stdin; tail -n 1 /dev/stdin", 0, false, 0, "more"},
		{"for reading", "", "echo more >/proc/self/fd/0", 0, true, 125, ""},
		{"to run", still, "exec /proc/self/fd/0", 0, false, 125, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			fd, err := unix.MemfdCreate("given", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
			if err != nil {
				t.Fatal(err)
			}
			f := os.NewFile(uintptr(fd), "given")
			defer f.Close()
			if _, err := f.WriteString(program); err != nil {
				t.Fatal(err)
			}
			if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, c.seal); err != nil {
				t.Fatal(err)
			}
			if c.readOnly {
				again, err := os.Open("/proc/self/fd/" + strconv.Itoa(fd))
				if err != nil {
					t.Fatal(err)
				}
				defer again.Close()
				f = again
			}
			if _, err := f.Seek(0, io.SeekStart); err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			args := append([]string{"/bin/sh", "-c", `exec "$@" <&3 3<&-`, "sh"}, boxedArgs(t, dir, c.policy)...)
			r := run(t, call{args: append(args, "/bin/sh", "-c", c.script), dir: dir, files: []*os.File{f}})
			if r.status != c.status || !strings.Contains(r.stdout, c.want) ||
				c.status != 0 && !strings.Contains(r.stderr, "seal it against writing") {
				t.Error(r)
			}
		})
	}
}

// TestLinkLoops: links that lead to one another, in the place of what is guarded,
// hidden or shown if it is there, lead nowhere, and no later start fails for them.
func TestLinkLoops(t *testing.T) {
	dir := t.TempDir()
	for name, to := range map[string]string{
		".github": ".github", ".git": ".hg", ".hg": ".git", ".env": ".env", "key.pem": "other.pem", "other.pem": "key.pem",
		"loop": "loop",
	} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, policy := range []string{"default", "project", "build", "fetch"} {
		run(t, call{args: []string{binary("sbx"), "--policy", policy, "--read", "?loop", "--hide", "?./loop/x", "--", "ls",
			"-A"},
			dir: dir}).want(t, 0, ".github", ".git", "loop")
	}
	// What is required is missing.
	r := run(t, call{args: []string{binary("sbx"), "--read", "loop", "--", "true"}, dir: dir})
	if r.status != 125 || !strings.Contains(r.stderr, "no such file") {
		t.Errorf("a loop that is to be shown: %v", r)
	}
}

// TestSecretsByOtherNames: a secret in capitals, of a longer name, or a copy is
// hidden like the one of the plain name.
func TestSecretsByOtherNames(t *testing.T) {
	dir := t.TempDir()
	hidden := []string{".ENV", "prod.env", "sub/Prod.Env", "SERVER.PEM", "sub/key.pem.bak", "key.PEM~", "sub/ID_RSA",
		".netrc.save", "x.key.1"}
	shown := []string{"environment.txt", "pem.txt", "sub/notes.bak"}
	for _, name := range append(append([]string{}, hidden...), shown...) {
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(canaryString+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, policy := range []string{"default", "project"} {
		for _, name := range hidden {
			r := run(t, call{args: []string{binary("sbx"), "--policy", policy, "--", "cat", name}, dir: dir})
			if r.status == 0 || strings.Contains(r.stdout, canaryString) {
				t.Errorf("%s under %s: %v", name, policy, r)
			}
		}
		for _, name := range shown {
			run(t, call{args: []string{binary("sbx"), "--policy", policy, "--", "cat", name}, dir: dir}).want(t, 0, canaryString)
		}
	}
}

// TestPeelable: no target is started that could take off what hides the policy's
// files.
func TestPeelable(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ".env"), []byte(canaryString+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	namespaces := ""
	if !asRoot() {
		namespaces = "[namespaces]\nuser = \"new\"\nuid = 0\ngid = 0\n"
	}
	for _, landlock := range []string{"off", "auto"} {
		policy := ownPolicyFile(t,
			fmt.Sprintf("extends = [\"default\"]\n%s[process]\nlandlock = %q\ncapabilities = [\"sys_admin\"]\n"+
				"[seccomp]\nallow = [\"@mount\"]", namespaces, landlock))
		r := run(t, call{args: []string{binary("sbx"), "--policy", policy, "--", "sh", "-c",
			"umount .env; umount -l .env; cat .env"}, dir: dir})
		if strings.Contains(r.stdout, canaryString) {
			t.Errorf("landlock %s: %v", landlock, r)
		}
		if refused := r.status == 125 && strings.Contains(r.stderr, "could take the policy's mounts off"); refused !=
			(landlock == "off" || landlockABI(t) == 0) {
			t.Errorf("landlock %s: %v", landlock, r)
		}
	}
}

// TestCheckedErrors: what sbx policy check calls an error, a launch refuses in the
// same words, and runs nothing.
func TestCheckedErrors(t *testing.T) {
	for _, text := range []string{
		"[files]\ntmpfs = [\"/a/x\"]\nsymlink.\"/a\" = \"usr\"",
		"[files]\nread = [\"?/a/x/y\"]\nsymlink.\"/a\" = \"usr\"",
		"[files]\nfile.\"/a/x\" = \"text\"\nsymlink.\"/a\" = \"usr\"",
		"[files]\nsymlink.\"/a\" = \"usr\"\nsymlink.\"/a/b\" = \"usr\"",
		"[files]\ndirectories = [\"~/l/x\"]\nsymlink.\"~/l\" = \"m\"",
		"[files]\nread = [\"/x\"]\ntmpfs = [\"/x\"]",
		"[files]\noverlay = [\"/x\"]\nfile.\"/x\" = \"\"",
		"[files]\npath.\"/nowhere\" = { exec = false }",
		"[files]\noverlay = [\"/x\"]\npath.\"/x\" = { upper = \"/u\" }",
		"[namespaces]\nhostname = \"x\"\nuts = \"host\"",
		"[namespaces]\nuser = \"host\"\nuid = 0",
		"[namespaces]\nmonotonic = \"1h\"",
		"[network]\nconnect = [443]",
		"[namespaces]\nnet = \"host\"\n[network]\nbind = []\n[process]\nlandlock = \"off\"",
		"[namespaces]\nnet = \"host\"\n[network]\nbind = []\n[process]\nnest = true",
		"[process]\ncapabilities = [\"root\"]",
		"[seccomp]\nallow = [\"no_such_call\"]",
		"[limits]\nmemory = \"much\"",
	} {
		policy := ownPolicyFile(t, "extends = [\"base\"]\n"+text)
		check := sbx(t, "policy", "check", policy)
		var said []string
		for line := range strings.Lines(check.stdout) {
			if msg, ok := strings.CutSuffix(strings.TrimSpace(line), " (error)"); ok {
				said = append(said, msg)
			}
		}
		if check.status != 1 || len(said) == 0 {
			t.Errorf("%q: the check finds no error: %v", text, check)
			continue
		}
		r := sbx(t, "--policy", policy, "--", "sh", "-c", "echo ran")
		if r.status != 125 || r.stdout != "" || !strings.Contains(r.stderr, said[0]) {
			t.Errorf("%q: the check says %q, and the launch: %v", text, said, r)
		}
	}
}
