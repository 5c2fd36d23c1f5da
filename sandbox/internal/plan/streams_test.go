package plan

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sbx/ns"
	"sbx/policies"
	"sbx/policy"
	"sbx/policy/seccomp"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/plantest"
	"sbx/sandbox/internal/terminal"
)

// TestStreams: what becomes of a descriptor, by what it is open to.
func TestStreams(t *testing.T) {
	file := host.File{Real: "/data/in", Mode: unix.S_IFREG, Major: 8, Minor: 1, Ino: 7, FD: 50}
	in := host.Stdio{FD: 0, Mode: unix.S_IFREG, Read: true, ID: file.ID(), OnHost: true, Source: file, Seeks: true,
		Offset:   5,
		Metadata: host.Metadata{FD: 60, UID: 1000}}
	out := host.Stdio{FD: 1, As: 1, Same: 1, Mode: unix.S_IFREG, Write: true,
		ID: ns.ID{Major: 8, Minor: 1, Ino: 9}, OnHost: true,
		Metadata: host.Metadata{FD: 61, Perm: 0o640, UID: 1000}}
	tty := host.Stdio{FD: 0, Mode: unix.S_IFCHR, Read: true, Write: true, ID: ns.ID{Minor: 22, Ino: 3},
		Rdev:   unix.Mkdev(136, 0),
		OnHost: true, Terminal: true, Source: host.File{Real: "/dev/pts/0", Mode: unix.S_IFCHR, Minor: 22, Ino: 3, FD: 51},
		Metadata: host.Metadata{FD: 62, UID: 1000}}
	foreign := tty
	foreign.Metadata.UID = 7
	again := in
	again.FD = 3
	const (
		reopenFile = "open /data/in once more as descriptor 0, on a read-only mount, and give its offset back at the end"
		restoreIn  = "restore mode, owner, times and attributes of the file at descriptor 0 if they have changed"
		restoreOut = "restore mode, owner, times and attributes of the file at descriptor 1 if they have changed"
		reopenTTY  = "open /dev/pts/0 once more as descriptor 0, on a read-only mount"
	)
	for _, c := range []struct {
		name    string
		role    string
		uid     int
		streams []host.Stdio
		kept    []host.Stdio
		change  func(*policy.Policy, *host.Facts)
		want    []string
	}{
		{name: "a file to read", role: "default", uid: 1000, streams: []host.Stdio{in}, want: []string{reopenFile}},
		{name: "the same under two numbers", role: "default", uid: 1000, streams: []host.Stdio{in}, kept: []host.Stdio{again},
			want: []string{strings.Replace(reopenFile, "descriptor 0", "descriptors 0 and 3", 1)}},
		{name: "a file to write", role: "default", uid: 1000, streams: []host.Stdio{{}, out}, want: []string{restoreOut}},
		{name: "a file to write, by a role that changes nothing", role: "pure", uid: 1000, streams: []host.Stdio{{}, out}},
		{name: "terminal", role: "default", uid: 1000, streams: []host.Stdio{tty}, want: []string{reopenTTY}},
		{name: "a terminal that is relayed", role: "default", uid: 1000, streams: []host.Stdio{tty},
			change: func(p *policy.Policy, h *host.Facts) {
				p.Process.Terminal = "pty"
				h.Terminal.Caller = &terminal.Caller{Streams: [3]bool{true}}
			}},
		{name: "somebody else's terminal", role: "default", uid: 1000, streams: []host.Stdio{foreign},
			want: []string{reopenTTY}},
		{name: "root's in a user namespace", role: "default", streams: []host.Stdio{foreign},
			change: func(p *policy.Policy, _ *host.Facts) {
				p.Namespaces.User = "new"
			}, want: []string{restoreIn}},
		{name: "without a mount namespace", role: "default", uid: 1000, streams: []host.Stdio{in},
			change: func(p *policy.Policy, _ *host.Facts) {
				p.Namespaces.Mount = "host"
				no := false
				p.Files = policy.Files{Read: []string{"/usr"}, Proc: &no, Dev: &no}
			}, want: []string{restoreIn}},
		{name: "/dev/tty in a session of its own", role: "default", uid: 1000, streams: []host.Stdio{func() host.Stdio {
			s := tty
			s.Rdev = unix.Mkdev(5, 0)
			return s
		}()}, change: func(p *policy.Policy, _ *host.Facts) { p.Process.Terminal = "new-session" },
			want: []string{restoreIn}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := plantest.Shipped(t, c.role)
			h := plantest.Debian(p, c.uid)
			copy(h.Stdio[:], c.streams)
			h.Kept = c.kept
			if c.change != nil {
				c.change(p, h)
			}
			programs := plantest.AllowAll
			if c.role == "pure" {
				programs = shippedFilter(t, c.role)
			}
			target := host.Target{Path: "/usr/bin/true", Args: []string{"true"}, Dir: "/"}
			for _, k := range c.kept {
				target.KeepFDs = append(target.KeepFDs, k.FD)
			}
			pl, err := Build(p, programs, target, h)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			announced, janitor := 0, 0
			for line := range strings.Lines(pl.String()) {
				switch line = strings.TrimSpace(line); {
				case strings.Contains(line, " once more as ") || strings.Contains(line, "restore mode"):
					got = append(got, strings.TrimSpace(line[strings.Index(line, " ")+9:]))
				case strings.Contains(line, "tell the janitor"):
					announced++
				case strings.Contains(line, " janitor "):
					janitor++
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
			// Nothing is restored without a janitor who knows when all have ended.
			if restores := strings.Contains(strings.Join(c.want, ""), "restore"); restores != (announced == 1) ||
				restores && janitor == 0 {
				t.Errorf("told %d times; %d steps of the janitor\n%s", announced, janitor, pl)
			}
		})
	}
}

// TestOwnDevice: a device that the sandbox has in its own /dev is taken from there.
func TestOwnDevice(t *testing.T) {
	p := plantest.Shipped(t, "default")
	h := plantest.Debian(p, 1000)
	null := h.Files["/dev/null"]
	h.Stdio[0] = host.Stdio{Mode: unix.S_IFCHR, Read: true, ID: null.ID(), Rdev: null.Rdev, OnHost: true, Source: null}
	pl, err := Build(p, plantest.AllowAll, host.Target{Path: "/usr/bin/true", Args: []string{"true"}, Dir: "/"}, h)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range pl.Setup {
		if r, ok := s.(ns.Reopen); ok {
			if !r.Inside || r.Path != "/dev/null" {
				t.Errorf("%+v", r)
			}
			return
		}
	}
	t.Error("it is not opened once more")
}

// TestMetadataCalls: the calls that change metadata are all known, and a filter
// that lets one of them through is seen to.
func TestMetadataCalls(t *testing.T) {
	for _, name := range metadataCalls {
		if _, err := seccomp.LookupSyscall(name); err != nil {
			t.Error(err)
		}
	}
	for role, want := range map[string]bool{"pure": false, "filter": true, "default": true} {
		f, err := decode(shippedFilter(t, role), role)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.changeMetadata(); got != want {
			t.Errorf("%s changes metadata: %v, want %v", role, got, want)
		}
	}
}

// shippedFilter is the filter of a shipped policy.
func shippedFilter(t *testing.T, role string) []seccomp.Program {
	t.Helper()
	programs := policies.Filters(plantest.Shipped(t, role).LaunchCalls(), seccomp.Native())
	if len(programs) == 0 {
		t.Fatalf("there is no filter of %s", role)
	}
	return programs
}
