package trial

import "testing"

// TestConfirmed: what is as expected is tried once, and what is not is believed only when it
// comes twice.
func TestConfirmed(t *testing.T) {
	works, fails := Outcome{Works: true}, Outcome{Errno: 1}
	untried := Outcome{Untried: "not here"}
	for _, c := range []struct {
		denied bool
		come   []Outcome
		want   Outcome
	}{
		{true, []Outcome{fails}, fails},
		{false, []Outcome{works}, works},
		{true, []Outcome{works, fails}, fails},
		{true, []Outcome{works, works}, works},
		{false, []Outcome{fails, works}, works},
		{false, []Outcome{fails, fails}, fails},
		{false, []Outcome{untried}, untried},
		{true, []Outcome{untried}, untried},
	} {
		tries := 0
		got := confirmed(c.denied, func() Outcome { tries++; return c.come[tries-1] })
		if got != c.want || tries != len(c.come) {
			t.Errorf("denied %v, %v: %v after %d tries, want %v after %d", c.denied, c.come, got, tries, c.want, len(c.come))
		}
	}
}
