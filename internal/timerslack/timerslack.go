// Package timerslack has the kernel wake the Go runtime's watcher seldom while sbx
// prepares a launch. The watcher, a thread, sleeps for 20 microseconds at a time
// while anything runs: some fifty wake-ups a launch, on another processor than the
// one that works. How exactly a thread is woken is its timer slack; see
// PR_SET_TIMERSLACK in prctl(2). Threads take it over from the one that makes them.
// So a constructor, which runs before the Go runtime, makes it coarse, and whoever
// imports this package calls Restore on the thread that needs exact timers, or
// forks, before it does.
//
// It is for a program that is about to wait, not for a library: all threads of the
// process that imports it are affected.
package timerslack
