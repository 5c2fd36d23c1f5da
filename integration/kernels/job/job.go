// Package job is what the host and the guest of the kernel matrix say to each
// other: the jobs that a guest is to run, and the lines by which it reports.
//
// The lines go over a serial port of their own. The first byte says what a
// line is, so that whatever a job prints cannot be taken for a report:
//
//	=begin NAME           a job starts
//	|TEXT                 the job has printed TEXT
//	=end NAME STATUS MS   it has ended with STATUS, -1 if it could not be run
//	=done                 that was all
package job

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"
)

// User is the ordinary user of a guest, and of the integration tests.
const User = 61042

// File is where a guest finds its jobs, as JSON, in the initramfs.
const File = "/jobs.json"

// Job is a program for a guest to run.
type Job struct {
	Name string // one word
	Args []string
	Dir  string
	Env  []string
	// User says to run it as User, in a control group that is that user's,
	// instead of as root.
	User bool
	// Timeout is after how long it and what it has started are killed.
	Timeout time.Duration
}

// Result is what became of a job.
type Result struct {
	Name   string
	Status int // of exit; 128+n for signal n, -1 if it could not be run
	Took   time.Duration
	Output string
	Ended  bool // false: the guest went away meanwhile
}

// Writer reports to w.
type Writer struct {
	mu   sync.Mutex
	w    io.Writer
	line []byte
	err  error
}

// NewWriter makes a Writer for a serial port.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// put writes a line. A report that does not arrive cannot be told anybody
// but the host, which misses it.
func (w *Writer) put(line string) {
	if w.err == nil {
		_, w.err = io.WriteString(w.w, line+"\n")
	}
}

// Begin says that a job starts.
func (w *Writer) Begin(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.put("=begin " + name)
}

// Write takes what the job prints.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.line = append(w.line, p...)
	for {
		line, rest, ok := bytes.Cut(w.line, []byte("\n"))
		if !ok {
			return len(p), w.err
		}
		w.put("|" + string(line))
		w.line = append(w.line[:0], rest...)
	}
}

// End says that the job has ended.
func (w *Writer) End(name string, status int, took time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.line) > 0 {
		w.put("|" + string(w.line))
		w.line = w.line[:0]
	}
	w.put(fmt.Sprintf("=end %s %d %d", name, status, took.Milliseconds()))
}

// Done says that all jobs have ended.
func (w *Writer) Done() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.put("=done")
	return w.err
}

// ErrCut is the error of reports that end before the guest's last word.
var ErrCut = errors.New("the guest went away before it had reported all")

// Read reads reports until the guest is done or gone.
func Read(r io.Reader) ([]Result, error) {
	var results []Result
	var out strings.Builder
	running := false
	lines := bufio.NewReaderSize(r, 1<<16)
	for {
		line, err := lines.ReadString('\n')
		whole := strings.HasSuffix(line, "\n")
		// A serial port may add a carriage return.
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		fields := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "|"):
			out.WriteString(line[1:] + "\n")
		case !whole:
		case line == "=done":
			if running {
				return results, fmt.Errorf("done while %s was running", results[len(results)-1].Name)
			}
			return results, nil
		case len(fields) == 2 && fields[0] == "=begin" && !running:
			results = append(results, Result{Name: fields[1], Status: -1})
			running = true
		case len(fields) == 4 && fields[0] == "=end" && running && results[len(results)-1].Name == fields[1]:
			last := &results[len(results)-1]
			status, err1 := strconv.Atoi(fields[2])
			ms, err2 := strconv.Atoi(fields[3])
			if err := errors.Join(err1, err2); err != nil {
				return results, fmt.Errorf("report %q: %w", line, err)
			}
			last.Status, last.Took, last.Ended = status, time.Duration(ms)*time.Millisecond, true
			last.Output = out.String()
			out.Reset()
			running = false
		case line != "":
			return results, fmt.Errorf("report %q is none, or comes out of turn", line)
		}
		if err != nil {
			if running {
				results[len(results)-1].Output = out.String()
			}
			if errors.Is(err, io.EOF) {
				err = ErrCut
			}
			return results, err
		}
	}
}
