package policy

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// seeds gives the shipped policies and some that use what those do not.
func seeds(f *testing.F) {
	f.Helper()
	files, err := filepath.Glob("../policies/*.toml")
	if err != nil || len(files) == 0 {
		f.Fatalf("no shipped policies: %v", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(head + "files = { read = ['?/a'], proc = false }\nseccomp.rule = [{ syscalls = ['read'], " +
		"action = 'trap' }]\nlimits.processes = 'none'" + tail))
	f.Add([]byte(head + "[limits]\nprocesses = 3\nmemory = \"1G\"\ntime = '1h'\n[[seccomp.rule]]\nsyscalls = " +
		"[\"!read\"]\n[seccomp]\ndefault = 'errno:77'\nspec_allow = true\narchitectures = ['386', " +
		"'x32']\n[expect]\ndeny = ['bind [::1]:80', 'env X']"))
	f.Add([]byte(head + everything + tail))
	f.Add([]byte(head + "[files.path.'/a']\nsize = '1M'\n[files]\ntmpfs = ['/a']\nfile = { '/f' = \"a\\tb\\n\" " +
		"}\nsymlink.'~/l' = '${HOME}'\n[network]" + tail))
	f.Add([]byte(head + "extends = ['a', \"./b\\\\\\\"c/d\"]\n[process]\nenv = ['!A', 'B=\\x', " +
		"'*']\nnest = true\ncapabilities = ['!net_raw', '?chown']" + tail))
}

// What Parse accepts is TOML to a decoder that knows the whole standard, and
// printing it gives a policy that says the same and prints the same.
func FuzzParse(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Parse("f", data)
		if err != nil {
			return
		}
		if !isTOML(data) {
			t.Fatalf("accepted, but no TOML: %q", data)
		}
		text := p.Print()
		q, err := Parse("f", text)
		if err != nil {
			t.Fatalf("%v in what was printed:\n%s", err, text)
		}
		if again := q.Print(); !bytes.Equal(text, again) {
			t.Fatalf("printed\n%sthen\n%s", text, again)
		}
		if r, err := Resolve(p, findNone); err == nil {
			fixpoint(t, r)
		}
	})
}

// A policy that is cut short is refused, or a part of the whole: see cut.
func FuzzCut(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<13 {
			return
		}
		if _, err := Parse("f", data); err == nil {
			cut(t, data)
		}
	})
}

// findNone finds no policy.
func findNone(string, *Policy) (*Policy, error) { return nil, os.ErrNotExist }

// fixpoint checks that a resolved policy, printed, parsed and resolved again,
// is the same.
func fixpoint(t *testing.T, p *Policy) {
	t.Helper()
	text := p.Print()
	q, err := Parse("f", text)
	if err != nil {
		t.Fatalf("%v in what was printed:\n%s", err, text)
	}
	if q, err = Resolve(q, findNone); err != nil {
		t.Fatalf("%v in what was printed:\n%s", err, text)
	}
	if again := q.Print(); !bytes.Equal(text, again) {
		t.Fatalf("printed\n%sthen\n%s", text, again)
	}
}
