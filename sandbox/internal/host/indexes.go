package host

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/policy"
)

// Installers of packages take the settings of a private index from variables and
// from files in the home. Where both are kept from them, they ask the public index
// for the same names, where anybody can have left something (dependency confusion).
// So what is kept back is said.

// indexVariables are the variables that say where packages come from. A "*" stands
// for any end; the names of npm have any case.
var indexVariables = [...]string{
	"GOPROXY", "GOPRIVATE", "GONOPROXY", "GONOSUMDB", "GOSUMDB", "GOINSECURE", "GOENV",
	"PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX", "PIP_CONFIG_FILE", "PIPENV_PYPI_MIRROR",
	"PDM_PYPI_URL", "POETRY_REPOSITORIES_*",
	"UV_INDEX", "UV_INDEX_*", "UV_DEFAULT_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_NO_INDEX", "UV_CONFIG_FILE",
	"NPM_CONFIG_REGISTRY", "NPM_CONFIG_@*", "NPM_CONFIG_USERCONFIG", "NPM_CONFIG_GLOBALCONFIG", "YARN_REGISTRY",
	"YARN_NPM_REGISTRY_SERVER", "COREPACK_NPM_REGISTRY",
	"CARGO_REGISTRIES_*", "CARGO_REGISTRY_DEFAULT", "CARGO_SOURCE_*", "RUSTUP_DIST_SERVER",
	"BUNDLE_MIRROR__*", "CONDA_CHANNEL_ALIAS", "CONDA_CHANNELS", "CONDA_DEFAULT_CHANNELS", "HEX_MIRROR",
}

// IndexVariable says whether the variable says where packages come from.
func IndexVariable(name string) bool {
	if len(name) > 4 && strings.EqualFold(name[:4], "npm_") {
		name = strings.ToUpper(name)
	}
	return slices.ContainsFunc(indexVariables[:], func(known string) bool {
		prefix, all := strings.CutSuffix(known, "*")
		return name == known || all && strings.HasPrefix(name, prefix)
	})
}

// HoldsCredentials says whether a variable is a secret by its name, or has the
// user's name or a password in an address.
func HoldsCredentials(name, value string) bool {
	upper := strings.ToUpper(name)
	for _, word := range [...]string{"TOKEN", "PASSWORD", "SECRET", "CREDENTIAL", "_AUTH", "USERNAME"} {
		if strings.Contains(upper, word) {
			return true
		}
	}
	for {
		_, rest, ok := strings.Cut(value, "://")
		if !ok {
			return false
		}
		authority := rest
		if end := strings.IndexAny(rest, "/?# ,|"); end >= 0 {
			authority = rest[:end]
		}
		if strings.Contains(authority, "@") {
			return true
		}
		value = rest
	}
}

// indexFile is a file in which an installer finds the address of an index.
type indexFile struct {
	base, below string // base is a directory of search: "" for the home, "config", or "/"
	keys        string // the words of which a line must have one; "": any
	plain       bool   // a line with a word counts without an address
}

// indexFiles are those of the user and of the machine.
var indexFiles = [...]indexFile{
	{"", ".npmrc", "registry", false}, {"/", "/etc/npmrc", "registry", false},
	{"", ".yarnrc", "registry", false}, {"", ".yarnrc.yml", "registry", false},
	{"config", "pip/pip.conf", "", false}, {"", ".pip/pip.conf", "", false}, {"/", "/etc/pip.conf", "", false},
	{"config", "uv/uv.toml", "", false}, {"config", "pypoetry/config.toml", "", false},
	{"config", "go/env", "goproxy goprivate gonoproxy gonosumdb gosumdb", true},
	{"", ".cargo/config.toml", "", false}, {"", ".cargo/config", "", false},
	{"", ".m2/settings.xml", "<url>", false}, {"", ".gradle/init.gradle", "", false},
	{"", ".bundle/config", "mirror", false}, {"", ".gemrc", "", false}, {"", ".condarc", "", false},
}

// publicIndexes are the hosts of those that everybody asks anyway.
var publicIndexes = [...]string{
	"registry.npmjs.org", "registry.yarnpkg.com", "pypi.org", "pypi.python.org", "files.pythonhosted.org",
	"proxy.golang.org",
	"index.crates.io", "crates.io", "static.crates.io", "repo.maven.apache.org", "repo1.maven.org", "plugins.gradle.org",
	"rubygems.org", "conda.anaconda.org", "repo.anaconda.com",
}

// findIndexes finds the files that name an index of packages and that the target
// does not see, where it has a network.
func (h *Facts) findIndexes(p *policy.Policy, tree *policy.Tree, t Target) error {
	if p.Namespaces.Net == "" || p.Namespaces.Net == "new" || t.Home == "" {
		return nil
	}
	config, _ := Lookup(t.Env, "XDG_CONFIG_HOME")
	if !path.IsAbs(config) {
		config = path.Join(t.Home, ".config")
	}
	for i := range indexFiles {
		x := &indexFiles[i]
		name := x.below
		switch x.base {
		case "":
			name = path.Join(t.Home, name)
		case "config":
			name = path.Join(config, name)
		}
		if !tree.At(name).Kind.FromHost() && x.names(h.text(name)) {
			h.Indexes = append(h.Indexes, name)
		}
	}
	for _, f := range h.Found {
		for i := range indexFiles {
			x := &indexFiles[i]
			if strings.HasPrefix(path.Base(f.Path), path.Base(x.below)) && !f.Dir && x.names(h.text(f.Path)) {
				h.Indexes = append(h.Indexes, f.Path)
				break
			}
		}
	}
	slices.Sort(h.Indexes)
	h.Indexes = slices.Compact(h.Indexes)
	return nil
}

// names says whether the text of such a file names an index that is not public.
func (x *indexFile) names(text string) bool {
	for line := range strings.Lines(text) {
		line = strings.ToLower(strings.TrimSpace(line))
		if line == "" || line[0] == '#' || line[0] == ';' || strings.HasPrefix(line, "proxy") ||
			x.keys != "" && !slices.ContainsFunc(strings.Fields(x.keys), func(k string) bool {
				return strings.Contains(line,
					k)
			}) {
			continue
		}
		if x.plain {
			return true
		}
		_, address, ok := strings.Cut(line, "://")
		if _, behind, user := strings.Cut(address, "@"); user {
			address = behind
		}
		if end := strings.IndexAny(address, "/\"' \t:?#"); end >= 0 {
			address = address[:end]
		}
		if ok && address != "" && !slices.Contains(publicIndexes[:], address) {
			return true
		}
	}
	return false
}

// text is the beginning of a regular file that look trusts the way to; of anything
// else, and of one that cannot be read, it is "".
func (h *Facts) text(name string) string {
	f := h.look(name)
	if f.Err != nil || f.Mode != unix.S_IFREG {
		return ""
	}
	b, err := readFile(f.FD, 1<<16)
	if err != nil {
		return "" // the target could not read it either
	}
	return b
}

// readFile reads the beginning of a regular file that is open with O_PATH.
func readFile(fd, most int) (string, error) {
	in, err := unix.Open("/proc/self/fd/"+strconv.Itoa(fd), unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(in)
	b, n := make([]byte, most), 0
	for n < len(b) {
		got, err := unix.Read(in, b[n:])
		switch {
		case err == unix.EINTR:
		case err != nil:
			return "", err
		case got == 0:
			return string(b[:n]), nil
		default:
			n += got
		}
	}
	return string(b), nil
}
