package policy

import (
	"strings"
	"testing"
)

// TestCheckValue: a single value is checked as in a policy file.
func TestCheckValue(t *testing.T) {
	for _, c := range []struct{ key, value, want string }{
		{"files.read", "/srv", ""},
		{"files.read", "?${HOME}/x", ""},
		{"files.read", "srv", "neither absolute"},
		{"files.read", "/a/../b", "has a .."},
		{"files.read", "/a\x01", "control character"},
		{"process.env", "A=b", ""},
		{"process.env", "1A", "no environment entry"},
		{"limits.memory", "lots", "size"},
		{"files.nothing", "x", "no key"},
	} {
		err := CheckValue(c.key, c.value)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s = %q: %v, want %q", c.key, c.value, err, c.want)
		}
	}
}
