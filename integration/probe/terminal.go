package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// tty tries what a program at a terminal should be able to do, and what it
// should not: type for the user.
func tty([]string) error {
	size, err := unix.IoctlGetWinsize(0, unix.TIOCGWINSZ)
	if err != nil {
		say("window size", err)
	} else {
		fmt.Printf("window size: %dx%d\n", size.Col, size.Row)
	}
	termios, err := unix.IoctlGetTermios(0, unix.TCGETS)
	say("tcgetattr", err)
	if err == nil {
		say("tcsetattr", unix.IoctlSetTermios(0, unix.TCSETS, termios))
	}
	char := []byte("x")
	say("TIOCSTI", ioctl(unix.TIOCSTI, unsafe.Pointer(&char[0])))
	say("TIOCSTI high", ioctl(1<<32|unix.TIOCSTI, unsafe.Pointer(&char[0])))
	say("TIOCLINUX", ioctl(unix.TIOCLINUX, unsafe.Pointer(&char[0])))
	say("TIOCLINUX high", ioctl(1<<40|unix.TIOCLINUX, unsafe.Pointer(&char[0])))
	discipline := int32(0) // N_TTY, which it is anyway
	say("TIOCSETD", ioctl(unix.TIOCSETD, unsafe.Pointer(&discipline)))
	say("TIOCSETD high", ioctl(1<<32|unix.TIOCSETD, unsafe.Pointer(&discipline)))
	say("steal", unix.IoctlSetInt(0, unix.TIOCSCTTY, 1))
	fd, err := unix.Open("/dev/tty", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err == nil {
		unix.Close(fd)
	}
	say("open /dev/tty", err)
	pgrp, err := unix.IoctlGetInt(0, unix.TIOCGPGRP)
	if err == nil {
		fmt.Printf("foreground: %v\n", pgrp == unix.Getpgrp())
	} else {
		say("foreground", err)
	}
	entries, err := os.ReadDir("/dev/pts")
	if err != nil {
		say("other terminals", err)
		return nil
	}
	numbered := 0
	for _, e := range entries {
		if e.Name() != "ptmx" {
			numbered++
		}
	}
	fmt.Printf("other terminals: %d\n", numbered)
	return nil
}

func ioctl(request uintptr, arg unsafe.Pointer) error {
	_, _, errno := unix.RawSyscall(unix.SYS_IOCTL, 0, request, uintptr(arg))
	return errnoOrNil(errno)
}

// ttyWait reports what the terminal sends, for a test that types and resizes.
// INT ends it with status 42, so that the test sees who handled the Ctrl-C.
func ttyWait([]string) error {
	c := make(chan os.Signal, 16)
	signal.Notify(c, unix.SIGINT, unix.SIGWINCH, unix.SIGCONT, unix.SIGHUP)
	fmt.Println("ready")
	deadline := time.After(30 * time.Second)
	for {
		select {
		case s := <-c:
			number, ok := s.(syscall.Signal)
			if !ok {
				continue
			}
			fmt.Printf("got %s\n", unix.SignalName(number))
			switch number {
			case unix.SIGINT:
				os.Exit(42)
			case unix.SIGWINCH:
				if size, err := unix.IoctlGetWinsize(0, unix.TIOCGWINSZ); err == nil {
					fmt.Printf("size %dx%d\n", size.Col, size.Row)
				}
			}
		case <-deadline:
			return fmt.Errorf("nothing happened for half a minute")
		}
	}
}

// spoil changes all that is shared with the caller of descriptors 0 to 2: their
// status flags, and what a terminal does for others.
func spoil([]string) error {
	for fd := range 3 {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		if err != nil {
			return err
		}
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFL, (flags^unix.O_APPEND)|unix.O_NONBLOCK); err != nil {
			return err
		}
		if _, err := unix.IoctlGetTermios(fd, unix.TCGETS); err != nil {
			continue
		}
		// A process group in the foreground that nobody is in any more.
		child := exec.Command(self(), "exit", "0")
		child.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := child.Start(); err != nil {
			return err
		}
		signal.Ignore(unix.SIGTTOU)
		if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPGRP, child.Process.Pid); err != nil && err != unix.ENOTTY {
			return err
		}
		if err := child.Wait(); err != nil {
			return err
		}
		if err := unix.IoctlSetInt(fd, unix.TIOCEXCL, 0); err != nil {
			return err
		}
		const tcooff = 0
		if err := unix.IoctlSetInt(fd, unix.TCXONC, tcooff); err != nil {
			return err
		}
	}
	return nil
}
