package policies

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/policy"
	"sbx/policy/oci"
	"sbx/policy/seccomp"
)

// readProfile reads the profile that a policy's seccomp.oci names, with the
// same distrust as the policy's own file.
func (l *Loaded) readProfile(p *policy.Policy) error {
	if p.OCI == "" {
		return nil
	}
	name := p.OCI
	if l.Source == Embedded {
		return errors.New("an embedded policy names no profile")
	}
	if !path.IsAbs(name) {
		name = filepath.Join(filepath.Dir(l.Path), name)
	}
	read := readTrusted
	if l.Source == File {
		read = readFile
	}
	data, from, err := read(name)
	if err != nil {
		return fmt.Errorf("seccomp.oci of %s: %w", l.Path, err)
	}
	on := oci.Target{Arch: seccomp.Native()}
	if on.Kernel, err = Kernel(); err != nil {
		return err
	}
	profile, err := oci.Parse(name, data)
	if err != nil {
		return err
	}
	p.SetSources(append(p.Sources(), from))
	p.SetProfile(func(capabilities []string) (*seccomp.Policy, []string, error) {
		on.Capabilities = capabilities
		return profile.Policy(on)
	})
	return nil
}

// Kernel is the release of the running kernel: see uname(2).
func Kernel() (seccomp.Release, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return seccomp.Release{}, fmt.Errorf("ask for the kernel's release: %w", err)
	}
	text := string(u.Release[:max(0, bytes.IndexByte(u.Release[:], 0))])
	major, rest, _ := strings.Cut(text, ".")
	digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
	x, errX := strconv.Atoi(major)
	y, errY := strconv.Atoi(rest[:digits])
	if errX != nil || errY != nil {
		return seccomp.Release{}, fmt.Errorf("read the kernel's release %q: it does not begin with two numbers", text)
	}
	return seccomp.Release{Major: x, Minor: y}, nil
}
