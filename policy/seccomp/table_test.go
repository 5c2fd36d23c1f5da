package seccomp

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestTableIsSorted(t *testing.T) {
	if !slices.IsSortedFunc(table[:], func(x, y entry) int { return strings.Compare(x.name, y.name) }) {
		t.Error("table")
	}
	if !slices.IsSortedFunc(constants[:], func(x, y constant) int { return strings.Compare(x.name, y.name) }) {
		t.Error("constants")
	}
	if !slices.IsSortedFunc(errnos[:], func(x, y errno) int { return strings.Compare(x.name, y.name) }) {
		t.Error("errnos")
	}
	for _, list := range [][]oddConstant{oddConstants[:], absentConstants[:]} {
		for i, c := range list {
			if j, ok := findOdd(list, c.name, c.arch); !ok || i != j {
				t.Errorf("%s of %s is not found", c.name, c.arch)
			}
		}
	}
}

func TestNumbers(t *testing.T) {
	for _, c := range []struct {
		name  string
		arch  Arch
		nr    int
		since string
	}{
		{"read", AMD64, 0, "1.0"},
		{"read", ARM64, 63, "1.0"},
		{"openat", I386, 295, "2.6"},
		{"mmap2", ARM, 192, "2.4"},
		{"open", ARM64, -1, "1.0"},
		{"execve", X32, X32Bit | 520, "1.0"},
		{"write", X32, X32Bit | 1, "1.0"},
		{"cacheflush", ARM, 0xf0002, "1.2"},
		{"clone3", AMD64, 435, "5.3"},
		{"file_setattr", ARM64, 469, "6.17"},
		{"uprobe", AMD64, 336, "6.18"},
		{"mseal", RISCV64, 462, "6.10"},
		{"s390_pci_mmio_read", S390X, 353, "3.19"},
		{"socket", PPC64LE, 326, "2.0"},
	} {
		s, err := LookupSyscall(c.name)
		if err != nil {
			t.Fatal(err)
		}
		nr, ok := s.Number(c.arch)
		if !ok {
			nr = ^uint32(0)
		}
		if int32(nr) != int32(c.nr) || s.Since().String() != c.since {
			t.Errorf("%s on %s: %d since %s, want %d since %s", c.name, c.arch, int32(nr), s.Since(), c.nr, c.since)
		}
		if back, ok2 := SyscallByNumber(c.arch, nr); ok && (!ok2 || back != s) {
			t.Errorf("%d on %s is not %s", nr, c.arch, c.name)
		}
	}
}

// TestComplete makes sure of every number up to Linux 6.18's last, where
// architectures number alike.
func TestComplete(t *testing.T) {
	for _, a := range []Arch{AMD64, ARM64, I386, ARM} {
		for nr := uint32(424); nr <= 469; nr++ {
			if nr == 447 && a == ARM { // memfd_secret
				continue
			}
			if nr == 453 && a != AMD64 { // map_shadow_stack
				continue
			}
			if _, ok := SyscallByNumber(a, nr); !ok {
				t.Errorf("%s has no call %d", a, nr)
			}
		}
	}
}

// TestNoNumberTwice makes sure that a number names one call.
func TestNoNumberTwice(t *testing.T) {
	for a := range numArches {
		seen := map[uint32]string{}
		for s := range Syscalls() {
			nr, ok := s.Number(a)
			if !ok {
				continue
			}
			if seen[nr] != "" {
				t.Errorf("%s: %d is %s and %s", a, nr, seen[nr], s.Name())
			}
			seen[nr] = s.Name()
			if (nr&X32Bit != 0) != (a == X32) {
				t.Errorf("%s: %s is %#x", a, s.Name(), nr)
			}
		}
	}
}

func TestNames(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{errorOf(LookupSyscall("opennat")), `unknown system call "opennat", did you mean "openat"?`},
		{errorOf(LookupSyscall("xyzzyplugh")), `unknown system call "xyzzyplugh"`},
		{errorOf(LookupSyscall("")), `unknown system call ""`},
		{errorOf(LookupSyscall("Read")), `unknown system call "Read", did you mean "read"?`},
		{errorOf(LookupGroup("@sytem-service")), `unknown group "@sytem-service", did you mean "@system-service"?`},
		{errorOf(LookupErrno("EPREM")), `unknown errno "EPREM", did you mean "EPERM"?`},
		{errorOf(LookupErrno("0")), `errno "0" is not a number from 1 to 4095`},
		{errorOf(LookupErrno("4096")), `errno "4096" is not a number from 1 to 4095`},
		{errorOf(LookupErrno("01")), `errno "01" is not a number from 1 to 4095`},
		{errorOf(LookupConstant("AF_UNXI", AMD64)), `unknown constant "AF_UNXI", did you mean "AF_UNIX"?`},
		{errorOf(LookupConstant("MAP_32BIT", ARM64)), `constant MAP_32BIT does not exist on arm64`},
		{errorOf(ParseArch("amd46")), `unknown architecture "amd46", did you mean "amd64"?`},
		{errorOf(ParseAction("alow")), `unknown action "alow", did you mean "allow"?`},
		{errorOf(ParseAction("errno")), `action "errno" lacks its number, as in errno:EPERM`},
		{errorOf(ParseAction("")), `unknown action ""`},
		{errorOf(Expand("@nosuch")), `unknown group "@nosuch"`},
	} {
		if c.got != c.want {
			t.Errorf("got %s, want %s", c.got, c.want)
		}
	}
	var name *NameError
	if _, err := LookupSyscall("opennat"); !errors.As(err, &name) || name.Near != "openat" {
		t.Errorf("%#v", name)
	}
}

func errorOf[T any](_ T, err error) string {
	if err == nil {
		return "no error"
	}
	return err.Error()
}

func TestActions(t *testing.T) {
	for _, s := range []string{
		"allow", "errno:EPERM", "errno:ENOSYS", "errno:4095", "errno:EAGAIN", "errno:EDEADLK", "errno:EOPNOTSUPP",
		"kill-process", "kill-thread", "trap", "log", "notify",
	} {
		a, err := ParseAction(s)
		if err != nil || a.String() != s {
			t.Errorf("%s: %v, %v", s, a, err)
		}
		if b, ok := ActionOf(a.Return()); !ok || a != b {
			t.Errorf("%s: %#x is %v", s, a.Return(), b)
		}
		text, err := a.MarshalText()
		var back Action
		if err != nil || back.UnmarshalText(text) != nil || back != a {
			t.Errorf("%s: %s, %v, %v", s, text, err, back)
		}
	}
	if _, err := (Action{}).MarshalText(); err == nil {
		t.Error("an unset action has a text")
	}
	if _, ok := ActionOf(0x7ff00000); ok {
		t.Error("trace is an action")
	}
	if a, err := ParseAction("errno:EWOULDBLOCK"); err != nil || a.Errno != uint16(unix.EWOULDBLOCK) {
		t.Error(a, err)
	}
}

func TestConstants(t *testing.T) {
	for _, c := range []struct {
		name string
		arch Arch
		want uint64
	}{
		{"AF_UNIX", AMD64, unix.AF_UNIX},
		{"O_DIRECTORY", AMD64, 0x10000},
		{"O_DIRECTORY", ARM64, 0x4000},
		{"TIOCSTI", I386, 0x5412},
		{"TIOCSTI", PPC64LE, 0x5412},
		{"AT_FDCWD", AMD64, ^uint64(0) - 99},
		{"CLONE_NEWUSER", X32, unix.CLONE_NEWUSER},
		{"ADDR_NO_RANDOMIZE", ARM, 0x40000},
		{"MAP_GROWSDOWN", AMD64, 0x100},
		{"PR_SET_DUMPABLE", AMD64, 4},
		{"FUTEX_PRIVATE_FLAG", ARM64, 128},
		{"SIGKILL", AMD64, 9},
	} {
		if v, err := LookupConstant(c.name, c.arch); err != nil || v != c.want {
			t.Errorf("%s on %s: %#x, %v", c.name, c.arch, v, err)
		}
	}
	if got := ConstantNames("AF_", 1, AMD64); !slices.Contains(got, "AF_UNIX") {
		t.Error(got)
	}
}

func TestArches(t *testing.T) {
	if Native() >= numArches {
		t.Error("no native architecture")
	}
	for a := range numArches {
		if b, err := ParseArch(a.String()); err != nil || a != b {
			t.Errorf("%s: %v, %v", a, b, err)
		}
		nr := uint32(3)
		if a == X32 {
			nr |= X32Bit
		}
		if b, ok := LookupArch(a.Audit(), nr); !ok || a != b {
			t.Errorf("%s: %v, %v", a, b, ok)
		}
	}
	if a, _ := LookupArch(AMD64.Audit(), 0xffffffff); a != AMD64 {
		t.Error("-1 is taken for a call of x32")
	}
}
