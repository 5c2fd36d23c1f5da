package kernels

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"sbx/integration/kernels/job"
)

// machine is a guest: a kernel of .cache/kernels (see fetch.sh), and what it
// is told when it boots.
type machine struct {
	kernel  string // 5.10, 6.1, 6.12 or new
	cmdline string // besides what every guest is told
	jobs    []job.Job
}

// everyGuest is told to each kernel: where to print, to end when it panics,
// not to spend an emulated processor's time on the mitigation of what it has
// not, and not to ask it for randomness that it cannot give.
const everyGuest = "console=ttyS0 panic=-1 loglevel=4 mitigations=off no5lvl nokaslr random.trust_cpu=on " +
	"tsc=reliable no_timer_check"

// boot runs the jobs in a machine and reports; console is what the kernel
// printed, used the processor time that it took. dir is for files, disks has what layDisks put there. What comes in
// meanwhile can be watched in .cache/kernels/log/NAME.reports and NAME.console.
func (m machine) boot(ctx context.Context, name, dir string, d disks) (results []job.Result, console string,
	used time.Duration, err error) {
	from := filepath.Join(cache, m.kernel)
	modules, err := filepath.Glob(filepath.Join(from, "modules", "*.ko"))
	if err != nil || len(modules) == 0 {
		return nil, "", 0, fmt.Errorf("no kernel in %s (%v): integration/setup.sh --kernels", from, err)
	}
	text, err := json.Marshal(m.jobs)
	if err != nil {
		return nil, "", 0, err
	}
	archive, err := initramfs(d.guest, modules, text)
	if err != nil {
		return nil, "", 0, err
	}
	if err := os.MkdirAll(cache+"/log", 0o755); err != nil {
		return nil, "", 0, err
	}
	log, watched := filepath.Join(cache, "log", name+".console"), filepath.Join(cache, "log", name+".reports")
	// Not truncated but new: somebody may have linked the cache.
	for _, old := range []string{log, watched} {
		if err := os.RemoveAll(old); err != nil {
			return nil, "", 0, err
		}
	}
	watch, err := os.Create(watched)
	if err != nil {
		return nil, "", 0, err
	}
	defer watch.Close()
	initrd := filepath.Join(dir, "initramfs")
	if err := os.WriteFile(initrd, archive, 0o600); err != nil {
		return nil, "", 0, err
	}
	// Emulated even where there is KVM: then it is the same everywhere, and
	// nested virtualisation need not work. One processor each: emulating two
	// costs half as much again, and guests run side by side instead. Of a plain
	// kind: a newer one's vectors and protections cost a quarter.
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", "-M", "pc", "-accel", "tcg", "-cpu", "qemu64", "-m", "1G",
		"-nodefaults", "-display", "none", "-no-reboot",
		"-kernel", filepath.Join(from, "vmlinuz"), "-initrd", initrd, "-append", strings.TrimSpace(everyGuest+" "+m.cmdline),
		"-drive", "if=virtio,format=raw,cache=unsafe,snapshot=on,file="+d.root,
		"-drive", "if=virtio,format=raw,cache=unsafe,readonly=on,file="+d.image,
		"-serial", "file:"+log, "-chardev", "stdio,id=reports,signal=off", "-serial", "chardev:reports")
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = 5 * time.Second
	var said bytes.Buffer
	cmd.Stderr = &said
	reports, err := cmd.StdoutPipe()
	if err != nil {
		return nil, "", 0, err
	}
	if err := cmd.Start(); err != nil {
		return nil, "", 0, err
	}
	results, err = job.Read(io.TeeReader(reports, watch))
	if ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	if err != nil {
		err = fmt.Errorf("reports of kernel %s: %w", m.kernel, err)
		// What it goes on to say nobody reads; it may hang by that.
		if kill := cmd.Process.Kill(); kill != nil && !errors.Is(kill, os.ErrProcessDone) {
			err = errors.Join(err, kill)
		}
		_ = cmd.Wait() // it was killed
	} else if wait := cmd.Wait(); wait != nil {
		err = fmt.Errorf("qemu: %w: %s", wait, &said)
	}
	printed, readErr := os.ReadFile(log)
	used = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return results, string(printed) + said.String(), used, errors.Join(err, readErr)
}
