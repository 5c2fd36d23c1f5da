package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/sys"
	"sbx/internal/text"
	"sbx/policy/explain"
)

// The last report of a user stands in the state directory, below $XDG_STATE_HOME or
// ~/.local/state, in a file that is nobody else's.
const (
	stateBelow = ".local/state"
	stateName  = "sbx"
	lastName   = "explained.json"
	lastMost   = 4 << 20 // bytes
)

// keepReport replaces the last report by this one.
func keepReport(r *explain.Report) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	dir, err := openState(true)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	return replaceFile(dir, lastName, 0o600, append(data, '\n'), true)
}

// openState opens the state directory by O_PATH, and makes it if it is to. No link on the
// way is followed, since a program in a sandbox may have put it there. The directory is the
// caller's, and closed to all others.
func openState(create bool) (int, error) {
	base, below := os.Getenv("HOME"), stateBelow
	if !path.IsAbs(base) {
		base = "/"
	}
	if state := os.Getenv("XDG_STATE_HOME"); path.IsAbs(state) {
		if rest, ok := strings.CutPrefix(path.Clean(state), path.Clean(base)+"/"); ok {
			below = rest
		} else {
			base, below = "/", strings.TrimPrefix(path.Clean(state), "/")
		}
	}
	at, err := unix.Open(base, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	for part := range strings.SplitSeq(path.Join(below, stateName), "/") {
		next, err := openPart(at, part, create)
		unix.Close(at)
		if err != nil {
			return -1, err
		}
		at = next
	}
	var st unix.Stat_t
	if err = unix.Fstat(at, &st); err == nil && (int(st.Uid) != os.Geteuid() || st.Mode&0o077 != 0) {
		err = errors.New("its directory is not the caller's alone")
	}
	if err != nil {
		unix.Close(at)
		return -1, err
	}
	return at, nil
}

// openPart opens a directory in another one, and makes it if it is to and may: not in a
// directory of somebody else's, as root in a user's home.
func openPart(at int, name string, create bool) (int, error) {
	how := unix.OpenHow{
		Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS,
	}
	fd, err := unix.Openat2(at, name, &how)
	if !create || !errors.Is(err, unix.ENOENT) {
		return fd, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(at, &st); err != nil {
		return -1, err
	}
	if int(st.Uid) != os.Geteuid() {
		return -1, unix.EACCES
	}
	if err := unix.Mkdirat(at, name, 0o700); err != nil && !errors.Is(err, unix.EEXIST) {
		return -1, err
	}
	return unix.Openat2(at, name, &how)
}

// explainLast is "sbx explain --last": it prints the last report. words are behind --last.
func explainLast(w io.Writer, words []string) error {
	verbose, asJSON := false, false
	for _, word := range words {
		switch word {
		case "-v", "--verbose":
			verbose = true
		case "--json":
			asJSON = true
		default:
			return misread("unexpected argument "+text.Quote(word), "sbx explain --last [--verbose] [--json]")
		}
	}
	r, err := lastReport()
	if errors.Is(err, unix.ENOENT) {
		return &usageError{"read the last report: there is none", "sbx explain [flags] -- PROGRAM makes one"}
	}
	if err != nil {
		return fmt.Errorf("read the last report: %w", err)
	}
	if asJSON {
		return printJSON(w, r)
	}
	for _, line := range r.Lines(verbose) {
		if _, err := fmt.Fprintln(w, text.OneLine(line)); err != nil {
			return err
		}
	}
	return nil
}

func lastReport() (*explain.Report, error) {
	dir, err := openState(false)
	if err != nil {
		return nil, err
	}
	defer unix.Close(dir)
	fd, err := sys.OpenRegular(dir, lastName, unix.O_NOFOLLOW)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), lastName)
	defer f.Close() //nolint:errcheck // it was only read
	data, err := io.ReadAll(io.LimitReader(f, lastMost))
	if err != nil {
		return nil, err
	}
	r := &explain.Report{}
	if err := json.Unmarshal(data, r); err != nil {
		return nil, err
	}
	return r, nil
}
