// Package bpf reads programs of classic BPF as seccomp(2) takes them: runs them
// for a call, and prints them for people. It makes none; see package compile.
package bpf

import (
	"encoding/binary"
	"fmt"

	"sbx/policy/seccomp"
)

// Instruction is struct sock_filter.
type Instruction struct {
	Code   uint16
	Jt, Jf uint8
	K      uint32
}

// Parts of an instruction's code; see <linux/bpf_common.h>.
const (
	classMask = 0x07
	classLd   = 0x00
	classLdx  = 0x01
	classSt   = 0x02
	classStx  = 0x03
	classAlu  = 0x04
	classJmp  = 0x05
	classRet  = 0x06
	classMisc = 0x07
	modeMask  = 0xe0
	modeImm   = 0x00
	modeAbs   = 0x20
	modeMem   = 0x60
	modeLen   = 0x80
	opMask    = 0xf0
	fromX     = 0x08
	retMask   = 0x18
	retA      = 0x10
	miscTxa   = 0x80
)

// dataSize is the size of struct seccomp_data, memWords that of the scratch
// memory.
const (
	dataSize = 64
	memWords = 16
)

// Decode takes a program apart. It refuses what the kernel would: a program
// that is too long, instructions that seccomp does not know, loads and jumps
// that lead outside, and an end that is no return.
func Decode(p seccomp.Program) ([]Instruction, error) {
	n := len(p) / 8
	if len(p)%8 != 0 || n == 0 || n > 4096 {
		return nil, fmt.Errorf("%d bytes are no program: it has 1 to 4096 instructions of 8 bytes", len(p))
	}
	code := make([]Instruction, n)
	for i := range code {
		b := p[8*i:]
		code[i] = Instruction{binary.LittleEndian.Uint16(b), b[2], b[3], binary.LittleEndian.Uint32(b[4:])}
		if err := code[i].check(n - i - 1); err != nil {
			return nil, fmt.Errorf("instruction %d: %w", i, err)
		}
	}
	if code[n-1].Code&classMask != classRet {
		return nil, fmt.Errorf("the program does not end in a return")
	}
	return code, nil
}

// check reports what is wrong with an instruction that left others follow.
func (i Instruction) check(left int) error {
	switch i.Code & classMask {
	case classLd:
		switch i.Code {
		case classLd | modeAbs:
			if i.K%4 != 0 || i.K >= dataSize {
				return fmt.Errorf("it loads from offset %d", i.K)
			}
			return nil
		case classLd | modeMem:
			return i.checkMem()
		case classLd | modeImm, classLd | modeLen:
			return nil
		}
		return i.bad()
	case classLdx:
		switch i.Code {
		case classLdx | modeMem:
			return i.checkMem()
		case classLdx | modeImm, classLdx | modeLen:
			return nil
		}
		return i.bad()
	case classSt, classStx:
		if i.Code != i.Code&classMask {
			return i.bad()
		}
		return i.checkMem()
	case classAlu:
		if op := i.Code & opMask; op > 0xa0 || op == 0x90 {
			return i.bad()
		}
		if i.Code == classAlu|0x30 && i.K == 0 { // divide by a constant 0
			return fmt.Errorf("it divides by 0")
		}
		if shift := i.Code == classAlu|0x60 || i.Code == classAlu|0x70; shift && i.K >= 32 {
			return fmt.Errorf("it shifts by %d", i.K)
		}
		return nil
	case classJmp:
		switch i.Code &^ fromX {
		case classJmp:
			if i.Code&fromX != 0 || uint64(i.K) >= uint64(left) {
				return fmt.Errorf("it jumps outside")
			}
			return nil
		case classJmp | 0x10, classJmp | 0x20, classJmp | 0x30, classJmp | 0x40:
			if int(i.Jt) >= left || int(i.Jf) >= left {
				return fmt.Errorf("it jumps outside")
			}
			return nil
		}
		return i.bad()
	case classRet:
		if r := i.Code & retMask; i.Code&^uint16(retMask) != classRet || r != 0 && r != retA {
			return i.bad()
		}
		return nil
	}
	if i.Code != classMisc && i.Code != classMisc|miscTxa {
		return i.bad()
	}
	return nil
}

// bad is the error of a code that a filter cannot have.
func (i Instruction) bad() error { return fmt.Errorf("code %#x is not of seccomp's", i.Code) }

func (i Instruction) checkMem() error {
	if i.K >= memWords {
		return fmt.Errorf("it uses word %d of the scratch memory", i.K)
	}
	return nil
}

// Call is a system call as a filter sees it.
type Call struct {
	Audit, Number uint32
	IP            uint64
	Args          [6]uint64
}

// word is what is at an offset of struct seccomp_data on a little-endian
// machine.
func (c *Call) word(offset uint32) uint32 {
	switch {
	case offset == 0:
		return c.Number
	case offset == 4:
		return c.Audit
	case offset < 16:
		return uint32(c.IP >> (8 * (offset - 8)))
	}
	return uint32(c.Args[(offset-16)/8] >> (8 * (offset % 8)))
}

// Run gives what a decoded program returns for a call, and the instructions
// that it went through.
func Run(code []Instruction, c Call) (ret uint32, path []int) {
	ret = run(code, &c, &path)
	return ret, path
}

// Result gives what Run does, without the instructions: for who asks often.
func Result(code []Instruction, c *Call) uint32 { return run(code, c, nil) }

// run notes the instructions in path, if there is one.
func run(code []Instruction, c *Call, path *[]int) uint32 {
	var a, x uint32
	var mem [memWords]uint32
	for pc := 0; ; {
		if path != nil {
			*path = append(*path, pc)
		}
		i := code[pc]
		pc++
		k := i.K
		if i.Code&fromX != 0 && (i.Code&classMask == classAlu || i.Code&classMask == classJmp) {
			k = x
		}
		switch i.Code & classMask {
		case classLd:
			a = load(i, c, &mem)
		case classLdx:
			x = load(i, c, &mem)
		case classSt:
			mem[i.K] = a
		case classStx:
			mem[i.K] = x
		case classAlu:
			if i.Code&opMask == 0x30 && k == 0 {
				return 0 // the kernel ends a program that divides by 0
			}
			a = alu(i.Code&opMask, a, k)
		case classJmp:
			pc += jump(i, a, k)
		case classRet:
			if i.Code&retMask == retA {
				return a
			}
			return i.K
		case classMisc:
			if i.Code&miscTxa != 0 {
				a = x
			} else {
				x = a
			}
		}
	}
}

func load(i Instruction, c *Call, mem *[memWords]uint32) uint32 {
	switch i.Code & modeMask {
	case modeAbs:
		return c.word(i.K)
	case modeMem:
		return mem[i.K]
	case modeLen:
		return dataSize
	}
	return i.K
}

func alu(op uint16, a, k uint32) uint32 {
	switch op {
	case 0x00:
		return a + k
	case 0x10:
		return a - k
	case 0x20:
		return a * k
	case 0x30:
		return a / k
	case 0x40:
		return a | k
	case 0x50:
		return a & k
	case 0x60:
		return a << (k & 31)
	case 0x70:
		return a >> (k & 31)
	case 0x80:
		return -a
	}
	return a ^ k
}

// jump is how many instructions are skipped.
func jump(i Instruction, a, k uint32) int {
	yes := false
	switch i.Code & opMask {
	case 0x00:
		return int(i.K)
	case 0x10:
		yes = a == k
	case 0x20:
		yes = a > k
	case 0x30:
		yes = a >= k
	case 0x40:
		yes = a&k != 0
	}
	if yes {
		return int(i.Jt)
	}
	return int(i.Jf)
}
