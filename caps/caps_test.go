package caps

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/syndtr/gocapability/capability"
	"golang.org/x/sys/unix"
)

func TestNames(t *testing.T) {
	list := capability.List()
	if len(list) != len(names) {
		t.Fatalf("%d names, gocapability has %d: go generate ./caps", len(names), len(list))
	}
	for n, c := range list {
		if names[n] != c.String() || int(c) != n {
			t.Errorf("number %d is %s, gocapability says %s", n, names[n], c)
		}
		for _, s := range []string{c.String(), "cap_" + c.String(), "CAP_" + strings.ToUpper(c.String())} {
			if got, err := Parse(s); err != nil || got != 1<<n {
				t.Errorf("Parse(%s) = %v, %v", s, got, err)
			}
		}
	}
	if Kill.String() != "kill" || Admin.String() != "sys_admin" || Set(0).String() != "none" {
		t.Errorf("names %s, %s, %s", Kill, Admin, Set(0))
	}
	if got := (Kill | 1<<62).String(); got != "kill,62" {
		t.Errorf("a capability younger than the table: %s", got)
	}
	for _, bad := range []string{"", "cap_", "net_admin ", "all", "39"} {
		if s, err := Parse(bad); err == nil {
			t.Errorf("Parse(%q) = %v", bad, s)
		}
	}
}

// TestLast compares with what /proc says.
func TestLast(t *testing.T) {
	b, err := os.ReadFile("/proc/sys/kernel/cap_last_cap")
	if err != nil {
		t.Fatal(err)
	}
	want, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Last(); err != nil || got != want {
		t.Errorf("Last() = %d, %v, want %d", got, err, want)
	}
}

func TestSecurebits(t *testing.T) {
	// capabilities(7): every flag is locked, and KEEP_CAPS is never set.
	for _, s := range []Securebits{{}, {RootKeeps: true}} {
		b := s.Bits()
		if b&0xaa != 0xaa || b&0x10 != 0 {
			t.Errorf("%v: bits %#x", s, b)
		}
		if noroot := b&1 != 0; noroot == s.RootKeeps {
			t.Errorf("%v: bits %#x", s, b)
		}
		if fixup := b&4 == 0; fixup != s.RootKeeps {
			t.Errorf("%v: root's workers would keep its capabilities, bits %#x", s, b)
		}
	}
}

func TestOwn(t *testing.T) {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var d [2]unix.CapUserData
	if err := unix.Capget(&hdr, &d[0]); err != nil {
		t.Fatal(err)
	}
	eff, prm, err := Own()
	if err != nil || uint32(eff) != d[0].Effective || uint32(eff>>32) != d[1].Effective ||
		uint32(prm) != d[0].Permitted || uint32(prm>>32) != d[1].Permitted {
		t.Errorf("Own() = %x, %x, %v", uint64(eff), uint64(prm), err)
	}
}

// TestBounded compares with /proc/self/status.
func TestBounded(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	b, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "CapBnd:")
	line, _, _ := strings.Cut(rest, "\n")
	want, err := strconv.ParseUint(strings.TrimSpace(line), 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	if got := Bounded(^Set(0)); got != Set(want) {
		t.Errorf("Bounded() = %x, want %x", uint64(got), want)
	}
}
