package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sbx/policies"
)

// offered are the lines that a starting policy has as comments.
var offered = regexp.MustCompile(`(?m)^# ([a-z_]+ = )`)

func TestPolicyNew(t *testing.T) {
	dir := ownPolicies(t, map[string]string{"mine": childText})
	if err := os.RemoveAll(dir); err != nil { // it makes what is missing
		t.Fatal(err)
	}
	said := got(t, dir, (&policyNewCmd{Name: "shop", Extends: "base"}).run)
	if want := "wrote DIR/shop.toml; next: sbx policy check shop, sbx --policy shop -- PROGRAM\n"; said != want {
		t.Errorf("it says %q, want %q", said, want)
	}
	got(t, dir, (&policyNewCmd{Name: "site", Extends: "pure"}).run)
	got(t, dir, (&policyCheckCmd{Policies: []string{"shop", "site"}}).run) // which finds nothing
	// What it offers is right as well.
	file := filepath.Join(dir, "shop.toml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	full := offered.ReplaceAllString(string(text), "$1")
	if n := len(offered.FindAllString(string(text), -1)); n < 12 {
		t.Errorf("it offers %d keys only", n)
	}
	if err := os.WriteFile(filepath.Join(dir, "full.toml"), []byte(full), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := policies.Find("full"); err != nil {
		t.Errorf("%v in\n%s", err, full)
	}
}

func TestPolicyNewRefuses(t *testing.T) {
	dir := ownPolicies(t, map[string]string{"mine": childText})
	t.Chdir(dir)
	for _, c := range []struct{ name, extends, want string }{
		{"mine", "base", "it is there already"},
		{"./mine.toml", "base", "it is there already"},
		{"web", "base", "there is one of that name already (embedded)"},
		{"Shop", "base", "no policy name"},
		{"shop.toml", "base", "no policy name"},
		{"shop", "bsae", `no policy "bsae"`},
		{"shop", `b"`, "no policy name"},
		{"shop", "./a\"b.toml", "not TOML"},
		{"/proc/1/x/y", "base", "write policy"},
	} {
		err := (&policyNewCmd{Name: c.name, Extends: c.extends}).run(&strings.Builder{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	if data, err := os.ReadFile("mine.toml"); err != nil || string(data) != childText {
		t.Errorf("the policy that was there: %q, %v", data, err)
	}
	left, err := os.ReadDir(".")
	if err != nil || len(left) != 1 {
		t.Errorf("left: %v, %v", left, err)
	}
	t.Setenv("XDG_CONFIG_HOME", "")
	t.Setenv("HOME", "")
	if err := (&policyNewCmd{Name: "shop", Extends: "base"}).run(&strings.Builder{}); err == nil {
		t.Error("a policy of nobody's")
	}
}
