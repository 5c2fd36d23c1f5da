// Package systemd reads what systemd units say of sandboxing into policies,
// and writes policies as units say it. See systemd.exec(5).
package systemd

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxSize is the most bytes a unit may have.
const MaxSize = 1 << 20

// Error says where in a unit something is wrong, and what.
type Error struct {
	// File is what the caller calls the unit; Line counts from 1.
	File string
	Line int
	// Msg names the offending text.
	Msg string
}

// Error is file:line: and the message.
func (e *Error) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Msg) }

// setting is one KEY=VALUE of a unit.
type setting struct {
	line       int
	key, value string
}

// parseUnit lists the settings of a unit's sections that run something:
// [Service], [Socket], [Mount] and [Swap]. Lines without a section are taken
// for [Service]'s, so that a fragment can be read.
func parseUnit(file string, data []byte) ([]setting, error) {
	if len(data) > MaxSize {
		return nil, &Error{file, 1, fmt.Sprintf("more than %d bytes, the most a unit may have", MaxSize)}
	}
	if !utf8.Valid(data) {
		return nil, &Error{file, 1, "not UTF-8"}
	}
	var out []setting
	section, pending, first := "Service", "", 0
	lines := strings.Split(string(data), "\n")
	for i, line := range lines {
		fail := func(format string, args ...any) error { return &Error{file, i + 1, fmt.Sprintf(format, args...)} }
		trimmed := strings.TrimSpace(line)
		if trimmed == "" && pending == "" || strings.HasPrefix(trimmed, "#") || strings.HasPrefix(trimmed, ";") {
			continue // comments may stand between continued lines, too
		}
		if pending == "" {
			first = i + 1
		}
		if more, ok := strings.CutSuffix(strings.TrimRight(line, " \t\r"), `\`); ok {
			if i == len(lines)-1 {
				return nil, fail("the last line goes on")
			}
			pending += more + " "
			continue
		}
		trimmed = strings.TrimSpace(pending + line)
		pending = ""
		if strings.HasPrefix(trimmed, "[") {
			name, ok := strings.CutSuffix(trimmed[1:], "]")
			if !ok || name == "" {
				return nil, fail("%q is no section", trimmed)
			}
			section = name
			continue
		}
		key, value, ok := strings.Cut(trimmed, "=")
		key = strings.TrimSpace(key)
		if !ok || key == "" || strings.ContainsAny(key, " \t\"") {
			return nil, fail("%q is no KEY=VALUE", trimmed)
		}
		switch section {
		case "Service", "Socket", "Mount", "Swap":
			out = append(out, setting{first, key, strings.TrimSpace(value)})
		}
	}
	return out, nil
}

// words splits a value as systemd does: at blanks, with quotes around what has
// blanks. Backslashes and specifiers are refused but for %%: they stand for
// what only systemd knows.
func words(value string) ([]string, error) {
	var out []string
	for rest := strings.TrimLeft(value, " \t"); rest != ""; rest = strings.TrimLeft(rest, " \t") {
		var w string
		if q := rest[0]; q == '"' || q == '\'' {
			end := strings.IndexByte(rest[1:], q)
			if end < 0 {
				return nil, fmt.Errorf("%s: a quote that does not end", rest)
			}
			w, rest = rest[1:1+end], rest[2+end:]
			if rest != "" && rest[0] != ' ' && rest[0] != '\t' {
				return nil, fmt.Errorf("%q follows a quoted word", rest)
			}
		} else {
			end := strings.IndexAny(rest, " \t")
			if end < 0 {
				end = len(rest)
			}
			w, rest = rest[:end], rest[end:]
			if strings.ContainsAny(w, `"'`) {
				return nil, fmt.Errorf("%q: a quote inside a word", w)
			}
		}
		if strings.ContainsAny(w, `\`) {
			return nil, fmt.Errorf("%q: backslashes are not understood here", w)
		}
		plain := strings.ReplaceAll(w, "%%", "\x00")
		if i := strings.IndexByte(plain, '%'); i >= 0 {
			return nil, fmt.Errorf("%q: what %.2q stands for only systemd knows", w, plain[i:])
		}
		out = append(out, strings.ReplaceAll(plain, "\x00", "%"))
	}
	return out, nil
}

// truth reads a boolean.
func truth(value string) (bool, error) {
	switch strings.ToLower(value) {
	case "1", "yes", "y", "true", "t", "on":
		return true, nil
	case "0", "no", "n", "false", "f", "off":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither yes nor no", value)
}
