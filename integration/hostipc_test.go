package integration

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ipcKey and ipcName are what the probe asks for by name.
const (
	ipcKey  = 0x5b0001
	ipcName = "sbx-probe"
)

// layMailboxes makes one of each of the kernel's mail boxes, which no mount
// namespace covers: System V shared memory, messages and semaphores, a POSIX
// message queue, a file in /dev/shm, a key.
func layMailboxes(t *testing.T) {
	t.Helper()
	remove := func(what string, f func() error) {
		t.Cleanup(func() {
			if err := f(); err != nil {
				t.Errorf("remove %s: %v", what, err)
			}
		})
	}
	raw := func(nr uintptr, a, b, c uintptr) int {
		r, _, errno := unix.Syscall(nr, a, b, c)
		if errno != 0 {
			t.Fatalf("system call %d: %v", nr, errno)
		}
		return int(r)
	}
	shm := raw(unix.SYS_SHMGET, ipcKey, 4096, unix.IPC_CREAT|0o666)
	remove("shm", func() error { raw(unix.SYS_SHMCTL, uintptr(shm), unix.IPC_RMID, 0); return nil })
	msg := raw(unix.SYS_MSGGET, ipcKey, unix.IPC_CREAT|0o666, 0)
	remove("msg", func() error { raw(unix.SYS_MSGCTL, uintptr(msg), unix.IPC_RMID, 0); return nil })
	sem := raw(unix.SYS_SEMGET, ipcKey, 1, unix.IPC_CREAT|0o666)
	remove("sem", func() error { raw(unix.SYS_SEMCTL, uintptr(sem), 0, unix.IPC_RMID); return nil })
	name := append([]byte(ipcName), 0)
	mq, _, errno := unix.Syscall6(unix.SYS_MQ_OPEN, uintptr(unsafe.Pointer(&name[0])),
		unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o666, 0, 0, 0)
	if errno != 0 {
		t.Fatalf("mq_open: %v", errno)
	}
	unix.Close(int(mq))
	remove("mq", func() error { raw(unix.SYS_MQ_UNLINK, uintptr(unsafe.Pointer(&name[0])), 0, 0); return nil })
	file := "/dev/shm/" + ipcName
	if err := os.WriteFile(file, []byte(verySecret), 0o666); err != nil {
		t.Fatal(err)
	}
	remove("file", func() error { return os.Remove(file) })
	if _, err := unix.AddKey("user", ipcName, []byte(verySecret), unix.KEY_SPEC_USER_KEYRING); err != nil {
		t.Fatalf("add_key: %v", err)
	}
	remove("key", func() error {
		id, err := unix.KeyctlSearch(unix.KEY_SPEC_USER_KEYRING, "user", ipcName, 0)
		if err == nil {
			_, err = unix.KeyctlInt(unix.KEYCTL_UNLINK, id, unix.KEY_SPEC_USER_KEYRING, 0, 0)
		}
		return err
	})
}

// TestHostIPC: with live bait outside, none of the host's mail boxes is found
// inside; open alone, which shares the host's, may find them, but for the key.
func TestHostIPC(t *testing.T) {
	layMailboxes(t)
	boxes := []string{"shmget existing", "msgget existing", "semget existing", "mq_open existing"}
	outside := run(t, call{args: []string{binary("probe"), "ipc"}, dir: t.TempDir()}).answers()
	for _, what := range append(boxes, "request_key") {
		if outside[what] != "ok" {
			t.Fatalf("%s is no bait: %s", what, outside[what])
		}
	}
	everywhere(t, func(t *testing.T, policy string) {
		inside := askUnder(t, policy, "ipc").answers()
		for _, what := range boxes {
			if said := inside[what]; policy != "open" && said != "ENOENT" && said != "EPERM" && said != "ENOSYS" {
				t.Errorf("%s: %s", what, said)
			}
		}
		for _, what := range []string{"keyctl", "add_key", "request_key"} {
			if inside[what] != "EPERM" {
				t.Errorf("%s: %s", what, inside[what])
			}
		}
		dir, args := under(t, policy)
		r := run(t, call{dir: dir, args: append(args, "--", "/bin/sh", "-c",
			"cat /dev/shm/"+ipcName+" 2>&1; ls -A /dev/shm /dev/mqueue 2>&1; exit 0")})
		if strings.Contains(r.stdout, verySecret) || strings.Contains(r.stdout, ipcName+"\n"+ipcName) {
			t.Errorf("the host's shared memory is seen: %v", r)
		}
	})
}

// TestBuses: sockets where desktops and services have theirs are not reached by
// any policy but open: in /run, in the user's runtime directory, in the home, in
// /tmp, by their abstract names.
func TestBuses(t *testing.T) {
	places := []string{filepath.Join(home(), ".bus")}
	if dir := filepath.Join("/tmp", fmt.Sprintf("sbx-bus-%d", os.Getpid())); os.Mkdir(dir, 0o755) == nil {
		t.Cleanup(func() { os.RemoveAll(dir) })
		places = append(places, dir+"/bus")
	}
	if asRoot() {
		places = append(places, "/run/sbx-bus")
	}
	abstract := fmt.Sprintf("sbx-bus-%d", os.Getpid())
	came := make(chan string, 100)
	for _, place := range append(places, "@"+abstract) {
		l, err := net.Listen("unix", place)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				came <- place
				conn.Close()
			}
		}()
	}
	for _, place := range append(places, "@"+abstract) { // the bait is good
		conn, err := net.Dial("unix", place)
		if err != nil || <-came != place {
			t.Fatalf("%s is no bait: %v", place, err)
		}
		conn.Close()
	}
	for _, policy := range launchable {
		for _, place := range places {
			answers := askUnder(t, policy, "sock", "127.0.0.1:1", place, abstract).answers()
			if policy != "open" && answers["unix path"] == "ok" {
				t.Errorf("%s: %s is reached", policy, place)
			}
			if policy != "open" && answers["unix abstract"] == "ok" && landlockABI(t) >= 6 {
				t.Errorf("%s: the abstract socket is reached", policy)
			}
		}
	}
}
