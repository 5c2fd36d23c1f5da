package launch

import (
	"time"

	"golang.org/x/sys/unix"
)

// keys are when the user last typed those that the terminal makes signals of.
type keys struct {
	ends [3]time.Time // those that ask to end, the last one last
	end  unix.Signal  // that of the last one
	stop time.Time
}

// impatience is how fast three keys that ask to end must be typed to end it all.
const impatience = time.Second

// onKey notes a key. Three that ask to end within a second end a target that
// makes nothing of them.
func (ps *Process) onKey(sig unix.Signal) {
	now := time.Now()
	k := &ps.keys
	switch {
	case sig == unix.SIGTSTP:
		k.stop = now
	case sig == unix.SIGINT || sig == unix.SIGQUIT:
		ps.told = true
		k.ends, k.end = [3]time.Time{k.ends[1], k.ends[2], now}, sig
		if now.Sub(k.ends[0]) <= impatience {
			// A moment, for the third may be the one that it heeds.
			ps.endAt(now.Add(100*time.Millisecond), "ended, since Ctrl-C was typed three times within a second")
		}
	}
}

// stopKey says whether the target was stopped by a key, directly or because it
// made that of it, and forgets the key.
func (ps *Process) stopKey(by unix.Signal) bool {
	typed := time.Since(ps.keys.stop) < 2*time.Second
	ps.keys.stop = time.Time{}
	return typed && by == unix.SIGTSTP
}

// endKey says whether the target died of a key.
func (ps *Process) endKey(by unix.Signal) bool {
	return by == ps.keys.end && time.Since(ps.keys.ends[2]) < 2*time.Second
}
