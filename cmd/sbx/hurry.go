package main

import (
	"math"
	"runtime/debug"

	"sbx/internal/timerslack"
)

// hurry has nothing be collected while a launch is prepared, unless it takes very much
// memory: while threads are woken seldom (see timerslack) a collection takes 50 ms.
// underWay ends that.
func hurry() {
	const most = 64 << 20
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(most)
}

// underWay is called before the thread that supervises forks, or executes sbx once more.
func underWay() error {
	debug.SetMemoryLimit(math.MaxInt64)
	debug.SetGCPercent(100)
	return timerslack.Restore()
}
