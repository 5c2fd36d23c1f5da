// Package text makes strings from elsewhere, mostly file names, safe to print: a terminal
// would obey control characters in them.
package text

import (
	"strconv"
	"strings"
	"unicode"
)

// Quote returns s unchanged where it is plain. It returns s quoted as in Go where s is
// empty or contains a space, a quote, a control or invisible character, or one that
// changes the direction of writing.
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

// OneLine replaces every character that is not printable by "?", so that a message is one
// line and moves no cursor. Names in messages are quoted already; this is the safety net.
func OneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}
