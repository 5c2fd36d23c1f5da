package ns_test

import (
	"fmt"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/ns"
)

// Steps are data: they print as lines of the plan, and compile to the system
// calls that a child makes in order.
func Example() {
	steps := []step.Step{
		ns.Bind{Source: "/usr", Dest: "/usr"},
		ns.Bind{Source: "/srv/data", Dest: "/data", Write: true},
		ns.Tmpfs{Path: "/tmp", Mode: 0o1777, Size: "64M"},
	}
	asm := &step.Asm{}
	for i, s := range steps {
		asm.Begin(i)
		s.Compile(asm)
		fmt.Println(s)
	}
	fmt.Println(asm.Len() > len(steps)) // each takes several calls
	// Output:
	// bind /usr read-only
	// bind /srv/data at /data writable
	// mount a private tmpfs at /tmp, mode 1777, size 64M
	// true
}

// A Set holds flags of clone(2).
func ExampleSet() {
	fmt.Println(ns.User | ns.Mount | ns.PID)
	fmt.Println(ns.Set(unix.CLONE_NEWNET).Names())
	// Output:
	// user mount pid
	// [net]
}
