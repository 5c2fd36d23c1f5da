package policy

import "testing"

func TestTruth(t *testing.T) {
	yes, no := true, false
	for _, c := range []struct {
		b                *bool
		isTrue, notFalse bool
	}{{nil, false, true}, {&no, false, false}, {&yes, true, true}} {
		if IsTrue(c.b) != c.isTrue || NotFalse(c.b) != c.notFalse {
			t.Errorf("%v: IsTrue %v, NotFalse %v", c.b, IsTrue(c.b), NotFalse(c.b))
		}
	}
}
