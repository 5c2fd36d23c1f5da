// Package sandbox runs programs in sandboxes that policies describe. It is used as package
// os/exec is:
//
//	found, err := policies.Find("pure") // or policy.Load and the like
//	if err != nil {
//		return err
//	}
//	p, err := found.Expand(policy.Vars{Home: "/nonexistent", UID: os.Getuid()})
//	if err != nil {
//		return err
//	}
//	c := sandbox.Command(p, "python3", "-")
//	c.Stdin = strings.NewReader(snippet)
//	out, err := c.Output()
//
// # What runs
//
// A policy says what the program can see and do; what it does not name is not there. Expand
// puts in what depends on the caller: an empty Vars.CWD means that no project is shown.
// After that its fields may be changed, such as Limits or Files.Read. Nothing of the
// caller's crosses but what the policy and the fields of Cmd say: the environment by
// the policy's list, the descriptors of Stdin, Stdout, Stderr and ExtraFiles.
//
// Filters are compiled at each start unless Cmd.Filters has them. Who starts many of one
// policy compiles once:
//
//	filters, err := sandbox.Compile(p)
//
// # What may be different from os/exec
//
// Cmd.Path is looked for inside, when the program starts, so nothing is found before. Dir is
// a directory as it is called inside, "/" if it is empty. Start returns when the program has
// been executed. A signal goes by way of the sandbox's init, and can never reach another
// process. When the program ends, so does all that it has started: nothing outlives Wait.
// When the calling process dies, in whatever way, so does the sandbox.
//
// # Errors
//
// Nothing is weakened: what the policy asks for and this machine does not have is an error
// before anything runs. errors.As tells them apart: a *NeedError is a protection or a right
// that cannot be had, and errors.Is tells its Reason; a *MissingError is a path that is not
// there; a *StepError is a step that failed, with its errno; a *LateError came after the
// program's start. Hint says how to fix an error, if that is known, and ExitStatus what a
// command line would exit with. Only an *ExitError means that the program has run as
// it should, and has not ended with status 0.
//
//	var need *sandbox.NeedError
//	if err := c.Run(); errors.As(err, &need) && errors.Is(err, sandbox.NoLandlock) {
//		log.Printf("%v (%s)", err, sandbox.Hint(err))
//	}
//
// Cmd.Plan tells what would be done, one step per line, and does none of it.
//
// # What the calling process notices
//
// Cmd is safe to be used from many goroutines, each with its own Cmd. The caller's threads,
// signal handlers, environment, descriptors 0 to 2 and its dumpable flag stay as they are. The
// caller is never executed once more, and nothing is written to its standard error. Each
// running sandbox has a thread of its own.
//
// A start forks the caller, as os/exec does not: for a caller of 2 GB in pages of 4 KB that
// takes some tenths of a second. The sandbox's processes keep none of the caller's memory.
//
// A program whose file the target could overwrite, which takes a machine without Landlock
// and a caller who may write to that file, gets an error for that; sbx itself then runs
// from a copy in memory.
//
// The package needs Linux 5.12 and cgo with libseccomp for compiling filters.
//
// # Another module
//
// The module is called sbx and has no host, so another module names a copy of it:
//
//	go mod edit -require=sbx@v0.0.0 -replace=sbx=../sbx
//
// or both are in one workspace: go work init . ../sbx.
//
// # Standing in for the target
//
// A program that has nothing else to do than to stand in for its target, as the command sbx,
// sets Cmd.Attached and calls Prepare and Attach: these forward signals, stop with the
// target, and relay its terminal.
package sandbox
