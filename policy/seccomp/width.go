package seccomp

// Width is how many bits of an argument a kernel of 64 bits reads: 64, 32 for
// an int, or 16 for a mode. A condition compares as many unless it says
// otherwise.
func (s Syscall) Width(arg int) int { return s.width(arg) }
