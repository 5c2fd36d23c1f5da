// Package many says how often a test tries what it draws at random.
package many

import (
	"os"
	"strconv"
)

// Times is n, what `make test` has time for, times SBX_MANY, a number that make soak sets.
// A value that is no number panics: the tests would say less than was asked.
func Times(n int) int {
	s := os.Getenv("SBX_MANY")
	if s == "" {
		return n
	}
	m, err := strconv.Atoi(s)
	if err != nil || m < 1 {
		panic("SBX_MANY=" + s + ": no number above 0")
	}
	return n * m
}
