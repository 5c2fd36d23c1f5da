// Package systemd reads what systemd units say of sandboxing into policies,
// and writes policies as units say it. See systemd.exec(5).
package systemd

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxSize is the most bytes a unit may have.
const MaxSize = 1 << 20

// maxWords is the most words that all values may have: more than any unit that somebody
// has written, and no more than can be compared with one another.
const maxWords = 10_000

// Error says where in a unit something is wrong, and what.
type Error struct {
	// File is what the caller calls the unit; Line counts from 1, and 0 means
	// no single line.
	File string
	Line int
	// Msg names the offending text. Fix, if not empty, is how to fix it.
	Msg, Fix string
}

// Hint is the fix.
func (e *Error) Hint() string { return e.Fix }

// Error is file:line: and the message, without the hint.
func (e *Error) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Msg
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Msg)
}

// hinted is an error of one setting that knows its fix.
type hinted struct{ msg, fix string }

func (h *hinted) Error() string { return h.msg }

// setting is one KEY=VALUE of a unit.
type setting struct {
	line       int
	key, value string
}

// parseUnit lists the settings of a unit's sections that run something:
// [Service], [Socket], [Mount] and [Swap]. Lines without a section count as
// [Service], so that a fragment can be read.
func parseUnit(file string, data []byte) ([]setting, error) {
	if len(data) > MaxSize {
		return nil, &Error{File: file, Line: 1, Msg: fmt.Sprintf("more than %d bytes, the most a unit may have", MaxSize)}
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")) // a byte order mark
	if !utf8.Valid(data) {
		return nil, &Error{File: file, Line: 1, Msg: "not UTF-8"}
	}
	var out []setting
	section, first, count := "Service", 0, 0
	var pending strings.Builder // what goes on in the next line
	lines := strings.Split(string(data), "\n")
	for i, line := range lines {
		fail := func(format string, args ...any) error {
			return &Error{File: file, Line: i + 1, Msg: fmt.Sprintf(format, args...)}
		}
		trimmed := strings.TrimSpace(line)
		if trimmed == "" && pending.Len() == 0 || strings.HasPrefix(trimmed, "#") || strings.HasPrefix(trimmed, ";") {
			continue // comments may stand between continued lines, too
		}
		if pending.Len() == 0 {
			first = i + 1
		}
		if more, ok := strings.CutSuffix(strings.TrimRight(line, " \t\r"), `\`); ok {
			if i == len(lines)-1 {
				return nil, fail("the last line goes on")
			}
			pending.WriteString(more + " ")
			continue
		}
		if pending.Len() > 0 {
			trimmed = strings.TrimSpace(pending.String() + line)
			pending.Reset()
		}
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
			if count += max(1, len(strings.Fields(value))); count > maxWords {
				return nil, fail("more than %d words, the most a unit may have", maxWords)
			}
			out = append(out, setting{first, modern(key), strings.TrimSpace(value)})
		}
	}
	return out, nil
}

// modern gives the present name of a setting that has had another.
func modern(key string) string {
	switch key {
	case "ReadWriteDirectories", "ReadOnlyDirectories", "InaccessibleDirectories":
		return strings.TrimSuffix(key, "Directories") + "Paths"
	case "MemoryLimit":
		return "MemoryMax"
	}
	return key
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
