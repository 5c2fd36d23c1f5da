// Probe looks at a sandbox from inside and says what it sees, one fact a
// line, so that scripts can compare it. It is a single static binary with one
// word per question: `probe caps`, `probe nest`. It never decides whether
// what it finds is right; the tests do.
//
//go:debug containermaxprocs=0
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// command is one question and how it is answered.
type command struct {
	name, help string
	run        func(args []string) error
}

func commands() []command {
	return []command{
		{"args", "the argument vector: count, digest, and each if there are few", args},
		{"env", "the environment, sorted and quoted", env},
		{"cwd", "the working directory", cwd},
		{"fds", "the open descriptors", fds},
		{"caps", "ids, capability sets, securebits, no_new_privs, seccomp", caps},
		{"ns", "the namespaces", namespaces},
		{"limits", "rlimits, umask, priority, signal masks", limits},
		{"mounts", "each mount point with its flags", mounts},
		{"mounting", "attempts to mount, each kind in docs/explain.md", mounting},
		{"mountinfo", "the mounts, as the kernel lists them", mountinfo},
		{"metadata-streams", "attempts to change what descriptors 0 to 2 are open to, but its contents; to descriptor 3",
			metadataStreams},
		{"metadata-paths", "the same, with what is visible", metadataPaths},
		{"peel", "attempts to undo the mounts", peel},
		{"hidden", "PATH...: every operation on a path", hidden},
		{"walkproc", "DIR...: what below can be opened for writing", walkproc},
		{"secrets", "what of the kernel's and the host's is readable", secrets},
		{"trace", "attempts to look into or signal every process seen", trace},
		{"canary", "STRING: where it is to be found in /proc", canary},
		{"facts", "all that makes the strength of a sandbox", facts},
		{"nest", "attempts to make or join namespaces, in every ABI", nest},
		{"nest-one", "KIND: one attempt of nest", nestOne},
		{"abi", "whether foreign ABIs answer", abi},
		{"abi-one", "KIND: one attempt of abi", abiOne},
		{"sock", "ADDR PATH ABSTRACT: what can be reached", sock},
		{"byname", "ATTEMPT...: what can be reached by name and address", byName},
		{"ports", "PORT OTHER BIND BINDOTHER: which ports can be had, by which protocol", ports},
		{"unix", "STREAM DGRAM ABSTRACT [FILE]: Unix sockets that can be reached", unixSockets},
		{"handed", "FD ADDR PATH ABSTRACT: what a socket of the host's leads to", handed},
		{"serve", "FD: answer one message on a socket of the host's", serve},
		{"ipc", "System V, message queues, keyrings", ipc},
		{"setgid", "DIR: the set-group-ID bit for directories and files there", setgid},
		{"beneath", "DIR NAME: openat2 with RESOLVE_BENEATH, to make NAME if DIR can be written, else to read it", beneath},
		{"setid", "DIR: attempts to leave set-id or device files there", setid},
		{"reach", "limits and priorities of others", reach},
		{"others", "PID: what of a process of the host can be limited or slowed down", others},
		{"memory", "FILE: attempts to run programs in memory, and FILE", memory},
		{"tree", "SEED DIR PATH...: what can be done at each path, before and after harm", tree},
		{"tty", "what the terminal lets one do", tty},
		{"spoil", "change what is shared of descriptors 0 to 2", spoil},
		{"tty-wait", "report window changes and signals at a terminal", ttyWait},
		{"sig", "STATUS: report signals, exit with STATUS upon TERM", sig},
		{"exit", "STATUS: exit with it", exit},
		{"die", "SIGNAL: be killed by it", die},
		{"lfds", "check LISTEN_PID and LISTEN_FDS, serve one connection on each", lfds},
		{"notify", "MESSAGE: send it to NOTIFY_SOCKET", notify},
		{"daemon", "FILE: leave a daemon behind that touches FILE", daemon},
		{"daemon-body", "FILE: what daemon leaves behind", daemonBody},
		{"tick", "FILE: touch FILE every 10 ms, for a minute", tick},
		{"core", "crash", core},
		{"forks", "N: have up to N children at once", forks},
		{"storm", "N: orphan N, stop, continue and fork as fast as can be; report SIGUSR1", storm},
		{"oracle", "what the filters answer to the calls on standard input", askFilters},
	}
}

func main() {
	if len(os.Args) < 2 {
		usage()
	}
	for _, c := range commands() {
		if c.name != os.Args[1] {
			continue
		}
		if err := c.run(os.Args[2:]); err != nil {
			fmt.Fprintf(os.Stderr, "probe: %s: %v\n", c.name, err)
			os.Exit(99)
		}
		return
	}
	usage()
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: probe QUESTION [ARGS]")
	for _, c := range commands() {
		fmt.Fprintf(os.Stderr, "  %-12s %s\n", c.name, c.help)
	}
	os.Exit(98)
}

// self is a path that starts this probe once more; not /proc/self/exe, for
// /proc may be missing.
func self() string {
	path, err := filepath.Abs(os.Args[0])
	if err != nil {
		return os.Args[0]
	}
	return path
}

// say prints one answer: what was tried and what came of it.
func say(what string, err error) {
	if err == nil {
		fmt.Printf("%s: ok\n", what)
		return
	}
	fmt.Printf("%s: %s\n", what, errnoName(err))
}
