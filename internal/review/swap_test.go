package review

import (
	"os"
	"path/filepath"
	"testing"
)

// turned is a host with a directory that the program has made a file, and a file that it has
// made a directory.
func turned(t *testing.T) *lab {
	l := newLab(t, "swap/in=old", "turn=old")
	l.start()
	l.fill(l.upper, "swap=new", "turn/n=new")
	return l
}

// TestNoExchange: a file system that cannot exchange two names takes two steps for that.
func TestNoExchange(t *testing.T) {
	l := turned(t)
	l.review.noExchange = true
	if x := l.keep(false); !x.OK() || x.Left {
		t.Errorf("%+v", x)
	}
	l.host("swap=new", "turn/", "turn/n=new")
	l.want()
}

// TestSwappedMeanwhile: what the host puts there at the last moment comes back, and is a
// conflict.
func TestSwappedMeanwhile(t *testing.T) {
	for _, c := range []struct {
		name   string
		before string // what the host has, and the program has turned into changed
		change string
		put    string // what the host puts there
		want   []string
	}{
		{"swap", "swap/in=old", "swap=new", "swap=theirs", []string{"swap=theirs", "swap.was/", "swap.was/in=old"}},
		{"swap", "swap/in=old", "swap=new", "swap/x=theirs",
			[]string{"swap/", "swap/x=theirs", "swap.was/", "swap.was/in=old"}},
		{"turn", "turn=old", "turn/n=new", "turn=theirs", []string{"turn=theirs", "turn.was=old"}},
		{"turn", "turn=old", "turn/n=new", "turn/x=theirs", []string{"turn/", "turn/x=theirs", "turn.was=old"}},
	} {
		t.Run(c.change+" "+c.put, func(t *testing.T) {
			l := newLab(t, c.before)
			l.start()
			l.fill(l.upper, c.change)
			l.review.fault = func(what string) {
				if at := filepath.Join(l.lower, c.name); what == "exchange" {
					l.must(os.Rename(at, at+".was"))
					l.fill(l.lower, c.put)
				}
			}
			if x := l.keep(false); len(x.Conflicts) != 1 || !x.Left {
				t.Errorf("%+v", x)
			}
			l.host(c.want...)
			l.review.fault = nil
			if x := l.keep(true); !x.OK() || x.Left {
				t.Errorf("by force: %+v", x)
			}
		})
	}
}
