package policy

import (
	"slices"
	"strings"
	"testing"
)

// TestReference holds that each key is described, with an example that is right
// and one that is wrong in what it is about, and nothing else is.
func TestReference(t *testing.T) {
	list, err := Reference()
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]bool{}
	for _, table := range list {
		if table.Doc == "" || len(table.Keys) == 0 {
			t.Errorf("table %q: %q, %d keys", table.Table, table.Doc, len(table.Keys))
		}
		for _, k := range table.Keys {
			said[k.Key] = true
			name := k.Key[strings.LastIndexByte(k.Key, '.')+1:]
			if k.Type == "" || k.Default == "" && k.Key != "seccomp.rule.when" || k.Doc == "" {
				t.Errorf("%s: type %q, default %q, %q", k.Key, k.Type, k.Default, k.Doc)
			}
			if !strings.Contains(k.Example, name) {
				t.Errorf("the example of %s is about something else:\n%s", k.Key, k.Example)
			}
			if strings.Contains(k.Error, "not TOML") || strings.Contains(k.Error, "unknown key") {
				t.Errorf("%s: the mistake is none of its values: %s", k.Key, k.Error)
			}
		}
	}
	var extra []string
	for key := range samples() {
		if !said[key] {
			extra = append(extra, key)
		}
	}
	if slices.Sort(extra); len(extra) > 0 {
		t.Errorf("samples of keys that there are not: %q", extra)
	}
}
