package plan

import (
	"slices"
	"testing"

	"sbx/policy"
	"sbx/sandbox/internal/host"
)

// TestEnvironment checks which variables the target gets: those that the policy lists, and
// those that systemd meant for this process, with the target's pid inside.
func TestEnvironment(t *testing.T) {
	rules := []string{"PATH", "LC_*", "SET=1", "OVER=mine", "XYZ"}
	for _, c := range []struct {
		name   string
		env    []string
		want   []string
		listen int
		own    []string
	}{
		{"allow-list", []string{"PATH=/b", "LC_ALL=C", "LC=no", "SECRET=x", "PATHX=no", "XYZ=", "=odd", "none"},
			[]string{"PATH=/b", "LC_ALL=C", "XYZ=", "SET=1", "OVER=mine"}, 0, nil},
		{"a set value wins", []string{"OVER=theirs"}, []string{"SET=1", "OVER=mine"}, 0, nil},
		{"twice", []string{"PATH=/first", "XYZ=", "PATH=/second", "XYZ=1", "LISTEN_PID=77", "LISTEN_FDS=2",
			"LISTEN_PID=78", "LISTEN_FDS=9"},
			[]string{"PATH=/first", "XYZ=", "LISTEN_FDS=2", "SET=1", "OVER=mine"}, 2,
			[]string{"LISTEN_PID"}},
		{"sockets for us", []string{"LISTEN_PID=77", "LISTEN_FDS=2", "LISTEN_FDNAMES=a:b"},
			[]string{"LISTEN_FDS=2", "LISTEN_FDNAMES=a:b", "SET=1", "OVER=mine"}, 2, []string{"LISTEN_PID"}},
		{"sockets for another", []string{"LISTEN_PID=78", "LISTEN_FDS=2", "LISTEN_FDNAMES=a:b"},
			[]string{"SET=1", "OVER=mine"}, 0, nil},
		{"no number of sockets", []string{"LISTEN_PID=77", "LISTEN_FDS=-1"},
			[]string{"SET=1", "OVER=mine"}, 0, []string{"LISTEN_PID"}},
		{"watchdog for us", []string{"WATCHDOG_PID=77", "WATCHDOG_USEC=5"},
			[]string{"WATCHDOG_USEC=5", "SET=1", "OVER=mine"}, 0, []string{"WATCHDOG_PID"}},
		{"watchdog for another", []string{"WATCHDOG_PID=1", "WATCHDOG_USEC=5"}, []string{"SET=1", "OVER=mine"}, 0, nil},
		{"service", []string{"SYSTEMD_EXEC_PID=77"}, []string{"SET=1", "OVER=mine"}, 0, []string{"SYSTEMD_EXEC_PID"}},
		{"another service", []string{"SYSTEMD_EXEC_PID=7"}, []string{"SET=1", "OVER=mine"}, 0, nil},
		{"watchdog for whom it concerns", []string{"WATCHDOG_USEC=5"},
			[]string{"WATCHDOG_USEC=5", "SET=1", "OVER=mine"}, 0, nil},
		{"notify", []string{"NOTIFY_SOCKET=/run/n"}, []string{"NOTIFY_SOCKET=/run/n", "SET=1", "OVER=mine"}, 0, nil},
	} {
		p, target := &policy.Policy{Process: policy.Process{Env: rules}}, host.Target{Env: c.env, PID: 77}
		listen := target.ListenFDs(rules)
		got, own, _ := environment(p, target, listen)
		if !slices.Equal(got, c.want) || listen != c.listen || !slices.Equal(own, c.own) {
			t.Errorf("%s: %q, %d sockets and the pid in %q, want %q, %d and %q", c.name, got, listen, own, c.want, c.listen,
				c.own)
		}
	}
	no := false
	p := &policy.Policy{Process: policy.Process{Supervise: &no}}
	got, own, _ := environment(p, host.Target{Env: []string{"LISTEN_PID=77", "WATCHDOG_PID=77"}, PID: 77}, 0)
	if want := []string{"LISTEN_PID=77", "WATCHDOG_PID=77"}; !slices.Equal(got, want) || own != nil {
		t.Errorf("in place: %q and the pid in %q, want %q", got, own, want)
	}
}

// TestEnvironmentOnce: no variable stands there twice, whatever the caller and the
// rules say how often; of rules the last one counts.
func TestEnvironmentOnce(t *testing.T) {
	rules := []string{"A=1", "B", "A", "A=2", "C*", "C1=x", "=odd", "A=3", "D=", "D=4"}
	env := []string{"A=0", "B=1", "B=2", "C1=no", "C2=y", "C2=z", "D=5"}
	got, _, _ := environment(&policy.Policy{Process: policy.Process{Env: rules}}, host.Target{Env: env}, 0)
	if want := []string{"B=1", "C2=y", "C1=x", "A=3", "D=4"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
