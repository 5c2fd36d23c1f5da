package policy

import (
	"strings"
	"testing"
)

// TestBehindLink: what lies behind a link of the policy's own is an error of the
// policy, and once more when its variables have values.
func TestBehindLink(t *testing.T) {
	for _, text := range []string{
		"read = ['/l/x']\nsymlink.'/l' = 'm'", "tmpfs = ['/l/x/y']\nsymlink.'/l' = 'm'",
		"write = ['?/l/x']\nsymlink.'/l' = 'm'",
		"file.'/l/x' = ''\nsymlink.'/l' = 'm'", "symlink.'/l/x' = 'n'\nsymlink.'/l' = 'm'",
		"overlay = ['~/l/x']\nsymlink.'~/l' = 'm'",
		"read = ['/l/x/y', '/l/x']\nsymlink.'/l' = 'm'",
	} {
		p, err := Parse("p", []byte(head+"[files]\n"+text+tail))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Resolve(p, findNone); err == nil || !strings.Contains(err.Error(), "behind it") {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{"read = ['/lx', '/m/x']\nsymlink.'/l' = 'm'", "read = ['/']\nsymlink.'/l' = 'm'",
		"hide = ['/l/x']\nsymlink.'/l' = 'm'"} {
		resolvedText(t, "[files]\n"+text)
	}
	p := resolvedText(t, "[files]\nread = ['.']\nsymlink.'~/l' = 'm'")
	if _, err := p.Expand(Vars{Home: "/h", CWD: "/h/p"}); err != nil {
		t.Error(err)
	}
	if _, err := p.Expand(Vars{Home: "/h", CWD: "/h/l/p"}); err == nil || !strings.Contains(err.Error(), "behind it") {
		t.Errorf("a project behind a link: %v", err)
	}
}
