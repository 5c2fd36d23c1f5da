package systemd

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// words splits a value as systemd does: at blanks, with quotes around what
// has blanks, which may begin and end anywhere in a word. Backslashes are
// refused.
func words(value string) ([]string, error) { return split(value, false) }

// assignments is words for Environment=, where backslashes begin escapes as in
// C. See systemd.syntax(7).
func assignments(value string) ([]string, error) { return split(value, true) }

func split(value string, escapes bool) ([]string, error) {
	var out []string
	var word strings.Builder
	inWord, quote, opened := false, byte(0), 0
	for i := 0; i < len(value); i++ {
		c := value[i]
		switch {
		case c == '\\' && !escapes:
			return nil, fmt.Errorf("%q: backslashes are not understood here", value)
		case c == '\\':
			text, n, err := unescape(value[i+1:])
			if err != nil {
				return nil, err
			}
			word.WriteString(text)
			inWord, i = true, i+n
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteByte(c)
		case c == '"' || c == '\'':
			quote, opened, inWord = c, i, true
		case c == ' ' || c == '\t':
			if inWord {
				out = append(out, word.String())
				word.Reset()
				inWord = false
			}
		default:
			word.WriteByte(c)
			inWord = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("%s: a quote that does not end", value[opened:])
	}
	if inWord {
		out = append(out, word.String())
	}
	return out, nil
}

// unescape reads what follows a backslash: the text it stands for and how many
// bytes it takes.
func unescape(s string) (text string, n int, err error) {
	if s == "" {
		return "", 0, fmt.Errorf("a backslash at the end")
	}
	if i := strings.IndexByte(`abfnrtv\"'s`, s[0]); i >= 0 {
		return "\a\b\f\n\r\t\v\\\"' "[i : i+1], 1, nil
	}
	digits, base, skip := 0, 16, 1
	switch c := s[0]; {
	case c == 'x':
		digits = 2
	case c == 'u':
		digits = 4
	case c == 'U':
		digits = 8
	case c >= '0' && c <= '7':
		digits, base, skip = 3, 8, 0
	default:
		return "", 0, fmt.Errorf("%q is no escape", `\`+s[:1])
	}
	if len(s) < skip+digits {
		return "", 0, fmt.Errorf("%q is no escape", `\`+s)
	}
	v, err := strconv.ParseUint(s[skip:skip+digits], base, 32)
	if err != nil || v == 0 {
		return "", 0, fmt.Errorf("%q is no escape", `\`+s[:skip+digits])
	}
	if digits <= 3 {
		if v > 0xff {
			return "", 0, fmt.Errorf("%q is no escape", `\`+s[:skip+digits])
		}
		return string([]byte{byte(v)}), skip + digits, nil
	}
	if !utf8.ValidRune(rune(v)) {
		return "", 0, fmt.Errorf("%q is no escape", `\`+s[:skip+digits])
	}
	return string(rune(v)), skip + digits, nil
}
