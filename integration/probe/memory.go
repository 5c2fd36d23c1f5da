package main

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// memory tries to run programs from files in memory, and from FILE, which it
// makes.
func memory(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("want FILE")
	}
	data, err := os.ReadFile("/bin/true")
	if err != nil {
		return err
	}
	const noExec, exec = 0x8, 0x10 // MFD_NOEXEC_SEAL, MFD_EXEC
	for _, way := range []struct {
		name  string
		flags int
	}{{"plain", 0}, {"exec", exec}, {"sealed", noExec}, {"high", 1 << 40}} {
		fd, err := unix.MemfdCreate("x", way.flags|unix.MFD_CLOEXEC)
		if err == nil {
			_, err = unix.Write(fd, data)
		}
		if err == nil && way.flags == noExec {
			say("chmod "+way.name, unix.Fchmod(fd, 0o755))
		}
		if err == nil {
			err = runs(fmt.Sprintf("/proc/self/fd/%d", fd))
		}
		say("run "+way.name, err)
	}
	if err := os.WriteFile(args[0], data, 0o755); err != nil {
		return err
	}
	say("run file", runs(args[0]))
	return nil
}

// runs runs the program.
func runs(name string) error {
	p, err := os.StartProcess(name, []string{name}, &os.ProcAttr{})
	if err == nil {
		var s *os.ProcessState
		if s, err = p.Wait(); err == nil && !s.Success() {
			err = errors.New(s.String())
		}
	}
	if errno := unix.Errno(0); errors.As(err, &errno) {
		return errno
	}
	return err
}
