package main

import (
	"flag"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the manual pages and docs/policy.md anew")

// TestManual holds the manual pages in docs to what sbx prints.
func TestManual(t *testing.T) {
	for _, m := range manuals {
		var b strings.Builder
		if err := printManual(&b, m.word); err != nil {
			t.Fatal(err)
		}
		page := sameFile(t, "../../docs/"+m.file, b.String())
		// What a line begins with is a request unless it is one of these.
		for line := range strings.Lines(page) {
			if strings.HasPrefix(line, "'") || strings.HasPrefix(line, ".") && !strings.HasPrefix(line, `.\" `) &&
				!slices.Contains(manualRequests, strings.Fields(line)[0]) {
				t.Errorf("%s: not a line of text: %q", m.file, line)
			}
		}
	}
	if err := printManual(&strings.Builder{}, "web"); err == nil {
		t.Error("there is a manual page of web")
	}
}

var manualRequests = []string{".TH", ".SH", ".SS", ".TP", ".PP", ".B", ".BR", ".br", ".RS", ".RE", ".nf", ".fi"}

// sameFile holds a file to the text, or writes it.
func sameFile(t *testing.T, file, text string) string {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(kept) != text {
		t.Errorf("%s is not what sbx prints: go test ./cmd/sbx -run 'TestManual|TestReference' -update", file)
	}
	return text
}

// TestManualPages has groff set the pages: it warns of what it does not know.
func TestManualPages(t *testing.T) {
	if _, err := exec.LookPath("groff"); err != nil {
		if os.Getenv("SBX_MUST_WORK") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	for _, m := range manuals {
		cmd := exec.Command("groff", "-man", "-Tutf8", "-ww", "-z", "../../docs/"+m.file)
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v: %s", m.file, err, out)
		}
	}
}
