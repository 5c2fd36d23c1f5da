package main

// seccompCmd is "sbx seccomp ...": looking at system calls and filters without
// running anything.
type seccompCmd struct {
	Resolve seccompResolveCmd `cmd:"" help:"Say a system call's number, a number's system call, or a group's members."`
	Dump    seccompDumpCmd    `cmd:"" help:"Print the filters of a policy or of a running process."`
	Disasm  seccompDisasmCmd  `cmd:"" help:"Print a filter kept in a file, as raw BPF."`
	Emulate seccompEmulateCmd `cmd:"" help:"Say what a policy answers to a system call, and which of its lines decides."`
}
