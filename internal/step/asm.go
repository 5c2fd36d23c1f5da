package step

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// Op is what the child does with a Call.
type Op uint8

// The operations of the child. All but OpSys exist because a system call alone is not
// enough.
const (
	// OpSys makes the call.
	OpSys Op = iota
	// OpFork is a clone(2) with the flags Arg[0]. The parent continues as the sandbox's
	// init, the child walks the rest of the table.
	OpFork
	// OpExec makes the call, an execve(2). It fails only when all tries in a row have
	// failed, with the most informative errno of them, as execvp(3) does.
	OpExec
	// OpCompare makes no call. It fails unless Arg[2] bytes at Arg[0] and Arg[1] are equal.
	OpCompare
	// OpZero makes no call. It clears Arg[1] bytes at Arg[0].
	OpZero
	// OpStore makes no call. It writes Arg[1] to the 32-bit word at Arg[0], for structures
	// that hold a descriptor.
	OpStore
	// OpAwait makes no call. The target waits here until the init is ready.
	OpAwait
	// OpEnd makes no call. The init is ready and begins to wait for its children.
	OpEnd
	// OpEnter makes the call, a clone3(2). Its child continues with the table; the parent
	// writes the child's pid to the Status page and exits.
	OpEnter
	// OpFail makes no call and fails with errno Arg[0]. Only the fault sweep uses it, in
	// place of a call that is to fail.
	OpFail
	// OpRetry repeats a call of at most three arguments while it fails with EBUSY: at most
	// Arg[3] times, with a pause, whose timespec is at Arg[4]. Only the janitor has it.
	OpRetry
	// OpSkip makes no call. It skips the next Arg[3] calls unless Arg[2] bytes at Arg[0] and
	// Arg[1] are equal. Only the janitor has it.
	OpSkip
	// OpRestore makes several calls, and is the janitor's alone: the file that the
	// record at Arg[0] describes gets back what of its metadata has changed.
	OpRestore
	// OpDecimal makes no call. It writes Arg[1] to Arg[0] as a decimal number, with at most
	// DecimalSize digits. Only the target has it.
	OpDecimal
	// OpHandOver is a clone(2) with the flags Arg[0] of a process that has the stack below
	// Arg[1]. That one waits until the word at Arg[2] is 0, sends the message at Arg[3] to
	// the socket Arg[4], whatever comes of it, and exits. Only the target has it.
	OpHandOver
	// OpForget unmaps all memory of the process but the child's own code, stack and table
	// and the Arg[1] ranges whose ends stand at Arg[0], up to Arg[2]. Arg[3] is the size of
	// the program's thread-local memory. Only the init and the janitor have
	// it: a copy of the launcher's memory would be kept with them.
	OpForget
)

// Call is one entry of the table. It has a fixed size and no Go pointer, so that a forked
// child can read it whatever the garbage collector was doing.
type Call struct {
	Nr    uintptr
	Arg   [6]uintptr
	Want  uintptr   // with HasWant: the only result that is a success
	Pass  [4]uint16 // errnos that count as success
	Step  uint32    // index of the step the call belongs to
	Op    Op
	Slots uint8 // bit i: Arg[i] is the number of a slot that holds the value
	ptrs  uint8 // bit i: Arg[i] is an offset into the data, until linked
	Save  uint8 // slot that keeps the result, plus one
	// HasWant says that Want is set.
	HasWant bool
}

// Slot is the number of a place where the child keeps a result, mostly a descriptor.
type Slot uint8

// These slots outlive their step. All others belong to the step that gets them from
// Asm.Temp.
const (
	// SlotRoot holds a descriptor of the new root directory.
	SlotRoot Slot = iota
	// SlotProc holds a verified descriptor of the host's /proc.
	SlotProc
	// SlotRuleset holds the Landlock ruleset.
	SlotRuleset
	// SlotUmask holds the caller's umask while the umask is cleared.
	SlotUmask
	// SlotScratch holds the scratch tmpfs, with the masks of hidden paths, where
	// the root is a directory of the host. Elsewhere the root tmpfs, SlotRoot,
	// serves as that.
	SlotScratch
	// SlotTerminal holds the sandbox's pseudo-terminal.
	SlotTerminal
	// SlotInit holds the init's pid where that is not 1.
	SlotInit
	// SlotPID holds the target's pid where its environment names that.
	SlotPID
	firstTemp
	// NumSlots is the number of all slots.
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
	// handed is the place of the descriptor that HandOver sends.
	handed Arg

	// Notify and Launcher are the init's and the launcher's end of the socket between
	// them. They are known only when a plan is started.
	Notify, Launcher int
	// Ready is the end of a pipe that the target's exec closes.
	Ready int
	// Janitor is the launcher's end of the socket to the janitor, if there is one.
	Janitor int
	Private PrivateDir // the target's, if there is one
	// Token is a random string, drawn when a plan is started, for names that cannot be
	// guessed.
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

// Checks says that call i compares its outcome with the planned one, rather than only
// succeed.
func (a *Asm) Checks(i int) bool { return a.calls[i].HasWant || a.calls[i].Op == OpCompare }

// Begin starts the step with that index. The temporary slots are free again.
func (a *Asm) Begin(index int) { a.step, a.temp = uint32(index), firstTemp }

// Temp is a slot for this step's own use.
func (a *Asm) Temp() Slot {
	if a.temp >= NumSlots {
		panic("step: a step uses more slots than there are")
	}
	a.temp++
	return a.temp - 1
}

// Str places s, with a zero byte at its end, in the data. The caller has checked that s
// contains no zero byte itself.
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

// Scratch is a buffer of 256 bytes that all steps share. Its content lasts only for the
// step's own calls.
func (a *Asm) Scratch() Arg {
	if a.scratch == 0 {
		a.scratch = int(a.Space(256).v) + 1
	}
	return Arg{v: uintptr(a.scratch - 1), ptr: true}
}

// Words places 64-bit numbers in the data. An argument that is a place in the data
// becomes the address of that place.
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

// Strings places a zero-terminated vector of strings, as execve(2) takes it. more are
// strings that are in their places already.
func (a *Asm) Strings(list []string, more ...Arg) Arg {
	n := 0
	for _, s := range list {
		n += len(s) + 1
	}
	first := len(a.data)
	if need := first + n + 8*(len(list)+len(more)+2); cap(a.data) < need {
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
	for _, p := range more {
		a.relocs = append(a.relocs, len(a.data))
		a.data = binary.NativeEndian.AppendUint64(a.data, uint64(p.v))
	}
	a.data = binary.NativeEndian.AppendUint64(a.data, 0)
	return Arg{v: uintptr(off), ptr: true}
}

// At is the place n bytes after p.
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

// Fork appends the clone(2), with these flags, by which the init makes the target's
// process.
func (a *Asm) Fork(flags int) { a.add(OpFork, []Arg{Int(flags)}) }

// Enter appends the clone3(2), with these flags, by which a process that has joined
// namespaces makes the process that will live in them. CLONE_PARENT makes that one the
// launcher's child, so that it dies with the launcher.
func (a *Asm) Enter(flags uint64) {
	args := a.Words(Int(flags|unix.CLONE_PARENT), Int(0), Int(0), Int(0), Int(0), Int(0), Int(0), Int(0))
	c := a.add(OpEnter, []Arg{args, Int(64)})
	c.Nr = unix.SYS_CLONE3
}

// ExecMark is in the last register of the launcher's own exec, where the kernel does not look.
// A filter with a listener lets the call with it go on; see listen.Mark.
const ExecMark = 0x73627831

// Exec appends one try of execve(2). All tries must follow each other.
func (a *Asm) Exec(path, argv, envp Arg) *Call {
	c := a.add(OpExec, []Arg{path, argv, envp, Int(0), Int(0), Int(ExecMark)})
	c.Nr = unix.SYS_EXECVE
	return c
}

// Compare appends a check that the bytes at p are b.
func (a *Asm) Compare(p Arg, b []byte) { a.add(OpCompare, []Arg{p, a.Bytes(b), Int(len(b))}) }

// Same appends a check that n bytes at p equal those at q.
func (a *Asm) Same(p, q Arg, n int) { a.add(OpCompare, []Arg{p, q, Int(n)}) }

// Zero appends the clearing of n bytes at an address of the process.
func (a *Asm) Zero(addr, n uintptr) { a.add(OpZero, []Arg{Int(addr), Int(n)}) }

// Store appends the writing of v, as 32 bits, to the place p.
func (a *Asm) Store(p, v Arg) { a.add(OpStore, []Arg{p, v}) }

// DecimalSize is how many digits Decimal writes at most.
const DecimalSize = 20

// Decimal appends the writing of the number in the slot, with a zero byte behind it, to the
// place p. It has to have DecimalSize+1 bytes.
func (a *Asm) Decimal(p Arg, s Slot) { a.add(OpDecimal, []Arg{p, s.Arg()}) }

// Await appends the point at which the target waits for the init to be ready.
func (a *Asm) Await() { a.add(OpAwait, nil) }

// End appends the end of the init's calls.
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

// To saves the call's result in s.
func (c *Call) To(s Slot) *Call { c.Save = uint8(s) + 1; return c }

// Expect makes every result other than v a failure.
func (c *Call) Expect(v int) *Call { c.Want, c.HasWant = uintptr(v), true; return c }

// Or makes the errno count as success. A call can have at most four.
func (c *Call) Or(e unix.Errno) *Call {
	for i := range c.Pass {
		if c.Pass[i] == 0 {
			c.Pass[i] = uint16(e)
			return c
		}
	}
	panic("step: more than four errnos pass")
}
