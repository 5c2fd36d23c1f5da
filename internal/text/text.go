// Package text prepares what comes from others, names of files above all, for
// messages: a terminal obeys what is printed on it.
package text

import (
	"strconv"
	"strings"
	"unicode"
)

// Quote is s as it is where it is plain, and quoted as in Go where it is
// empty or holds a space, a quote, a control or invisible character, or one
// that changes the direction of writing.
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

// OneLine replaces every character that is not printed by "?", so that a
// message stays one line and moves no cursor. Names in it are quoted already;
// this is for what slipped through.
func OneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}
