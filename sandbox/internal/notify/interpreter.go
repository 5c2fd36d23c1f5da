package notify

import (
	"path"
	"strconv"

	"golang.org/x/sys/unix"

	"sbx/policy/explain"
	"sbx/sandbox/internal/process"
)

// interpreter looks whether what the kernel starts for a script, or for a program with a
// dynamic loader, is there. It is looked for from the root inside.
func (t *trial) interpreter(p *place) {
	name := process.Interpreter("/proc/self/fd/" + strconv.Itoa(p.fd))
	if !path.IsAbs(name) {
		return
	}
	x, errno := t.open(path.Clean(name), 0, 0)
	if errno == 0 {
		unix.Close(x.fd)
		return
	}
	if errno == unix.ENOENT || errno == unix.ENOTDIR {
		t.out.At = path.Clean(name)
		t.fail(errno, explain.Interpret)
	}
}
