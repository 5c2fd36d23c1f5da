package main

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// benchCase is one comparison.
type benchCase struct {
	title string
	// flags are sbx's; what others get is derived from sbx's plan.
	flags []string
	heavy bool
	// atOnce is how many of each contender run at the same time; 0: one.
	atOnce int
	// others also measures the tools that have no exact equivalent.
	others bool
	// projects compares directories to start in, not tools.
	projects bool
	// explains compares plain runs with explained ones, and reviews with reviewed ones.
	explains, reviews bool
	// inPlace compares ways to become the target, as root.
	inPlace bool
}

func (b *runner) cases() []benchCase {
	var inPlace []benchCase
	if os.Getuid() == 0 {
		inPlace = []benchCase{{title: "Executed in place by root, without a pid namespace, the files of policy pure",
			inPlace: true}}
	}
	binds := func(n int) []string {
		var flags []string
		for i := range n {
			flags = append(flags, "--read", fmt.Sprintf("%s/d%03d", b.dir, i))
		}
		return flags
	}
	return append([]benchCase{
		{title: "All namespaces, the files of policy pure", flags: []string{"--policy", "pure"}, others: true},
		{title: "Read-only root, no new network namespace",
			flags: []string{"--policy", "pure", "--read", "/", "--net", "host"}},
		{title: "The same, 8 at once: the time for 8", flags: []string{"--policy", "pure", "--read", "/", "--net", "host"},
			heavy: true, atOnce: 8},
		{title: "100 binds", flags: append([]string{"--policy", "pure"}, binds(100)...)},
		{title: "800 binds", flags: append([]string{"--policy", "pure"}, binds(800)...), heavy: true},
		{title: "A project of 200,000 files, policy project", flags: []string{"--policy", "project"}, heavy: true,
			projects: true},
		{title: "A C compiler on 20 files, policy build, and what it was denied", flags: []string{"--policy", "build"},
			heavy: true, explains: true},
		{title: "The same compiler, and a review of what it makes", flags: []string{"--policy", "build"}, heavy: true,
			reviews: true},
	}, inPlace...)
}

// contender is one way to start the target.
type contender struct {
	name  string
	args  []string
	files [][]byte // handed on as descriptors 3 and up, rewound each time
	note  string
	dir   string // to start in; empty: an empty home
	// first says that each run is a first one: what sbx remembers of projects is removed before.
	first bool
}

// outcome is what a case gave.
type outcome struct {
	benchCase
	rounds int
	rows   []row
}

type row struct {
	contender
	min, median time.Duration
}

// measure runs the contenders in turn, in an order that rotates, so that
// whatever the machine does besides meets them all.
func (b *runner) measure(c benchCase, rounds int) (outcome, error) {
	contend := b.contenders
	switch {
	case c.projects:
		// Who calls has a home, where searches are remembered; benchUser has not.
		b = b.asCaller()
		contend = b.projects
	case c.explains:
		contend = b.explained
	case c.reviews:
		contend = b.reviewed
	case c.inPlace:
		b = b.asCaller()
		contend = b.inPlace
	}
	contenders, err := contend(c)
	if err != nil {
		return outcome{}, err
	}
	files := make([][]*os.File, len(contenders))
	for i, con := range contenders {
		for _, data := range con.files {
			f, err := os.CreateTemp(b.dir, "filter-")
			if err != nil {
				return outcome{}, err
			}
			defer f.Close()
			if _, err := f.Write(data); err != nil {
				return outcome{}, err
			}
			files[i] = append(files[i], f)
		}
	}
	times := make([][]time.Duration, len(contenders))
	for round := range rounds + 3 {
		for i := range contenders {
			if !c.projects { // where a first run and the next one belong together
				i = (i + round) % len(contenders)
			}
			if contenders[i].first {
				if err := forgetSearches(); err != nil {
					return outcome{}, err
				}
			}
			took, err := b.once(contenders[i], files[i], max(c.atOnce, 1))
			if err != nil {
				return outcome{}, err
			}
			if round >= 3 { // the first ones fill caches
				times[i] = append(times[i], took)
			}
		}
	}
	o := outcome{benchCase: c, rounds: rounds}
	for i, con := range contenders {
		slices.Sort(times[i])
		o.rows = append(o.rows, row{con, times[i][0], times[i][len(times[i])/2]})
	}
	return o, nil
}

// once is the time that n runs at the same time take.
func (b *runner) once(con contender, files []*os.File, n int) (time.Duration, error) {
	cmds := make([]*exec.Cmd, n)
	var stderr strings.Builder
	for i := range cmds {
		cmds[i] = b.command(con.args)
		if con.dir != "" {
			cmds[i].Dir = con.dir
		}
		for _, f := range files { // each with an offset of its own
			own, err := os.Open(f.Name())
			if err != nil {
				return 0, err
			}
			defer own.Close()
			cmds[i].ExtraFiles = append(cmds[i].ExtraFiles, own)
		}
	}
	cmds[0].Stderr = &stderr
	start := time.Now()
	for _, cmd := range cmds {
		if err := cmd.Start(); err != nil {
			return 0, err
		}
	}
	var failed error
	for _, cmd := range cmds {
		if err := cmd.Wait(); err != nil {
			failed = fmt.Errorf("%.400q: %w\n%s", con.args, err, stderr.String())
		}
	}
	return time.Since(start), failed
}

// table is the outcome in Markdown; ratios are to bubblewrap.
func (o outcome) table() string {
	var s strings.Builder
	fmt.Fprintf(&s, "\n### %s (%d runs each)\n\n", o.title, o.rounds)
	if o.explains || o.reviews {
		return s.String() + o.ratios()
	}
	if o.projects {
		s.WriteString("| | minimum ms | median ms | minimum, more | median, more |\n|---|---:|---:|---:|---:|\n")
		for _, r := range o.rows {
			fmt.Fprintf(&s, "| %s | %.2f | %.2f | %.2f | %.2f |\n", r.name, ms(r.min), ms(r.median),
				ms(r.min-o.rows[0].min), ms(r.median-o.rows[0].median))
		}
		return s.String()
	}
	s.WriteString("| | minimum ms | median ms | minimum / bwrap | median / bwrap | |\n|---|---:|---:|---:|---:|---|\n")
	var base row
	for _, r := range o.rows {
		if r.name == "bwrap" {
			base = r
		}
	}
	for _, r := range o.rows {
		fmt.Fprintf(&s, "| %s | %.2f | %.2f | %.2f | %.2f | %s |\n", r.name, ms(r.min), ms(r.median),
			float64(r.min)/float64(base.min), float64(r.median)/float64(base.median), r.note)
	}
	return s.String()
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
