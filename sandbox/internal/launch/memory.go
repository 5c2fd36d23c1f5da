package launch

import (
	"encoding/binary"
	"os"
	"reflect"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/sandbox/internal/child"
	"sbx/sandbox/internal/process"
)

// ownMemory is where this process keeps its arguments and environment: the
// area that the kernel filled at exec, up to the file name that ends it, and
// the runtime's copies of the variables. With All, all else but the program itself is
// unmapped in the copies.
func ownMemory(f process.ClearMemory) step.Step {
	const page = 64 << 10 // the largest
	aux := auxiliary()
	start := uintptr(unsafe.Pointer(unsafe.StringData(os.Args[0])))
	end := aux[atExecFn]
	named := start < end && end-start < 1<<24
	if named {
		f.Regions = append(f.Regions, process.Region{Addr: start, Len: end - start})
		if end-start > uintptr(len("sbx-janitor..")) {
			f.Title = start
		}
	}
	own := ownProgram()
	if from, to := own.from, own.to; f.All && end != 0 && to != 0 {
		f.Local = own.local
		f.Top = (end + page) &^ (page - 1)
		f.Keep = append(f.Keep, [2]uintptr{from, to})
		if vdso := aux[atSysinfoEhdr]; vdso != 0 { // it may not be unmapped everywhere
			f.Keep = append(f.Keep, [2]uintptr{vdso - page, vdso + page})
		}
		if named {
			f.Keep = append(f.Keep, [2]uintptr{start, f.Top})
			return f
		}
	}
	for _, v := range os.Environ() {
		f.Regions = append(f.Regions, process.Region{
			Addr: uintptr(unsafe.Pointer(unsafe.StringData(v))),
			Len:  uintptr(len(v)),
		})
	}
	return f
}

// Entries of the auxiliary vector; see getauxval(3).
const (
	atPhdr        = 3
	atPhnum       = 5
	atExecFn      = 31 // the address of the file name, which stands behind the environment
	atSysinfoEhdr = 33
)

// auxiliary is read once, and the program looked for once: neither changes.
var (
	auxiliary  = sync.OnceValue(readAuxiliary)
	ownProgram = sync.OnceValue(func() programMemory { return findProgram(auxiliary()) })
)

func readAuxiliary() map[uintptr]uintptr {
	list, err := unix.Auxv()
	if err != nil {
		return nil
	}
	aux := make(map[uintptr]uintptr, len(list))
	for _, v := range list {
		aux[v[0]] = v[1]
	}
	return aux
}

// programMemory is where the program lies that this code belongs to, and the size of its
// thread-local memory. code is what cannot be written of it: code and constants.
type programMemory struct {
	from, to, local uintptr
	code            [2]uintptr
}

// findProgram finds that by the program's headers; see elf(5). All is 0 where it is not the
// process's main program, as in a shared library of C's.
func findProgram(aux map[uintptr]uintptr) (m programMemory) {
	const (
		load       = 1  // PT_LOAD
		writable   = 2  // PF_W
		tls        = 7  // PT_TLS
		headerSize = 56 // struct Elf64_Phdr
		headersAt  = 64 // behind struct Elf64_Ehdr
	)
	at, n := aux[atPhdr], aux[atPhnum]
	if at == 0 || n == 0 || n > 64 {
		return m
	}
	first := *(*unsafe.Pointer)(unsafe.Pointer(&at)) // the kernel's memory, not Go's
	headers := unsafe.Slice((*byte)(first), n*headerSize)
	bias, found, written := uintptr(0), false, false
	for i := uintptr(0); i < n; i++ {
		h := headers[i*headerSize : (i+1)*headerSize]
		offset, addr := uintptr(binary.NativeEndian.Uint64(h[8:])), uintptr(binary.NativeEndian.Uint64(h[16:]))
		size := uintptr(binary.NativeEndian.Uint64(h[40:]))
		switch binary.NativeEndian.Uint32(h) {
		case tls:
			m.local = size
			continue
		case load:
		default:
			continue
		}
		if offset <= headersAt && headersAt < offset+size && !found {
			bias, found = at-(addr+headersAt-offset), true
		}
		if m.from == 0 || addr < m.from {
			m.from = addr
		}
		m.to = max(m.to, addr+size)
		// Whole pages, so that none has data; the segments come by their addresses.
		mask := uintptr(os.Getpagesize()) - 1
		switch written = written || binary.NativeEndian.Uint32(h[4:])&writable != 0; {
		case written:
		case m.code[0] == 0:
			m.code = [2]uintptr{addr &^ mask, (addr + size) &^ mask}
		default:
			m.code[1] = (addr + size) &^ mask
		}
	}
	if code := reflect.ValueOf(child.Start).Pointer(); !found || code < m.from+bias || code >= m.to+bias {
		return programMemory{}
	}
	m.from, m.to = m.from+bias, m.to+bias
	m.code[0], m.code[1] = m.code[0]+bias, m.code[1]+bias
	return m
}
