package policy

import (
	"strconv"
	"strings"
	"time"
	"unicode"
)

// MaxID is the highest user or group id; the next one, all bits set, means
// "none" to the kernel.
const MaxID = 1<<32 - 2

// Optional splits the "?" off a value of [limits]: optional says that the
// bound may be given up on where it cannot be held. An empty value is none.
func Optional(s string) (value string, optional bool) {
	value = withoutMark(s)
	return value, len(value) < len(s)
}

// ParseSize reads a size as limits.memory has it: a number from 1 in plain
// decimal, with K, M, G or T for powers of 1024. It takes no "?".
func ParseSize(s string) (uint64, error) {
	digits, shift := s, 0
	if s != "" {
		if i := strings.IndexByte("KMGT", s[len(s)-1]); i >= 0 {
			digits, shift = s[:len(s)-1], 10*(i+1)
		}
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || digits[0] == '0' || digits[0] == '+' || n<<shift>>shift != n || n<<shift > 1<<62 {
		return 0, &Error{
			Msg: "size " + strconv.Quote(s) + " is not a number from 1 with K, M, G or T behind it",
			Fix: `as "512M" or "2G"`,
		}
	}
	return n << shift, nil
}

// ParseCore reads limits.core: a size, or "0" for no core dump at all.
func ParseCore(s string) (uint64, error) {
	if s == "0" {
		return 0, nil
	}
	return ParseSize(s)
}

// ParseCount reads a number of things, as limits.processes and open_files have
// it: from 1, in plain decimal, at most 2^31-1.
func ParseCount(s string) (int, error) {
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil || n < 1 || strconv.FormatInt(n, 10) != s {
		return 0, &Error{
			Msg: "count " + strconv.Quote(s) + " is not a plain decimal number from 1",
			Fix: "write \"none\" for no limit",
		}
	}
	return int(n), nil
}

// ParsePercent reads a share of processor time, as limits.cpu has it: whole
// percents of one processor with "%" behind, from 1 to a million.
func ParsePercent(s string) (int, error) {
	digits, ok := strings.CutSuffix(s, "%")
	n, err := strconv.ParseInt(digits, 10, 32)
	if !ok || err != nil || n < 1 || n > 1e6 || strconv.FormatInt(n, 10) != digits {
		return 0, &Error{
			Msg: "share " + strconv.Quote(s) + " is not whole percents of one processor",
			Fix: `as "50%" or "200%"`,
		}
	}
	return int(n), nil
}

// ParseTime reads a span as limits.time has it: numbers with h, m or s,
// such as "1h30m"; at least a second.
func ParseTime(s string) (time.Duration, error) {
	d, ok := span(s)
	if !ok || d < time.Second {
		return 0, &Error{Msg: "time " + strconv.Quote(s) + " is not a span of at least 1s", Fix: `as "90s" or "1h30m"`}
	}
	return d, nil
}

// ParseOffset reads a clock's offset, as namespaces.monotonic has it: a span
// of whole seconds, with "-" in front if the clock is to be behind.
func ParseOffset(s string) (time.Duration, error) {
	plain, behind := strings.CutPrefix(s, "-")
	d, ok := span(plain)
	if !ok {
		return 0, &Error{Msg: "offset " + strconv.Quote(s) + " is not a span of time", Fix: `as "90s", "1h30m" or "-2h"`}
	}
	if behind {
		d = -d
	}
	return d, nil
}

// span reads numbers with h, m or s.
func span(s string) (d time.Duration, ok bool) {
	ok = s != "" && s[0] >= '0' && s[0] <= '9'
	for i := 0; i < len(s); i++ {
		if c := s[i]; (c < '0' || c > '9') && strings.IndexByte("hms", c) < 0 {
			ok = false
		}
	}
	d, err := time.ParseDuration(s)
	return d, ok && err == nil && !strings.Contains(s, "ms") && strings.Trim(s, "0123456789") != ""
}

// ParseMode reads a directory's mode in octal, as "755" or "1777": permissions
// and the sticky bit, and nothing that sets ids.
func ParseMode(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 8, 32)
	if err != nil || len(s) < 3 || len(s) > 4 || n > 0o1777 || s[0] == '+' {
		return 0, &Error{
			Msg: "mode " + strconv.Quote(s) + " is not three or four octal digits up to 1777",
			Fix: `as "755" or "1777"`,
		}
	}
	return uint32(n), nil
}

// ParsePort reads an entry of network.bind or connect: a TCP port in plain
// decimal. Landlock takes 0 in bind: the ports that the kernel picks.
func ParsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || strconv.FormatUint(n, 10) != s {
		return 0, &Error{Msg: "port " + strconv.Quote(s) + " is not a plain decimal number up to 65535"}
	}
	return uint16(n), nil
}

// FromFD is the descriptor that PathOptions.From names, if it names one.
func FromFD(s string) (fd int, ok bool) {
	digits, ok := strings.CutPrefix(s, "fd:")
	n, err := strconv.ParseInt(digits, 10, 32)
	if !ok || err != nil || n < 3 || n > 1<<20-1 || strconv.FormatInt(n, 10) != digits {
		return 0, false
	}
	return int(n), true
}

// checkLimit takes "none", and what parse does, with or without "?".
func checkLimit[T any](parse func(string) (T, error)) func(string) (string, *fault) {
	return func(s string) (string, *fault) {
		value, optional := Optional(s)
		if value == none && !optional {
			return s, nil
		}
		return s, checkBy(parse, value)
	}
}

// checkBy is parse as a check.
func checkBy[T any](parse func(string) (T, error), s string) *fault {
	if _, err := parse(s); err != nil {
		return asFault(err)
	}
	return nil
}

func checkPort(least uint16) func(string) (string, *fault) {
	return func(s string) (string, *fault) {
		port, err := ParsePort(s)
		if err != nil {
			return "", asFault(err)
		}
		if port < least {
			return "", faultf("port 0 cannot be connected to")
		}
		return s, nil
	}
}

func checkOffset(s string) (string, *fault) { return s, checkBy(ParseOffset, s) }

func checkMode(s string) (string, *fault) {
	if f := checkBy(ParseMode, s); f != nil {
		return "", f
	}
	if len(s) == 4 {
		s = strings.TrimPrefix(s, "0")
	}
	return s, nil
}

// checkOwner takes a user's name, as useradd(8) lets it be, or number.
func checkOwner(s string) (string, *fault) {
	name := withoutMark(s)
	bad := name == "" || len(name) > 32
	for i, c := range name {
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		bad = bad || !letter && (c < '0' || c > '9') && (i == 0 || c != '-' && c != '.')
	}
	if n, err := strconv.ParseUint(name, 10, 64); err == nil && n > MaxID {
		bad = true
	}
	if bad {
		return "", faultf("%q is no user", s).or("a name as in /etc/passwd, or a number")
	}
	return s, nil
}

func checkTmpfsSize(s string) (string, *fault) { return s, checkBy(ParseSize, s) }

// checkHostname takes what RFC 1123, section 2.1, lets a host be called, as
// far as the kernel has room (64 bytes, see uname(2)).
func checkHostname(s string) (string, *fault) {
	bad := len(s) > 64
	for _, label := range strings.Split(s, ".") {
		bad = bad || label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-'
		for _, c := range []byte(label) {
			bad = bad || c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z')
		}
	}
	if bad {
		return "", faultf("%q is no hostname",
			s).or("labels of letters, digits and -, with dots between them; at most 64 bytes")
	}
	return s, nil
}

// checkLabel takes the name of a profile or context of a security module.
func checkLabel(s string) (string, *fault) {
	if strings.ContainsFunc(s, func(c rune) bool { return unicode.IsSpace(c) || c > unicode.MaxASCII }) {
		return "", faultf("%q is no label of a security module: it has a space, or what is not ASCII", s)
	}
	return s, nil
}

func asFault(err error) *fault {
	if e, ok := err.(*Error); ok { // our own, never wrapped
		return &fault{e.Msg, e.Fix}
	}
	return &fault{msg: err.Error()}
}
