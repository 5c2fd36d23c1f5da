package gateway

import (
	"golang.org/x/sys/unix"
)

// flow moves what one socket sends to the other, and no faster than that one takes it.
type flow struct {
	from, to *end
	// pipe is what data goes through where much flows, with this many bytes in it. buf is
	// what is to be written where there is none.
	pipe  *pipe
	held  int
	buf   []byte
	full  int  // how many reads in a row had more than they could take
	eof   bool // from has said all
	ended bool // and to was told
}

const (
	pipeSize = 1 << 19
	// turns bounds what one connection moves while others wait.
	turns = 16
)

// pumpReady moves data of all connections that something is new of.
func (g *Gateway) pumpReady() {
	list := g.ready
	g.ready = nil
	for _, c := range list {
		c.queued = false
		if c.state != talking {
			continue
		}
		more := false
		for i := range c.flows {
			again, err := g.pump(&c.flows[i])
			if err != nil {
				c.abort()
				break
			}
			more = more || again
		}
		switch {
		case c.state == closed:
		case c.flows[0].ended && c.flows[1].ended:
			c.finish()
		case more:
			c.queue()
		}
	}
	if g.ready == nil {
		g.ready = list[:0]
	}
}

// pump moves what it can. more says that there is more to do at once.
func (g *Gateway) pump(f *flow) (more bool, err error) {
	if f.ended {
		return false, nil
	}
	for range turns {
		switch {
		case f.held > 0 || len(f.buf) > 0:
			if !f.to.writable {
				return false, nil
			}
			err = f.flush()
		case f.eof:
			f.drop(&g.pipes)
			f.ended = true
			if err := unix.Shutdown(f.to.fd, unix.SHUT_WR); err != nil && err != unix.ENOTCONN {
				return false, err
			}
			return false, nil
		case !f.from.readable:
			f.drop(&g.pipes)
			return false, nil
		default:
			err = g.take(f)
		}
		if err != nil {
			return false, err
		}
	}
	return true, nil
}

// take reads what is there.
func (g *Gateway) take(f *flow) error {
	if f.pipe == nil && f.full >= 2 {
		f.pipe = g.pipes.get()
	}
	var n int
	var err error
	if f.pipe != nil {
		var m int64
		m, err = unix.Splice(f.from.fd, nil, f.pipe.w, nil, pipeSize, unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
		n = int(m)
		f.held = max(n, 0)
	} else {
		n, err = unix.Read(f.from.fd, g.buf)
	}
	switch {
	case err == unix.EAGAIN:
		f.from.readable = false
		return nil
	case err == unix.EINTR:
		return nil
	case err != nil:
		return err
	case n == 0:
		f.eof = true
		return nil
	}
	if f.pipe != nil {
		return nil
	}
	if f.full++; n < len(g.buf) {
		f.full = 0
		// All that there was, so the kernel tells of more; only the end it may have told
		// of already.
		f.from.readable = f.from.ending
	}
	sent := 0
	if f.to.writable {
		if sent, err = unix.Write(f.to.fd, g.buf[:n]); err == unix.EAGAIN || err == unix.EINTR {
			f.to.writable = err == unix.EINTR
			sent, err = 0, nil
		}
		if err != nil {
			return err
		}
	}
	if sent < n {
		f.buf = append(f.buf[:0], g.buf[sent:n]...)
	}
	return nil
}

// flush writes what is held.
func (f *flow) flush() error {
	var n int
	var err error
	if f.held > 0 {
		var m int64
		m, err = unix.Splice(f.pipe.r, nil, f.to.fd, nil, f.held, unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
		n = int(m)
	} else {
		n, err = unix.Write(f.to.fd, f.buf)
	}
	switch {
	case err == unix.EAGAIN:
		f.to.writable = false
		return nil
	case err == unix.EINTR:
		return nil
	case err != nil:
		return err
	case f.held > 0:
		f.held -= n
	default:
		if f.buf = f.buf[n:]; len(f.buf) == 0 {
			f.buf = nil
		}
	}
	return nil
}

// drop gives back what the flow holds. A pipe that is not empty is closed.
func (f *flow) drop(p *pipes) {
	if f.pipe != nil {
		p.put(f.pipe, f.held == 0)
		f.pipe, f.held = nil, 0
	}
	f.buf = nil
}

// pipe is a pipe that data is spliced through.
type pipe struct{ r, w int }

// pipes are the pipes that there are. A user may have 128 of this size before the kernel
// makes them smaller; see pipe(7). Who gets none copies.
type pipes struct {
	idle []*pipe
	made int
}

const (
	maxPipes = 24
	maxIdle  = 4
)

func (p *pipes) get() *pipe {
	if n := len(p.idle); n > 0 {
		x := p.idle[n-1]
		p.idle = p.idle[:n-1]
		return x
	}
	if p.made >= maxPipes {
		return nil
	}
	var fds [2]int
	if unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK) != nil {
		return nil
	}
	// Where it fails the pipe is smaller, and slower.
	_, _ = unix.FcntlInt(uintptr(fds[0]), unix.F_SETPIPE_SZ, pipeSize)
	p.made++
	return &pipe{fds[0], fds[1]}
}

func (p *pipes) put(x *pipe, empty bool) {
	if empty && len(p.idle) < maxIdle {
		p.idle = append(p.idle, x)
		return
	}
	p.made--
	unix.Close(x.r)
	unix.Close(x.w)
}

func (p *pipes) closeAll() {
	for _, x := range p.idle {
		unix.Close(x.r)
		unix.Close(x.w)
	}
	p.idle = nil
}
