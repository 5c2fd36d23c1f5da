package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"sbx/internal/sys"
)

// pipes are what a Cmd opens for the program's streams.
type pipes struct {
	theirs []io.Closer // the program's ends, which are closed here once it has them
	ours   []io.Closer // closed when it has ended
	copies []func() error
	errs   chan error
}

// StdinPipe is a pipe that becomes the program's standard input. It is closed when the
// program has ended; close it before to tell the program of the end.
func (c *Cmd) StdinPipe() (io.WriteCloser, error) {
	if c.Stdin != nil {
		return nil, errors.New("sandbox: Stdin already set")
	}
	r, w, err := c.pipe("StdinPipe")
	if err != nil {
		return nil, err
	}
	c.Stdin = r
	c.io.theirs = append(c.io.theirs, r)
	closer := &onceFile{File: w}
	c.io.ours = append(c.io.ours, closer)
	return closer, nil
}

// StdoutPipe is a pipe from the program's standard output. Wait closes it, so all reading is
// to be done before.
func (c *Cmd) StdoutPipe() (io.ReadCloser, error) {
	if c.Stdout != nil {
		return nil, errors.New("sandbox: Stdout already set")
	}
	r, w, err := c.pipe("StdoutPipe")
	if err != nil {
		return nil, err
	}
	c.Stdout = w
	c.io.theirs, c.io.ours = append(c.io.theirs, w), append(c.io.ours, r)
	return r, nil
}

// StderrPipe is StdoutPipe for standard error.
func (c *Cmd) StderrPipe() (io.ReadCloser, error) {
	if c.Stderr != nil {
		return nil, errors.New("sandbox: Stderr already set")
	}
	r, w, err := c.pipe("StderrPipe")
	if err != nil {
		return nil, err
	}
	c.Stderr = w
	c.io.theirs, c.io.ours = append(c.io.theirs, w), append(c.io.ours, r)
	return r, nil
}

func (c *Cmd) pipe(what string) (r, w *os.File, err error) {
	if c.started {
		return nil, nil, fmt.Errorf("sandbox: %s after process started", what)
	}
	if r, w, err = os.Pipe(); err != nil {
		return nil, nil, fmt.Errorf("make a pipe for the program: %w", err)
	}
	return r, w, nil
}

// onceFile may be closed by Wait and by its user.
type onceFile struct {
	*os.File
	once sync.Once
	err  error
}

func (f *onceFile) Close() error {
	f.once.Do(func() { f.err = f.File.Close() })
	return f.err
}

// openStreams makes descriptors of all that the program gets: those of Target.Given.
// release closes them, once.
func (c *Cmd) openStreams() (given []int, release func(), err error) {
	files := make([]*os.File, 3, 3+len(c.ExtraFiles))
	if files[0], err = c.input(); err != nil {
		return nil, nil, err
	}
	if files[1], err = c.output(c.Stdout); err != nil {
		return nil, nil, err
	}
	if files[2] = files[1]; c.Stderr == nil || !same(c.Stderr, c.Stdout) {
		if files[2], err = c.output(c.Stderr); err != nil {
			return nil, nil, err
		}
	}
	return duplicate(append(files, c.ExtraFiles...))
}

// sampleStreams is openStreams for a plan that is not to be executed: what would be copied is
// a pipe.
func (c *Cmd) sampleStreams() (given []int, release func(), err error) {
	sample := Cmd{Stdin: c.Stdin, Stdout: c.Stdout, Stderr: c.Stderr, ExtraFiles: c.ExtraFiles}
	given, release, err = sample.openStreams()
	sample.io.closeAll()
	return given, release, err
}

// duplicate makes descriptors of the files above all numbers that the program gets.
func duplicate(files []*os.File) (given []int, release func(), err error) {
	release = sync.OnceFunc(func() {
		for _, fd := range given {
			if fd >= 0 {
				unix.Close(fd)
			}
		}
	})
	for i, f := range files {
		if f == nil {
			given = append(given, -1)
			continue
		}
		// Fd makes it a blocking one, which most programs need.
		fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, len(files))
		if err != nil {
			release()
			return nil, nil, fmt.Errorf("hand over descriptor %d: %w", i, err)
		}
		given = append(given, fd)
	}
	return given, release, nil
}

func (c *Cmd) input() (*os.File, error) {
	switch f := c.Stdin.(type) {
	case nil:
		return c.null(os.O_RDONLY)
	case *os.File:
		return f, nil
	}
	r, w, err := c.pipe2()
	if err != nil {
		return nil, err
	}
	c.io.theirs, c.io.ours = append(c.io.theirs, r), append(c.io.ours, w)
	from := c.Stdin
	c.io.copies = append(c.io.copies, func() error {
		_, err := io.Copy(w, from)
		if errors.Is(err, unix.EPIPE) || errors.Is(err, os.ErrClosed) {
			err = nil // the program need not read all
		}
		if e := w.Close(); err == nil && !errors.Is(e, os.ErrClosed) {
			err = e
		}
		return err
	})
	return r, nil
}

func (c *Cmd) output(to io.Writer) (*os.File, error) {
	switch f := to.(type) {
	case nil:
		return c.null(os.O_WRONLY)
	case *os.File:
		return f, nil
	}
	r, w, err := c.pipe2()
	if err != nil {
		return nil, err
	}
	c.io.theirs, c.io.ours = append(c.io.theirs, w), append(c.io.ours, r)
	c.io.copies = append(c.io.copies, func() error {
		_, err := io.Copy(to, r)
		r.Close() // in case of an error: the program is not to wait for ever
		return err
	})
	return w, nil
}

func (c *Cmd) pipe2() (r, w *os.File, err error) {
	if r, w, err = os.Pipe(); err != nil {
		return nil, nil, fmt.Errorf("make a pipe for the program: %w", err)
	}
	return r, w, nil
}

func (c *Cmd) null(how int) (*os.File, error) {
	fd, err := sys.Open(unix.AT_FDCWD, os.DevNull, how, unix.S_IFCHR)
	if err != nil {
		return nil, fmt.Errorf("open %s for the program: %w", os.DevNull, err)
	}
	f := os.NewFile(uintptr(fd), os.DevNull)
	c.io.theirs = append(c.io.theirs, f)
	return f, nil
}

// same compares what may not be comparable.
func same(a, b io.Writer) bool {
	if a == nil || b == nil || !reflect.TypeOf(a).Comparable() || !reflect.TypeOf(b).Comparable() {
		return false
	}
	return a == b
}

// started closes what is the program's by now, and begins to copy.
func (p *pipes) started() {
	closeEach(&p.theirs)
	p.errs = make(chan error, len(p.copies))
	for _, f := range p.copies {
		go func() { p.errs <- f() }()
	}
}

// wait waits until all is copied, so long at most, if that is not 0, and closes the rest. It
// returns the first error.
func (p *pipes) wait(most time.Duration) (err error) {
	var late <-chan time.Time
	if most > 0 {
		timer := time.NewTimer(most)
		defer timer.Stop()
		late = timer.C
	}
	// The input need not come to its end: nobody reads it any more.
	for left := len(p.copies); left > 0; {
		select {
		case e := <-p.errs:
			if left--; err == nil {
				err = e
			}
		case <-late:
			closeEach(&p.ours)
			return errors.Join(err, ErrWaitDelay)
		}
	}
	closeEach(&p.ours)
	return err
}

func (p *pipes) closeAll() {
	closeEach(&p.theirs)
	closeEach(&p.ours)
}

func closeEach(list *[]io.Closer) {
	for _, c := range *list {
		c.Close()
	}
	*list = nil
}

// endsBuffer keeps the beginning and the end of what is written.
type endsBuffer struct {
	head, tail []byte
	left       int64 // bytes between that are not kept
}

const endsSize = 32 << 10

func (b *endsBuffer) Write(p []byte) (int, error) {
	n := len(p)
	room := min(endsSize-len(b.head), n)
	b.head, p = append(b.head, p[:room]...), p[room:]
	b.tail = append(b.tail, p...)
	if over := len(b.tail) - endsSize; over > 0 {
		b.left += int64(over)
		b.tail = append(b.tail[:0], b.tail[over:]...)
	}
	return n, nil
}

func (b *endsBuffer) bytes() []byte {
	if b.left == 0 {
		return append(b.head, b.tail...)
	}
	return bytes.Join([][]byte{b.head, b.tail}, fmt.Appendf(nil, "\n... omitting %d bytes ...\n", b.left))
}
