package host

import (
	"fmt"
	"path"
	"testing"

	"sbx/policy"
)

// TestNamed: the case of a name does not matter, nor what is appended to a copy.
func TestNamed(t *testing.T) {
	list := newNames(".env*", "*.env", "*.pem", "id_rsa*", ".netrc")
	for name, want := range map[string]bool{
		".env": true, ".ENV": true, ".Env.Local": true, "prod.env": true, "PROD.ENV": true, "x.PEM": true,
		"key.pem.bak": true, "KEY.pem.BAK": true,
		"key.pem~": true, "key.pem.~1~": true, "key.pem.2": true, "key.pem.old.bak": true, ".key.pem.swp": true,
		".netrc.save": true, ".NETRC~": true, "#key.pem#": true, "#.netrc#": true, "##": false, "#": false, "#key.pem": true,
		"key.pem#":         false,
		"key.pem.dpkg-old": true, "id_rsa.pub": true, "prod.env.orig": true, "\xff.pem": true, "\xff.PEM": true,
		"": false, ".": false, "pem": false, "a.pem.txt": false, "a.pem.2x": false, "pem.bak": false, "~": false,
		".bak": false, "x.~~": false,
		"environment": false, "x.environment": false, "netrc": false, "a.1": false, "12": false, ".1": false, "x.~": false,
	} {
		if got := list.match([]byte(name)) != ""; got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
	exact := newNames("PRIV*")
	for name, want := range map[string]bool{"PRIV": true, "PRIVATE.bak": true, "priv": false, "Priv": false} {
		if got := exact.match([]byte(name)) != ""; got != want {
			t.Errorf("PRIV*: %q: %v", name, got)
		}
	}
	// What the tables say is what path.Match says.
	for _, pattern := range []string{"a", "*", ".env*", "*.pem", "a*b", "*a*", "?", "[a-x]", "*.PEM", "Makefile",
		"*e*", "*E*", "*.e*", "*e*v", "*a*b", "*en*nv", "*x*.pem", "*X*.PEM"} {
		for _, name := range []string{"a", "A", ".env", ".envx", "x.pem", ".pem", "x.PEM", "ab", "axb", "b", "makefile",
			"Makefile"} {
			exact, _ := path.Match(pattern, name)
			small, _ := path.Match(pattern, lower(name))
			want := exact || small && lower(pattern) == pattern
			if got := newNames(pattern).match([]byte(name)) == pattern; got != want {
				t.Errorf("%q means %q: %v, want %v", pattern, name, got, want)
			}
		}
	}
	// No name that a pattern means is left out for its ends.
	for _, pattern := range []string{"a", "*", ".env*", "*.pem", "a*b", "*a*", "?", "[a-x]", "*.PEM", "Makefile", "*?m",
		"*b*d", "a?", `\\*m`, "[", "*[e]m", "*.e*m"} {
		for _, in := range []policy.Files{{Hide: []string{"**/" + pattern}}, {Hide: []string{pattern}},
			{Inspect: []string{pattern}}} {
			r := (&Facts{}).newRules(&in)
			for _, name := range []string{"a", "A", ".env", ".ENVx", "x.pem", "X.PEM", "ab", "axb", "AB", "makefile",
				"Makefile", "a.bak", "x.pem~", "b.d", "*m", "m", "em", ".exm"} {
				name := []byte(name)
				if (r.nameOf(name, true) != "" || r.inspect.match(name) != "") && !r.may(name) {
					t.Errorf("%q means %q and is not compared with it", pattern, name)
				}
			}
		}
	}
	base := (&Facts{}).newRules(&policy.Files{Hide: []string{"**/.env*", "**/*.pem"}, Inspect: []string{"*_key"}})
	if base.may([]byte("main.go")) || !base.may([]byte("deploy_KEY.bak")) {
		t.Error("what is compared does not depend on the name's ends")
	}
	if newNames().match([]byte(".env")) != "" {
		t.Error("no pattern means something")
	}
}

// TestManyPatterns: each of many patterns for the same byte is found, the first of two for
// one name before the other.
func TestManyPatterns(t *testing.T) {
	const many = 50_000
	var list []string
	for i := range many {
		list = append(list, fmt.Sprintf("n%d", i), fmt.Sprintf("*x%d.e", i), fmt.Sprintf("[m]%d", i))
	}
	n := newNames(append(list, "n7*", "*7.e")...)
	for _, i := range []int{0, 7, 4711, many - 1} {
		for name, want := range map[string]string{
			"n%d": "n%d", "N%d": "n%d", "ax%d.e": "*x%d.e", "ax%d.E": "*x%d.e", "m%d": "[m]%d",
		} {
			name, want = fmt.Sprintf(name, i), fmt.Sprintf(want, i)
			if got := n.match([]byte(name)); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
	}
	if got := n.match([]byte("n7a")); got != "n7*" {
		t.Errorf("n7a: %q", got)
	}
}
