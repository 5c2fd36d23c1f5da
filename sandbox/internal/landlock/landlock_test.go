package landlock

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
)

// TestABIs checks the rights for each version of Landlock: the kernel gets no
// right that the version does not know, and every right that it knows is handled.
func TestABIs(t *testing.T) {
	known := []struct {
		abi   int
		right Access
		name  string
	}{
		{1, unix.LANDLOCK_ACCESS_FS_EXECUTE, "execute"}, {1, unix.LANDLOCK_ACCESS_FS_WRITE_FILE, "write"},
		{1, unix.LANDLOCK_ACCESS_FS_READ_FILE, "read"}, {1, unix.LANDLOCK_ACCESS_FS_READ_DIR, "list"},
		{1, unix.LANDLOCK_ACCESS_FS_REMOVE_DIR, "rmdir"}, {1, unix.LANDLOCK_ACCESS_FS_REMOVE_FILE, "unlink"},
		{1, unix.LANDLOCK_ACCESS_FS_MAKE_CHAR, "mknod c"}, {1, unix.LANDLOCK_ACCESS_FS_MAKE_DIR, "mkdir"},
		{1, unix.LANDLOCK_ACCESS_FS_MAKE_REG, "create"}, {1, unix.LANDLOCK_ACCESS_FS_MAKE_SOCK, "bind"},
		{1, unix.LANDLOCK_ACCESS_FS_MAKE_FIFO, "mkfifo"}, {1, unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK, "mknod b"},
		{1, unix.LANDLOCK_ACCESS_FS_MAKE_SYM, "symlink"}, {2, unix.LANDLOCK_ACCESS_FS_REFER, "refer"},
		{3, unix.LANDLOCK_ACCESS_FS_TRUNCATE, "truncate"}, {5, unix.LANDLOCK_ACCESS_FS_IOCTL_DEV, "ioctl"},
		{9, unix.LANDLOCK_ACCESS_FS_RESOLVE_UNIX, "connect to a socket's path"},
	}
	for abi := 1; abi <= 9; abi++ {
		var want Access
		for _, k := range known {
			if abi >= k.abi {
				want |= k.right
			}
		}
		if got := handled(abi); got != want {
			t.Errorf("ABI %d handles %#x, want %#x", abi, got, want)
		}
	}
	if Write&(unix.LANDLOCK_ACCESS_FS_MAKE_CHAR|unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK) != 0 {
		t.Error("writing includes making devices")
	}
	if Read&^(unix.LANDLOCK_ACCESS_FS_EXECUTE|unix.LANDLOCK_ACCESS_FS_READ_FILE|unix.LANDLOCK_ACCESS_FS_READ_DIR) != 0 {
		t.Error("reading includes more than that")
	}
}

// TestDowngrade compares, for each version of Landlock, the whole ruleset with
// all options set and with none.
func TestDowngrade(t *testing.T) {
	const (
		scopes = "no signals out of it, no abstract sockets outside it, "
		ports  = "no TCP port to bind, none to connect to"
	)
	for abi, want := range [...]struct {
		fs          Access
		net, scoped uint64 // with everything wanted
		size        int
		quiet, log  int // flags of landlock_restrict_self
		text        string
	}{
		1:  {0x1fff, 0, 0, 8, 0, 0, "ABI 1"},
		2:  {0x3fff, 0, 0, 8, 0, 0, "ABI 2"},
		3:  {0x7fff, 0, 0, 8, 0, 0, "ABI 3"},
		4:  {0x7fff, 3, 0, 16, 0, 0, "ABI 4, no TCP port to bind, none to connect to"},
		5:  {0xffff, 3, 0, 16, 0, 0, "ABI 5, no TCP port to bind, none to connect to"},
		6:  {0xffff, 3, 3, 24, 0, 0, "ABI 6, " + scopes + ports},
		7:  {0xffff, 3, 3, 24, 4, 2, "ABI 7, " + scopes + ports},
		8:  {0xffff, 3, 3, 24, 4, 2, "ABI 8, " + scopes + ports},
		9:  {0x1ffff, 3, 3, 24, 4, 2, "ABI 9, " + scopes + "no Unix sockets outside it, " + ports},
		10: {0x1ffff, 3, 3, 24, 4, 2, "ABI 10, " + scopes + "no Unix sockets outside it, " + ports},
	} {
		if abi == 0 {
			continue // no Landlock, and no ruleset
		}
		all := Ruleset{ABI: abi, ScopeAbstract: true, Bind: true, Connect: true}
		if got := all.attr(); got != (attr{want.fs, want.net, want.scoped, want.size}) {
			t.Errorf("ABI %d: everything is %+v", abi, got)
		}
		if got := all.String(); got != "make a Landlock domain, "+want.text {
			t.Errorf("ABI %d: everything says %q", abi, got)
		}
		few := attr{want.fs, 0, want.scoped &^ unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET, want.size}
		if got := (Ruleset{ABI: abi}).attr(); got != few {
			t.Errorf("ABI %d: the least is %+v", abi, got)
		}
		if got := (Ruleset{ABI: abi, Bind: true}).attr().net; got != want.net&1 {
			t.Errorf("ABI %d: binding restricts %#x", abi, got)
		}
		if got := (Ruleset{ABI: abi, Connect: true}).attr().net; got != want.net&2 {
			t.Errorf("ABI %d: connecting restricts %#x", abi, got)
		}
		quiet, log := (Restrict{ABI: abi}).flags(), (Restrict{ABI: abi, Log: true}).flags()
		if quiet != want.quiet || log != want.log {
			t.Errorf("ABI %d: flags %#x, with log %#x", abi, quiet, log)
		}
	}
}

// TestKernel makes the ruleset of every version up to the machine's own, as the
// child does, and a rule for a file and one for a directory in each.
func TestKernel(t *testing.T) {
	machine, err := ABI()
	if err != nil {
		t.Fatal(err)
	}
	if machine == 0 {
		if os.Getenv("SBX_MUST_WORK") != "" {
			t.Fatal("this kernel has no Landlock")
		}
		t.Skip("this kernel has no Landlock")
	}
	for abi := 1; abi <= machine; abi++ {
		var a step.Asm
		Ruleset{ABI: abi, ScopeAbstract: true, Bind: true, Connect: true}.Compile(&a)
		tab, err := a.Link()
		if err != nil {
			t.Fatal(err)
		}
		c := tab.Calls[0]
		fd, _, errno := unix.RawSyscall(c.Nr, c.Arg[0], c.Arg[1], c.Arg[2])
		if errno != 0 {
			t.Fatalf("ABI %d: make a ruleset: %v", abi, errno)
		}
		if abi >= ABIPorts {
			for _, p := range []Port{
				{Port: 0, Bind: true}, {Port: 65535, Connect: true}, {Port: 80, Bind: true, Connect: true},
			} {
				var a step.Asm
				p.Compile(&a)
				rule, err := a.Link()
				if err != nil {
					t.Fatal(err)
				}
				c := rule.Calls[0]
				if _, _, errno := unix.RawSyscall6(c.Nr, fd, c.Arg[1], c.Arg[2], c.Arg[3], 0, 0); errno != 0 {
					t.Errorf("ABI %d: %v: %v", abi, p, errno)
				}
				if err := rule.Free(); err != nil {
					t.Error(err)
				}
			}
		}
		for _, r := range []Rule{
			{abi, "/etc/passwd", Write, true}, {abi, "/tmp", Write, false}, {abi, "/dev", Devices, false},
		} {
			var a step.Asm
			r.Compile(&a)
			rule, err := a.Link()
			if err != nil {
				t.Fatal(err)
			}
			path, err := unix.Open(r.Path, unix.O_PATH|unix.O_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range rule.Calls {
				if c.Op == step.OpStore {
					*(*uint32)(pointer(c.Arg[0])) = uint32(path)
				}
				if c.Op == step.OpSys && c.Nr == unix.SYS_LANDLOCK_ADD_RULE {
					if _, _, errno := unix.RawSyscall6(c.Nr, fd, c.Arg[1], c.Arg[2], c.Arg[3], 0, 0); errno != 0 {
						t.Errorf("ABI %d: %v: %v", abi, r, errno)
					}
				}
			}
			unix.Close(path)
			if err := rule.Free(); err != nil {
				t.Error(err)
			}
		}
		unix.Close(int(fd))
		if err := tab.Free(); err != nil {
			t.Error(err)
		}
	}
}
