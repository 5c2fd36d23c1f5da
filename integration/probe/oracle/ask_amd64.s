#include "textflag.h"

// func int80(nr uint32, a *[6]uint64) uint32
// The sixth argument goes into BP, which the frame of this function saves.
TEXT ·int80(SB), NOSPLIT, $16-20
	MOVL nr+0(FP), AX
	MOVQ a+8(FP), R12
	MOVL 0(R12), BX
	MOVL 8(R12), CX
	MOVL 16(R12), DX
	MOVL 24(R12), SI
	MOVL 32(R12), DI
	MOVQ BP, 0(SP)
	MOVL 40(R12), BP
	INT  $0x80
	MOVQ 0(SP), BP
	MOVL AX, ret+16(FP)
	RET
