//go:build !amd64

package setid

func isChmod(int32) bool { return false }
