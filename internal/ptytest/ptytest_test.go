package ptytest

import (
	"io"
	"strings"
	"syscall"
	"testing"
)

// early answers EIO before its last bytes, as the kernel can.
type early struct {
	reads []string
}

func (e *early) Read(b []byte) (int, error) {
	if len(e.reads) == 0 {
		return 0, syscall.EIO
	}
	s := e.reads[0]
	e.reads = e.reads[1:]
	if s == "" {
		return 0, syscall.EIO
	}
	return copy(b, s), nil
}

func TestCopy(t *testing.T) {
	for _, c := range []struct {
		reads []string
		want  string
	}{
		{nil, ""},
		{[]string{"all"}, "all"},
		{[]string{"first\n", "", "last\n"}, "first\nlast\n"},
	} {
		var b strings.Builder
		if err := Copy(&b, &early{c.reads}); err != nil || b.String() != c.want {
			t.Errorf("%q: %q, %v", c.reads, b.String(), err)
		}
	}
	if err := Copy(io.Discard, io.MultiReader(strings.NewReader("x"), failing{})); err != syscall.EBADF {
		t.Errorf("another error: %v", err)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, syscall.EBADF }
