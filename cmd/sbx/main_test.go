package main

import (
	"reflect"
	"testing"
)

// TestPlainLaunch holds the short cut to what kong reads in the same words.
func TestPlainLaunch(t *testing.T) {
	short := 0
	for _, args := range [][]string{{}, {"--policy", "web"}, {"-p", "./x.toml"}, {"-p", "-n"}, {"--policy", ""}, {"--dry-run"},
		{"--policy=web"}, {"--read", "/a", "--read", "b,c", "--write", "?/x", "--policy", "web", "--policy", "pure"}, {"--net", "host"}, {"--net", "new"},
		{"--env", "A=b=c", "--env", "B", "--hide", "*.x,y", "--hide", " ", "--dir", "."}, {"--read"}, {"--read", "--write"}, {"--read", "/\x80\xff", "--env", "A=\xc3(", "--dir", "\x80"}, {"--keep-fd", "3"}, {"-p", "a", "--read", "/x"}, {"-pweb"}, {"--policy", "=x"}, {"--policy", "a,b"}} {
		got, ok := plainLaunch(args)
		if !ok {
			continue
		}
		short++
		var want launch
		if code, done := parse(&want, "sbx", launchHelp, args, nil); done {
			t.Errorf("%q: kong ends with %d", args, code)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, kong reads %+v", args, got, want)
		}
	}
	if short < 6 {
		t.Errorf("the short cut took %d of the launches", short)
	}
}
