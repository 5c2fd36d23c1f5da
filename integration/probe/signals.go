package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func one(args []string) (int, error) {
	if len(args) != 1 {
		return 0, fmt.Errorf("want one number")
	}
	return strconv.Atoi(args[0])
}

// exit leaves with a status.
func exit(args []string) error {
	n, err := one(args)
	if err != nil {
		return err
	}
	os.Exit(n)
	return nil
}

// die sends itself a signal with the default disposition.
func die(args []string) error {
	n, err := one(args)
	if err != nil {
		return err
	}
	signal.Reset()
	// Go keeps handlers of its own; the kernel's default is put back by hand.
	if err := defaultAction(n); err != nil {
		return err
	}
	if err := unix.Kill(os.Getpid(), unix.Signal(n)); err != nil {
		return err
	}
	time.Sleep(5 * time.Second)
	return fmt.Errorf("signal %d did not kill", n)
}

// core crashes by an abort, which would dump core.
func core([]string) error {
	return die([]string{strconv.Itoa(int(unix.SIGABRT))})
}

// sig reports each signal; TERM ends it with the status given.
func sig(args []string) error {
	n, err := one(args)
	if err != nil {
		return err
	}
	c := make(chan os.Signal, 64)
	signal.Notify(c)
	fmt.Printf("ready pid %d\n", os.Getpid())
	deadline := time.After(60 * time.Second)
	for {
		select {
		case s := <-c:
			number, ok := s.(syscall.Signal)
			if !ok || number == syscall.SIGURG || number == syscall.SIGCHLD {
				continue // Go's own scheduling
			}
			fmt.Printf("got %s\n", unix.SignalName(number))
			if number == syscall.SIGTERM {
				os.Exit(n)
			}
		case <-deadline:
			return fmt.Errorf("nobody ended it for a minute")
		}
	}
}

// daemon leaves something behind that does all that daemons do to survive,
// says its name and ends.
func daemon(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("want one file")
	}
	cmd := exec.Command(self(), "daemon-body", args[0])
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	for range 500 {
		if _, err := os.Stat(args[0]); err == nil {
			fmt.Println("daemon runs")
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("daemon did not start")
}

func daemonBody(args []string) error {
	signal.Ignore(unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT)
	return tick(args)
}

// tick shows that it lives by a file's time.
func tick(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("want one file")
	}
	for range 6000 {
		if err := os.WriteFile(args[0], []byte(time.Now().String()), 0o600); err != nil {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil
}

// forks has children until the kernel refuses or N are there, says how many,
// and ends them.
func forks(args []string) error {
	n, err := one(args)
	if err != nil {
		return err
	}
	var children []*exec.Cmd
	var refused error
	for range n {
		cmd := exec.Command(self(), "tick", os.DevNull)
		if refused = cmd.Start(); refused != nil {
			break
		}
		children = append(children, cmd)
	}
	fmt.Printf("children: %d\n", len(children))
	if refused != nil {
		say("refused", refused)
	}
	for _, c := range children {
		if err := c.Process.Kill(); err != nil {
			return err
		}
		c.Wait()
	}
	return nil
}
