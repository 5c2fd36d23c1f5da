// Package startlimits ends sbx with a message where a limit that it was started with is too
// low for the Go runtime, and has the runtime read no files at its start. It is for sbx itself:
// importing it is all that there is to do. A program that starts others by package syscall
// must not: they would have a soft limit of three open files.
package startlimits
