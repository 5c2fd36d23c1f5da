package main

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/sbx.1 anew")

// TestManual holds docs/sbx.1 to what sbx prints.
func TestManual(t *testing.T) {
	const file = "../../docs/sbx.1"
	var b strings.Builder
	if err := printManual(&b); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(page) != b.String() {
		t.Errorf("%s is not what sbx help man prints: go test ./cmd/sbx -run TestManual -update", file)
	}
	// What a line begins with is a request unless it is one of these.
	for line := range strings.Lines(b.String()) {
		if strings.HasPrefix(line, "'") || strings.HasPrefix(line, ".") &&
			!strings.HasPrefix(line, `.\" `) && !strings.Contains(".TH .SH .SS .TP .PP .B .br", strings.Fields(line)[0]) {
			t.Errorf("not a line of text: %q", line)
		}
	}
}
