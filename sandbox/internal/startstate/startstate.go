// Package startstate has what the process was started with and the Go runtime has
// changed since then: signal dispositions and mask, and the limit on open files.
// sbx gives them to the target unchanged, as execve(2) does.
package startstate
