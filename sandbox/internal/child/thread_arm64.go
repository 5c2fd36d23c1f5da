package child

// threadPointer is TPIDR_EL0.
func threadPointer() uintptr
