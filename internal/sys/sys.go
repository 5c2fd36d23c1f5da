// Package sys reads the kernel's small files without package os, which takes time at
// every launch.
package sys

import "golang.org/x/sys/unix"

// ReadFile reads a whole file. It is for the kernel's small files, such as those in /proc:
// unlike os.ReadFile it does not start the runtime's poller. Errors are bare errnos.
func ReadFile(name string) (string, error) {
	return ReadFileAt(unix.AT_FDCWD, name, 0)
}

// ReadFileAt reads the file of that name in a directory, opened with further
// flags of open(2).
func ReadFileAt(dir int, name string, flags int) (string, error) {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_CLOEXEC|flags, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	var all []byte
	var b [4096]byte
	for {
		n, err := unix.Read(fd, b[:])
		switch {
		case err == unix.EINTR:
		case err != nil:
			return "", err
		case n == 0:
			return string(all), nil
		default:
			all = append(all, b[:n]...)
		}
	}
}
