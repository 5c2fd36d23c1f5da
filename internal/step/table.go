package step

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Table is a linked program: calls and data in one private mapping outside the Go heap,
// because addresses that are kept as numbers do not keep Go memory alive.
type Table struct {
	Calls []Call
	// Stack is the upper end of a stack behind the data.
	Stack uintptr
	mem   []byte
}

// Range is where the table lies.
func (t *Table) Range() (from, to uintptr) { return t.Stack - uintptr(len(t.mem)), t.Stack }

// stackSize is more than the few hundred bytes that the linker allows to a chain of
// functions whose stack cannot grow. It is a multiple of 16, for alignment.
const stackSize = 8192

// Link lays calls and data out in memory and turns offsets into addresses. The caller
// frees the Table when no child can need it any more.
func (a *Asm) Link() (*Table, error) {
	size := len(a.calls) * int(unsafe.Sizeof(Call{}))
	start := (size + 15) &^ 15
	dataEnd := (start + len(a.data) + 15) &^ 15
	// All of it is written at once, so that it takes no page fault for each page.
	mem, err := unix.Mmap(-1, 0, dataEnd+stackSize, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_POPULATE)
	if err != nil {
		return nil, err
	}
	t := &Table{Calls: unsafe.Slice((*Call)(unsafe.Pointer(&mem[0])), len(a.calls)), mem: mem,
		Stack: uintptr(unsafe.Pointer(&mem[0])) + uintptr(len(mem))}
	data := mem[start:dataEnd]
	base := uintptr(unsafe.Pointer(&data[0]))
	copy(data, a.data)
	for _, r := range a.relocs {
		binary.NativeEndian.PutUint64(data[r:], binary.NativeEndian.Uint64(data[r:])+uint64(base))
	}
	copy(t.Calls, a.calls)
	for i := range t.Calls {
		for j := range t.Calls[i].Arg {
			if t.Calls[i].ptrs&(1<<j) != 0 {
				t.Calls[i].Arg[j] += base
			}
		}
	}
	return t, nil
}

// Free unmaps the memory.
func (t *Table) Free() error {
	m := t.mem
	t.mem, t.Calls = nil, nil
	return unix.Munmap(m)
}
