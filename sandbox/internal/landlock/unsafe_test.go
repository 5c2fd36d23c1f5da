package landlock

import "unsafe"

// pointer is the place in a table's memory, which is not Go's.
func pointer(addr uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&addr)) }
