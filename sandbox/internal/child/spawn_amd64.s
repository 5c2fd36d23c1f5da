#include "textflag.h"

// func spawn(flags, stack uintptr, args unsafe.Pointer, entry uintptr) uintptr
TEXT ·spawn(SB), NOSPLIT, $0-40
	MOVQ flags+0(FP), DI
	MOVQ stack+8(FP), SI
	MOVQ args+16(FP), R12
	MOVQ entry+24(FP), R13
	XORL DX, DX
	XORL R10, R10
	XORL R8, R8
	MOVL $56, AX // clone(2)
	SYSCALL
	TESTQ AX, AX
	JEQ child
	MOVQ AX, ret+32(FP)
	RET

child:
	// The new stack holds nothing; target does not return. The call is an
	// indirect one so that the linker, which adds up stacks, does not take it
	// for a recursion of walk.
	//
	// It goes straight to Go's own calling convention (ABIInternal), for the
	// compiler's wrapper would be the race detector's too: the argument is in
	// AX, R14 is g as it was, X15 is zero, and there is room to spill AX.
	XORL BP, BP
	SUBQ $16, SP
	MOVQ R12, AX
	XORPS X15, X15
	CALL R13
	INT $3
