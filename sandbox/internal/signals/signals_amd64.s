#include "textflag.h"

// The kernel calls this with the signal in DI and its siginfo_t in SI, and
// has saved every register: write(pipe, siginfo, 128).
TEXT ·handler(SB), NOSPLIT|NOFRAME, $0
	MOVQ ·pipe(SB), DI
	MOVQ $128, DX
	MOVQ $1, AX
	SYSCALL
	RET

// rt_sigreturn(2)
TEXT ·restorer(SB), NOSPLIT|NOFRAME, $0
	MOVQ $15, AX
	SYSCALL
	INT $3

// func handlers() (handler, restorer uintptr)
TEXT ·handlers(SB), NOSPLIT, $0-16
	LEAQ ·handler(SB), AX
	MOVQ AX, handler+0(FP)
	LEAQ ·restorer(SB), AX
	MOVQ AX, restorer+8(FP)
	RET
