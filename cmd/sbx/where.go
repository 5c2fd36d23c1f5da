package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/text"
	"sbx/policy"
	"sbx/sandbox"
)

// where is where a launch takes place.
type where struct {
	// cwd is the directory to start in and home the caller's, both without links.
	cwd, home string
	// caller is the directory that the caller stands in, and account the caller's
	// home by the password file.
	caller, account string
	// places are how flags and the environment led there.
	places []sandbox.Place
}

// where finds out where the launch takes place.
func (l *launch) where() (w where, err error) {
	buf := make([]byte, unix.PathMax+1)
	n, err := unix.Getcwd(buf)
	if err != nil {
		return w, fmt.Errorf("find the current directory: %w", err)
	}
	w.caller = string(buf[:n-1])
	if !strings.HasPrefix(w.caller, "/") {
		return w, fmt.Errorf("find the current directory: %s is not below the root", text.Quote(w.caller))
	}
	w.cwd = w.caller
	if l.Dir != "" {
		dir := absolute(l.Dir, w.caller)
		what := "start in " + text.Quote(dir)
		place, err := sandbox.Follow(what, dir)
		if err != nil {
			return w, fmt.Errorf("%s: %w", what, err)
		}
		w.cwd, w.places = place.Path(), append(w.places, place)
	}
	w.account = sandbox.AccountHome(os.Geteuid())
	w.home = os.Getenv("HOME")
	if !filepath.IsAbs(w.home) {
		w.home = w.account
	}
	w.home = filepath.Clean(w.home)
	switch place, err := sandbox.Follow("use the home "+text.Quote(w.home), w.home); {
	case err == nil:
		w.home, w.places = place.Path(), append(w.places, place)
	case errors.Is(err, unix.ESTALE):
		return w, fmt.Errorf("use the home %s: %w", text.Quote(w.home), err)
	}
	return w, nil
}

// vars are the values of a policy's variables, in that project.
func (w *where) vars(project string) policy.Vars {
	return policy.Vars{Home: w.home, CWD: project, User: os.Getenv("USER"), UID: os.Geteuid(),
		ConfigHome: os.Getenv("XDG_CONFIG_HOME"), CacheHome: os.Getenv("XDG_CACHE_HOME"),
		DataHome:  os.Getenv("XDG_DATA_HOME"),
		StateHome: os.Getenv("XDG_STATE_HOME"), RuntimeDir: os.Getenv("XDG_RUNTIME_DIR"),
		SSHAuthSock: os.Getenv("SSH_AUTH_SOCK"), Display: os.Getenv("DISPLAY"),
		WaylandDisplay: os.Getenv("WAYLAND_DISPLAY")}
}

// project is the directory as a project, or "" where nobody means it as one for
// standing in it.
func (w *where) project(dir string) string {
	project := policy.ProjectDir(dir, w.home)
	// Settings are none, nor is what has sbx's own policies and filters in it,
	// wherever they are.
	if project == "" || policy.Settings(dir, w.home) {
		return ""
	}
	// Filters in a project are read-only, and compared with the policy before they are
	// used: builders keep their caches in the directory that they build in.
	config, cache := filepath.Join(os.Getenv("XDG_CONFIG_HOME"), "sbx"), filepath.Join(os.Getenv("XDG_CACHE_HOME"), "sbx")
	if policy.Within(config, dir) || policy.Within(dir, config) || policy.Within(dir, cache) {
		return ""
	}
	// HOME may be another's, or none, after sudo or in a service: the home by
	// the password file is no project either.
	own := w.account
	if own == w.home {
		return project
	}
	if place, err := sandbox.Follow("", own); err == nil {
		own = place.Path()
	}
	if own != "/" && (policy.ProjectDir(dir, own) == "" || policy.Settings(dir, own)) {
		return ""
	}
	return project
}
