package main

import (
	"fmt"
	"os"
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
		contend = b.projects
	case c.explains:
		contend = b.explained
	case c.reviews:
		contend = b.reviewed
	case c.inPlace:
		root := *b
		root.cred = nil
		b, contend = &root, root.inPlace
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
			i = (i + round) % len(contenders)
			for _, f := range files[i] {
				if _, err := f.Seek(0, 0); err != nil {
					return outcome{}, err
				}
			}
			cmd := b.command(contenders[i].args)
			cmd.ExtraFiles = files[i]
			if contenders[i].dir != "" {
				cmd.Dir = contenders[i].dir
			}
			var stderr strings.Builder
			if round == 0 {
				cmd.Stderr = &stderr
			}
			start := time.Now()
			err := cmd.Run()
			took := time.Since(start)
			if err != nil {
				return outcome{}, fmt.Errorf("%.400q: %w\n%s", contenders[i].args, err, stderr.String())
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
