package step

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Op is what the child does with a Call.
type Op uint8

// The operations of the child. Everything but OpSys exists because a system
// call alone cannot say it.
const (
	// OpSys makes the call.
	OpSys Op = iota
	// OpFork is a clone(2) with the flags Arg[0]: the parent goes on as the
	// sandbox's init, the child walks the rest of the table.
	OpFork
	// OpExec makes the call, an execve(2); it fails only when all tries in a
	// row have, and then with the most telling errno, as execvp(3) does.
	OpExec
	// OpCompare makes no call: Arg[2] bytes at Arg[0] must be those at Arg[1].
	OpCompare
	// OpZero makes no call: Arg[1] bytes at Arg[0] become zero.
	OpZero
	// OpStore makes no call: the 32-bit word at Arg[0] becomes Arg[1], for
	// structures that hold a descriptor.
	OpStore
	// OpAwait makes no call: the target waits here until init is ready.
	OpAwait
	// OpEnd makes no call: init is ready and begins to wait for its children.
	OpEnd
	// OpEnter makes the call, a clone3(2) whose child goes on with the table
	// while the parent tells its number on the Status page and ends.
	OpEnter
	// OpFail makes no call and fails with errno Arg[0]. Only the fault sweep
	// uses it, in the place of a call that should have failed.
	OpFail
	// OpRetry makes a call of at most three arguments, the janitor's alone,
	// again while it answers EBUSY: Arg[3] times at most, with a pause, whose
	// timespec is at Arg[4].
	OpRetry
	// OpSkip makes no call, and is the janitor's alone: of the calls that follow,
	// Arg[3] are left out unless Arg[2] bytes at Arg[0] are those at Arg[1].
	OpSkip
	// OpRestore makes several calls, and is the janitor's alone: the file that the
	// record at Arg[0] describes gets back what of its metadata has changed.
	OpRestore
)

// Call is one entry of the table: fixed size, no Go pointer, so that a forked
// child can read it whatever the garbage collector was doing.
type Call struct {
	Nr    uintptr
	Arg   [6]uintptr
	Want  uintptr   // with HasWant: the only result that is a success
	Pass  [4]uint16 // errnos that are as good as success
	Step  uint32    // index of the step the call belongs to
	Op    Op
	Slots uint8 // bit i: Arg[i] is the number of a slot that holds the value
	ptrs  uint8 // bit i: Arg[i] is an offset into the data, until linked
	Save  uint8 // slot that keeps the result, plus one
	// HasWant says that Want counts.
	HasWant bool
}

// Slot numbers a place where the child keeps a result, mostly a descriptor.
type Slot uint8

// Slots that outlive their step. All further ones belong to the step that
// takes them from Asm.Temp.
const (
	// SlotRoot holds the descriptor of the new root directory.
	SlotRoot Slot = iota
	// SlotProc holds a verified descriptor of the host's /proc.
	SlotProc
	// SlotRuleset holds the Landlock ruleset.
	SlotRuleset
	// SlotUmask holds the caller's umask while ours is zero.
	SlotUmask
	// SlotCover holds the file system with the covers of what is hidden; the
	// root itself unless the root is the outside's.
	SlotCover
	// SlotTerminal holds the terminal of the sandbox's own.
	SlotTerminal
	// SlotInit holds init's pid where that is not 1.
	SlotInit
	firstTemp
	// NumSlots bounds them all.
	NumSlots = 32
)

// Arg is a system call's argument: a number, a slot or a place in the data.
type Arg struct {
	v    uintptr
	slot bool
	ptr  bool
}

// Int is the number v as an argument.
func Int[T ~int | ~uint | ~uint32 | ~uint64 | ~uintptr](v T) Arg { return Arg{v: uintptr(v)} }

// Arg makes the slot's value an argument.
func (s Slot) Arg() Arg { return Arg{v: uintptr(s), slot: true} }

// Fd is a descriptor number or a constant such as AT_FDCWD.
func Fd(fd int) Arg { return Arg{v: uintptr(fd)} }

// Asm collects calls and the data they point to. The zero value is ready.
type Asm struct {
	calls  []Call
	data   []byte
	relocs []int // offsets of pointers inside data, until linked offsets too
	step   uint32
	temp   Slot
	// scratch is one more than the offset of the buffer that Scratch lends.
	scratch int

	// Notify and Launcher are the two ends, init's and the launcher's, of
	// the socket between them, known only when a plan is started.
	Notify, Launcher int
	// Janitor is the launcher's end of the socket to the janitor, if there is one.
	Janitor int
	// Token is drawn at random when a plan is started, for names that nobody
	// can know before.
	Token string
}

// Grow makes room for about n steps.
func (a *Asm) Grow(n int) {
	a.calls = make([]Call, 0, n*6)
	a.data = make([]byte, 0, n*96)
}

// Len is the number of calls so far.
func (a *Asm) Len() int { return len(a.calls) }

// StepOf is the index of the step that call i belongs to.
func (a *Asm) StepOf(i int) uint32 { return a.calls[i].Step }

// Checks says that call i is one whose outcome is compared with what is planned,
// beyond that it succeeded.
func (a *Asm) Checks(i int) bool { return a.calls[i].HasWant || a.calls[i].Op == OpCompare }

// Begin starts the step with that index; its temporary slots are free again.
func (a *Asm) Begin(index int) { a.step, a.temp = uint32(index), firstTemp }

// Temp is a slot for this step's own use.
func (a *Asm) Temp() Slot {
	if a.temp >= NumSlots {
		panic("step: a step uses more slots than there are")
	}
	a.temp++
	return a.temp - 1
}

// Str places s, ended by a zero byte, in the data. The caller has checked
// that s holds no zero byte itself.
func (a *Asm) Str(s string) Arg {
	off := len(a.data)
	a.data = append(a.data, s...)
	a.data = append(a.data, 0)
	return Arg{v: uintptr(off), ptr: true}
}

// Bytes places b in the data, aligned to 8 bytes.
func (a *Asm) Bytes(b []byte) Arg {
	off := a.align()
	a.data = append(a.data, b...)
	return Arg{v: uintptr(off), ptr: true}
}

// Space is n zero bytes in the data, aligned to 8.
func (a *Asm) Space(n int) Arg {
	off := a.align()
	a.data = append(a.data, make([]byte, n)...)
	return Arg{v: uintptr(off), ptr: true}
}

// Scratch is a buffer of 256 bytes that every step may use and none may rely
// on beyond its own calls.
func (a *Asm) Scratch() Arg {
	if a.scratch == 0 {
		a.scratch = int(a.Space(256).v) + 1
	}
	return Arg{v: uintptr(a.scratch - 1), ptr: true}
}

// Words places 64-bit numbers in the data; an argument that is a place in the
// data becomes its address there.
func (a *Asm) Words(w ...Arg) Arg {
	off := a.align()
	for _, x := range w {
		if x.ptr {
			a.relocs = append(a.relocs, len(a.data))
		}
		a.data = binary.NativeEndian.AppendUint64(a.data, uint64(x.v))
	}
	return Arg{v: uintptr(off), ptr: true}
}

// Strings places a zero-terminated vector of strings, as execve(2) takes it.
func (a *Asm) Strings(list []string) Arg {
	n := 0
	for _, s := range list {
		n += len(s) + 1
	}
	first := len(a.data)
	if need := first + n + 8*(len(list)+2); cap(a.data) < need {
		a.data = append(make([]byte, 0, need), a.data...)
	}
	for _, s := range list {
		a.data = append(a.data, s...)
		a.data = append(a.data, 0)
	}
	off := a.align()
	for _, s := range list {
		a.relocs = append(a.relocs, len(a.data))
		a.data = binary.NativeEndian.AppendUint64(a.data, uint64(first))
		first += len(s) + 1
	}
	a.data = binary.NativeEndian.AppendUint64(a.data, 0)
	return Arg{v: uintptr(off), ptr: true}
}

// At is the place n bytes behind p.
func (p Arg) At(n int) Arg { p.v += uintptr(n); return p }

func (a *Asm) align() int {
	for len(a.data)%8 != 0 {
		a.data = append(a.data, 0)
	}
	return len(a.data)
}

// Sys appends the system call nr.
func (a *Asm) Sys(nr int, args ...Arg) *Call {
	c := a.add(OpSys, args)
	c.Nr = uintptr(nr)
	return c
}

// Retry appends the system call nr, made again every two milliseconds while it
// answers EBUSY, for half a minute at most. Only the janitor can.
func (a *Asm) Retry(nr int, x, y, z Arg) *Call {
	c := a.add(OpRetry, []Arg{x, y, z, Int(15_000), a.Words(Int(0), Int(2_000_000))})
	c.Nr = uintptr(nr)
	return c
}

// SkipUnless appends a check that leaves out the next n calls unless there are
// the bytes b at p. Only the janitor can.
func (a *Asm) SkipUnless(n int, p Arg, b []byte) {
	a.add(OpSkip, []Arg{p, a.Bytes(b), Int(len(b)), Int(n)})
}

// Fork appends the clone(2), with these flags, that parts init from the
// target.
func (a *Asm) Fork(flags int) { a.add(OpFork, []Arg{Int(flags)}) }

// Enter appends the clone3(2), with these flags, by which a process that has
// joined namespaces makes the one to be in them. That one is the launcher's
// child, not its own (CLONE_PARENT), so that it is the launcher that it dies
// with.
func (a *Asm) Enter(flags uint64) {
	args := a.Words(Int(flags|unix.CLONE_PARENT), Int(0), Int(0), Int(0), Int(0), Int(0), Int(0), Int(0))
	c := a.add(OpEnter, []Arg{args, Int(64)})
	c.Nr = unix.SYS_CLONE3
}

// Exec appends one try of execve(2). Tries stand next to each other.
func (a *Asm) Exec(path, argv, envp Arg) *Call {
	c := a.add(OpExec, []Arg{path, argv, envp})
	c.Nr = unix.SYS_EXECVE
	return c
}

// Compare appends a check that n bytes at p are the bytes b.
func (a *Asm) Compare(p Arg, b []byte) { a.add(OpCompare, []Arg{p, a.Bytes(b), Int(len(b))}) }

// Same appends a check that n bytes at p are those at q.
func (a *Asm) Same(p, q Arg, n int) { a.add(OpCompare, []Arg{p, q, Int(n)}) }

// Zero appends the clearing of n bytes at an address of the process itself.
func (a *Asm) Zero(addr, n uintptr) { a.add(OpZero, []Arg{Int(addr), Int(n)}) }

// Store appends the writing of v, as 32 bits, to the place p.
func (a *Asm) Store(p, v Arg) { a.add(OpStore, []Arg{p, v}) }

// Await appends the place where the target waits for init to be ready.
func (a *Asm) Await() { a.add(OpAwait, nil) }

// End appends the end of init's part.
func (a *Asm) End() { a.add(OpEnd, nil) }

func (a *Asm) add(op Op, args []Arg) *Call {
	c := Call{Op: op, Step: a.step}
	for i, x := range args {
		c.Arg[i] = x.v
		if x.slot {
			c.Slots |= 1 << i
		}
		if x.ptr {
			c.ptrs |= 1 << i
		}
	}
	a.calls = append(a.calls, c)
	return &a.calls[len(a.calls)-1]
}

// To keeps the call's result in s.
func (c *Call) To(s Slot) *Call { c.Save = uint8(s) + 1; return c }

// Expect makes every result but v a failure.
func (c *Call) Expect(v int) *Call { c.Want, c.HasWant = uintptr(v), true; return c }

// Or makes the errno as good as success; at most four per call.
func (c *Call) Or(e unix.Errno) *Call {
	for i := range c.Pass {
		if c.Pass[i] == 0 {
			c.Pass[i] = uint16(e)
			return c
		}
	}
	panic("step: more than four errnos pass")
}

// Table is a linked program: calls and data in one private mapping outside
// the Go heap, because addresses kept as numbers do not hold Go memory alive.
type Table struct {
	Calls []Call
	// Stack is the upper end of a stack that lies behind the data.
	Stack uintptr
	mem   []byte
}

// stackSize is more than the few hundred bytes that the linker allows a chain
// of functions that cannot grow their stack, and leaves all aligned to 16.
const stackSize = 8192

// Link lays calls and data out in memory and turns offsets into addresses.
// The caller frees the Table when no child can need it any more.
func (a *Asm) Link() (*Table, error) {
	size := len(a.calls) * int(unsafe.Sizeof(Call{}))
	start := (size + 15) &^ 15
	dataEnd := (start + len(a.data) + 15) &^ 15
	mem, err := unix.Mmap(-1, 0, dataEnd+stackSize, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
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

// Free gives the memory back.
func (t *Table) Free() error {
	m := t.mem
	t.mem, t.Calls = nil, nil
	return unix.Munmap(m)
}
