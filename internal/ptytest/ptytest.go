// Package ptytest reads what programs show on a pseudo-terminal of a test.
package ptytest

import (
	"errors"
	"io"
	"syscall"
)

// Copy copies what the pseudo-terminal with that master shows to w, until nobody has the other
// side open. The kernel first looks whether there are bytes, and then whether the other side is
// closed: a program that writes and ends between the two makes the read fail with EIO, and
// its bytes come with the next one.
func Copy(w io.Writer, master io.Reader) error {
	for range 2 {
		if _, err := io.Copy(w, master); !errors.Is(err, syscall.EIO) {
			return err
		}
	}
	return nil
}
