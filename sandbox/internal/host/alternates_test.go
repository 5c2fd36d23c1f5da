package host

import (
	"fmt"
	"os"
	"slices"
	"testing"
)

// TestAlternates: directories that are there, each once, however they name one another,
// and no more than a bound.
func TestAlternates(t *testing.T) {
	dir := project(t, ".git/objects/x", "a/objects/x", "b/objects/x", "many/x")
	put(t, dir, ".git/objects/info/alternates = # comment\n\n../../a/objects\n"+dir+"/gone\n"+dir+"/b/objects/\n",
		"a/objects/info/alternates = "+dir+"/b/objects", "b/objects/info/alternates = "+dir+"/.git/objects")
	if got, want := Alternates(dir), []string{dir + "/a/objects", dir + "/b/objects"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	var list string
	for i := range 3 * mostAlternates {
		if err := os.Mkdir(fmt.Sprintf("%s/many/%d", dir, i), 0o700); err != nil {
			t.Fatal(err)
		}
		list += fmt.Sprintf("%s/many/%d\n", dir, i)
	}
	put(t, dir, ".git/objects/info/alternates = "+list)
	if got := Alternates(dir); len(got) != mostAlternates {
		t.Errorf("%d directories", len(got))
	}
	if got := Alternates(dir + "/a"); got != nil {
		t.Errorf("without a repository: %q", got)
	}
}
