package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// TestRun takes this test's own program for the binary.
func TestRun(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	var one, two bytes.Buffer
	for _, w := range []*bytes.Buffer{&one, &two} {
		if err := run(w, self, "v1.2.3", []string{"libseccomp=2.5.4-1", "musl=1.2.3-1"}); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(one.Bytes(), two.Bytes()) {
		t.Error("two documents of one binary differ")
	}
	var d document
	if err := json.Unmarshal(one.Bytes(), &d); err != nil {
		t.Fatal(err)
	}
	if d.Creation.Created != "2023-11-14T22:13:20Z" || d.Name != "sbx-v1.2.3" {
		t.Errorf("created %s, name %s", d.Creation.Created, d.Name)
	}
	var names []string
	for i, p := range d.Packages {
		names = append(names, p.Name)
		if p.Version == "" || d.Relationship[i].To != p.ID {
			t.Errorf("%s: version %q, relationship %+v", p.Name, p.Version, d.Relationship[i])
		}
	}
	if got := strings.Join(names, " "); !strings.HasPrefix(got, "sbx go ") || !strings.HasSuffix(got, " libseccomp musl") {
		t.Errorf("packages: %s", got)
	}
	t.Setenv("SOURCE_DATE_EPOCH", "")
	if err := run(&one, self, "v1", nil); err == nil {
		t.Error("without SOURCE_DATE_EPOCH there is a document")
	}
}
