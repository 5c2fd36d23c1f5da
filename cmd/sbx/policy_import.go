package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"sbx/internal/text"
	"sbx/policies"
	"sbx/policy"
	"sbx/policy/bwrap"
	"sbx/policy/firejail"
	"sbx/policy/oci"
	"sbx/policy/seccomp"
	"sbx/policy/systemd"
)

// policyImportCmd is "sbx policy import".
type policyImportCmd struct {
	From     string   `required:"" enum:"oci,docker,systemd,bwrap,firejail" help:"Format: ${enum}."`
	File     []string `arg:"" complete:"path" help:"File to read, - for standard input; of bwrap its arguments, after --."`
	Cap      []string `placeholder:"NAME" help:"Capabilities kept: of an OCI profile the rules for them count."`
	Instance string   `placeholder:"NAME" help:"Instance of a systemd template, NAME@.service."`
	Arch     string   `complete:"arch" help:"Architecture of the machine it is for (default: this one)."`
	Kernel   string   `placeholder:"X.Y" help:"Release of its kernel (default: this one's)."`
	Output   string   `short:"o" complete:"path" placeholder:"FILE" help:"Write to FILE."`
	Lossy    bool     `help:"Exit with 0 even if something is lost; skip unknown system calls that are allowed."`
}

// Run writes the policy to standard output or a file, and what it leaves out
// to standard error.
func (c *policyImportCmd) Run() error { return c.run(os.Stdin, os.Stdout, os.Stderr) }

func (c *policyImportCmd) run(stdin io.Reader, w, losses io.Writer) error {
	if c.From == bwrapWord {
		p, lost, err := c.line()
		if err != nil {
			return err
		}
		return c.write("the command line", p, lost, w, losses)
	}
	if len(c.File) != 1 {
		return &usageError{"import: " + strconv.Itoa(len(c.File)) + " files", "sbx policy import --from " + c.From + " FILE"}
	}
	name, in := c.File[0], stdin
	if name == "-" {
		name = "standard input"
	} else {
		f, err := openInput(name)
		if err != nil {
			return err
		}
		defer f.Close() // read-only
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, oci.MaxSize+1))
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	native, err := archFlag(c.Arch)
	if err != nil {
		return err
	}
	var p *policy.Policy
	if c.Instance != "" && c.From != "systemd" {
		return &usageError{"name an instance: " + c.From + " has no templates", "--instance goes with --from systemd"}
	}
	var lost []string
	switch c.From {
	case "systemd":
		p, lost, err = c.unit(name, data, native, losses)
	case "firejail":
		p, lost, err = c.firejail(name, data, losses)
	default:
		p, lost, err = c.profile(name, data, native, losses)
	}
	if err != nil {
		return err
	}
	return c.write(name, p, lost, w, losses)
}

// line reads a command line of bubblewrap's.
func (c *policyImportCmd) line() (*policy.Policy, []string, error) {
	cwd, err := os.Getwd()
	if err != nil {
		return nil, nil, fmt.Errorf("find the current directory: %w", err)
	}
	args := c.File
	if path.Base(args[0]) == bwrapWord {
		args = args[1:]
	}
	line, err := bwrap.Parse(args, bwrapOptions(cwd))
	if err != nil {
		return nil, nil, err
	}
	if line.Policy == nil {
		return nil, nil, &usageError{"import: --help and --version say nothing of a sandbox", "bubblewrap's other options"}
	}
	return line.Policy, line.Losses(), nil
}

// write prints the policy, or writes it to a file, and says what it leaves out.
func (c *policyImportCmd) write(name string, p *policy.Policy, lost []string, w, losses io.Writer) (err error) {
	written := p.Print()
	if _, err := policy.Parse(name, written); err != nil {
		// Its line is one of the policy, which nobody has seen.
		return fmt.Errorf("write %s as a policy: %s", name, withoutPlace(err))
	}
	if c.Output == "" || c.Output == "-" {
		_, err = w.Write(written)
	} else {
		err = writeFile(c.Output, written)
	}
	if err != nil {
		return err
	}
	return printLosses(losses, "a policy leaves out ", lost, c.Lossy)
}

// unit reads a systemd unit.
func (c *policyImportCmd) unit(
	name string, data []byte, native seccomp.Arch, notes io.Writer,
) (*policy.Policy, []string, error) {
	p, lost, said, err := systemd.Import(name, data, systemd.Options{
		Native: native, Instance: c.Instance, Lossy: c.Lossy, Machine: machineSpecifier,
	})
	if err != nil {
		return nil, nil, err
	}
	return p, lost, printNotes(notes, said)
}

// firejail reads a profile of firejail's. What it includes lies beside it, or among
// those of the machine.
func (c *policyImportCmd) firejail(name string, data []byte, notes io.Writer) (*policy.Policy, []string, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return nil, nil, err
	}
	dirs := []string{filepath.Dir(name), "/etc/firejail"}
	session := os.Getenv("XDG_RUNTIME_DIR")
	if session == "" {
		session = "/run/user/" + strconv.Itoa(os.Getuid())
	}
	search := globber{home: home, session: session, left: globbed}
	p, lost, said, err := firejail.Import(name, data, firejail.Options{
		Include: func(name string) ([]byte, bool, error) {
			for _, dir := range dirs {
				text, err := readInput(filepath.Join(dir, filepath.Base(name)))
				if !errors.Is(err, fs.ErrNotExist) {
					return []byte(text), err == nil, err
				}
			}
			return nil, false, nil
		},
		Glob: search.paths,
	})
	if err == nil {
		err = search.err
	}
	if err != nil {
		return nil, nil, err
	}
	return p, lost, printNotes(notes, said)
}

// profile reads a container runtime's profile. Notes on what has no effect are
// no losses: other runtimes heed it as little.
func (c *policyImportCmd) profile(
	name string, data []byte, native seccomp.Arch, notes io.Writer,
) (*policy.Policy, []string, error) {
	on := oci.Target{Arch: native, Capabilities: []string{}}
	for _, k := range c.Cap {
		on.Capabilities = append(on.Capabilities, strings.TrimPrefix(strings.ToLower(k), "cap_"))
	}
	var err error
	if on.Kernel, err = kernelFlag(c.Kernel); err != nil {
		return nil, nil, err
	}
	parse := oci.Parse
	if c.Lossy {
		parse = oci.ParseLossy
	}
	profile, err := parse(name, data)
	if err != nil {
		return nil, nil, err
	}
	s, said, err := profile.Policy(on)
	if err != nil {
		return nil, nil, err
	}
	if err := printNotes(notes, said); err != nil {
		return nil, nil, err
	}
	slices.Sort(on.Capabilities)
	return &policy.Policy{
		Name: name, Version: 1, Seccomp: *s, Process: policy.Process{Capabilities: on.Capabilities},
		Summary: "Imported from a container runtime's profile, for " + native.String(),
	}, profile.Skipped(), nil
}

// printNotes prints what is worth knowing and no loss.
func printNotes(w io.Writer, notes []string) error {
	for _, n := range notes {
		if _, err := fmt.Fprintf(w, "sbx: note: %s\n", text.OneLine(n)); err != nil {
			return err
		}
	}
	return nil
}

// withoutPlace is an error without the place in a policy that it names.
func withoutPlace(err error) string {
	var e *policy.Error
	if errors.As(err, &e) {
		return e.Msg
	}
	return err.Error()
}

// machineSpecifier is what a specifier of systemd.unit(5) stands for on this
// machine.
func machineSpecifier(c byte) (string, error) {
	line := func(path string) (string, error) {
		data, err := readInput(path)
		return strings.TrimSpace(data), err
	}
	switch c {
	case 'H', 'l':
		name, err := os.Hostname()
		if c == 'l' {
			name, _, _ = strings.Cut(name, ".")
		}
		return name, err
	case 'm':
		return line("/etc/machine-id")
	case 'b':
		id, err := line("/proc/sys/kernel/random/boot_id")
		return strings.ReplaceAll(id, "-", ""), err
	case 'v':
		return line("/proc/sys/kernel/osrelease")
	case 'q':
		return assigned("/etc/machine-info", "PRETTY_HOSTNAME")
	}
	key := map[byte]string{'o': "ID", 'w': "VERSION_ID", 'W': "VARIANT_ID", 'B': "BUILD_ID", 'A': "IMAGE_VERSION",
		'M': "IMAGE_ID"}[c]
	return assigned("/etc/os-release", key)
}

// assigned is the value of a variable in a file such as /etc/os-release, empty
// where there is none.
func assigned(path, key string) (string, error) {
	data, err := readInput(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	for l := range strings.Lines(data) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(l), key+"="); ok {
			return strings.Trim(value, "\"'"), err
		}
	}
	return "", err
}

// kernelFlag reads a release; "" is that of the running kernel.
func kernelFlag(s string) (seccomp.Release, error) {
	if s == "" {
		return policies.Kernel()
	}
	var r seccomp.Release
	if n, err := fmt.Fscanf(bytes.NewReader([]byte(s)), "%d.%d", &r.Major, &r.Minor); err != nil || n != 2 ||
		r.String() != s {
		return r, &usageError{"read the kernel's release " + fmt.Sprintf("%q", s), "as 6.1"}
	}
	return r, nil
}
