package integration

import (
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// TestArgumentsAreTheTargets: everything after -- arrives byte for byte.
func TestArgumentsAreTheTargets(t *testing.T) {
	var every []byte
	for b := 1; b < 256; b++ {
		every = append(every, byte(b))
	}
	for name, args := range map[string][]string{
		"none":          {},
		"empty":         {"", "", ""},
		"dashes":        {"-", "--", "---", "-h", "--help", "--version", "-c", "--policy", "open", "--", "--dry-run"},
		"shell":         {"$(touch pwned)", "`id`", "a;b", "a|b", "a&&b", "$HOME", "${CWD}", "*", "?", "[a]", "~", "!", "#"},
		"quotes":        {`'`, `"`, `\`, `\"`, "'a b'", `"a b"`, "a b", " ", "\t"},
		"control":       {"\n", "\r\n", "a\nb", "\x1b[31m", "\x07", "\x7f", "\u202e"},
		"every byte":    {string(every)},
		"not utf-8":     {"\xff\xfe", "\xc3\x28"},
		"template":      {"%s", "%d%n", "{{.}}", "%", "@file", "@"},
		"equals":        {"a=b", "=", "--x=y"},
		"like policies": {"?/etc/shadow", "!x", "~/", "/etc"},
	} {
		t.Run(name, func(t *testing.T) {
			lines := []string{"count: " + strconv.Itoa(len(args)), "digest: " + digest(args)}
			for i, a := range args {
				lines = append(lines, fmt.Sprintf("%d: %q", i, a))
			}
			sbxProbe(t, nil, append([]string{"args"}, args...)...).want(t, 0, lines...)
		})
	}
	t.Run("200000", func(t *testing.T) {
		args := make([]string, 200_000)
		for i := range args {
			args[i] = strconv.Itoa(i % 7)
		}
		sbxProbe(t, nil, append([]string{"args"}, args...)...).want(t, 0, "count: 200000", "digest: "+digest(args))
	})
	t.Run("one of 128 KiB", func(t *testing.T) {
		// MAX_ARG_STRLEN is 32 pages with the final NUL.
		args := []string{string(make128K())}
		sbxProbe(t, nil, append([]string{"args"}, args...)...).want(t, 0, "count: 1", "digest: "+digest(args))
	})
}

func make128K() []byte {
	b := make([]byte, 128<<10-1)
	for i := range b {
		b[i] = 'a' + byte(i%26)
	}
	return b
}

// digest is what the probe says of its arguments.
func digest(args []string) string {
	h := sha256.New()
	for _, a := range args {
		h.Write([]byte(a))
		h.Write([]byte{0})
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// TestFlagValuesAreData: what flags are given is never code, a pattern of
// another language, or a format.
func TestFlagValuesAreData(t *testing.T) {
	for _, value := range []string{"$(touch pwned)", "`id`", "%s%n", "a\nb", "\x1b[31m", "-- true", "'", `"`, "\u202e",
		"../../etc"} {
		for _, flag := range []string{"--policy", "--net", "--keep-fd", "--dir"} {
			r := sbx(t, flag, value, "--", "true")
			if r.status != 125 {
				t.Errorf("%s %q: want 125: %v", flag, value, r)
			}
			for _, bad := range []string{"\x1b", "\u202e"} {
				if strings.Contains(r.stderr, bad) {
					t.Errorf("%s %q: the message hands a terminal its control characters: %q", flag, value, r.stderr)
				}
			}
		}
	}
}
