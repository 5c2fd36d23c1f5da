package setid

import "golang.org/x/sys/unix"

// isChmod says whether the number is chmod(2)'s, which younger architectures do
// not have.
func isChmod(nr uint32) bool { return nr == unix.SYS_CHMOD }

// legacyChange is the kind of a call that younger architectures do not have. first is the
// number of arguments before the path.
func legacyChange(nr uint32) (kind, first int) {
	switch nr {
	case unix.SYS_CHOWN:
		return legacyChown, 0
	case unix.SYS_LCHOWN:
		return legacyLchown, 0
	case unix.SYS_UTIMES:
		return legacyUtimes, 0
	case unix.SYS_FUTIMESAT:
		return legacyUtimes, 1
	case unix.SYS_UTIME:
		return legacyUtime, 0
	}
	return legacyNone, 0
}
