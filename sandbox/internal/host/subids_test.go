package host

import (
	"fmt"
	"strings"
	"testing"
)

// TestParseSub checks how strictly /etc/subuid is read.
func TestParseSub(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"u:100000:65536\n", "[0-65535 to 100000-165535]"},
		{"# a comment\n\nother:x:y:z\n1000:100000:2\nu:5:1\nother:7\n", "[0-1 to 100000-100001 2 to 5]"},
		{"u:100000:65536", "[0-65535 to 100000-165535]"},
		{"u:1001:4294966294", "[0-4294966293 to 1001-4294967294]"},
		{"other:1:2\n", "f gives user u none"},
		{"", "f gives user u none"},
		{"x:1:2\nu:1\n", "f:2: u:1: not three fields"},
		{"u:1:2:3", "not three fields"},
		{"u:0:2", "it begins with root"},
		{"u:1:0", "it has no ids"},
		{"u:2:4294967294", "beyond the last"},
		{"u:4294967295:1", "not a number"},
		{"u:100:1\nu:100:1", "f:2: u:100:1: it overlaps"},
		{"u:100:10\nu:95:6", "overlaps"},
		{"u:999:2", "the caller's own 1000"},
		{strings.Repeat("u:1:1\n", 1), "[0 to 1]"},
		{"u:0x10:1", "not a number"}, {"u:+1:1", "not a number"}, {"u:-1:1", "not a number"}, {"u:01:1", "not a number"},
		{"u: 1:1", "not a number"}, {"u:1:1 ", "not a number"}, {"u:1:1\r", "not a number"}, {"u::1", "not a number"},
		{"u:99999999999999999999:1", "not a number"},
	} {
		list, err := parseSub("f", c.text, "u", 1000, 1000)
		next := uint32(0)
		for i := range list {
			list[i].Inside = next
			next += list[i].Count
		}
		if got := fmt.Sprint(list); err == nil && got != c.want || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, %v; want %s", c.text, got, err, c.want)
		}
	}
	long := ""
	for i := range 101 {
		long += fmt.Sprintf("u:%d:1\n", 2000+i)
	}
	if _, err := parseSub("f", long, "u", 1000, 1000); err == nil || !strings.Contains(err.Error(), "more than 100") {
		t.Errorf("101 ranges: %v", err)
	}
}
