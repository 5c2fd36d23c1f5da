#include "textflag.h"

// func spawn(flags, stack uintptr, args unsafe.Pointer, entry uintptr) uintptr
TEXT ·spawn(SB), NOSPLIT, $0-40
	MOVD flags+0(FP), R0
	MOVD stack+8(FP), R1
	MOVD args+16(FP), R9
	MOVD entry+24(FP), R10
	MOVD ZR, R2
	MOVD ZR, R3
	MOVD ZR, R4
	MOVD $220, R8 // clone(2)
	SVC
	CBZ R0, child
	MOVD R0, ret+32(FP)
	RET

child:
	// The new stack holds nothing; target does not return.
	// An indirect call, so that the linker, which adds up stacks, does not
	// take it for a recursion of walk.
	//
	// It goes straight to Go's own calling convention (ABIInternal), for the
	// compiler's wrapper would be the race detector's too: the argument is in
	// R0, g as it was, and there is room to spill R0.
	MOVD ZR, R29
	SUB $32, RSP
	MOVD R9, R0
	BL (R10)
	BRK

// func threadPointer() uintptr
TEXT ·threadPointer(SB), NOSPLIT, $0-8
	MRS TPIDR_EL0, R0
	MOVD R0, ret+0(FP)
	RET
