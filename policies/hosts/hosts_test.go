package hosts

import (
	"regexp"
	"testing"
)

// TestFiles: each group says what it is for, its source and its date.
func TestFiles(t *testing.T) {
	head := regexp.MustCompile(`^# .+\.\n# source: https://\S+\n# date: \d{4}-\d\d-\d\d\n[^#]`)
	for _, name := range Names() {
		text, err := files.ReadFile(name + ".hosts")
		if err != nil {
			t.Fatal(err)
		}
		if !head.Match(text) {
			t.Errorf("%s begins with no comment of three lines: what it is for, source, date", name)
		}
		if len(Group(name)) == 0 {
			t.Errorf("%s is empty", name)
		}
	}
}
