package bwrap_test

import (
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"sbx/policy/bwrap"
)

// TestDevicesOf: what lies in /dev and is no device hinders no line with --dev-bind / /.
func TestDevicesOf(t *testing.T) {
	dev := fstest.MapFS{
		"null": {Mode: fs.ModeDevice | fs.ModeCharDevice}, "kvm": {Mode: fs.ModeDevice | fs.ModeCharDevice},
		"sda": {Mode: fs.ModeDevice}, "dri/card0": {Mode: fs.ModeDevice | fs.ModeCharDevice}, "lock": {Mode: 0o640},
		"initctl": {Mode: fs.ModeNamedPipe}, "socket": {Mode: fs.ModeSocket}, "cdrom": {Mode: fs.ModeSymlink},
	}
	entries, err := dev.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"?/dev/dri", "?/dev/kvm", "?/dev/sda"}
	if got := bwrap.DevicesOf(entries); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestDevices: what a line shows of the host's /dev is what a sandbox has of it. What each has is
// its own, and a program that covers a file with /dev/null has an empty one.
func TestDevices(t *testing.T) {
	const own = "--ro-bind / / --dev /dev "
	for line, want := range map[string][]string{
		own + "--dev-bind /dev/kvm /dev/kvm x":                    {`devices = [ "/dev/kvm", ]`},
		own + "--dev-bind /dev/kvm/x /dev/kvm/x x":                {`devices = [ "/dev/kvm/x", ]`},
		"--ro-bind /usr /usr --dev-bind /dev/kvm /dev/kvm x":      {`devices = [ "/dev/kvm", ]`, "!dev ="},
		own + "--dev-bind /dev/kvm /x x":                          {`path."/x" = { from = "/dev/kvm" }`, "!devices"},
		own + "--dev-bind /dev/null /etc/x x":                     {`path."/etc/x" = { from = "/dev/null" }`},
		own + "--bind /dev/kvm /x x":                              {"!kvm"},
		own + "--ro-bind /dev/zero /x x":                          {"!zero"},
		own + "--bind /dev/kvm /dev/kvm x":                        {"!kvm"},
		own + "--dev-bind /dev/shm /dev/shm x":                    {`write = [ "?/dev/shm", ]`, "!devices"},
		own + "--bind /dev/shm/x /dev/shm/x x":                    {`write = [ "?/dev/shm/x", ]`},
		own + "--dev-bind /dev/pts /dev/pts x":                    {"!/dev/pts"},
		"--ro-bind / / --ro-bind /dev /dev x":                     {`read = [ "/", ]`, "!dev ="},
		"--tmpfs /dev --dev-bind /dev/null /dev/null x":           {"!/dev", "!dev ="},
		"--dir /dev --bind /dev/zero /dev/zero x":                 {"!/dev", "!dev ="},
		"--tmpfs /dev x":                                          {`tmpfs = [ "/dev", ]`, "dev = false"},
		own + "--ro-bind /dev/null /etc/x --bind /x /y x":         {`file."/etc/x" = ""`},
		own + "--ro-bind /etc/x /dev/null --bind /dev/x /dev/y x": {`"/dev/null"`, `"?/dev/y"`},
	} {
		l, err := parse(t, line, nil)
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		text := strings.Join(strings.Fields(string(l.Policy.Print())), " ")
		for _, w := range want {
			w, not := strings.CutPrefix(w, "!")
			if strings.Contains(text, w) == not {
				t.Errorf("%s: %q, want there: %t\n%s", line, w, !not, text)
			}
		}
	}
	if _, err := parse(t, "--ro-bind /other /dev --dev-bind /dev/null /dev/null x", nil); err == nil {
		t.Error("a device in another /dev is taken")
	}
}
