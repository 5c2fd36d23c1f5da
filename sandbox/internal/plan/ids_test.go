package plan

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"sbx/ns"
	"sbx/policy"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/plantest"
)

// TestExtents checks to which id outside each id inside is mapped.
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

// TestRangesPlan checks the plan's order, and what it refuses.
func TestRangesPlan(t *testing.T) {
	yes := true
	p := &policy.Policy{
		Name:       "p",
		Namespaces: policy.Namespaces{User: "new", UID: plantest.Ptr(0), GID: plantest.Ptr(0), Ranges: &yes},
	}
	h := plantest.Debian(p, 1000)
	h.SubIDs = host.SubIDs{
		UIDs: []ns.Extent{{Outside: 100000, Count: 65536}},
		GIDs: []ns.Extent{{Outside: 200000, Count: 10}},
	}
	target := host.Target{Path: "/x", Args: []string{"x"}, Dir: "/"}
	plan, err := Build(p, plantest.AllowAll, target, h)
	if err != nil {
		t.Fatal(err)
	}
	text := plan.String()
	last := -1
	for _, want := range []string{
		"open /proc and verify it", "close the launcher's end of the socket",
		"let newuidmap map users 0 to 1000, 1-65536 to 100000-165535 and newgidmap groups 0 to 1000, 1-10 to 200000-200009",
		"drop the supplementary groups", "die with the launcher", "allow no user namespaces inside",
	} {
		at := strings.Index(text, want+"\n")
		if at <= last {
			t.Errorf("%q is missing or too early in\n%.1000s", want, text)
		}
		last = at
	}
	h.SubIDs.Err = &host.NeedError{What: "no ranges"}
	if _, err := Build(p, plantest.AllowAll, target, h); !errors.Is(err, h.SubIDs.Err) {
		t.Errorf("without any ranges: %v", err)
	}
	p.Namespaces = policy.Namespaces{Ranges: &yes}
	if _, err := Build(p, plantest.AllowAll, target, plantest.Debian(p, 0)); !errors.Is(err, host.WrongNamespace) {
		t.Errorf("ranges in the host's namespace: %v", err)
	}
}

// TestHold checks where the sandbox's first process waits for the launcher.
func TestHold(t *testing.T) {
	for _, c := range []struct {
		outside bool
		want    []string
	}{
		{false, []string{"close the launcher's end of the socket", "map user 1000 to 1000", "wait until the launcher has",
			"die with the launcher"}},
		{true, []string{"close the launcher's end of the socket", "wait until somebody else has mapped the ids",
			"drop the supplementary groups", "die with the launcher"}},
	} {
		p := &policy.Policy{Name: "p", Namespaces: policy.Namespaces{User: "new"}}
		target := host.Target{Path: "/x", Args: []string{"x"}, Dir: "/", Hold: true, MappedOutside: c.outside}
		plan, err := Build(p, plantest.AllowAll, target, plantest.Debian(p, 1000))
		if err != nil {
			t.Fatal(err)
		}
		text, last := plan.String(), -1
		for _, want := range c.want {
			at := strings.Index(text, want)
			if at <= last {
				t.Errorf("outside %v: %q is missing or too early in\n%.1000s", c.outside, want, text)
			}
			last = at
		}
		if has := strings.Contains(text, "map user"); has == c.outside {
			t.Errorf("outside %v: it maps ids: %v", c.outside, has)
		}
	}
	p := &policy.Policy{Name: "p", Namespaces: policy.Namespaces{User: "host"}}
	target := host.Target{Path: "/x", Args: []string{"x"}, Dir: "/", Hold: true, MappedOutside: true}
	if _, err := Build(p, plantest.AllowAll, target, plantest.Debian(p, 0)); !errors.Is(err, host.WrongNamespace) {
		t.Errorf("ids of the host's namespace: %v", err)
	}
}
