#include "textflag.h"

// The kernel calls this with the signal in R0 and its siginfo_t in R1, and
// has saved every register: write(pipe, siginfo, 128). The return address
// leads to the vDSO's rt_sigreturn.
TEXT ·handler(SB), NOSPLIT|NOFRAME, $0
	MOVD ·pipe(SB), R0
	MOVD $128, R2
	MOVD $64, R8
	SVC
	RET

// func handlers() (handler, restorer uintptr)
TEXT ·handlers(SB), NOSPLIT, $0-16
	MOVD $·handler(SB), R0
	MOVD R0, handler+0(FP)
	MOVD ZR, restorer+8(FP)
	RET
