package main

// launch holds what the flags of a launch say. Each field has one entry in
// launchFlags, and the field's type is the kind of the flag.
type launch struct {
	Policy        string
	ProjectPolicy bool
	Read          []string
	Write         []string
	Hide          []string
	Show          []string
	Env           []string
	Net           string
	NoNamespaces  bool
	Host          []string
	Publish       []string
	Socket        []string
	Device        []string
	Limit         []string
	KeepFD        []int
	Dir           string
	DryRun        bool
	Tree          bool
	JSON          bool
	Report        string
	Explain       bool
	ExplainFiles  bool
	Verbose       bool
	Events        string
	ReadyFD       *int
	BlockFD       *int
	Exec          bool
	Review        string
	Help          bool
	Version       bool

	report *int // the receipt's descriptor
	// learn says that the run is learnt from, and how; nil: it is not.
	learn *learning
	// tries says that no program of the caller's runs: only sbx's own tries the policy, or
	// its filters are looked at.
	tries bool
}

// newLaunch is a launch without any flag.
func newLaunch() *launch { return &launch{Policy: defaultPolicy} }

// flagEntry describes one flag of a launch. The parser, --help, the man page and
// the completions of the shells read nothing else: a new flag is an entry in
// launchFlags and a field of launch.
type flagEntry struct {
	name  string // without the dashes
	short byte   // the letter behind one dash, 0 for none
	value string // what stands for the value in the help, "" for a flag without one
	help  string // one or two sentences
	// offer is what a shell completes the value with.
	offer offer
	// bare is the flag's value where it is given without one; "" if it needs one. Then a
	// value is only what stands behind a =.
	bare string
	// choices are all values that there are, nil for any.
	choices []string
	// field points to the flag's field. The type that it points to says how the
	// flag is read:
	//	bool      takes no value
	//	string    takes a value, once
	//	*int      takes a number, once; nil without the flag
	//	[]string  takes a value each time that it is given
	//	[]int     takes a number, or several with commas between, each time
	field func(*launch) any
	// check looks at a value of type string, if there is more to say of it.
	check func(f *flagEntry, value string) error
}

// offer is what a shell offers for a value.
type offer uint8

const (
	offerNothing  offer = iota
	offerPolicy         // the names of policies, and files
	offerPath           // files and directories
	offerDir            // directories
	offerVariable       // the names of environment variables
	offerChoice         // the flag's choices
	offerCall           // the names of system calls
	offerCalls          // these and groups
)

// launchFlags are all flags of a launch, in the order of the help. It holds
// constants and functions without captured variables only, so that the linker
// lays it out and no launch pays for it.
var launchFlags = [...]flagEntry{
	{name: "policy", short: 'p', value: "NAME", offer: offerPolicy,
		help:  "The policy: a name, or a file's path with a slash in it. Without this flag, it is default.",
		field: func(l *launch) any { return &l.Policy }},
	{name: "project-policy",
		help:  "Use .sbx.toml of the project, if that only narrows the policy or is trusted (sbx trust).",
		field: func(l *launch) any { return &l.ProjectPolicy }},
	{name: "read", short: 'r', value: "PATH", offer: offerPath,
		help:  "Also show PATH, read-only.",
		field: func(l *launch) any { return &l.Read }},
	{name: "write", short: 'w', value: "PATH", offer: offerPath,
		help:  "Also show PATH, writable.",
		field: func(l *launch) any { return &l.Write }},
	{name: "hide", value: "PATH", offer: offerPath,
		help:  "Cover PATH, or what matches the pattern.",
		field: func(l *launch) any { return &l.Hide }},
	{name: "show", value: "PATH", offer: offerPath,
		help:  "Do not cover PATH because of a pattern, or of what is in it.",
		field: func(l *launch) any { return &l.Show }},
	{name: "env", short: 'e', value: "NAME[=VALUE]", offer: offerVariable,
		help:  "Also hand over the variable, or set it.",
		field: func(l *launch) any { return &l.Env }},
	{name: "net", value: "host|none", offer: offerChoice, choices: []string{"host", "none"},
		help:  "Use the host's network, or none.",
		field: func(l *launch) any { return &l.Net }},
	{name: "no-namespaces",
		help:  "Make no namespaces, as where they are forbidden: Landlock and filters alone, which protect less.",
		field: func(l *launch) any { return &l.NoNamespaces }},
	{name: "host", value: "HOST:PORT", offer: offerNothing,
		help:  "Let the program connect to HOST: a name, *.NAME, an address, a range of them or a @group.",
		field: func(l *launch) any { return &l.Host }},
	{name: "publish", value: "[ADDRESS:]PORT[:INNER]", offer: offerNothing,
		help:  "Accept connections on the host at PORT, and lead them to the program's port INNER; either may be unix:PATH.",
		field: func(l *launch) any { return &l.Publish }},
	{name: "socket", value: "PATH", offer: offerPath,
		help:  "Let the program connect to the Unix socket PATH, or to all below that directory.",
		field: func(l *launch) any { return &l.Socket }},
	{name: "device", value: "PATH", offer: offerPath,
		help:  "Let the program use the device PATH below /dev, or all in that directory.",
		field: func(l *launch) any { return &l.Device }},
	{name: "limit", value: "NAME=VALUE", offer: offerNothing,
		help:  "Limit what the program uses: memory=1G, time=30s, processes=50 and all others of [limits].",
		field: func(l *launch) any { return &l.Limit }},
	{name: "keep-fd", value: "N", offer: offerNothing,
		help:  "Also hand over descriptor N, or several as in 3,4.",
		field: func(l *launch) any { return &l.KeepFD }},
	{name: "dir", short: 'C', value: "PATH", offer: offerDir,
		help:  "Start in PATH. Paths of other flags stay relative to the current directory.",
		field: func(l *launch) any { return &l.Dir }},
	{name: "dry-run", short: 'n',
		help:  "Print the plan and run nothing.",
		field: func(l *launch) any { return &l.DryRun }},
	{name: "tree",
		help:  "Print what each path inside is, in the place of the plan. Goes with --dry-run.",
		field: func(l *launch) any { return &l.Tree }},
	{name: "json",
		help:  "Print the plan or the tree as JSON. Goes with --dry-run.",
		field: func(l *launch) any { return &l.JSON }},
	{name: "report", value: "N|json:FILE", offer: offerPath,
		help:  "When all has ended, write what held and how it ended to descriptor N or to FILE, as JSON.",
		field: func(l *launch) any { return &l.Report }, check: checkReport},
	{name: "explain",
		help:  "When all has ended, say on standard error what was denied, why, and what would allow it.",
		field: func(l *launch) any { return &l.Explain }},
	{name: "explain-files",
		help:  "As --explain, and also say which files were hidden, missing or read-only. Slower.",
		field: func(l *launch) any { return &l.ExplainFiles }},
	{name: "events", value: "N|FILE", offer: offerPath,
		help:  "Write each denied system call as it happens to descriptor N, or to the end of FILE, as a line of JSON.",
		field: func(l *launch) any { return &l.Events }},
	{name: "ready-fd", value: "N", offer: offerNothing,
		help:  "When the program has been executed, write a line of JSON with its pids to descriptor N.",
		field: func(l *launch) any { return &l.ReadyFD }},
	{name: "block-fd", value: "N", offer: offerNothing,
		help:  "Wait for a byte from descriptor N before the sandbox is made.",
		field: func(l *launch) any { return &l.BlockFD }},
	{name: "exec",
		help:  "Become the program, in the same process: sbx does not stay. What takes that it stays is refused.",
		field: func(l *launch) any { return &l.Exec }},
	{name: "review", value: "WHAT", bare: "ask", offer: offerChoice,
		choices: []string{"ask", "keep", "discard", "later", "keep-on-success"},
		help: "Keep what the program would change apart, and ask at the end what to do with it, or do WHAT: keep, discard, " +
			"later, keep-on-success.",
		field: func(l *launch) any { return &l.Review }},
	{name: "verbose", short: 'v',
		help:  "Also explain denials that do not matter. Goes with --explain.",
		field: func(l *launch) any { return &l.Verbose }},
	{name: "help", short: 'h',
		help:  "Print this help.",
		field: func(l *launch) any { return &l.Help }},
	{name: "version",
		help:  "Print the version.",
		field: func(l *launch) any { return &l.Version }},
}

// The parser keeps the flags that were given in the bits of a uint64.
var _ [64 - len(launchFlags)]struct{}

// repeats tells whether the flag may be given more than once.
func (f *flagEntry) repeats() bool {
	switch f.field(&launch{}).(type) {
	case *[]string, *[]int:
		return true
	}
	return false
}

// long is the flag as it is written, and usage is that with its value.
func (f *flagEntry) long() string { return "--" + f.name }

func (f *flagEntry) usage() string {
	if f.value == "" {
		return f.long()
	}
	if f.bare != "" {
		return f.long() + "[=" + f.value + "]"
	}
	return f.long() + " " + f.value
}

// longFlag is the index of the flag with that name, or -1.
func longFlag(name string) int {
	for i := range launchFlags {
		if launchFlags[i].name == name {
			return i
		}
	}
	return -1
}

// shortFlag is the index of the flag with that letter, or -1.
func shortFlag(letter byte) int {
	for i := range launchFlags {
		if launchFlags[i].short == letter && letter != 0 {
			return i
		}
	}
	return -1
}
