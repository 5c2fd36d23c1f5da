package host

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sbx/policy"
)

// TestListSiblings: a directory is listed where something in it may be less than what is
// beside it, and only there.
func TestListSiblings(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"top/in/file", "top/in/other", "out/link"} {
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if name == "out/link" {
			if err := os.Symlink(filepath.Join(dir, "top/in/file"), at); err != nil {
				t.Fatal(err)
			}
		} else if err := os.WriteFile(at, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	top, file, link := filepath.Join(dir, "top"), filepath.Join(dir, "top/in/file"), filepath.Join(dir, "out/link")
	no := false
	for name, c := range map[string]struct {
		files policy.Files
		want  string
	}{
		"read in read":          {policy.Files{Read: []string{top, file}}, ""},
		"a link into it":        {policy.Files{Read: []string{top, link}}, ""},
		"write in read":         {policy.Files{Read: []string{top}, Write: []string{file}}, "in top"},
		"read in write":         {policy.Files{Write: []string{top}, Read: []string{file}}, "in top"},
		"hidden":                {policy.Files{Read: []string{top}, Hide: []string{file}}, "in top"},
		"read and hidden":       {policy.Files{Read: []string{top, file}, Hide: []string{file}}, "in top"},
		"a link that is hidden": {policy.Files{Read: []string{top, link}, Hide: []string{link}}, "in top"},
		"not executable": {policy.Files{Read: []string{top, file},
			Paths: map[string]policy.PathOptions{file: {Exec: &no}}}, "in top"},
	} {
		p := &policy.Policy{Files: c.files}
		h := &Facts{Files: map[string]File{}}
		err := h.probePaths(p, p.Tree(), Target{})
		if err == nil {
			err = h.listSiblings(p.Tree())
		}
		var got []string
		for _, rel := range []string{"in", ""} {
			if list, ok := h.Listed[filepath.Join(top, rel)]; ok && len(list) > 0 {
				got = append(got, filepath.Base(filepath.Join(top, rel)))
			}
		}
		if s := strings.Join(got, " "); err != nil || s != c.want {
			t.Errorf("%s: listed are %q, want %q (%v)", name, s, c.want, err)
		}
		h.Close()
	}
}
