package policy

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// cutOf says how a policy that was cut short differs from a part of the whole: of
// each key, it says what the whole says or nothing. What ends the file may lack
// more: a number digits, the last rule its conditions, and a text in triple quotes
// is empty behind the first two, or lacks quotes that stand before the last three.
func cutOf(part, whole *Policy) error {
	number := func(key, have, want string) error {
		if have != "" && have != want && (strings.Trim(have, "0123456789") != "" || !strings.HasPrefix(want, have)) {
			return fmt.Errorf("%s is %s, not %s", key, have, want)
		}
		return nil
	}
	id := func(n *int) string {
		if n == nil {
			return ""
		}
		return strconv.Itoa(*n)
	}
	quotes := func(have, want string) bool {
		rest, ok := strings.CutPrefix(want, have)
		return ok && slices.Contains([]string{`"`, `""`, "'", "''"}, rest)
	}
	for _, f := range fields() {
		var have, want any
		switch {
		case f.list != nil:
			if have := *f.list(part); len(have) > 0 && !slices.Equal(have, *f.list(whole)) ||
				have != nil && *f.list(whole) == nil {
				return fmt.Errorf("%s is %q, not %q", f.key, have, *f.list(whole))
			}
			continue
		case f.id32 != nil:
			if err := number(f.key, id(*f.id32(part)), id(*f.id32(whole))); err != nil {
				return err
			}
			continue
		case f.str != nil && f.whole:
			if err := number(f.key, *f.str(part), *f.str(whole)); err != nil {
				return err
			}
			continue
		case f.texts != nil:
			all := *f.texts(whole)
			for path, text := range *f.texts(part) {
				if want, ok := all[path]; !ok || text != want && text != "" && !quotes(text, want) {
					return fmt.Errorf("%s of %s is %q, not %q", f.key, path, text, want)
				}
			}
			continue
		case f.options != nil:
			for path, o := range *f.options(part) {
				all, ok := (*f.options(whole))[path]
				for _, x := range pathOptions() {
					if x.str != nil && *x.str(&o) != "" && *x.str(&o) != *x.str(&all) && !quotes(*x.str(&o), *x.str(&all)) || !ok ||
						x.truth != nil && *x.truth(&o) != nil && !reflect.DeepEqual(*x.truth(&o), *x.truth(&all)) {
						return fmt.Errorf("%s.%s of %s differs", f.key, x.key, path)
					}
				}
			}
			continue
		case f.str != nil:
			if quotes(*f.str(part), *f.str(whole)) {
				continue
			}
			have, want = *f.str(part), *f.str(whole)
		case f.num != nil:
			have, want = *f.num(part), *f.num(whole)
		case f.truth != nil:
			have, want = *f.truth(part), *f.truth(whole)
		case f.action != nil:
			have, want = *f.action(part), *f.action(whole)
		}
		if !reflect.ValueOf(have).IsZero() && !reflect.DeepEqual(have, want) {
			return fmt.Errorf("%s is %v, not %v", f.key, have, want)
		}
	}
	rules, all := part.Seccomp.Rules, whole.Seccomp.Rules
	for i, r := range rules {
		if i < len(all) && i == len(rules)-1 && len(r.When) == 0 {
			r.When = all[i].When
		}
		if i >= len(all) || !reflect.DeepEqual(r, all[i]) {
			return fmt.Errorf("rule %d is %+v", i+1, r)
		}
	}
	return nil
}

// cut checks a policy that was cut short at any byte: it is refused, or a part of
// the whole. What restricts can be lost, so this does not say that it allows no
// more; but nothing is allowed that the whole file does not name.
func cut(t *testing.T, data []byte) {
	t.Helper()
	whole, err := Parse("f", data)
	if err != nil {
		t.Fatal(err)
	}
	for n := range data {
		// Where a line ends, most parts are policies; of the other places of a long text each seventh is tried.
		if len(data) > 1000 && n%7 != 0 && n > 0 && data[n-1] != '\n' {
			continue
		}
		part, err := Parse("f", data[:n])
		if err != nil {
			continue
		}
		if err := cutOf(part, whole); err != nil {
			t.Fatalf("cut after %d bytes, %q: %v", n, data[:n], err)
		}
	}
}

// TestCutOf shows that the check above sees what it is to see.
func TestCutOf(t *testing.T) {
	whole := head + everything +
		"[seccomp]\nallow = ['read', 'write']\n[[seccomp.rule]]\nsyscalls = ['socket']\naction = 'allow'\nwhen = ['arg0 " +
		"== 1']\n"
	parse := func(text string) *Policy {
		t.Helper()
		p, err := Parse("p", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	all := parse(whole)
	for old, bad := range map[string]string{
		`"/usr", "/in"`: `"/usr"`, `uid = 0`: `uid = 1`, `processes = "?5"`: `processes = "?6"`,
		`open_files = 1024`: `open_files = 12`,
		`"usr/bin"`:         `"usr"`, `exec = true`: `exec = false`, `ambient = true`: `ambient = false`,
		`['read', 'write']`: `['read']`,
		`arg0 == 1`:         `arg0 == 2`, `terminal = "pty"`: `terminal = "inherit"`, `connect = []`: `connect = [1]`,
	} {
		text := strings.Replace(whole, old, bad, 1)
		if text == whole {
			t.Fatalf("%q is not there", old)
		}
		if cutOf(parse(text), all) == nil {
			t.Errorf("%q in the place of %q is not seen", bad, old)
		}
	}
	for old, good := range map[string]string{
		`open_files = 1024`: `open_files = 10`, "when = ['arg0 == 1']\n": "", "connect = []\n": "",
	} {
		if err := cutOf(parse(strings.Replace(whole, old, good, 1)), all); err != nil {
			t.Errorf("without %q: %v", old, err)
		}
	}
	cut(t, []byte(whole))
}

// TestTableOrder: tables mean the same in any order, and none is required.
func TestTableOrder(t *testing.T) {
	tables := []string{
		"[expect]\ndeny = ['read /x']\n", "[files]\nread = ['/usr']\n", "[process]\nenv = ['A']\n",
		"[[seccomp.rule]]\nsyscalls = ['read']\naction = 'trap'\n",
	}
	want := ""
	for i := range tables {
		p, err := Parse("p", []byte(head+strings.Join(append(slices.Clone(tables[i:]), tables[:i]...), "")))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(p.Print()); want == "" {
			want = got
		} else if got != want {
			t.Errorf("from %d on:\n%s", i, got)
		}
	}
	for _, text := range []string{
		head, "version = 1", head + "expect.deny = ['read /x']\n", head + "expect = { deny = ['read /x'] }\n[files]\n",
	} {
		p, err := Parse("p", []byte(text))
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if r, err := Resolve(p, findNone); err != nil {
			t.Error(err)
		} else {
			fixpoint(t, r)
		}
	}
	if keys := slices.Sorted(maps.Keys((&Policy{Version: 1}).Data())); !slices.Equal(keys, []string{"version"}) {
		t.Errorf("a policy that says nothing has %q", keys)
	}
}
