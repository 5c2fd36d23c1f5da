//go:build !amd64

package setid

func isChmod(uint32) bool { return false }
