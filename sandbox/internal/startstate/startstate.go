// Package startstate has what the process was started with and the Go runtime has
// changed since then: signal dispositions and mask, the limit on open files, and the
// signal for the death of the parent, which is its first thread's alone.
// sbx gives them to the target unchanged, as execve(2) does.
package startstate
