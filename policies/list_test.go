package policies

import (
	"fmt"
	"strings"
	"testing"
)

func TestList(t *testing.T) {
	dir := isolate(t)
	write(t, dir+"/web.toml", text("my web"))
	write(t, dir+"/broken.toml", "version = 9")
	write(t, dir+"/.hidden.toml", text("no name"))
	write(t, dir+"/note.txt", "no policy")
	all, err := List()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range all {
		s := fmt.Sprint(e.Name, " ", e.Source, " ", e.Summary)
		if e.Shadowed {
			s += " shadowed"
		}
		if e.Err != nil {
			s += "error: " + strings.TrimPrefix(e.Err.Error(), dir)
		}
		if e.Source == User || e.Shadowed {
			got = append(got, s)
		}
	}
	want := []string{
		"broken user error: /broken.toml:1:11: version 9 is not known; this sbx knows 1",
		"web user my web",
		"web embedded Network servers: nginx as root on port 80 or as a user on a high port shadowed",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if len(all) != len(Names())+2 {
		t.Errorf("%d entries", len(all))
	}
}
