// Bench starts a program that does nothing, below sbx and below bubblewrap
// (and other sandboxes, where installed) with the same namespaces, mounts,
// dropped capabilities and seccomp filter, in turn, and compares the times.
// It prints a table and, with -write, makes docs/bench.md of it.
//
// Milliseconds on a shared machine say little; ratios of runs that alternate
// say much. Run by root it measures as a user without rights, since that is
// who needs every step.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// benchUser is who starts the programs when root measures: Debian's www-data,
// since firejail wants somebody with a line in /etc/passwd.
const benchUser = 33

func main() {
	sbx := flag.String("sbx", "bin/sbx", "the binary to measure")
	write := flag.String("write", "", "file to write the report to")
	rounds := flag.Int("rounds", 200, "runs of each contender; a fifth of it for 800 binds")
	only := flag.String("only", "", "measure the cases that have this in their title, and write nothing")
	carries := flag.Bool("traffic", false, "be the server or the client of the comparison of networks")
	flag.Parse()
	if *carries {
		if err := traffic(flag.Args()); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	if *only != "" {
		*write = ""
	}
	if err := bench(*sbx, *write, *only, *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench(sbx, write, only string, rounds int) error {
	work, err := os.MkdirTemp("/tmp", "sbx-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	b := &runner{dir: work, sbx: filepath.Join(work, "sbx"), target: filepath.Join(work, "nothing")}
	if err := b.lay(sbx); err != nil {
		return err
	}
	table := ""
	if strings.Contains(networksTitle, only) {
		if table, err = b.networks(max(rounds/20, 3)); err != nil {
			return err
		}
		fmt.Print(table)
	}
	var results []outcome
	var missed error // what missed its goal; the others are measured all the same
	for _, c := range b.cases() {
		if !strings.Contains(c.title, only) {
			continue
		}
		n := rounds
		if c.heavy {
			n = max(rounds/5, 10)
		}
		o, err := b.measure(c, n)
		if err != nil {
			return fmt.Errorf("%s: %w", c.title, err)
		}
		results = append(results, o)
		fmt.Print(o.table())
		missed = errors.Join(missed, o.check())
	}
	if write == "" {
		return missed
	}
	return errors.Join(missed, report(write, results, table, b))
}

// runner knows where things are and who starts them.
type runner struct {
	dir, sbx, target string
	cred             *syscall.Credential
	env              []string
}

// lay puts the binary and the target where the user can reach them.
func (b *runner) lay(sbx string) error {
	if err := os.Chmod(b.dir, 0o755); err != nil {
		return err
	}
	data, err := os.ReadFile(sbx)
	if err != nil {
		return err
	}
	if err := os.WriteFile(b.sbx, data, 0o755); err != nil {
		return err
	}
	source := filepath.Join(b.dir, "nothing.c")
	if err := os.WriteFile(source, []byte("int main(void) { return 0; }\n"), 0o644); err != nil {
		return err
	}
	if out, err := exec.Command("musl-gcc", "-static", "-Os", "-s", "-o", b.target, source).CombinedOutput(); err != nil {
		return fmt.Errorf("build the target: %w\n%s", err, out)
	}
	home := filepath.Join(b.dir, "home")
	if err := os.Mkdir(home, 0o755); err != nil {
		return err
	}
	for i := range 800 {
		if err := os.Mkdir(filepath.Join(b.dir, fmt.Sprintf("d%03d", i)), 0o755); err != nil {
			return err
		}
	}
	b.env = []string{"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME=" + home, "LANG=C.UTF-8", "TERM=xterm"}
	if os.Getuid() == 0 {
		b.cred = &syscall.Credential{Uid: benchUser, Gid: benchUser}
		return os.Chown(home, benchUser, benchUser)
	}
	return nil
}

// command is a program started as the user in question, in an empty place.
func (b *runner) command(args []string) *exec.Cmd {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Env = filepath.Join(b.dir, "home"), b.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: b.cred}
	return cmd
}

// asCaller starts programs as whoever measures, root too.
func (b *runner) asCaller() *runner {
	own := *b
	own.cred = nil
	return &own
}

// output is what a program prints, or its complaint as an error.
func (b *runner) output(args ...string) (string, error) {
	cmd := b.command(args)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return string(out), nil
}
