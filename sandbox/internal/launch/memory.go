package launch

import (
	"encoding/binary"
	"os"
	"reflect"
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
	if from, to, local := programRange(aux); f.All && end != 0 && to != 0 {
		f.Local = local
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

func auxiliary() map[uintptr]uintptr {
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

// programRange is where the program lies that this code belongs to, by its program
// headers, and the size of its thread-local memory; see elf(5). All are 0 where that is not
// the process's main program, as in a shared library of C's.
func programRange(aux map[uintptr]uintptr) (from, to, local uintptr) {
	const (
		load       = 1  // PT_LOAD
		tls        = 7  // PT_TLS
		headerSize = 56 // struct Elf64_Phdr
		headersAt  = 64 // behind struct Elf64_Ehdr
	)
	at, n := aux[atPhdr], aux[atPhnum]
	if at == 0 || n == 0 || n > 64 {
		return 0, 0, 0
	}
	first := *(*unsafe.Pointer)(unsafe.Pointer(&at)) // the kernel's memory, not Go's
	headers := unsafe.Slice((*byte)(first), n*headerSize)
	bias, found := uintptr(0), false
	for i := uintptr(0); i < n; i++ {
		h := headers[i*headerSize : (i+1)*headerSize]
		offset, addr := uintptr(binary.NativeEndian.Uint64(h[8:])), uintptr(binary.NativeEndian.Uint64(h[16:]))
		size := uintptr(binary.NativeEndian.Uint64(h[40:]))
		switch binary.NativeEndian.Uint32(h) {
		case tls:
			local = size
			continue
		case load:
		default:
			continue
		}
		if offset <= headersAt && headersAt < offset+size && !found {
			bias, found = at-(addr+headersAt-offset), true
		}
		if from == 0 || addr < from {
			from = addr
		}
		to = max(to, addr+size)
	}
	if code := reflect.ValueOf(child.Start).Pointer(); !found || code < from+bias || code >= to+bias {
		return 0, 0, 0
	}
	return from + bias, to + bias, local
}
