package policy

import "testing"

func TestSetLimit(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"memory", "64M", ""}, {"memory", "?1G", ""}, {"processes", "5", ""}, {"core", "0", ""}, {"time", "none", ""},
		{"cpu", "50%", ""},
		{"memory", "64MB", `memory: size "64MB" is not a number from 1 with K, M, G or T behind it`},
		{"memory", "", `memory: size "" is not a number from 1 with K, M, G or T behind it`},
		{"processes", "-1", `processes: count "-1" is not a plain decimal number from 1`},
		{"memry", "1G", `there is no limit "memry"`}, {"nproc", "5", `there is no limit "nproc"`},
		{"x", "5", `there is no limit "x"`}, {"limits.memory", "5", `there is no limit "limits.memory"`},
	} {
		p := &Policy{Limits: Limits{Time: "1h"}}
		got := ""
		if err := p.SetLimit(c.name, c.value); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s=%s: %q, want %q", c.name, c.value, got, c.want)
		}
	}
	p := &Policy{Limits: Limits{Time: "1h", Memory: "1G"}}
	for name, value := range map[string]string{"time": "none", "memory": "?2G", "open_files": "9"} {
		if err := p.SetLimit(name, value); err != nil {
			t.Fatal(err)
		}
	}
	if want := (Limits{Memory: "?2G", OpenFiles: "9"}); p.Limits != want {
		t.Errorf("%+v, want %+v", p.Limits, want)
	}
	for name, want := range map[string]string{
		"memry": "did you mean memory?", "nproc": "did you mean processes?", "timeout": "did you mean time?",
		"x": "one of processes, memory, cpu, io, time, cpu_time, file_size, open_files, core, tmp",
	} {
		if e := p.SetLimit(name, "1").(*Error); e.Fix != want {
			t.Errorf("%s: %q, want %q", name, e.Fix, want)
		}
	}
}
