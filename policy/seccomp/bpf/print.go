package bpf

import (
	"fmt"
	"io"
	"strings"

	"sbx/policy/seccomp"
)

// Print writes a decoded program, one instruction a line, in the layout that
// seccomp-tools has. Numbers of calls and architectures are named: those of the
// architecture that the program has found out at that point, or else of a.
// mark, unless nil, is asked for what to put before each line.
func Print(w io.Writer, code []Instruction, a seccomp.Arch, mark func(i int) string) error {
	if mark == nil {
		mark = func(int) string { return "" }
	}
	if _, err := fmt.Fprintf(w, "%s line  CODE  JT   JF      "+
		"K\n%s=================================\n", mark(-1), mark(-1)); err != nil {
		return err
	}
	known := know(code, a)
	for n, i := range code {
		_, err := fmt.Fprintf(w, "%s %04d: 0x%02x 0x%02x 0x%02x 0x%08x  %s\n", mark(n), n, i.Code, i.Jt, i.Jf, i.K,
			i.text(n, known[n]))
		if err != nil {
			return err
		}
	}
	return nil
}

// text says what instruction n does.
func (i Instruction) text(n int, f fact) string {
	k := fmt.Sprintf("%#x", i.K)
	if i.Code&fromX != 0 {
		k = "X"
	}
	switch i.Code & classMask {
	case classLd:
		return "A = " + i.source()
	case classLdx:
		return "X = " + i.source()
	case classSt:
		return fmt.Sprintf("mem[%d] = A", i.K)
	case classStx:
		return fmt.Sprintf("mem[%d] = X", i.K)
	case classAlu:
		if i.Code&opMask == 0x80 {
			return "A = -A"
		}
		return fmt.Sprintf("A %s= %s", [...]string{"+", "-", "*", "/", "|", "&", "<<", ">>", "", "", "^"}[i.Code&opMask>>4],
			k)
	case classRet:
		if i.Code&retMask == retA {
			return "return A"
		}
		return "return " + Answer(i.K)
	case classMisc:
		if i.Code&miscTxa != 0 {
			return "A = X"
		}
		return "X = A"
	}
	if i.Code == classJmp {
		return fmt.Sprintf("goto %04d", n+1+int(i.K))
	}
	return i.condition(n, k, f)
}

func (i Instruction) source() string {
	switch i.Code & modeMask {
	case modeAbs:
		return field(i.K)
	case modeMem:
		return fmt.Sprintf("mem[%d]", i.K)
	case modeLen:
		return "sizeof(struct seccomp_data)"
	}
	return fmt.Sprintf("%#x", i.K)
}

// field names what is at an offset of struct seccomp_data.
func field(offset uint32) string {
	switch {
	case offset == 0:
		return "sys_number"
	case offset == 4:
		return "arch"
	case offset == 8:
		return "instruction_pointer"
	case offset == 12:
		return "instruction_pointer >> 32"
	case offset%8 == 4:
		return fmt.Sprintf("args[%d] >> 32", (offset-16)/8)
	}
	return fmt.Sprintf("args[%d]", (offset-16)/8)
}

// condition says where a conditional jump leads; "goto next" is left out.
func (i Instruction) condition(n int, k string, f fact) string {
	op, not := "==", "!="
	switch i.Code & opMask {
	case 0x20:
		op, not = ">", "<="
	case 0x30:
		op, not = ">=", "<"
	case 0x40:
		op, not = "&", ""
	}
	if i.Code&fromX == 0 {
		k = i.name(k, f)
	}
	yes, no := fmt.Sprintf("%04d", n+1+int(i.Jt)), fmt.Sprintf("%04d", n+1+int(i.Jf))
	switch {
	case i.Jt == i.Jf:
		return "goto " + yes
	case i.Jf == 0:
		return fmt.Sprintf("if (A %s %s) goto %s", op, k, yes)
	case i.Jt == 0 && not != "":
		return fmt.Sprintf("if (A %s %s) goto %s", not, k, no)
	case i.Jt == 0:
		return fmt.Sprintf("if (!(A %s %s)) goto %s", op, k, no)
	}
	return fmt.Sprintf("if (A %s %s) goto %s else goto %s", op, k, yes, no)
}

// name is the name of what the accumulator is compared with.
func (i Instruction) name(k string, f fact) string {
	switch {
	case f.from == offArch:
		if a, ok := seccomp.LookupArch(i.K, 0); ok {
			return auditName(a)
		}
	case f.from == offNumber:
		if s, ok := seccomp.SyscallByNumber(f.arch, i.K); ok {
			return s.Name()
		}
	case f.from >= offArgs && f.from%8 == 0:
		switch name := constant(f, i.K); {
		case strings.Contains(name, "|"):
			return "(" + name + ")"
		case name != "":
			return name
		}
	}
	return k
}

// auditName is what seccomp-tools calls an architecture.
func auditName(a seccomp.Arch) string {
	switch a {
	case seccomp.AMD64, seccomp.X32:
		return "ARCH_X86_64"
	case seccomp.ARM64:
		return "ARCH_AARCH64"
	case seccomp.I386:
		return "ARCH_I386"
	case seccomp.S390X:
		return "ARCH_S390X"
	}
	return "ARCH_" + a.String()
}

// Answer is the name of what a filter returns.
func Answer(ret uint32) string {
	if ret&0xffff0000 == 0x7ff00000 {
		return fmt.Sprintf("TRACE(%d)", ret&0xffff)
	}
	a, ok := seccomp.ActionOf(ret)
	if !ok {
		return fmt.Sprintf("%#x (the kernel takes it for KILL_PROCESS)", ret)
	}
	data := ret & 0xffff
	switch a.Kind {
	case seccomp.Errno:
		return fmt.Sprintf("ERRNO(%s)", seccomp.ErrnoName(int(data)))
	case seccomp.KillProcess:
		return "KILL_PROCESS"
	case seccomp.KillThread:
		return "KILL"
	case seccomp.Trap:
		return "TRAP"
	case seccomp.Log:
		return "LOG"
	case seccomp.Notify:
		return "USER_NOTIF"
	}
	return "ALLOW"
}
