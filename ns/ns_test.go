package ns

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
)

// TestBindFlags checks the flags of every kind of bind: no set-id programs ever,
// devices only in the sandbox's own /dev, writing only where Write is set.
func TestBindFlags(t *testing.T) {
	const (
		suid = unix.MOUNT_ATTR_NOSUID
		dev  = unix.MOUNT_ATTR_NODEV
		ro   = unix.MOUNT_ATTR_RDONLY
		exec = unix.MOUNT_ATTR_NOEXEC
	)
	for _, c := range []struct {
		bind Bind
		want uint64
		text string
	}{
		{Bind{Source: "/a", Dest: "/a"}, suid | dev | ro, "bind /a read-only"},
		{Bind{Source: "/a", Dest: "/b"}, suid | dev | ro, "bind /a at /b read-only"},
		{Bind{Source: "/a", Dest: "/a", Write: true}, suid | dev, "bind /a writable"},
		{Bind{Source: "/a", Dest: "/a", NoExec: true}, suid | dev | ro | exec, "bind /a read-only, no exec"},
		{Bind{Source: "/a", Dest: "/a", Write: true, NoExec: true}, suid | dev | exec, "bind /a writable, no exec"},
		{Bind{Source: "/dev/null", Dest: "/dev/null", Device: true}, suid | ro | exec, "bind /dev/null as a device"},
		{Bind{Source: "/a\x1b", Dest: "/a\x1b"}, suid | dev | ro, `bind "/a\x1b" read-only`},
	} {
		if got := c.bind.attrs(); got != c.want {
			t.Errorf("%v: flags %#x, want %#x", c.bind, got, c.want)
		}
		if got := c.bind.String(); got != c.text {
			t.Errorf("%q, want %q", got, c.text)
		}
	}
}

// calls are the system calls that a step compiles to.
func calls(t *testing.T, s step.Step) []step.Call {
	t.Helper()
	var a step.Asm
	s.Compile(&a)
	tab, err := a.Link()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tab.Free() })
	return tab.Calls
}

// TestOrder checks that a mount has its flags, and has been compared with the
// planned file, before it is attached; and that a mount point below a directory
// of the host is resolved by openat2.
func TestOrder(t *testing.T) {
	for _, s := range []step.Step{
		Bind{Source: "/a", Dest: "/a", Ino: 1}, Bind{Source: "/a", Dest: "/a", Ino: 1, Below: true},
		Mask{Path: "/a", Below: true}, Tmpfs{Path: "/t", Mode: 0o700}, Tmpfs{Path: "/t", Below: true}, Proc{}, Devpts{},
		RootBind{Bind{Source: "/", Dest: "/", Ino: 2}},
		Tmpfs{Path: "/t", ReadOnly: true, NoExec: true, Below: true}, Mask{Path: "/a", Below: true, Maybe: true},
		Mqueue{Path: "/q"}, Mqueue{Path: "/q", Below: true},
	} {
		flagged, checked, resolved, attached := false, false, false, false
		for _, c := range calls(t, s) {
			switch {
			case c.Op == step.OpCompare:
				checked = true
			case c.Nr == unix.SYS_MOUNT_SETATTR, c.Nr == unix.SYS_FSMOUNT && c.Arg[2] != 0:
				flagged = !attached
			case c.Nr == unix.SYS_OPENAT2:
				resolved = true
			case c.Nr == unix.SYS_MOVE_MOUNT:
				attached = true
			}
		}
		_, bind := s.(Bind)
		_, root := s.(RootBind)
		if !flagged || !attached || (bind || root) && !checked {
			t.Errorf("%v: flags before attaching %v, checked %v, attached %v", s, flagged, checked, attached)
		}
		below := false
		switch s := s.(type) {
		case Bind:
			below = s.Below
		case Tmpfs:
			below = s.Below
		case Mqueue:
			below = s.Below
		case Mask:
			below = s.Below
		}
		if below != resolved {
			t.Errorf("%v: below a directory of the host %v, resolved %v", s, below, resolved)
		}
	}
}

// TestFileOver checks that the file's tmpfs is attached at scratchMount only until
// the file has been cloned, and that the clone has its flags before it is
// attached.
func TestFileOver(t *testing.T) {
	for _, o := range []FileOver{{Path: "/f", Text: "x"}, {Path: "/f", Text: "x", Below: true, ID: ID{Ino: 3}}} {
		var order []uintptr
		for _, c := range calls(t, o) {
			switch c.Nr {
			case unix.SYS_MOVE_MOUNT, unix.SYS_OPEN_TREE, unix.SYS_MOUNT_SETATTR, unix.SYS_UMOUNT2,
				unix.SYS_UNLINKAT, unix.SYS_OPENAT2:
				order = append(order, c.Nr)
			}
		}
		want := []uintptr{
			unix.SYS_MOVE_MOUNT, unix.SYS_OPEN_TREE, unix.SYS_MOUNT_SETATTR, unix.SYS_UMOUNT2,
			unix.SYS_UNLINKAT, unix.SYS_MOVE_MOUNT,
		}
		if o.Below {
			want = slices.Insert(want, 5, unix.SYS_OPENAT2)
		}
		if !slices.Equal(order, want) {
			t.Errorf("%+v: calls %v, want %v", o, order, want)
		}
	}
}

// TestLayers checks that overlayfs gets only directories that have been checked,
// by their descriptors, and that its mount has its flags.
func TestLayers(t *testing.T) {
	layer := func(name string, n int) Layer { return Layer{Path: name, ID: ID{Ino: uint64(n)}, FD: n} }
	for _, o := range []Overlay{
		{Path: "/o", Lower: layer("/l", 40)},
		{Path: "/o", Lower: layer("/l", 40), Upper: layer("/u", 41), Work: layer("/w", 42), NoExec: true, Below: true},
	} {
		want, made := uint64(unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV), false
		if o.NoExec {
			want |= unix.MOUNT_ATTR_NOEXEC
		}
		checked := map[uintptr]bool{}
		for _, c := range calls(t, o) {
			switch {
			case c.Nr == unix.SYS_DUP3:
				checked[c.Arg[1]] = true
			case c.Nr == unix.SYS_FSMOUNT:
				made = uint64(c.Arg[2]) == want
			}
		}
		layers := 1
		if o.Upper.Path != "" {
			layers = 3
		}
		if !made || len(checked) != layers || !checked[40] {
			t.Errorf("%v: flags right %v, layers %v", o, made, checked)
		}
	}
}

func TestSet(t *testing.T) {
	all := User | Mount | PID | Net | IPC | UTS | Cgroup
	if got := all.String(); got != "user mount pid net ipc uts cgroup" {
		t.Errorf("all are %q", got)
	}
	if got := Set(0).String(); got != "none" {
		t.Errorf("none are %q", got)
	}
	const want = unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC |
		unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP
	if uint64(all) != want {
		t.Errorf("flags %#x", uint64(all))
	}
}

func TestRel(t *testing.T) {
	for in, want := range map[string]string{"/": ".", "/a": "a", "/a/b": "a/b"} {
		if got := rel(in); got != want {
			t.Errorf("rel(%s) = %s, want %s", in, got, want)
		}
	}
}
