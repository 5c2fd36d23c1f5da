// Package kernels is the kernel matrix: Debian's kernels boot under qemu, and
// the tests run there as they do on the machine itself, as root and as a user.
//
//	make test-kernels                                    all of it
//	make test-kernels KERNELS=6.1 RUN='TestScript/guest-limits'   one script on one kernel
//	make test-kernel                                     what `make test` has time for
//
// # How to add a case
//
// Write a script, integration/testdata/guest/guest-NAME.txtar, in the words of
// TestScript; it runs in every guest, twice: as root, and as uid 61042, who has
// the subordinate ids 100000 to 165535. It says in its first lines what it
// needs, by the conditions of integration/guest_test.go: "[!landlock:6] stop"
// or "[!root] stop". The command sysctl sets a parameter of the kernel until
// the script ends. Each guest has cgroup v2 with all controllers, laid out as
// systemd does (root in system.slice/tests.service, delegated; the user in
// app.slice/tests.scope below a user@61042.service that is the user's), AppArmor
// with apparmor_parser, newuidmap and newgidmap, a disk (254:0, /dev/vda) that io limits
// can name, and the programs that root.go lists. The ordinary scripts and the
// Go tests of integration run as well; a Go test that is for guests only asks
// for guestFacts first. Which tests run on which kernel, and what must
// be true there, is the table in kernels_test.go.
//
// # How it works
//
// fetch.sh gets the kernels. The host makes two disks, a root of its own
// programs (root.go) and one of the tests (disks.go), and boots (machine.go) a
// kernel whose initramfs is one static program (guest), which runs the jobs
// and reports by the second serial port (job). The reports become subtests.
package kernels
