// Command percall measures what filters cost a system call: none, the profile
// that Docker gives containers as runc has libseccomp make it, the same profile
// as sbx makes it, and sbx's default policy. It prints a table in Markdown.
//
// Each figure is the smallest of several processes' means, taken in turn: the
// machine's noise only ever adds.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"sbx/policy/seccomp"
)

// measured lists calls that do next to nothing when they are made: all but the
// first are ones that filters look at the arguments of, and fail at once.
var measured = []struct {
	name string
	nr   uintptr
	args [3]uintptr
}{
	{"getppid", unix.SYS_GETPPID, [3]uintptr{}},
	{"personality", unix.SYS_PERSONALITY, [3]uintptr{0xffffffff}},
	{"ioctl", unix.SYS_IOCTL, [3]uintptr{^uintptr(0), unix.TCGETS}},
	{"socket", unix.SYS_SOCKET, [3]uintptr{unix.AF_UNIX, 0xf}},
	{"clone", unix.SYS_CLONE, [3]uintptr{unix.CLONE_SIGHAND}},
}

const (
	calls  = 200_000
	rounds = 9
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("percall: ")
	if len(os.Args) == 3 && os.Args[1] == "-child" {
		if err := child(os.Args[2]); err != nil {
			log.Fatal(err)
		}
		return
	}
	if err := table(); err != nil {
		log.Fatal(err)
	}
}

func table() error {
	all, err := contenders()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "percall-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	best := make([][]float64, len(all))
	for range rounds {
		for i, c := range all {
			file := fmt.Sprintf("%s/%d.bpf", dir, i)
			if err := os.WriteFile(file, c.program, 0o600); err != nil {
				return err
			}
			got, err := measure(file)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			if best[i] == nil {
				best[i] = got
			}
			for j := range got {
				best[i][j] = min(best[i][j], got[j])
			}
		}
	}
	fmt.Print("| filter | instructions |")
	for _, m := range measured {
		fmt.Printf(" %s |", m.name)
	}
	fmt.Print("\n|---|---:|" + strings.Repeat("---:|", len(measured)) + "\n")
	for i, c := range all {
		fmt.Printf("| %s | %d |", c.name, len(c.program)/8)
		for j := range measured {
			fmt.Printf(" %.0f ns (%+.0f %%) |", best[i][j], 100*(best[i][j]/best[0][j]-1))
		}
		fmt.Println()
	}
	return nil
}

// measure has a child load a file's filter and time the calls: nanoseconds.
func measure(file string) ([]float64, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "-child", file)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	var ns []float64
	for _, f := range strings.Fields(string(out)) {
		v, err := strconv.ParseFloat(f, 64)
		if err != nil {
			return nil, err
		}
		ns = append(ns, v)
	}
	if len(ns) != len(measured) {
		return nil, fmt.Errorf("the child printed %q", out)
	}
	return ns, nil
}

func child(file string) error {
	runtime.LockOSThread()
	program, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if len(program) > 0 {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return err
		}
		prog := unix.SockFprog{Len: uint16(len(program) / 8), Filter: (*unix.SockFilter)(unsafe.Pointer(&program[0]))}
		_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&prog)))
		if errno != 0 {
			return fmt.Errorf("load the filter: %w", errno)
		}
	}
	for _, m := range measured {
		start := time.Now()
		for range calls {
			_, _, _ = unix.RawSyscall(m.nr, m.args[0], m.args[1], m.args[2])
		}
		fmt.Println(float64(time.Since(start).Nanoseconds()) / calls)
	}
	return nil
}

type contender struct {
	name    string
	program seccomp.Program
}

// dockerCaps are the capabilities that Docker leaves a container.
func dockerCaps() []string {
	return strings.Fields("CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP " +
		"NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE")
}

func marshal(v any) ([]byte, error) { return json.Marshal(v) }
