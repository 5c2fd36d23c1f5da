package step

import (
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// read is the C string at an address in the table's memory.
func read(t *Table, addr uintptr) string {
	base := uintptr(unsafe.Pointer(&t.mem[0]))
	b := t.mem[addr-base:]
	return string(b[:strings.IndexByte(string(b), 0)])
}

func word(t *Table, addr uintptr) uintptr {
	return *(*uintptr)(unsafe.Pointer(&t.mem[addr-uintptr(unsafe.Pointer(&t.mem[0]))]))
}

// TestLink checks that offsets become addresses of what was placed there, inside vectors
// and structures too.
func TestLink(t *testing.T) {
	var a Asm
	a.Begin(4)
	path := a.Str("/some/path")
	argv := a.Strings([]string{"a", "", "-c"})
	a.Sys(unix.SYS_OPENAT, Fd(unix.AT_FDCWD), path, Int(unix.O_RDONLY)).To(a.Temp()).Or(unix.ENOENT).Expect(3)
	a.Begin(5)
	inner := a.Bytes([]byte("filter"))
	prog := a.Words(Int(7), inner)
	a.Exec(path, argv, prog)
	a.Compare(a.Scratch(), []byte("xyz"))
	if first, again := a.Scratch(), a.Scratch(); first != again {
		t.Error("Scratch is another each time")
	}
	tab, err := a.Link()
	if err != nil {
		t.Fatal(err)
	}
	defer tab.Free()
	if len(tab.Calls) != 3 || a.Len() != 3 || a.StepOf(0) != 4 || a.StepOf(2) != 5 {
		t.Fatalf("calls %+v", tab.Calls)
	}
	open, exec, cmp := tab.Calls[0], tab.Calls[1], tab.Calls[2]
	if read(tab, open.Arg[1]) != "/some/path" || int32(open.Arg[0]) != unix.AT_FDCWD || open.Save == 0 || !open.HasWant ||
		open.Want != 3 || open.Pass[0] != uint16(unix.ENOENT) {
		t.Errorf("openat %+v", open)
	}
	for i, want := range []string{"a", "", "-c"} {
		if got := read(tab, word(tab, exec.Arg[1]+uintptr(i)*8)); got != want {
			t.Errorf("argument %d is %q, want %q", i, got, want)
		}
	}
	if word(tab, exec.Arg[1]+24) != 0 {
		t.Error("the vector does not end")
	}
	if word(tab, exec.Arg[2]) != 7 || read(tab, word(tab, exec.Arg[2]+8)) != "filter" {
		t.Error("the pointer in the structure leads elsewhere")
	}
	if cmp.Op != OpCompare || read(tab, cmp.Arg[1])[:3] != "xyz" || cmp.Arg[2] != 3 || cmp.Arg[0]%8 != 0 {
		t.Errorf("compare %+v", cmp)
	}
	if end := uintptr(unsafe.Pointer(&tab.mem[0])) + uintptr(len(tab.mem)); tab.Stack != end || end%16 != 0 {
		t.Errorf("stack at %#x, memory ends at %#x", tab.Stack, end)
	}
}

// TestTemp checks that a step's slots are its own, and none of the lasting ones.
func TestTemp(t *testing.T) {
	var a Asm
	a.Begin(0)
	first := a.Temp()
	if first < firstTemp || a.Temp() == first {
		t.Error("two slots are one, or a lasting one")
	}
	a.Begin(1)
	if a.Temp() != first {
		t.Error("the next step's slots begin elsewhere")
	}
	defer func() {
		if recover() == nil {
			t.Error("more slots than there are")
		}
	}()
	for {
		a.Temp()
	}
}
