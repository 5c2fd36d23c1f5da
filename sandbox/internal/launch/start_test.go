package launch

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"sbx/internal/fdtest"
	"sbx/internal/many"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/policies"
	"sbx/policy"
	"sbx/sandbox/internal/host"
	planner "sbx/sandbox/internal/plan"
	"sbx/sandbox/internal/plantest"
	"sbx/sandbox/internal/process"
)

// launches marks a test that starts sandboxes. -short leaves it out, unless
// SBX_MUST_WORK is set: then it runs, in its short form.
func launches(t testing.TB) {
	t.Helper()
	if testing.Short() && os.Getenv("SBX_MUST_WORK") == "" {
		t.Skip("it starts sandboxes, and -short does not without SBX_MUST_WORK=1")
	}
}

// planFor is the plan of the machine's own for a shipped policy.
func planFor(t testing.TB, name string, args ...string) *planner.Plan {
	t.Helper()
	return planWith(t, name, func(*policy.Policy) {}, args...)
}

// planWith is the same of a policy that is changed before.
func planWith(t testing.TB, name string, change func(*policy.Policy), args ...string) *planner.Plan {
	t.Helper()
	launches(t)
	p, err := policies.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	if p, err = p.Expand(policy.Vars{Home: home, User: "u", UID: os.Getuid()}); err != nil {
		t.Fatal(err)
	}
	p.Files.Write = append(p.Files.Write, home)
	p.Files.Tmpfs = nil
	change(p)
	target := host.Target{Path: args[0], Args: args, Env: os.Environ(), Dir: home, PID: os.Getpid()}
	h, err := host.Probe(p, target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	h.Terminal.Controlling = false
	plan, err := planner.Build(p, plantest.AllowAll, target, h)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// TestStress starts sandboxes from many goroutines while the collector runs
// all the time: the table must not be Go's to move or free, and one child
// must not see another's.
func TestStress(t *testing.T) {
	launches, workers := many.Times(500), 8
	if testing.Short() {
		launches = 100
	}
	plan := planFor(t, "default", "/bin/sh", "-c", "exit 42")
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-done:
				return
			default:
				runtime.GC()
			}
		}
	}()
	defer close(done)
	before := fdtest.Count(t)
	work := make(chan struct{}, launches)
	for range launches {
		work <- struct{}{}
	}
	close(work)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			garbage := make([][]byte, 0, 64)
			for range work {
				garbage = append(garbage[:0], make([]byte, 1<<14))
				ps, err := Start(plan)
				if err != nil {
					t.Error(err)
					return
				}
				exit, err := ps.Wait()
				if err != nil || exit.Code() != 42 {
					t.Errorf("exit %d, %v, want 42", exit.Code(), err)
					return
				}
			}
			runtime.KeepAlive(garbage)
		})
	}
	wg.Wait()
	if after := fdtest.Count(t); after > before+2 { // the poller's own
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

// TestFaults makes every single call of the table fail in turn. Each time the
// step is named, nothing of the target runs, and nothing is left.
func TestFaults(t *testing.T) {
	sweep(t, planFor(t, "default", "/bin/touch", "ran"), func(step.Step) bool { return true })
}

// sweep makes each call of those steps fail; the target touches "ran".
func sweep(t *testing.T, plan *planner.Plan, those func(step.Step) bool) {
	t.Helper()
	errnos := []unix.Errno{unix.EPERM, unix.ENOSYS, unix.EINVAL, unix.EAGAIN, unix.ENOSPC}
	asm, _ := plan.Compile(planner.Descriptors{Launcher: 998, Notify: 999, Janitor: 997, Ready: 996}, ownMemory) // above 2
	calls := asm.Len()
	marker := filepath.Join(workDir(plan), "ran")
	cgroups := ""
	if plan.Limits != nil && plan.Limits.Cgroup != nil {
		cgroups = plan.Limits.Cgroup.Parent.Path
	}
	left := leavesNothing(t, cgroups)
	stride := 1
	if testing.Short() {
		stride = 7
	}
	for i := 0; i < calls; i += stride {
		if !those(plan.StepAt(int(asm.StepOf(i)))) {
			continue
		}
		for _, errno := range errnos[:1+i%len(errnos)] {
			var want step.Step // a call more or less closes the gaps between descriptors
			ps, err := start(plan, hooks{table: func(tab *step.Table) {
				c := &tab.Calls[min(i, len(tab.Calls)-1)]
				want = plan.StepAt(int(c.Step))
				switch c.Op {
				case step.OpAwait, step.OpEnd, step.OpZero, step.OpStore:
					return // memory and order, no call that could fail
				}
				for _, e := range c.Pass {
					if unix.Errno(e) == errno {
						return
					}
				}
				c.Op, c.Arg[0], c.Slots = step.OpFail, uintptr(errno), 0
			}})
			if err != nil {
				t.Fatal(err)
			}
			op := ps.table.Calls[min(i, len(ps.table.Calls)-1)].Op
			_, err = ps.Wait()
			_, statErr := os.Stat(marker)
			ran := statErr == nil
			os.Remove(marker)
			if plan.SharesPIDNS {
				reapOrphans(t)
			}
			left("call %d with %v", i, errno)
			if op != step.OpFail {
				if err != nil || !ran {
					t.Fatalf("call %d left alone: %v, ran %v", i, err, ran)
				}
				continue
			}
			var se *stepError
			if !errors.As(err, &se) || !errors.Is(err, errno) {
				t.Fatalf("call %d made to fail with %v: %v", i, errno, err)
			}
			if se.Step.String() != want.String() {
				t.Fatalf("call %d blamed on %q, want %q", i, se.Step, want)
			}
			if ran {
				t.Fatalf("call %d (%v) failed with %v and the target ran", i, se.Step, errno)
			}
		}
	}
}

func workDir(p *planner.Plan) string {
	for _, s := range p.Target {
		if c, ok := s.(process.Chdir); ok {
			return c.Dir
		}
	}
	return ""
}
