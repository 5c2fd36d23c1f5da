//go:build !amd64

package setid

func isChmod(uint32) bool { return false }

func legacyChange(uint32) (kind, first int) { return legacyNone, 0 }
