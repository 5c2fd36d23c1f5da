package fdtest

import (
	"os"
	"testing"
)

func TestCount(t *testing.T) {
	before := Count(t)
	f, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	if n := Count(t); n != before+1 {
		t.Errorf("%d descriptors with one more open, %d before", n, before)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if n := Count(t); n != before {
		t.Errorf("%d descriptors when it is closed, %d before", n, before)
	}
}
