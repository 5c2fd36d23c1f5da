package integration

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// web is an nginx below sbx.
type web struct {
	cmd    *exec.Cmd
	stderr lockedBuffer
	done   chan error
	url    string
}

func startWeb(t *testing.T, url string, args ...string) *web {
	t.Helper()
	w := &web{cmd: exec.Command(binary("sbx"), args...), done: make(chan error, 1), url: url}
	w.cmd.Dir, w.cmd.Env = t.TempDir(), userEnv()
	w.cmd.Stdout, w.cmd.Stderr = &w.stderr, &w.stderr
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { w.done <- w.cmd.Wait() }()
	t.Cleanup(func() {
		if err := w.cmd.Process.Kill(); err == nil {
			<-w.done
		}
		noStrays(t)
	})
	eventually(t, "nginx at "+url, func() bool {
		select {
		case err := <-w.done:
			t.Fatalf("nginx ended: %v\n%s", err, &w.stderr)
		default:
		}
		_, err := fetch(url)
		return err == nil
	})
	return w
}

// fetch asks on a connection of its own, so that a lost one shows.
func fetch(url string) (string, error) {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s", response.Status)
	}
	return string(body), err
}

// workers are nginx's, as the host sees them; the master is their parent.
func (w *web) workers(t *testing.T) (master int, workers []int) {
	t.Helper()
	for _, p := range descendants(t, w.cmd.Process.Pid) {
		title, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.pid))
		if err != nil {
			continue
		}
		switch {
		case strings.HasPrefix(string(title), "nginx: master"):
			master = p.pid
		case strings.HasPrefix(string(title), "nginx: worker") && !strings.Contains(string(title), "shutting down"):
			workers = append(workers, p.pid)
		}
	}
	slices.Sort(workers)
	return master, workers
}

func statusFields(t *testing.T, pid int) map[string]string {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]string{}
	for line := range strings.Lines(string(data)) {
		name, value, _ := strings.Cut(line, ":")
		m[name] = strings.Join(strings.Fields(value), " ")
	}
	return m
}

// reload sends HUP while clients keep asking, and fails if one of them is
// turned away or the workers stay the same.
func (w *web) reload(t *testing.T) {
	t.Helper()
	_, before := w.workers(t)
	var asked, lost atomic.Int64
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 2 {
		clients.Go(func() {
			for asked.Load() < 2000 {
				select {
				case <-stop:
					return
				default:
				}
				asked.Add(1)
				if _, err := fetch(w.url); err != nil {
					lost.Add(1)
					t.Errorf("during the reload: %v", err)
				}
				time.Sleep(2 * time.Millisecond)
			}
		})
	}
	if err := w.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "new workers after HUP", func() bool {
		_, now := w.workers(t)
		for _, pid := range now {
			if slices.Contains(before, pid) {
				return false
			}
		}
		return len(now) > 0
	})
	close(stop)
	clients.Wait()
	if lost.Load() > 0 || asked.Load() == 0 {
		t.Errorf("%d of %d requests lost", lost.Load(), asked.Load())
	}
}

// end sends a signal and wants nginx's own exit status.
func (w *web) end(t *testing.T, s syscall.Signal, want int) {
	t.Helper()
	if err := w.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-w.done:
		w.done <- nil
		got, err := exitStatus(err)
		if err != nil || got != want {
			t.Errorf("after %v: status %d (%v), want %d\n%s", s, got, err, want, &w.stderr)
		}
	case <-time.After(15 * time.Second):
		t.Fatalf("nginx did not end upon %v\n%s", s, &w.stderr)
	}
}

const nginxUserConf = `worker_processes 2;
pid run/nginx.pid;
error_log stderr;
events {}
http {
  access_log off;
  client_body_temp_path run/body;
  proxy_temp_path run/proxy;
  fastcgi_temp_path run/fastcgi;
  uwsgi_temp_path run/uwsgi;
  scgi_temp_path run/scgi;
  server { listen 8080; root www; }
}
`

// TestNginxUser is the main job as an unprivileged user: a configuration of
// one's own on port 8080. Root may do the same.
func TestNginxUser(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"conf", "www", "run"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"conf/nginx.conf": nginxUserConf, "www/page.html": "a page\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	conf := []string{"--policy", "web", "--read", dir + "/conf", "--read", dir + "/www", "--write", dir + "/run", "--",
		"nginx", "-p", dir + "/", "-c", dir + "/conf/nginx.conf", "-g", "daemon off;"}
	if asRoot() {
		// Root's nginx drops to nobody unless told; its files are root's.
		conf[len(conf)-1] = "daemon off; user root;"
	}
	w := startWeb(t, "http://127.0.0.1:8080/page.html", conf...)
	if body, err := fetch(w.url); err != nil || body != "a page\n" {
		t.Fatalf("page: %q %v", body, err)
	}
	var master int
	var workers []int
	eventually(t, "two workers", func() bool {
		master, workers = w.workers(t)
		return master != 0 && len(workers) == 2
	})
	for _, pid := range append(workers, master) {
		w.confined(t, pid, asRoot())
	}
	w.reload(t)
	w.end(t, syscall.SIGTERM, 0)
	w = startWeb(t, w.url, conf...)
	w.end(t, syscall.SIGQUIT, 0)
}

// confined checks one of nginx's processes against the host: namespaces of
// its own, no_new_privs, a filter, and no capability it was not promised.
func (w *web) confined(t *testing.T, pid int, mayHold bool) {
	t.Helper()
	f := statusFields(t, pid)
	if f["NoNewPrivs"] != "1" || f["Seccomp"] != "2" {
		t.Errorf("pid %d: NoNewPrivs %s, Seccomp %s", pid, f["NoNewPrivs"], f["Seccomp"])
	}
	kinds := []string{"mnt", "pid", "ipc", "uts", "cgroup"}
	if !asRoot() {
		kinds = append(kinds, "user")
	}
	for _, kind := range kinds {
		inside, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, kind))
		outside, errOut := os.Readlink("/proc/self/ns/" + kind)
		if err != nil || errOut != nil || inside == outside {
			t.Errorf("pid %d: %s namespace %q, the host's %q (%v, %v)", pid, kind, inside, outside, err, errOut)
		}
	}
	for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"} {
		var bits uint64
		if _, err := fmt.Sscanf(f[set], "%x", &bits); err != nil {
			t.Fatal(err)
		}
		// What a web server run by root may hold: dac_override 1, kill 5,
		// setgid 6, setuid 7, net_bind_service 10; a user's nothing but
		// net_bind_service.
		allowed := uint64(1<<1 | 1<<5 | 1<<6 | 1<<7 | 1<<10)
		if !asRoot() {
			allowed = 1 << 10
		}
		if !mayHold && set != "CapBnd" && set != "CapInh" {
			allowed = 0
		}
		if extra := bits &^ allowed; extra != 0 {
			t.Errorf("pid %d: %s has %#x more than it may", pid, set, extra)
		}
	}
}

// TestNginxStock is the main job as root: Debian's own configuration, port
// 80, workers that drop to www-data.
func TestNginxStock(t *testing.T) {
	if !asRoot() {
		return // a user cannot have port 80 or www-data; TestNginxUser is this one's
	}
	w := startWeb(t, "http://127.0.0.1:80/", "--policy", "web", "--", "nginx", "-g", "daemon off;")
	// Which page is there depends on what else was installed.
	if body, err := fetch(w.url); err != nil || !strings.Contains(body, "<html") {
		t.Fatalf("page: %q %v", body, err)
	}
	var master int
	var workers []int
	eventually(t, "workers", func() bool {
		master, workers = w.workers(t)
		return master != 0 && len(workers) > 0
	})
	w.confined(t, master, true)
	for _, pid := range workers {
		f := statusFields(t, pid)
		if !strings.HasPrefix(f["Uid"], "33 33 33 33") || !strings.HasPrefix(f["Gid"], "33 33 33 33") {
			t.Errorf("worker %d is uid %q gid %q, not www-data", pid, f["Uid"], f["Gid"])
		}
		w.confined(t, pid, false)
	}
	w.reload(t)
	w.end(t, syscall.SIGTERM, 0)
	w = startWeb(t, w.url, "--policy", "web", "--", "nginx", "-g", "daemon off;")
	w.end(t, syscall.SIGQUIT, 0)
}

// TestNginxNeeds is the table of docs/security.md: nginx as root does with what
// web keeps, and not with less. So each is there for a reason.
func TestNginxNeeds(t *testing.T) {
	if !asRoot() {
		return
	}
	for _, lacking := range []string{"net_bind_service", "setuid", "setgid", "dac_override"} {
		dir := t.TempDir()
		text := "version = 1\nsummary = 's'\nextends = ['web']\n[process]\ncapabilities = ['!" + lacking + "']\n"
		if err := os.WriteFile(filepath.Join(dir, "less.toml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(binary("sbx"), "--policy", dir+"/less.toml", "--", "timeout", "2", "nginx", "-g", "daemon off;")
		cmd.Dir, cmd.Env = dir, userEnv()
		out, err := cmd.CombinedOutput()
		status, err := exitStatus(err)
		// Without setuid and setgid the master lives on, and starts workers that fail at once.
		if err != nil || status == 0 || status == 125 || status == 124 && !strings.HasPrefix(lacking, "set") {
			t.Errorf("without %s: status %d (%v)\n%.500s", lacking, status, err, out)
		}
	}
}
