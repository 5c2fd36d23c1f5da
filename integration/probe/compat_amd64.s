#include "textflag.h"

// func int80(nr, a, b int) int
TEXT ·int80(SB), NOSPLIT, $0-32
	MOVQ nr+0(FP), AX
	MOVQ a+8(FP), BX
	MOVQ b+16(FP), CX
	XORQ DX, DX
	XORQ SI, SI
	XORQ DI, DI
	INT  $0x80
	MOVQ AX, ret+24(FP)
	RET

// func int80fork(nr, a int) int
TEXT ·int80fork(SB), NOSPLIT, $0-24
	MOVQ nr+0(FP), AX
	MOVQ a+8(FP), BX
	XORQ CX, CX
	XORQ DX, DX
	XORQ SI, SI
	XORQ DI, DI
	INT  $0x80
	TESTQ AX, AX
	JNE  parent
	MOVQ $231, AX // exit_group
	XORQ DI, DI
	SYSCALL
parent:
	MOVQ AX, ret+16(FP)
	RET
