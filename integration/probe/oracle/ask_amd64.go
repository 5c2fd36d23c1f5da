package oracle

const auditI386 = 0x40000003

func narrow(audit uint32) bool { return audit == auditI386 }

//go:nosplit
//go:norace
func ask(audit, nr uint32, a *[6]uint64) int64 {
	if audit == auditI386 {
		return int64(int32(int80(nr, a)))
	}
	return native(nr, a)
}

// int80 makes a call as 32-bit programs do.
//
//go:noescape
func int80(nr uint32, a *[6]uint64) uint32
