package host

import "testing"

// TestNamed: the case of a name does not matter, nor what is appended to a copy.
func TestNamed(t *testing.T) {
	var list []pattern
	for _, p := range []string{".env*", "*.env", "*.pem", "id_rsa*", ".netrc"} {
		list = append(list, newPattern(p))
	}
	for name, want := range map[string]bool{
		".env": true, ".ENV": true, ".Env.Local": true, "prod.env": true, "PROD.ENV": true, "x.PEM": true,
		"key.pem.bak": true, "KEY.pem.BAK": true,
		"key.pem~": true, "key.pem.~1~": true, "key.pem.2": true, "key.pem.old.bak": true, ".key.pem.swp": true,
		".netrc.save": true, ".NETRC~": true,
		"key.pem.dpkg-old": true, "id_rsa.pub": true, "prod.env.orig": true, "\xff.pem": true, "\xff.PEM": true,
		"": false, ".": false, "pem": false, "a.pem.txt": false, "a.pem.2x": false, "pem.bak": false, "~": false,
		".bak": false, "x.~~": false,
		"environment": false, "x.environment": false, "netrc": false, "a.1": false, "12": false, ".1": false, "x.~": false,
	} {
		if got := named(list, name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
	exact := []pattern{newPattern("PRIV*")}
	for name, want := range map[string]bool{"PRIV": true, "PRIVATE.bak": true, "priv": false, "Priv": false} {
		if got := named(exact, name); got != want {
			t.Errorf("PRIV*: %q: %v", name, got)
		}
	}
	if named(nil, ".env") {
		t.Error("no pattern means something")
	}
}
