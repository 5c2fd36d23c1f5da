package step

import (
	"strconv"
	"unicode"
)

// Quote is s as it is where it is plain, and quoted as in Go where it is
// empty or holds a space, quote, control or invisible character or one that
// changes the direction of writing: names come from others, terminals obey.
func Quote(s string) string {
	for _, r := range s {
		if r <= ' ' || r == '"' || r == '\\' || r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return strconv.QuoteToGraphic(s)
		}
	}
	if s == "" {
		return `""`
	}
	return s
}
