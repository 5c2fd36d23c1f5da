package child

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// TestCompiledRules reads what the compiler made of the package: nothing in it
// may call into the collector, the allocator or the stack's growth.
func TestCompiledRules(t *testing.T) {
	out, err := exec.Command("go", "build", "-buildvcs=false", "-gcflags=-S", "-o", "/dev/null", ".").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// Start, StartJanitor and Become run before the fork, Undo, NewStatus and Free never in the child;
	// wrappers of the race detector and the linker are not ours.
	function := regexp.MustCompile(`^(\S+) STEXT`)
	call := regexp.MustCompile(`\tCALL\t(runtime\.\S+)`)
	name, seen := "", 0
	for line := range strings.Lines(string(out)) {
		if m := function.FindStringSubmatch(line); m != nil {
			var ours bool
			if name, ours = strings.CutPrefix(m[1], "sbx/sandbox/internal/child."); !ours {
				name = "" // the compiler's own
			}
			seen++
			continue
		}
		if name == "" || name == "Start" || name == "StartJanitor" || name == "Become" || name == "Undo" || name == "NewStatus" ||
			name == "(*Status).Free" {
			continue
		}
		if m := call.FindStringSubmatch(line); m != nil {
			t.Errorf("%s calls %s", name, m[1])
		}
	}
	if seen < 10 {
		t.Fatalf("only %d functions were read from\n%s", seen, out)
	}
}
