// Package seccomp says which system calls a target may make: the names of
// calls, groups, constants and errnos, what a policy's rules mean, and what it
// answers to every call. Package compile makes programs for the kernel of
// that, package bpf runs and prints such programs. See seccomp(2).
//
// # What a policy means
//
// (*Policy).Answers has the rules, and Builtins what every policy says
// besides. In short: what is not listed is refused, deny beats allow, rules
// about a call's arguments beat lists, the strictest answer wins, and numbers
// that are too young to be known are answered as an older kernel would.
//
// An argument is compared in as many bits as the kernel reads of it: 32 of an
// int, 16 of a mode_t. The rest is junk that a caller may choose, and a filter
// that compares it can be passed: socket(1<<32|AF_VSOCK) is AF_VSOCK to the
// kernel.
//
// # What filters do not do
//
// Filters only narrow. A process cannot take one off, nor does a later one
// allow what an earlier one refuses; of all that are loaded the strictest
// answer counts. So a filter of ours works below one of a container's, and
// either's refusals hold; what strict mode (SECCOMP_MODE_STRICT) leaves, read,
// write, exit and sigreturn, no filter widens, and glibc's exit is not among
// it.
//
// A filter sees numbers, never what a pointer leads to: no paths, no socket
// addresses, no flags of clone3 or openat2. It is not asked about calls that
// io_uring makes, nor about the vDSO's functions, which are none; the legacy
// vsyscall page is. Since Linux 6.14 and 6.18 the kernel asks no filter about
// uretprobe and uprobe of amd64, which end a process that makes them itself.
//
// notify is answered by whoever holds the filter's listener, and with ENOSYS if
// nobody does. kill-thread ends the process if the thread is its only one.
package seccomp
