package notify

import (
	"strings"
	"testing"

	"sbx/policy/seccomp"
	"sbx/sandbox/internal/unotify"
)

func TestSocketAddress(t *testing.T) {
	for in, want := range map[string]string{
		"\x02\x00\x00\x50\x7f\x00\x00\x01" + strings.Repeat("\x00", 8):                       "127.0.0.1:80",
		"\x0a\x00\x01\xbb" + strings.Repeat("\x00", 19) + "\x01" + strings.Repeat("\x00", 4): "[::1]:443",
		"\x01\x00/run/x.sock\x00garbage":                                                     "/run/x.sock",
		"\x01\x00\x00name":                                                                   "@name",
		"\x01\x00":                                                                           "",
		"\x02\x00\x00":                                                                       "an address of family 2",
		"\x10\x00":                                                                           "an address of family 16",
	} {
		if got := socketAddress([]byte(in)); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestField(t *testing.T) {
	const status = "Name:\tTgid: 9\nTgid:\t12\nNStgid:\t12\t3\nSigIgn:\tffffffff80000000\nEmpty:\n"
	for name, want := range map[string]int{"Tgid:": 12, "NStgid:": 3, "Empty:": 0, "None:": 0} {
		if got := field(status, name, 10); got != want {
			t.Errorf("%s %d, want %d", name, got, want)
		}
	}
	if got := field(status, "SigIgn:", 16); uint64(got) != 0xffffffff80000000 {
		t.Errorf("%#x", got)
	}
}

// TestBounds: however many kinds of calls are denied, a bounded number is kept, and the
// rest is counted.
func TestBounds(t *testing.T) {
	l, err := New(nil, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	const calls = 1_000_000
	perm := seccomp.Action{Kind: seccomp.Errno, Errno: 1}
	l.looked = maxLooks // no process to look at
	for i := range uint32(calls) {
		l.request = unotify.Request{Number: i % 5000, Audit: seccomp.AMD64.Audit()}
		l.note(perm, -1)
	}
	r := l.Record()
	total := r.Dropped
	for _, d := range r.Denials {
		total += d.Count
	}
	if len(r.Denials) != maxDenials || total != calls || !r.Coarse || len(l.denials) > maxDenials ||
		len(l.coarse) > maxDenials || len(l.params) > maxDenials+1 {
		t.Errorf("%d denials with %d calls, %d dropped, of %d", len(r.Denials), total, r.Dropped, calls)
	}
}
