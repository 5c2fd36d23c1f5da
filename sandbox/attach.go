package sandbox

import (
	"errors"

	"sbx/policy/explain"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/launch"
)

// Attachment is what a program that stands in for its target is told while it does.
type Attachment struct {
	// Again is told of a plan that takes the place of an earlier one; see Attach.
	Again func(*Plan)
	// Tell is told of the calls that the target is denied as they happen, at most 100
	// times in a second: of each call, and of how many it was not told since the last
	// one. The target has Explain set. Tell must not wait.
	Tell func(d explain.Denial, untold uint64)
	// Ready is told of the target's exec, with its pid as this process and as it itself
	// sees it, where the target has Announce set.
	Ready func(pid, inside int)
	// Born is told of the sandbox's first process as soon as its namespaces are there, where
	// the target has Hold set. That process goes on when there has been something to read
	// from each of the descriptors until, or its end.
	Born func(pid int) (until []int, err error)
	// Rested is called once when the sandbox has run for a second.
	Rested func()
}

// Prepare makes the plan of Attached, and keeps what it has found out for Attach. It is
// called again where the fields have changed.
func (c *Cmd) Prepare() (*Plan, error) {
	if c.Attached == nil {
		return nil, errors.New("prepare a sandbox: there is no target to stand in for")
	}
	c.Release()
	p, facts, err := c.plan(*c.Attached)
	if err != nil {
		if facts != nil {
			facts.Close()
		}
		return nil, err
	}
	c.facts = facts
	return p, nil
}

// Release lets go of what Prepare keeps. After Attach there is nothing left.
func (c *Cmd) Release() {
	if c.facts != nil {
		c.facts.Close()
		c.facts = nil
	}
}

// Attach starts the plan that Prepare has made and stands in for the target until that has
// ended: it forwards signals, stops when the target does, and relays its terminal. It is
// for a process that has nothing else to do, such as a command line: it closes the
// standard input and output, keeps the calling goroutine on its thread, makes the process
// undumpable, and takes over the Forwarded signals, for good. An error that is no
// *LateError means that nothing of the target has run.
//
// A search finds what the policy does not name, and others may rename or remove it until
// it is mounted over. Then the plan is made anew, a bounded number of times.
func (c *Cmd) Attach(p *Plan, a Attachment) (Exit, error) {
	if c.facts == nil {
		return Exit{}, errors.New("start a sandbox: it was not prepared")
	}
	if p.InPlace {
		return Exit{}, errors.New("stand in for a target: the plan is one that is executed in place, by ExecInPlace")
	}
	facts := c.facts
	c.facts = nil
	return launch.Run(p, facts, launch.Attached{
		Tell: a.Tell, Ready: a.Ready, Born: a.Born, Rested: a.Rested, Again: c.anew(a.Again),
	})
}

// ExecInPlace executes the target of a plan that Prepare has made and that is InPlace: this
// process is the target then, with its pid and its parent. It returns only with an error,
// and then nothing of the target has run. again is as in Attachment.
func (c *Cmd) ExecInPlace(p *Plan, again func(*Plan)) error {
	if c.facts == nil {
		return errors.New("execute in place: it was not prepared")
	}
	facts := c.facts
	c.facts = nil
	return launch.ExecInPlace(p, facts, c.anew(again))
}

// anew makes the plan once more, and tells of it.
func (c *Cmd) anew(tell func(*Plan)) func() (*Plan, *host.Facts, error) {
	return func() (*Plan, *host.Facts, error) {
		next, err := c.Prepare()
		if err != nil {
			return nil, nil, err
		}
		facts := c.facts
		c.facts = nil
		if tell != nil {
			tell(next)
		}
		return next, facts, nil
	}
}
