package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/review"
	"sbx/internal/text"
)

// askLines is how many lines of changes are shown before the question.
const askLines = 60

// ask shows the changes at the terminal and asks what to do with them.
func ask(r *review.Review, out *reviewReport) error {
	tty, restore, err := openTerminal()
	if err != nil {
		return fmt.Errorf("ask at the terminal: %w", err)
	}
	defer restore()
	p := &review.Printer{W: tty, Most: askLines}
	if err := r.Print(p, nil); err != nil {
		return err
	}
	fmt.Fprintf(tty, "sbx: review %s: %s\n", r.ID, &p.Count)
	a := asker{r: r, out: out, tty: tty, in: bufio.NewReader(tty)}
	for {
		done, err := a.once()
		if err != nil {
			fmt.Fprintf(tty, "sbx: error: %s\n", text.OneLine(err.Error()))
		}
		if done {
			return nil
		}
	}
}

type asker struct {
	r   *review.Review
	out *reviewReport
	tty io.Writer
	in  *bufio.Reader
}

const question = "sbx: keep, keep PATH..., diff [PATH...], show, discard, discard PATH... or later? "

// line reads an answer. It is not ok at the end of the input, or after Ctrl-C.
func (a *asker) line() (s string, ok bool) {
	for {
		c, err := a.in.ReadByte()
		switch {
		case err != nil, c == interruptKey:
			return "", false
		case c == '\n':
			return s, true
		}
		s += string([]byte{c})
	}
}

// once asks and does what is said. done says that there is nothing more to ask.
func (a *asker) once() (done bool, err error) {
	fmt.Fprint(a.tty, question)
	line, ok := a.line()
	if !ok {
		fmt.Fprintln(a.tty)
		return a.later(), nil // the end of the input, or Ctrl-C: nothing is lost
	}
	words, err := splitWords(line)
	if err != nil || len(words) == 0 {
		return false, err
	}
	force := false
	rest := slices.DeleteFunc(words[1:], func(s string) bool {
		force = force || s == "--force"
		return s == "--force"
	})
	paths, err := selection(a.r, rest)
	if err != nil {
		return false, err
	}
	switch words[0] {
	case "keep", "k":
		return a.keep(paths, force)
	case "diff", "d":
		return false, a.r.Diff(a.tty, paths, true)
	case "show", "s":
		return false, a.r.Print(&review.Printer{W: a.tty}, paths)
	case "discard":
		if len(paths) > 0 {
			if err := a.r.DiscardPaths(paths); err != nil {
				return false, err
			}
			return a.left()
		}
		if err := a.r.Discard(); err != nil {
			return false, err
		}
		if a.out.Decision != "kept" {
			a.out.Decision = "discarded"
		}
		a.out.Left = false
		return true, nil
	case "later", "l", "quit", "q":
		return a.later(), nil
	}
	return false, fmt.Errorf("%s is none of the answers", text.Quote(words[0]))
}

func (a *asker) later() bool {
	fmt.Fprintf(a.tty, "sbx: note: review %s stays; sbx review keep %[1]s, or discard\n", a.r.ID)
	a.out.Left = true
	return true
}

func (a *asker) keep(paths []review.Selected, force bool) (bool, error) {
	result, err := a.r.Keep(paths, force)
	if err != nil {
		return false, err
	}
	a.out.Decision, a.out.Kept, a.out.Left = "kept", a.out.Kept+result.Kept, result.Left
	sayResult(a.r, result)
	return a.left()
}

// left ends when no change is left.
func (a *asker) left() (bool, error) {
	p := &review.Printer{W: a.tty, Most: askLines}
	if err := a.r.Print(p, nil); err != nil {
		return false, err
	}
	if p.Count.All > 0 {
		return false, nil
	}
	a.out.Left = false
	return true, a.r.Discard()
}

// selection are the changes that the words name.
func selection(r *review.Review, words []string) (list []review.Selected, err error) {
	if len(words) == 0 {
		return nil, nil
	}
	cwd, err := os.Getwd()
	if err != nil {
		cwd = "/"
	}
	for _, w := range words {
		s, err := r.Select(absolute(w, cwd))
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

// splitWords splits an answer into words. A name that is quoted as sbx prints it is read
// as such.
func splitWords(s string) (list []string, err error) {
	for {
		s = strings.TrimLeft(s, " \t\r\n")
		switch {
		case s == "":
			return list, nil
		case s[0] == '"':
			quoted, err := strconv.QuotedPrefix(s)
			if err != nil {
				return nil, fmt.Errorf("the quotes do not end in %s", text.Quote(s))
			}
			word, err := strconv.Unquote(quoted)
			if err != nil {
				return nil, err
			}
			list, s = append(list, word), s[len(quoted):]
		default:
			end := strings.IndexAny(s, " \t\r\n")
			if end < 0 {
				end = len(s)
			}
			list, s = append(list, s[:end]), s[end:]
		}
	}
}

// interruptKey ends the line at the question, like Enter.
const interruptKey = '\x03'

// openTerminal opens the controlling terminal for a question, as a program may have left
// it in any state. restore gives it back its settings.
func openTerminal() (tty *os.File, restore func(), err error) {
	fd, err := unix.Open("/dev/tty", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	tty = os.NewFile(uintptr(fd), "/dev/tty")
	old, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		tty.Close() //nolint:errcheck // nothing was written
		return nil, nil, err
	}
	plain := *old
	plain.Iflag |= unix.ICRNL
	plain.Oflag |= unix.OPOST | unix.ONLCR
	plain.Lflag |= unix.ICANON | unix.ECHO | unix.ECHOE
	plain.Lflag &^= unix.ISIG // its signals would go to what has ended
	plain.Cc[unix.VEOL] = interruptKey
	// What was typed before belongs to the program (TCSETSF drops it).
	if err := unix.IoctlSetTermios(fd, unix.TCSETSF, &plain); err != nil {
		tty.Close() //nolint:errcheck // nothing was written
		return nil, nil, err
	}
	// The program may have chosen colours and characters that hide what is written:
	// DECSTR, and the ASCII set.
	fmt.Fprint(tty, "\x1b[!p\x1b[0m\x1b(B\x0f\r")
	return tty, func() {
		if err := unix.IoctlSetTermios(fd, unix.TCSETS, old); err != nil {
			say("error", "restore the terminal's settings: "+err.Error())
		}
		tty.Close() //nolint:errcheck // it is a terminal
	}, nil
}
