package notify

import (
	"time"

	"sbx/policy/explain"
)

// maxEvents is how many denied calls are told in a second.
const maxEvents = 100

// events tell of denied calls as they happen.
type events struct {
	tell   func(d explain.Denial, untold uint64)
	second int64 // of the last one, in the time since 1970
	told   int   // in that second
	untold uint64
}

// Tell has tell called for each denied call as it happens, at most 100 times in a second.
// untold is how many were not told since the last one.
func (l *Listener) Tell(tell func(d explain.Denial, untold uint64)) { l.events.tell = tell }

func (l *Listener) tell(k key) {
	e := &l.events
	if now := time.Now().Unix(); now != e.second {
		e.second, e.told = now, 0
	}
	if e.told == maxEvents {
		e.untold++
		return
	}
	e.told++
	e.tell(*l.denial(k), e.untold)
	e.untold = 0
}
