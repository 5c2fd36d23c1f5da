package setid

import "golang.org/x/sys/unix"

// isChmod says whether the number is chmod(2)'s, which younger architectures do
// not have.
func isChmod(nr uint32) bool { return nr == unix.SYS_CHMOD }
