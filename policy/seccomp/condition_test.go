package seccomp

import (
	"strings"
	"testing"
)

func normalOf(t *testing.T, when, name string, a Arch) (string, error) {
	t.Helper()
	s, err := LookupSyscall(name)
	if err != nil {
		t.Fatal(err)
	}
	c, err := ParseCondition(when)
	if err != nil {
		return "", err
	}
	checks, ok, err := c.normal(a, s)
	if err != nil {
		return "", err
	}
	if !ok {
		return "never", nil
	}
	if len(checks) == 0 {
		return "always", nil
	}
	var parts []string
	for _, k := range checks {
		parts = append(parts, k.String())
	}
	return strings.Join(parts, " && "), nil
}

func TestConditions(t *testing.T) {
	for _, c := range []struct {
		when, call string
		arch       Arch
		want       string
	}{
		{"arg0 == AF_UNIX", "socket", AMD64, "arg0:32 == 0x1"},
		{"arg0==1", "socket", AMD64, "arg0:32 == 0x1"},
		{"arg0 != 1", "socket", AMD64, "arg0:32 in {0x0, 0x2..0xffffffff}"},
		{"arg0:64 == 1", "socket", AMD64, "arg0:64 == 0x1"},
		{"arg0:64 == 1", "socket", I386, "arg0:32 == 0x1"},
		{"arg1 == 1", "read", AMD64, "arg1:64 == 0x1"},
		{"arg1 == 1", "read", ARM, "arg1:32 == 0x1"},
		{"arg3 == 0o644", "openat", AMD64, "arg3 & 0xffff == 0x1a4"},
		{"arg2 & O_DIRECTORY == 0", "openat", AMD64, "arg2 & 0x10000 == 0x0"},
		{"arg2 & O_DIRECTORY == 0", "openat", ARM64, "arg2 & 0x4000 == 0x0"},
		{"arg2 & (O_WRONLY|O_RDWR) != 0", "openat", AMD64, "arg2 & 0x3 in {0x1..0x3}"},
		{"arg0 == -1", "kill", AMD64, "arg0:32 == 0xffffffff"},
		{"arg1 == -1", "read", AMD64, "arg1:64 == 0xffffffffffffffff"},
		{"arg1 == -1", "read", I386, "arg1:32 == 0xffffffff"},
		{"arg0 == AT_FDCWD", "openat", AMD64, "arg0:32 == 0xffffff9c"},
		{"arg0 in { 1,2, 3 , 7..9,8..12 }", "personality", AMD64, "arg0:32 in {0x1..0x3, 0x7..0xc}"},
		{"arg0 not in {0..0xfffffffe}", "personality", AMD64, "arg0:32 == 0xffffffff"},
		{"arg0 >= 0", "personality", AMD64, "always"},
		{"arg0 < 0", "personality", AMD64, "never"},
		{"arg0 > 0xffffffff", "personality", AMD64, "never"},
		{"arg1 > 0xffffffff", "read", AMD64, "arg1:64 in {0x100000000..0xffffffffffffffff}"},
		{"arg1 > 0xffffffff", "read", I386, "never"},
		{"arg1 <= 0x100000000", "read", I386, "always"},
		{"arg0 == 1 && arg1 == 2", "kill", AMD64, "arg0:32 == 0x1 && arg1:32 == 0x2"},
		{"arg0 == 0", "setuid", AMD64, "arg0:32 == 0x0"},
		{"arg0 == 0", "setuid", I386, "arg0 & 0xffff == 0x0"},
		{"arg0 == 0", "setuid32", I386, "arg0:32 == 0x0"},
		{"arg2 & PROT_EXEC == PROT_EXEC", "mmap", AMD64, "arg2 & 0x4 == 0x4"},
	} {
		got, err := normalOf(t, c.when, c.call, c.arch)
		if err != nil || got != c.want {
			t.Errorf("%s of %s on %s: %s, %v; want %s", c.when, c.call, c.arch, got, err, c.want)
		}
	}
}

func TestBadConditions(t *testing.T) {
	for _, c := range []struct{ when, want string }{
		{"", `condition "": want an argument, arg0 to arg5, not ""`},
		{"arg6 == 1", `condition "arg6 == 1": want an argument, arg0 to arg5, not "arg6 == 1"`},
		{"arg0", `condition "arg0": want ==, !=, <, <=, >, >=, in or not in, not the end`},
		{"arg0 = 1", `condition "arg0 = 1": want ==, !=, <, <=, >, >=, in or not in, not "= 1"`},
		{"arg0 ==", `condition "arg0 ==": want a value, not the end`},
		{"arg0 == 1 2", `condition "arg0 == 1 2": "2" follows a complete comparison`},
		{"arg0 == 1 &&", `condition "arg0 == 1 &&": want an argument, arg0 to arg5, not ""`},
		{"arg0 == 1 || arg0 == 2", `condition "arg0 == 1 || arg0 == 2": want a value, not "| arg0 == 2"`},
		{"arg0 in {}", `condition "arg0 in {}": want a value, not "}"`},
		{"arg0 in {1", `condition "arg0 in {1": want a comma or closing brace, not the end`},
		{"arg0 in 1", `condition "arg0 in 1": want a set in braces, not "1"`},
		{"arg0 not 1", `condition "arg0 not 1": want in after not, not "1"`},
		{"arg0:16 == 1", `condition "arg0:16 == 1": width "16" is neither 32 nor 64`},
		{"arg0 == 010", `condition "arg0 == 010": number "010" begins with 0: write 0o10 if it is octal`},
		{"arg0 == 0x1ffffffffffffffff",
			`condition "arg0 == 0x1ffffffffffffffff": "0x1ffffffffffffffff" is not a number of at most 64 bits`},
		{"arg0 == 1_000", `condition "arg0 == 1_000": "1_000" is not a number of at most 64 bits`},
		{"arg0 == AF_UNXI", `condition "arg0 == AF_UNXI": unknown constant "AF_UNXI", did you mean "AF_UNIX"?`},
		{"arg0 == -AF_UNIX", `condition "arg0 == -AF_UNIX": constant AF_UNIX cannot be negated`},
		{"arg0 == -1|2", `condition "arg0 == -1|2": a negative number cannot be joined to others`},
		{"arg0 == 2|-1", `condition "arg0 == 2|-1": a negative number cannot be joined to others`},
		{"arg0 == (1", `condition "arg0 == (1": want a closing parenthesis, not the end`},
		// These are understood but say nothing of the call.
		{"arg1 == 1", `condition "arg1 == 1" for personality: it has no argument 1`},
		{"arg0 == 0x100000000",
			`condition "arg0 == 0x100000000" for personality: 0x100000000 does not fit the 32 bits of argument 0 that count`},
		{"arg0 & 0x100000000 == 0", `condition "arg0 & 0x100000000 == 0" for personality: 0x100000000 does not fit the ` +
			`32 bits of argument 0 that count`},
		{"arg0 in {5..4}", `condition "arg0 in {5..4}" for personality: range 0x5..0x4 is empty`},
	} {
		if got, err := normalOf(t, c.when, "personality", AMD64); err == nil || err.Error() != c.want {
			t.Errorf("%s: %s, %v", c.when, got, err)
		}
	}
}

// FuzzParseCondition: what is read has a normal form that reads the same.
func FuzzParseCondition(f *testing.F) {
	for _, s := range []string{
		"arg0 == AF_UNIX", "arg1:64 & 0xff not in {1, 2..3}", "arg0 < -1 && arg1 >= O_RDONLY|O_CLOEXEC",
	} {
		f.Add(s)
	}
	s, err := LookupSyscall("futex")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseCondition(text)
		if err != nil {
			return
		}
		if c.String() != text {
			t.Errorf("%q became %q", text, c)
		}
		checks, ok, err := c.normal(AMD64, s)
		if err != nil || !ok {
			return
		}
		for _, k := range checks {
			// What is printed means the same.
			again, err := ParseCondition(k.String())
			if err != nil {
				t.Fatalf("%q: %q: %v", text, k, err)
			}
			n, ok, err := again.normal(AMD64, s)
			if err != nil || !ok || len(n) != 1 || n[0].String() != k.String() {
				t.Errorf("%q: %q means %v, %v, %v", text, k, n, ok, err)
			}
		}
	})
}
