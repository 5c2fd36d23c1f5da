package text

import "testing"

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{
		"/usr/bin": "/usr/bin", "": `""`, "a b": `"a b"`, "ä": "ä", "a\nb": `"a\nb"`, "\x1b[2J": `"\x1b[2J"`,
		`a"b`: `"a\"b"`, "\u202e": `"\u202e"`, "\xff": `"\xff"`, "\u200b": `"\u200b"`,
	} {
		if got := Quote(in); got != want {
			t.Errorf("Quote(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestOneLine(t *testing.T) {
	for in, want := range map[string]string{
		"plain ä": "plain ä", "a\nb\x1b[0m": "a?b?[0m", "\u202egnp": "?gnp", "\x9b": "?", "\xff": "?", "\u2066x": "?x",
	} {
		if got := OneLine(in); got != want {
			t.Errorf("OneLine(%q) = %q, want %q", in, got, want)
		}
	}
}
