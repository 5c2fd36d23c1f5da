package snippets

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"sbx/internal/fdtest"
)

func post(t *testing.T, url, script string) (r Result) {
	t.Helper()
	answer, err := http.Post(url, "text/x-sh", strings.NewReader(script))
	if err != nil {
		t.Error(err)
		return r
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("%.40q: %s", script, answer.Status)
		return r
	}
	if err := json.NewDecoder(answer.Body).Decode(&r); err != nil {
		t.Error(err)
	}
	return r
}

// TestService: 200 requests at once get their own answers, what is hostile is held, and
// nothing is left of any.
func TestService(t *testing.T) {
	if testing.Short() && os.Getenv("SBX_MUST_WORK") == "" {
		t.Skip("it starts sandboxes, and -short does not without SBX_MUST_WORK=1")
	}
	s, err := New(20, 2*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s)
	defer server.Close()
	open := fdtest.Count(t)
	var group sync.WaitGroup
	for i := range 200 {
		group.Go(func() {
			script, want := fmt.Sprintf("echo %d; exit %d", i, i), fmt.Sprintf("%d\n", i)
			if r := post(t, server.URL, script); r.Output != want || r.Status != i {
				t.Errorf("request %d: %+v", i, r)
			}
		})
	}
	for script, right := range map[string]func(Result) bool{
		"while :; do :; done":          func(r Result) bool { return r.Status == 137 && len(r.Limits) == 1 },
		"sleep 1000 & sleep 1000":      func(r Result) bool { return r.Status == 137 && r.Limits[0] == "time" },
		"yes":                          func(r Result) bool { return r.Cut && len(r.Output) == 64<<10 },
		"cat /etc/shadow /proc/1/maps": func(r Result) bool { return r.Status == 1 && !strings.Contains(r.Output, "root:") },
		"kill -9 $$":                   func(r Result) bool { return r.Status == 137 && len(r.Limits) == 0 },
		"ls /proc/self/fd | wc -l":     func(r Result) bool { return strings.TrimSpace(r.Output) == "4" },
	} {
		group.Go(func() {
			if r := post(t, server.URL, script); !right(r) {
				r.Output = r.Output[:min(len(r.Output), 200)]
				t.Errorf("%s: %+v", script, r)
			}
		})
	}
	group.Wait()
	http.DefaultClient.CloseIdleConnections()
	server.CloseClientConnections()
	for range 100 { // connections that end
		if fdtest.Count(t) <= open {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d descriptors are open, there were %d", fdtest.Count(t), open)
}
