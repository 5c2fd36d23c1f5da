package sandbox

import (
	"fmt"
	"strings"
	"testing"

	"sbx/ns"
	"sbx/policy"
)

// TestParseSub holds how strictly /etc/subuid is read.
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
		{"u: 1:1", "not a number"}, {"u:1:1 ", "not a number"}, {"u:1:1\r", "not a number"}, {"u::1", "not a number"}, {"u:99999999999999999999:1", "not a number"},
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

// TestExtents holds which inside id is whose.
func TestExtents(t *testing.T) {
	sub := []ns.Extent{{Outside: 100000, Count: 10}, {Outside: 500, Count: 5}}
	for _, c := range []struct {
		inside int
		want   string
	}{
		{0, "[0 to 1000 1-10 to 100000-100009 11-15 to 500-504]"},
		{1, "[0 to 100000 1 to 1000 2-10 to 100001-100009 11-15 to 500-504]"},
		{9, "[0-8 to 100000-100008 9 to 1000 10 to 100009 11-15 to 500-504]"},
		{10, "[0-9 to 100000-100009 10 to 1000 11-15 to 500-504]"},
		{14, "[0-9 to 100000-100009 10-13 to 500-503 14 to 1000 15 to 504]"},
		{15, "[0-9 to 100000-100009 10-14 to 500-504 15 to 1000]"},
		{4000, "[0-9 to 100000-100009 10-14 to 500-504 4000 to 1000]"},
	} {
		if got, err := extents(c.inside, 1000, sub); err != nil || fmt.Sprint(got) != c.want {
			t.Errorf("inside %d: %v, %v; want %s", c.inside, got, err, c.want)
		}
	}
	if _, err := extents(0, 1000, []ns.Extent{{Outside: 1, Count: 1 << 31}, {Outside: 1, Count: 1 << 31}}); err == nil {
		t.Error("more ids than there are")
	}
}

// TestRangesPlan holds the plan's order, and what it refuses.
func TestRangesPlan(t *testing.T) {
	yes := true
	p := &policy.Policy{Name: "p", Namespaces: policy.Namespaces{User: "new", UID: ptr(0), GID: ptr(0), Ranges: &yes}}
	h := debian(p, 1000)
	h.Sub = Sub{UIDs: []ns.Extent{{Outside: 100000, Count: 65536}}, GIDs: []ns.Extent{{Outside: 200000, Count: 10}}}
	target := Target{Path: "/x", Args: []string{"x"}, Dir: "/"}
	plan, err := Build(p, allowAll, target, h)
	if err != nil {
		t.Fatal(err)
	}
	text := plan.String()
	last := -1
	for _, want := range []string{"open /proc and verify it", "let go of the launcher's socket", "let newuidmap map users 0 to 1000, 1-65536 to 100000-165535 and newgidmap groups 0 to 1000, 1-10 to 200000-200009",
		"drop the supplementary groups", "die with the launcher", "allow no user namespaces inside"} {
		at := strings.Index(text, want+"\n")
		if at <= last {
			t.Errorf("%q is missing or too early in\n%.1000s", want, text)
		}
		last = at
	}
	h.Sub.Err = &NeedError{What: "no ranges"}
	if _, err := Build(p, allowAll, target, h); err == nil || err.Error() != "no ranges" {
		t.Errorf("ranges that are not there: %v", err)
	}
	p.Namespaces = policy.Namespaces{Ranges: &yes}
	if _, err := Build(p, allowAll, target, debian(p, 0)); err == nil || !strings.Contains(err.Error(), "not a new one") {
		t.Errorf("ranges in the host's namespace: %v", err)
	}
}
