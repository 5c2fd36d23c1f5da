package startlimits

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// TestRestore: this test's own program was started with few descriptors to have, and after Restore
// has all, and so has what it starts.
func TestRestore(t *testing.T) {
	var l syscall.Rlimit
	if err := Restore(); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		t.Fatal(err)
	}
	if l.Cur != l.Max {
		t.Errorf("the limit on open files is %d, want %d", l.Cur, l.Max)
	}
	out, err := exec.Command("/bin/sh", "-c", "ulimit -Sn; ulimit -Hn").Output()
	if err != nil {
		t.Fatal(err)
	}
	if f := strings.Fields(string(out)); len(f) != 2 || f[0] != f[1] || f[0] == "3" {
		t.Errorf("what is started may open %q files", f)
	}
	if f, err := os.Open("/proc/self/status"); err != nil {
		t.Error(err)
	} else {
		f.Close()
	}
}
