package host

import "golang.org/x/sys/unix"

// Devices are the device files of a sandbox's own /dev. Each is bound by itself.
var Devices = [...]string{"null", "zero", "full", "random", "urandom", "tty"}

// deviceNumbers are the numbers of Devices: see the kernel's
// Documentation/admin-guide/devices.txt.
var deviceNumbers = [len(Devices)]uint64{
	unix.Mkdev(1, 3), unix.Mkdev(1, 5), unix.Mkdev(1, 7), unix.Mkdev(1, 8), unix.Mkdev(1, 9), unix.Mkdev(5, 0),
}

// DeviceNumber is the number of the i-th of Devices.
func DeviceNumber(i int) uint64 { return deviceNumbers[i] }

// IsDevice says whether the file is the i-th of Devices.
func (f File) IsDevice(i int) bool { return f.Mode == unix.S_IFCHR && f.Rdev == deviceNumbers[i] }
