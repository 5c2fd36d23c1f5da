package integration

import (
	"fmt"
	"strings"
	"testing"
)

// TestLowLimits: with too little of anything to start in, sbx says which and
// ends with 125, never with what could be the program's status.
func TestLowLimits(t *testing.T) {
	limits := []string{"-s 24", "-s 63", "-v 100000", "-v 700000", "-d 70000"}
	if !asRoot() {
		limits = append(limits, "-u 0", "-u 1", "-u 5", "-u 7") // which counts for root as none
	}
	for _, limit := range limits {
		r := run(t, call{dir: t.TempDir(), args: []string{"/bin/bash", "-c",
			fmt.Sprintf(`ulimit %s; exec "$0" -- sh -c 'echo ran'`, limit), binary("sbx")}})
		if r.status != 125 || r.stdout != "" || !strings.HasPrefix(r.stderr, "sbx: error: ") ||
			!strings.Contains(r.stderr, "ulimit "+limit[:2]) {
			t.Errorf("ulimit %s: %v", limit, r)
		}
	}
	for _, limit := range []string{"-s 64", "-v 1000000", "-d 200000", "-u 100"} {
		r := run(t, call{dir: t.TempDir(), args: []string{"/bin/bash", "-c",
			fmt.Sprintf(`ulimit %s; exec "$0" -- bash -c 'ulimit %s'`, limit, limit[:2]), binary("sbx")}})
		r.want(t, 0, strings.TrimSpace(limit[2:]))
	}
}
