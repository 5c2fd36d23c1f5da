package launch

import (
	"fmt"
	"path/filepath"
	"strconv"

	"sbx/internal/text"
	"sbx/sandbox/internal/plan"
	"sbx/sandbox/internal/process"
)

// leftNote says what a target that ended by itself left running: mostly a
// server that goes to the background, and with it the one whom everybody waits for.
func (ps *Process) leftNote(exit Exit) []string {
	if exit.Left == 0 || exit.Status.Signaled() || ps.told {
		return nil
	}
	running := "1 process running, which was ended"
	if exit.Left > 1 {
		running = strconv.Itoa(exit.Left) + " processes running, which were ended"
	}
	return []string{ps.targetName() + " ended and left " + running +
		"; keep a server in the foreground, as nginx with -g 'daemon off;'"}
}

// targetName is what the target is called in messages.
func (ps *Process) targetName() string {
	if e, ok := execOf(ps.plan); ok {
		return text.Quote(filepath.Base(e.Args[0]))
	}
	return "the target"
}

// PassedOver says, in a sentence, that another program is going to run than the
// caller's shell would run by that name; "" where it is the same.
func PassedOver(p *plan.Plan) string {
	e, ok := execOf(p)
	if !ok {
		return ""
	}
	program, run := e.PassedOver()
	if program == "" {
		return e.EnvPassedOver()
	}
	return fmt.Sprintf("%s is not in the sandbox, so the next one in PATH runs: %s", text.Quote(program), text.Quote(run))
}

// EnvHint is why env(1) did not find what a script has it look for; "" where that is not
// known.
func EnvHint(p *plan.Plan) string {
	if e, ok := execOf(p); ok {
		return e.EnvHint()
	}
	return ""
}

func execOf(p *plan.Plan) (e process.Exec, ok bool) {
	e, ok = p.Target[len(p.Target)-1].(process.Exec)
	return e, ok
}
