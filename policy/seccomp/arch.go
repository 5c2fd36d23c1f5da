package seccomp

import "runtime"

// Arch is an architecture as the kernel's filters see it: a number in
// seccomp_data.arch, and for x32 a bit in the call's number besides.
type Arch uint8

// The architectures that the table has numbers for. Filters are compiled for
// those that Compiles reports.
const (
	AMD64 Arch = iota
	ARM64
	I386
	ARM
	X32
	RISCV64
	PPC64LE
	S390X
	numArches
)

// X32Bit is set in every system call number of x32, which shares its
// seccomp_data.arch with amd64.
const X32Bit = 0x40000000

var archNames = [numArches]string{"amd64", "arm64", "386", "arm", "x32", "riscv64", "ppc64le", "s390x"}

// archAliases are what else people call them: uname(1), systemd, Debian, OCI.
var archAliases = [...]struct {
	name string
	arch Arch
}{
	{"x86_64", AMD64}, {"x86-64", AMD64}, {"aarch64", ARM64}, {"x86", I386}, {"i386", I386}, {"i686", I386},
	{"armhf", ARM}, {"armv7l", ARM}, {"SCMP_ARCH_X86_64", AMD64}, {"SCMP_ARCH_AARCH64", ARM64},
	{"SCMP_ARCH_X86", I386}, {"SCMP_ARCH_ARM", ARM}, {"SCMP_ARCH_X32", X32}, {"SCMP_ARCH_RISCV64", RISCV64},
	{"SCMP_ARCH_PPC64LE", PPC64LE}, {"SCMP_ARCH_S390X", S390X},
}

// String is the name that Go, and a policy, has for the architecture.
func (a Arch) String() string {
	if a >= numArches {
		return "unknown"
	}
	return archNames[a]
}

// Audit is the AUDIT_ARCH_* value in seccomp_data.arch.
func (a Arch) Audit() uint32 {
	switch a {
	case AMD64, X32:
		return 0xc000003e
	case ARM64:
		return 0xc00000b7
	case I386:
		return 0x40000003
	case ARM:
		return 0x40000028
	case RISCV64:
		return 0xc00000f3
	case PPC64LE:
		return 0xc0000015
	case S390X:
		return 0x80000016
	}
	return 0
}

// Compiles reports whether filters for programs of the architecture can be
// made: of the others only names and numbers are known.
func (a Arch) Compiles() bool { return a <= X32 }

// Wide reports whether arguments are 64 bits wide.
func (a Arch) Wide() bool { return a != I386 && a != ARM }

// Runs reports whether a kernel of architecture a may run programs of b.
func (a Arch) Runs(b Arch) bool {
	switch a {
	case AMD64:
		return b == AMD64 || b == I386 || b == X32
	case ARM64:
		return b == ARM64 || b == ARM
	}
	return a == b
}

// Native is the architecture sbx was built for.
func Native() Arch {
	for a, name := range archNames {
		if name == runtime.GOARCH {
			return Arch(a)
		}
	}
	return numArches
}

// Arches lists all architectures.
func Arches() []Arch {
	out := make([]Arch, numArches)
	for i := range out {
		out[i] = Arch(i)
	}
	return out
}

// ParseArch finds an architecture by Go's, the kernel's or the OCI's name.
func ParseArch(name string) (Arch, error) {
	for a, n := range archNames {
		if n == name {
			return Arch(a), nil
		}
	}
	for _, alias := range archAliases {
		if alias.name == name {
			return alias.arch, nil
		}
	}
	return 0, unknown("architecture", name, func(yield func(string) bool) {
		for _, n := range archNames {
			if !yield(n) {
				return
			}
		}
	})
}

// LookupArch finds the architecture of a seccomp_data.arch value and a system
// call number, which tells x32 from amd64.
func LookupArch(audit, nr uint32) (Arch, bool) {
	if audit == AMD64.Audit() && IsX32(nr) {
		return X32, true
	}
	for a := range numArches {
		if a != X32 && a.Audit() == audit {
			return a, true
		}
	}
	return 0, false
}

// IsX32 reports whether the kernel takes the number of an amd64 call for one
// of x32. The number -1, by which a tracer skips a call, is none.
func IsX32(nr uint32) bool { return nr&X32Bit != 0 && nr != 0xffffffff }
