package oci

import "strings"

// The words of profiles that have no other place in sbx. Lists are functions
// so that starting the program does not build them.

// archNames are what libseccomp calls the architectures that it knows.
func archNames() []string {
	return strings.Fields(`SCMP_ARCH_X86 SCMP_ARCH_X86_64 SCMP_ARCH_X32 SCMP_ARCH_ARM SCMP_ARCH_AARCH64
		SCMP_ARCH_LOONGARCH64
		SCMP_ARCH_M68K SCMP_ARCH_MIPS SCMP_ARCH_MIPS64 SCMP_ARCH_MIPS64N32 SCMP_ARCH_MIPSEL SCMP_ARCH_MIPSEL64
		SCMP_ARCH_MIPSEL64N32 SCMP_ARCH_PARISC SCMP_ARCH_PARISC64 SCMP_ARCH_PPC SCMP_ARCH_PPC64 SCMP_ARCH_PPC64LE
		SCMP_ARCH_RISCV64 SCMP_ARCH_S390 SCMP_ARCH_S390X SCMP_ARCH_SH SCMP_ARCH_SHEB`)
}

// dockerArches are what the arches of includes and excludes may be.
func dockerArches() []string {
	return strings.Fields(`amd64 x86 x32 arm arm64 loong64 mips mips64 mips64n32 mipsel mipsel64 mipsel64n32
		mips3l64 mips3l64n32 ppc ppc64 ppc64le riscv64 s390 s390x`)
}

// foreignCalls are calls that only machines have for which sbx has no table,
// and calls that no kernel has any more. Profiles that are written for every
// machine list them; here they stand for nothing.
func foreignCalls() []string {
	return strings.Fields(`arc_gettls arc_settls arc_usr_cmpxchg atomic_barrier atomic_cmpxchg_32 cachectl getpagesize
		kern_features memory_ordering or1k_atomic perfctr syscall sysmips utrap_install`)
}
