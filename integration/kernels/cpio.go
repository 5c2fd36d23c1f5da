package kernels

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"sbx/integration/kernels/job"
)

// initramfs is an archive of the "newc" format of cpio(5), which the kernel
// unpacks: an init, its jobs and the modules that it loads, all owned by root. It is not
// compressed, since under emulation unpacking takes longer than reading.
func initramfs(init string, modules []string, jobs []byte) ([]byte, error) {
	var out bytes.Buffer
	inode := 0
	entry := func(name string, mode, major, minor int, data []byte) {
		inode++
		fmt.Fprintf(&out, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
			inode, mode, 0, 0, 1, 0, len(data), 0, 0, major, minor, len(name)+1, 0, name)
		pad(&out)
		out.Write(data)
		pad(&out)
	}
	file := func(name, from string, mode int) error {
		data, err := os.ReadFile(from)
		if err == nil {
			entry(name, 0o100000|mode, 0, 0, data)
		}
		return err
	}
	entry("dev", 0o40755, 0, 0, nil)
	entry("dev/console", 0o20600, 5, 1, nil)
	entry(job.File[1:], 0o100644, 0, 0, jobs)
	entry("modules", 0o40755, 0, 0, nil)
	for _, m := range modules {
		if err := file("modules/"+filepath.Base(m), m, 0o644); err != nil {
			return nil, err
		}
	}
	if err := file("init", init, 0o755); err != nil {
		return nil, err
	}
	entry("TRAILER!!!", 0, 0, 0, nil)
	return out.Bytes(), nil
}

func pad(b *bytes.Buffer) {
	for b.Len()%4 != 0 {
		b.WriteByte(0)
	}
}
