// Package startlimits ends sbx with a message where a limit that it was started with is too
// low for the Go runtime. It is for sbx itself: importing it is all that there is to do.
package startlimits
