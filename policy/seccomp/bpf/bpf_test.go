package bpf

import (
	"encoding/binary"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	xbpf "golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"sbx/policy/seccomp"
	"sbx/policy/seccomp/compile"
)

func TestMain(m *testing.M) {
	if os.Getenv("SBX_FILTERED") != "" {
		filtered()
		return
	}
	os.Exit(m.Run())
}

// programs lists programs with something of everything that we make.
func programs(t testing.TB) []seccomp.Program {
	t.Helper()
	var out []seccomp.Program
	for _, p := range []*seccomp.Policy{
		{Allow: []string{"@system-service"}},
		{Allow: []string{"@known"}, Deny: []string{"@debug"}, Architectures: []string{"386", "x32", "arm"},
			Rules: []seccomp.Rule{{Syscalls: []string{"socket"}, When: []string{"arg0 in {1, 2, 10}"},
				Action: seccomp.Action{Kind: seccomp.Allow}},
				{Syscalls: []string{"read"}, When: []string{"arg2 > 0x100000000"}, Action: seccomp.Action{Kind: seccomp.Trap}}}},
	} {
		for _, a := range []seccomp.Arch{seccomp.AMD64, seccomp.ARM64} {
			list, err := compile.Compile(p, a, nil)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, list...)
		}
	}
	return out
}

func FuzzRun(f *testing.F) {
	for _, p := range programs(f) {
		f.Add([]byte(p), uint32(0xc000003e), uint32(41), uint64(1), uint64(1<<32|10))
	}
	f.Fuzz(func(t *testing.T, p []byte, audit, nr uint32, x, y uint64) {
		code, err := Decode(p)
		if err != nil {
			return
		}
		var b strings.Builder
		if err := Print(&b, code, seccomp.AMD64, nil); err != nil {
			t.Fatal(err)
		}
		c := Call{Audit: audit, Number: nr, IP: x ^ y, Args: [6]uint64{x, y, x, y, x, y}}
		ret, path := Run(code, c)
		if !slices.IsSorted(path) || len(path) > len(code) {
			t.Errorf("path %v", path)
		}
		raw := make([]xbpf.RawInstruction, len(code))
		for i, c := range code {
			if c.Code == classAlu|0x60|fromX || c.Code == classAlu|0x70|fromX {
				return // the other VM shifts everything out, the kernel by 31 at most
			}
			raw[i] = xbpf.RawInstruction{Op: c.Code, Jt: c.Jt, Jf: c.Jf, K: c.K}
		}
		ins, ok := xbpf.Disassemble(raw)
		if !ok {
			return
		}
		vm, err := xbpf.NewVM(ins)
		if err != nil {
			return
		}
		data := make([]byte, dataSize)
		for o := uint32(0); o < dataSize; o += 4 {
			binary.BigEndian.PutUint32(data[o:], c.word(o))
		}
		other, err := vm.Run(data)
		if err != nil {
			t.Fatal(err)
		}
		if uint32(other) != ret {
			t.Errorf("returns %#x, the other VM %#x\n%s", ret, uint32(other), &b)
		}
	})
}

func TestPrint(t *testing.T) {
	p := &seccomp.Policy{Default: seccomp.Action{Kind: seccomp.Errno, Errno: 1},
		Unknown: seccomp.Action{Kind: seccomp.Errno, Errno: 1},
		Allow:   []string{"read", "write"},
		Rules: []seccomp.Rule{{Syscalls: []string{"kill"}, When: []string{"arg1 & 3 == 1"},
			Action: seccomp.Action{Kind: seccomp.Allow}},
			{Syscalls: []string{"socket"}, When: []string{"arg0 == AF_UNIX && arg1 & SOCK_TYPE_MASK == SOCK_STREAM"},
				Action: seccomp.Action{Kind: seccomp.Allow}},
			{Syscalls: []string{"unshare"}, When: []string{"arg0 & (CLONE_FS|CLONE_FILES) != 0"},
				Action: seccomp.Action{Kind: seccomp.Log}}}}
	list, err := compile.Compile(p, seccomp.AMD64, nil)
	if err != nil {
		t.Fatal(err)
	}
	code, err := Decode(list[0])
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := Print(&b, code, seccomp.AMD64, nil); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/print.txt")
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("got\n%swant\n%s", &b, want)
	}
}

func TestDecodeRefuses(t *testing.T) {
	ins := func(code uint16, jt, jf byte, k uint32) []byte {
		return binary.LittleEndian.AppendUint32([]byte{byte(code), byte(code >> 8), jt, jf}, k)
	}
	ret := ins(0x06, 0, 0, 0x7fff0000)
	for what, p := range map[string][]byte{
		"nothing":           {},
		"half":              ret[:4],
		"no return":         ins(0x20, 0, 0, 0),
		"too long":          slices.Repeat(ret, 4097),
		"jump outside":      append(ins(0x15, 0, 1, 0), ret...),
		"goto outside":      append(ins(0x05, 0, 0, 1), ret...),
		"goto far":          append(ins(0x05, 0, 0, 0xffffffff), ret...),
		"load from between": append(ins(0x20, 0, 0, 2), ret...),
		"load from outside": append(ins(0x20, 0, 0, 64), ret...),
		"packet load":       append(ins(0x28, 0, 0, 0), ret...),
		"division by 0":     append(ins(0x34, 0, 0, 0), ret...),
		"memory outside":    append(ins(0x02, 0, 0, 16), ret...),
		"odd return":        ins(0x1e, 0, 0, 0),
		"modulo":            append(ins(0x94, 0, 0, 3), ret...),
	} {
		if _, err := Decode(p); err == nil {
			t.Errorf("%s is taken", what)
		}
	}
}

// filtered is a process with two filters that waits for its input to end.
func filtered() {
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		panic(err)
	}
	for k := range uint32(2) {
		// The second differs by an instruction that does nothing.
		code := []unix.SockFilter{{Code: 0x20, K: 4 * k}, {Code: 0x06, K: 0x7fff0000}}
		prog := unix.SockFprog{Len: 2, Filter: &code[0]}
		_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC,
			uintptr(unsafe.Pointer(&prog)))
		if errno != 0 {
			panic(errno)
		}
	}
	os.Stdout.WriteString("ready\n")
	os.Stdin.Read(make([]byte, 1))
}

func TestOfProcess(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), "SBX_FILTERED=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	list, err := OfProcess(cmd.Process.Pid)
	if os.Geteuid() != 0 {
		if err == nil {
			t.Error("a user may read filters")
		}
	} else if err != nil {
		t.Error(err)
	} else if len(list) != 2 || len(list[0]) != 16 || list[0][4] != 0 || list[1][4] != 4 {
		t.Errorf("%v", list)
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if _, err := OfProcess(1 << 22); err == nil {
		t.Error("no such process, and no error")
	}
}
