package main

import (
	"math"
	"runtime/debug"

	"sbx/internal/timerslack"
)

// hurry has nothing be collected while a launch is prepared, unless it takes very much
// memory: while threads are woken seldom (see timerslack) a collection takes 50 ms.
// collect ends that.
func hurry() {
	const most = 64 << 20
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(most)
}

// hurried allows more memory where there is more to do when the target has ended. Nothing is
// collected for that either, unless it takes very much: see hurry.
func (l *launch) hurried() {
	const most = 256 << 20
	if l.learn != nil || l.Explain || l.Review != "" {
		debug.SetMemoryLimit(most)
	}
}

// collect has memory be collected as usual. It is called when the target has run for a while: where
// much was searched, the first collection would hold the launch up.
func collect() {
	debug.SetMemoryLimit(math.MaxInt64)
	debug.SetGCPercent(100)
}

// underWay is called before the thread that supervises forks, or executes sbx once more.
func underWay() error { return timerslack.Restore() }
