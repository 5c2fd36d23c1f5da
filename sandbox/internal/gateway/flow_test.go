package gateway

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"
)

// TestFlow moves data between two pairs of sockets whose buffers are small, by pieces of
// every size: what comes out is what went in, and its end comes after it. Without pipes it
// is copied.
func TestFlow(t *testing.T) {
	for _, free := range []int{0, maxPipes} {
		for seed := range uint64(20) {
			g := &Gateway{buf: make([]byte, 64<<10), pipes: pipes{made: maxPipes - free}}
			in, out := pair(t), pair(t)
			f := &flow{from: &end{fd: in[1], readable: true}, to: &end{fd: out[0], writable: true}}
			random := rand.New(rand.NewPCG(seed, 1))
			sent := make([]byte, random.IntN(3<<20))
			rand.NewChaCha8([32]byte{byte(seed)}).Read(sent)
			left, got, shut := sent, []byte{}, false
			b := make([]byte, 1<<20)
			for turn := 0; !f.ended || len(got) < len(sent); turn++ {
				if turn > 1_000_000 {
					t.Fatal("it does not end")
				}
				switch random.IntN(3) {
				case 0:
					if len(left) == 0 && !shut {
						shut = true
						f.from.ending = true
						if err := unix.Shutdown(in[0], unix.SHUT_WR); err != nil {
							t.Fatal(err)
						}
					}
					n, _ := unix.Write(in[0], left[:min(len(left), 1+random.IntN(300_000))])
					left = left[max(n, 0):]
					f.from.readable = true
				case 1:
					n, err := unix.Read(out[1], b[:1+random.IntN(len(b))])
					if n == 0 && err == nil && len(got) < len(sent) {
						t.Fatal("the end came before the data")
					}
					got = append(got, b[:max(n, 0)]...)
					f.to.writable = true
				default:
					if _, err := g.pump(f); err != nil {
						t.Fatal(err)
					}
				}
			}
			if !bytes.Equal(got, sent) {
				t.Errorf("seed %d: %d bytes became %d others", seed, len(sent), len(got))
			}
			if f.pipe != nil || g.pipes.made-len(g.pipes.idle) != maxPipes-free {
				t.Errorf("seed %d: a pipe is not given back", seed)
			}
			g.pipes.closeAll()
			for _, fd := range [...]int{in[0], in[1], out[0], out[1]} {
				unix.Close(fd)
			}
		}
	}
}

func pair(t *testing.T) [2]int {
	t.Helper()
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestPipeWithData: one that is not empty is never used again, or its data would go to
// somebody else.
func TestPipeWithData(t *testing.T) {
	var p pipes
	x := p.get()
	if _, err := unix.Write(x.w, []byte("secret")); err != nil {
		t.Fatal(err)
	}
	f := &flow{pipe: x, held: 6}
	f.drop(&p)
	if len(p.idle) != 0 || p.made != 0 {
		t.Errorf("%+v", p)
	}
	y := p.get()
	p.put(y, true)
	if p.get() != y {
		t.Error("an empty one is not used again")
	}
	var all []*pipe
	for range maxPipes + 5 {
		if x := p.get(); x != nil {
			all = append(all, x)
		}
	}
	if len(all) != maxPipes-1 {
		t.Errorf("%d pipes besides one", len(all))
	}
	for _, x := range append(all, y) {
		p.put(x, true)
	}
	if len(p.idle) != maxIdle || p.made != maxIdle {
		t.Errorf("%d are kept, of %d", len(p.idle), p.made)
	}
	p.closeAll()
}
