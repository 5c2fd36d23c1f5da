package launch

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/sandbox/internal/process"
)

// ownMemory is where this process keeps its arguments and environment: the
// area that the kernel filled at exec, up to the file name that ends it, and
// the runtime's copies of the variables.
func ownMemory(who string) step.Step {
	f := process.ClearMemory{Who: who}
	start := uintptr(unsafe.Pointer(unsafe.StringData(os.Args[0])))
	if end := execName(); start < end && end-start < 1<<24 {
		f.Regions = append(f.Regions, process.Region{Addr: start, Len: end - start})
		if end-start > uintptr(len("sbx-janitor..")) {
			f.Title = start
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

// execName is the address of AT_EXECFN, which stands behind the environment;
// see getauxval(3).
func execName() uintptr {
	const atExecFn = 31
	aux, err := unix.Auxv()
	if err != nil {
		return 0
	}
	for _, v := range aux {
		if v[0] == atExecFn {
			return v[1]
		}
	}
	return 0
}
