#include "textflag.h"

// func spawn(flags, stack uintptr, args unsafe.Pointer) uintptr
TEXT ·spawn(SB), NOSPLIT, $0-32
	MOVD flags+0(FP), R0
	MOVD stack+8(FP), R1
	MOVD args+16(FP), R9
	MOVD ZR, R2
	MOVD ZR, R3
	MOVD ZR, R4
	MOVD $220, R8 // clone(2)
	SVC
	CBZ R0, child
	MOVD R0, ret+24(FP)
	RET

child:
	// The new stack holds nothing; target does not return.
	// An indirect call, so that the linker, which adds up stacks, does not
	// take it for a recursion of walk.
	MOVD ZR, R29
	SUB $32, RSP
	MOVD R9, 8(RSP)
	MOVD $·target(SB), R10
	BL (R10)
	BRK
