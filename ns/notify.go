package ns

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/internal/text"
)

// NotifySocket makes a socket of datagrams in the place of a service manager's, mounts it at
// Path, and sends it to the launcher, which relays what comes there; see package sdnotify.
type NotifySocket struct {
	Path string
	// Below, ID and Scratch are as in FileOver.
	Below   bool
	ID      ID
	Scratch step.Slot
}

func (n NotifySocket) String() string {
	return "make a notify socket at " + text.Quote(n.Path) + ", relayed by the launcher"
}

func (NotifySocket) Kind() string { return "notify-socket" }

func (n NotifySocket) Hint(err error) string {
	if step.Errno(err) == unix.ELOOP {
		return linkInsideHint(n.Path)
	}
	return replacedHint(err)
}

// Compile binds the socket on a new tmpfs and clones a mount of this one file from it. All
// may write to it.
func (n NotifySocket) Compile(a *step.Asm) {
	const name = "notify"
	fs, tree, socket := a.Temp(), a.Temp(), a.Temp()
	fsmount(a, fs, "tmpfs", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC,
		"mode", "0755", "size", "64k")
	attachScratch(a, fs, n.Scratch)
	a.Sys(unix.SYS_SOCKET, step.Int(unix.AF_UNIX), step.Int(unix.SOCK_DGRAM|unix.SOCK_CLOEXEC), step.Int(0)).To(socket)
	address := binary.NativeEndian.AppendUint16(nil, unix.AF_UNIX)
	address = append(append(address, scratchMount+"/"+name...), 0)
	a.Sys(unix.SYS_BIND, socket.Arg(), a.Bytes(address), step.Int(len(address)))
	a.Sys(unix.SYS_OPEN_TREE, n.Scratch.Arg(), a.Str(scratchMount+"/"+name),
		step.Int(unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_SYMLINK_NOFOLLOW)).To(tree)
	setattr(a, tree.Arg(), "", inert, 0)
	detachScratch(a, fs, n.Scratch)
	if n.ID == (ID{}) {
		attach(a, tree, n.Path, n.Below)
	} else {
		to := a.Temp()
		resolve(a, to, n.Path)
		same(a, to, n.ID.Major, n.ID.Minor, n.ID.Ino)
		onto(a, tree, to)
	}
	a.SendFD(a.Notify, []byte{step.MsgNotify}, socket.Arg())
	a.Sys(unix.SYS_CLOSE, socket.Arg())
}
