package gateway

import (
	"time"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
)

// Root hands the launcher the sandbox's root directory, for connections from the host that
// lead to a Unix socket inside. It is no way out: the launcher only looks for sockets there.
type Root struct{}

func (Root) String() string { return "hand the root directory to the launcher, to find sockets in it" }

// Kind is the name in --json.
func (Root) Kind() string { return "hand-over-root" }

const kindRoot = 'r'

// Compile opens and sends it.
func (Root) Compile(a *step.Asm) {
	fd := a.Temp()
	a.Sys(unix.SYS_OPENAT, step.Int(unix.AT_FDCWD), a.Str("/"), step.Int(unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC),
		step.Int(0)).To(fd)
	a.SendFD(a.Notify, []byte{step.MsgNetwork, kindRoot}, fd.Arg())
	a.Sys(unix.SYS_CLOSE, fd.Arg())
}

// A Unix socket that is accepted belongs to the network of the one that was connected to
// it, and shows its interfaces and addresses. So the launcher connects with sockets that
// the init has made.

// askSocket asks the init for a socket, and has the connection wait for it.
func (c *conn) askSocket() {
	c.g.wanting = append(c.g.wanting, c)
	c.wait(dialing, false)
	if err := c.g.config.Socket(); err != nil {
		c.abort()
	}
}

// gotSocket is the answer.
func (g *Gateway) gotSocket(fd int) {
	for len(g.wanting) > 0 {
		c := g.wanting[0]
		if g.wanting = g.wanting[1:]; c.state == dialing {
			c.out = end{conn: c, fd: fd}
			c.connectSocket()
			return
		}
	}
	unix.Close(fd)
}

// connectSocket connects to the socket inside. A listener whose queue is full is tried
// again: the kernel does not tell when there is room.
func (c *conn) connectSocket() {
	switch err := c.g.connectBeneath(c.out.fd, c.innerPath); err {
	case nil:
		if err := c.g.watch(c.out.fd, streamEvents, &c.out); err != nil {
			c.abort()
			return
		}
		c.talk()
	case unix.EAGAIN:
		if c.giveUp.IsZero() {
			c.giveUp = c.g.now.Add(dialTime)
		}
		c.wait(dialing, false)
		c.deadline = c.g.now.Add(10 * time.Millisecond)
	default:
		c.abort()
	}
}

// connectBeneath connects to what has that path inside. It follows no link: the target
// might lead it to a socket of the host's that it may not connect to itself.
func (g *Gateway) connectBeneath(fd int, path string) error {
	file, err := unix.Openat2(g.root, path, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC | unix.O_NOFOLLOW,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_SYMLINKS})
	if err != nil {
		return err
	}
	defer unix.Close(file)
	var st unix.Stat_t
	if err := unix.Fstat(file, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return unix.ENOTSOCK
	}
	return unix.Connect(fd, &unix.SockaddrUnix{Name: byDescriptor(file)})
}

// takeRoot takes the sandbox's root directory over.
func (g *Gateway) takeRoot(fd int) {
	g.root = fd
	g.openPublished()
}

// openPublished begins to accept what comes from the host, when all is there that leads
// inside.
func (g *Gateway) openPublished() {
	for _, p := range g.config.Publish {
		if p.InnerPath == "" && !g.mint.complete(g.config.IPv6) || p.InnerPath != "" && g.root < 0 {
			return
		}
	}
	for _, l := range g.published {
		g.listen(l)
	}
	g.published = nil
}
