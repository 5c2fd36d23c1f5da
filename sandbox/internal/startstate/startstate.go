// Package startstate tells what the process was started with where the Go
// runtime has changed it since: signal dispositions and mask, and the limit on
// open files. A prefix command hands them on as it got them, as execve(2) does.
package startstate
