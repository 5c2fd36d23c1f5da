#include "textflag.h"

// func spawn(flags, stack uintptr, args unsafe.Pointer) uintptr
TEXT ·spawn(SB), NOSPLIT, $0-32
	MOVQ flags+0(FP), DI
	MOVQ stack+8(FP), SI
	MOVQ args+16(FP), R12
	XORL DX, DX
	XORL R10, R10
	XORL R8, R8
	MOVL $56, AX // clone(2)
	SYSCALL
	TESTQ AX, AX
	JEQ child
	MOVQ AX, ret+24(FP)
	RET

child:
	// The new stack holds nothing; target does not return. The call is an
	// indirect one so that the linker, which adds up stacks, does not take it
	// for a recursion of walk.
	XORL BP, BP
	SUBQ $16, SP
	MOVQ R12, 0(SP)
	LEAQ ·target(SB), AX
	CALL AX
	INT $3
