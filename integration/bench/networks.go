package main

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// network is one way from a network of its own to a server at the host's loopback.
type network struct {
	name, note string
	host       string
	// start makes it, if it takes more than its command; stop ends it.
	start func() (args []string, carrier int, stop func() error, err error)
	args  []string
	slow  int // by how much less is moved, for it would take too long
}

const networksTitle = "A server on the host, from a network of its own"

// trafficCases are what is measured in each: bytes, or turns.
var trafficCases = [...]struct {
	what  string
	count int
	one   bool // on one processor
}{{"streams1", 4000, false}, {"streams8", 4000, false}, {"echo", 20_000, true}}

// networks compares them, and gives the table.
func (b *runner) networks(rounds int) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	data, err := os.ReadFile(self)
	if err != nil {
		return "", err
	}
	client := filepath.Join(b.dir, "traffic")
	if err := os.WriteFile(client, data, 0o755); err != nil {
		return "", err
	}
	servers := [2]string{}
	for i := range servers { // one anywhere, and one on the first processor
		args := []string{client, "-traffic", "serve"}
		if i == 1 {
			args = append([]string{"taskset", "-c", "0"}, args...)
		}
		server := b.command(args)
		out, err := server.StdoutPipe()
		if err != nil {
			return "", err
		}
		if err := server.Start(); err != nil {
			return "", err
		}
		defer func() { // it would run on
			server.Process.Kill()
			server.Wait()
		}()
		if servers[i], err = bufio.NewReader(out).ReadString('\n'); err != nil {
			return "", err
		}
		servers[i] = strings.TrimSpace(servers[i])
	}
	list := b.ways(servers[:])
	best := make([][len(trafficCases)]float64, len(list)) // nanoseconds for each byte or turn
	kept := make([]string, len(list))
	failed := make([]int, len(list)) // pasta of Debian 12 breaks a connection off now and then
	for round := range rounds {
		for i, way := range list {
			for j, c := range trafficCases {
				port := servers[0]
				if c.one {
					port = servers[1]
				}
				count := c.count / max(way.slow, 1)
				took, err := b.through(way, client, c.one, port, c.what, strconv.Itoa(count))
				if err != nil {
					if i < 2 {
						return "", fmt.Errorf("%s, %s: %w", way.name, c.what, err)
					}
					fmt.Fprintf(os.Stderr, "bench: %s, %s: %v\n", way.name, c.what, err)
					failed[i]++
					continue
				}
				if each := float64(took.Nanoseconds()) / float64(count); best[i][j] == 0 || each < best[i][j] {
					best[i][j] = each
				}
			}
			if round > 0 || best[i] == [len(trafficCases)]float64{} {
				continue
			}
			if kept[i], err = b.idleCost(way, client, servers[0]); err != nil {
				return "", fmt.Errorf("%s, idle: %w", way.name, err)
			}
		}
	}
	var s strings.Builder
	fmt.Fprintf(&s, "\n### "+networksTitle+" (best of %d)\n\n"+
		"Ratios are to a direct connection over the loopback: of throughput, and of the time of a round trip.\n\n"+
		"| | 1 stream GB/s | ratio | 8 streams GB/s | ratio | one byte there and back, one processor, us | ratio | "+
		"1,000 idle connections | |\n|---|---:|---:|---:|---:|---:|---:|---|---|\n", rounds)
	for i, way := range list {
		if best[i] == [len(trafficCases)]float64{} {
			fmt.Fprintf(os.Stderr, "bench: %s does not run here and is left out\n", way.name)
			continue
		}
		if failed[i] > 0 {
			way.note += fmt.Sprintf(", %d of %d runs broke off", failed[i], rounds*len(trafficCases))
		}
		fmt.Fprintf(&s, "| %s |", way.name)
		for j, c := range trafficCases {
			switch x, direct := best[i][j], best[0][j]; {
			case x == 0:
				s.WriteString(" none ended | |")
			case c.one: // turns
				fmt.Fprintf(&s, " %.1f | %.2f |", x/1e3, x/direct)
			default: // megabytes
				fmt.Fprintf(&s, " %.2f | %.2f |", (1<<20)/x, direct/x)
			}
		}
		fmt.Fprintf(&s, " %s | %s |\n", kept[i], way.note)
	}
	return s.String(), nil
}

// ways are the networks that there are.
func (b *runner) ways(ports []string) []network {
	sbx := []string{b.sbx, "--read", b.dir}
	for _, port := range ports {
		sbx = append(sbx, "--host", "127.0.0.1:"+port)
	}
	list := []network{
		{name: "direct", host: "127.0.0.1", note: "no network of its own"},
		{name: "sbx", host: "127.0.0.1", args: append(sbx, "--"), note: "`--host`"},
	}
	// pasta hangs where the user may not open it.
	_, err := b.output("test", "-w", "/dev/net/tun")
	if err != nil && b.cred != nil {
		err = openTun(b.dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: pasta and slirp4netns are left out: the user may not open /dev/net/tun: "+err.Error())
		return list
	}
	if gateway, err := defaultGateway(); err != nil {
		fmt.Fprintf(os.Stderr, "bench: pasta is left out: %v\n", err)
	} else {
		list = append(list, network{name: "pasta", host: gateway, slow: 8, note: "its tap",
			args: []string{"pasta", "--config-net", "-q", "-t", "none", "-u", "none", "-T", "none", "-U", "none", "--"}})
	}
	return append(list, network{name: "slirp4netns", host: "10.0.2.2", slow: 8, start: b.slirp, note: "its tap"})
}

// openTun gives what the calling thread starts a /dev/net/tun that every user may open, as on
// most machines. The thread has mounts of its own for that.
func openTun(dir string) error {
	node := filepath.Join(dir, "tun")
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("make a mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keep the mounts to it: %w", err)
	}
	if err := unix.Mknod(node, unix.S_IFCHR|0o666, int(unix.Mkdev(10, 200))); err != nil {
		return fmt.Errorf("make %s: %w", node, err)
	}
	if err := os.Chmod(node, 0o666); err != nil {
		return err
	}
	if err := unix.Mount(node, "/dev/net/tun", "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount %s: %w", node, err)
	}
	return nil
}

// defaultGateway is the address that pasta has stand for the host.
func defaultGateway() (string, error) {
	data, err := os.ReadFile("/proc/net/route")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		if len(f) < 8 || f[1] != "00000000" || f[7] != "00000000" {
			continue
		}
		raw, err := hex.DecodeString(f[2])
		if err != nil || len(raw) != 4 {
			continue
		}
		var a [4]byte
		binary.NativeEndian.PutUint32(a[:], binary.BigEndian.Uint32(raw))
		return netip.AddrFrom4(a).String(), nil
	}
	return "", errors.New("there is no default route")
}

// slirp makes a network namespace and has slirp4netns serve it.
func (b *runner) slirp() (args []string, carrier int, stop func() error, err error) {
	holder := b.command([]string{"unshare", "-Urn", "sleep", "1000"})
	if err := holder.Start(); err != nil {
		return nil, 0, nil, err
	}
	pid := strconv.Itoa(holder.Process.Pid)
	end := func() error { return errors.Join(holder.Process.Kill(), waitKilled(holder)) }
	for range 500 {
		name, err := os.ReadFile("/proc/" + pid + "/comm")
		if err == nil && strings.TrimSpace(string(name)) == "sleep" {
			break
		}
		time.Sleep(time.Millisecond)
	}
	slirp := b.command([]string{"slirp4netns", "--configure", "--mtu=65520", pid, "tap0"})
	if err := slirp.Start(); err != nil {
		return nil, 0, nil, errors.Join(err, end())
	}
	return []string{"nsenter", "-t", pid, "-U", "-n", "--preserve-credentials"}, slirp.Process.Pid, func() error {
		return errors.Join(slirp.Process.Kill(), waitKilled(slirp), end())
	}, nil
}

// waitKilled waits for one that was killed.
func waitKilled(cmd *exec.Cmd) error {
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		return err
	}
	return nil
}

// client is the client's command in a network, and who carries its connections, or 0 for
// the command itself.
func (b *runner) client(way network, client string, one bool, args ...string) (
	cmd *exec.Cmd, carrier int, stop func() error, err error,
) {
	stop = func() error { return nil }
	line := way.args
	if way.start != nil {
		if line, carrier, stop, err = way.start(); err != nil {
			return nil, 0, nil, err
		}
	}
	line = append(append([]string{}, line...), client, "-traffic", "client", net.JoinHostPort(way.host, args[0]))
	if one {
		line = append([]string{"taskset", "-c", "0"}, line...)
		if carrier != 0 {
			set := unix.CPUSet{1}
			if err := unix.SchedSetaffinity(carrier, &set); err != nil {
				return nil, 0, nil, errors.Join(err, stop())
			}
		}
	}
	return b.command(append(line, args[1:]...)), carrier, stop, nil
}

// through is how long the client took.
func (b *runner) through(way network, client string, one bool, args ...string) (took time.Duration, err error) {
	cmd, _, stop, err := b.client(way, client, one, args...)
	if err != nil {
		return 0, err
	}
	// Some of them hang where something is missing.
	cmd = b.command(append([]string{"timeout", "-s", "KILL", "20"}, cmd.Args...))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err = errors.Join(err, stop()); err != nil {
		return 0, fmt.Errorf("%w: %s", err, stderr.String())
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	return time.Duration(n), err
}

// idleCost is what the one that carries them needs for 1,000 idle connections, besides what
// it needs for one: memory, and processor time in three seconds.
func (b *runner) idleCost(way network, client, port string) (string, error) {
	if way.name == "direct" {
		return "", nil
	}
	var memory [2]int
	var used time.Duration
	for i, count := range [...]string{"1", "1000"} {
		cmd, carrier, stop, err := b.client(way, client, false, port, "idle", count)
		if err != nil {
			return "", err
		}
		in, err := cmd.StdinPipe()
		if err != nil {
			return "", errors.Join(err, stop())
		}
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			return "", errors.Join(err, stop())
		}
		if carrier == 0 {
			carrier = cmd.Process.Pid
		}
		if _, err = bufio.NewReader(out).ReadString('\n'); err == nil {
			before, bad := processorTime(carrier)
			time.Sleep(3 * time.Second)
			after, e := processorTime(carrier)
			memory[i], err = resident(carrier)
			used, err = after-before, errors.Join(bad, e, err)
		}
		in.Close()
		io.Copy(io.Discard, out)
		if err = errors.Join(err, cmd.Wait(), stop()); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%.1f MB, %d ms in 3 s", float64(memory[1]-memory[0])/1024, used.Milliseconds()), nil
}

// processorTime is what all threads of a process have used.
func processorTime(pid int) (d time.Duration, err error) {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	for _, t := range tasks {
		data, e := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/schedstat", pid, t.Name()))
		f := strings.Fields(string(data))
		if e != nil || len(f) == 0 {
			return 0, fmt.Errorf("the processor time of %d: %w", pid, e)
		}
		n, e := strconv.ParseInt(f[0], 10, 64)
		d, err = d+time.Duration(n), errors.Join(err, e)
	}
	return d, err
}

// resident is the memory of a process, in kB.
func resident(pid int) (int, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmRSS:" {
			return strconv.Atoi(f[1])
		}
	}
	return 0, errors.Join(err, syscall.ESRCH)
}
