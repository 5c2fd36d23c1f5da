package main

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// unixSockets tries every way to a stream and a datagram socket with a path and
// to a datagram socket with an abstract name. With a fourth argument it first
// says "ready" and waits until that file is there.
func unixSockets(args []string) error {
	if len(args) != 3 && len(args) != 4 {
		return fmt.Errorf("want STREAM DGRAM ABSTRACT [FILE]")
	}
	if len(args) == 4 {
		fmt.Println("ready")
		for {
			if _, err := os.Stat(args[3]); err == nil {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	stream, dgram, abstract := &unix.SockaddrUnix{Name: args[0]}, &unix.SockaddrUnix{Name: args[1]},
		&unix.SockaddrUnix{Name: "@" + args[2]}
	say("stream open and connect", dial(unix.AF_UNIX, unix.SOCK_STREAM, 0, stream))
	say("open high", rawSocket(1<<32|unix.AF_UNIX, unix.SOCK_STREAM, 0))
	for _, to := range []struct {
		name string
		sa   unix.Sockaddr
	}{{"stream", stream}, {"dgram", dgram}, {"abstract", abstract}} {
		say(to.name+" send", send(unix.AF_UNIX, unix.SOCK_DGRAM, 0, 0, to.sa))
		say(to.name+" connect", dial(unix.AF_UNIX, unix.SOCK_DGRAM, 0, to.sa))
		for kind, number := range map[string]int{"dgram": unix.SOCK_DGRAM, "raw": unix.SOCK_RAW,
			"stream": unix.SOCK_STREAM, "seqpacket": unix.SOCK_SEQPACKET} {
			pair, err := unix.Socketpair(unix.AF_UNIX, number|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				say(to.name+" from a pair of "+kind, err)
				continue
			}
			// An address is no error to a sequenced packet socket, which
			// sends to its other half all the same.
			err = unix.Sendto(pair[0], []byte("from a pair of "+kind), 0, to.sa)
			say(to.name+" from a pair of "+kind, err)
			say(to.name+" by connecting a pair of "+kind, unix.Connect(pair[0], to.sa))
			if err := unix.Shutdown(pair[0], unix.SHUT_RDWR); err != nil {
				return err
			}
			say(to.name+" by connecting a shut pair of "+kind, unix.Connect(pair[0], to.sa))
			unix.Close(pair[1])
			say(to.name+" by connecting half a pair of "+kind, unix.Connect(pair[0], to.sa))
			unix.Close(pair[0])
		}
	}
	own := fmt.Sprintf("/tmp/own-%d", os.Getpid())
	say("own", func() error {
		l, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(l)
		if err := unix.Bind(l, &unix.SockaddrUnix{Name: own}); err != nil {
			return err
		}
		defer os.Remove(own)
		if err := unix.Listen(l, 1); err != nil {
			return err
		}
		return dial(unix.AF_UNIX, unix.SOCK_STREAM, 0, &unix.SockaddrUnix{Name: own})
	}())
	return nil
}
