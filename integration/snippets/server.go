// Package snippets is a small HTTP service that runs what strangers send it: each request's
// body is a shell script that is executed under the policy "pure", with limits. It shows how
// package sandbox is used, and its test runs 200 requests at once.
package snippets

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"sbx/policies"
	"sbx/policy"
	"sbx/policy/seccomp"
	"sbx/sandbox"
)

// Service is the http.Handler. New makes one.
type Service struct {
	policy  *policy.Policy
	filters []seccomp.Program
	// slots bounds how many run at a time; the others wait.
	slots chan struct{}
	most  time.Duration
}

// Result is the answer to a request.
type Result struct {
	Status int      `json:"status"`
	Output string   `json:"output"`
	Cut    bool     `json:"cut,omitempty"` // there was more
	Limits []string `json:"limits,omitempty"`
}

// New is a service that runs so many snippets at a time, each for so long at most.
func New(slots int, most time.Duration) (*Service, error) {
	found, err := policies.Find("pure")
	if err != nil {
		return nil, err
	}
	p, err := found.Expand(policy.Vars{Home: "/nonexistent", UID: os.Getuid()})
	if err != nil {
		return nil, err
	}
	p.Limits = policy.Limits{OpenFiles: "64", FileSize: "1M", CPUTime: "2s", Time: most.String()}
	// Once, and not at each request.
	filters, err := sandbox.Compile(p)
	if err != nil {
		return nil, err
	}
	return &Service{p, filters, make(chan struct{}, slots), most}, nil
}

// ServeHTTP runs the body of a POST and answers with a Result.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	const mostInput = 64 << 10
	script, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostInput))
	if r.Method != http.MethodPost || err != nil {
		http.Error(w, "POST a script of at most 64 KiB", http.StatusBadRequest)
		return
	}
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-r.Context().Done():
		return
	}
	result, err := s.run(r.Context(), script)
	if err != nil { // nothing has run; why is not the client's business
		http.Error(w, "the sandbox could not be made", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(result); err != nil {
		return // the client is gone
	}
}

// run runs the script until it ends, its limits are reached, or the client is gone.
func (s *Service) run(ctx context.Context, script []byte) (Result, error) {
	c := sandbox.CommandContext(ctx, s.policy, "sh", "-s")
	c.Filters = s.filters
	c.Env = []string{"LANG=C.UTF-8"}
	c.Stdin = bytes.NewReader(script)
	out := &capped{most: 64 << 10}
	c.Stdout, c.Stderr = out, out
	c.WaitDelay = time.Second
	err := c.Run()
	if exit := (*sandbox.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return Result{}, err
	}
	exit := c.ProcessState.Exit
	return Result{exit.Code(), out.b.String(), out.cut, exit.Limits}, nil
}

// capped keeps the beginning of what is written.
type capped struct {
	b    bytes.Buffer
	most int
	cut  bool
}

func (c *capped) Write(p []byte) (int, error) {
	n := min(len(p), c.most-c.b.Len())
	c.b.Write(p[:n])
	c.cut = c.cut || n < len(p)
	return len(p), nil
}
