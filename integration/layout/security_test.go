package layout

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var (
	row       = regexp.MustCompile(`(?m)^\| (\d+) \|[^|]*\|([^|]*)\|$`)
	anyRow    = regexp.MustCompile(`(?m)^\| *\d`)
	named     = regexp.MustCompile("`([^`]+)`")
	testsFunc = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
)

// TestSecurityTable holds that docs/security.md has each property up to the last once, and
// that every test it names is there.
func TestSecurityTable(t *testing.T) {
	there := map[string]bool{}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != "..":
			return fs.SkipDir
		case strings.HasSuffix(path, ".txtar"):
			there[d.Name()] = true
		case strings.HasSuffix(path, "_test.go"):
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, m := range testsFunc.FindAllSubmatch(data, -1) {
				there[string(m[1])] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for _, m := range row.FindAllStringSubmatch(string(doc), -1) {
		n, err := strconv.Atoi(m[1])
		if err != nil || n < 1 || seen[n] {
			t.Errorf("property %s: out of range or there twice", m[1])
		}
		seen[n] = true
		tests := named.FindAllStringSubmatch(m[2], -1)
		if len(tests) == 0 {
			t.Errorf("property %d names no test", n)
		}
		for _, name := range tests {
			if !there[name[1]] {
				t.Errorf("property %d names %s, which is nowhere", n, name[1])
			}
		}
	}
	if rows := anyRow.FindAllString(string(doc), -1); len(rows) != len(seen) || len(rows) < 60 {
		t.Errorf("%d rows of properties, of which %d were read", len(rows), len(seen))
	}
	for n := range seen {
		if n > 1 && !seen[n-1] {
			t.Errorf("no property %d", n-1)
		}
	}
}
