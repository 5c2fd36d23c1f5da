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
// So a policy that hands over the variables shows the files, too, without what is a
// credential in them, and what is kept back all the same is said.

// indexVariables are the variables that say where packages come from. A "*" stands
// for any end; the names of npm and pnpm have any case.
var indexVariables = [...]string{
	"GOPROXY", "GOPRIVATE", "GONOPROXY", "GONOSUMDB", "GOSUMDB", "GOINSECURE", "GOENV",
	"PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX", "PIP_CONFIG_FILE", "PIPENV_PYPI_MIRROR",
	"PDM_PYPI_URL", "POETRY_REPOSITORIES_*",
	"UV_INDEX", "UV_INDEX_*", "UV_DEFAULT_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_NO_INDEX", "UV_CONFIG_FILE",
	"NPM_CONFIG_REGISTRY", "NPM_CONFIG_@*", "NPM_CONFIG_USERCONFIG", "NPM_CONFIG_GLOBALCONFIG", "YARN_REGISTRY",
	"YARN_NPM_REGISTRY_SERVER", "COREPACK_NPM_REGISTRY", "PNPM_CONFIG_REGISTRY", "PNPM_CONFIG_@*", "BUN_CONFIG_REGISTRY",
	"JSR_URL",
	"CARGO_REGISTRIES_*", "CARGO_REGISTRY_DEFAULT", "CARGO_SOURCE_*", "RUSTUP_DIST_SERVER",
	"BUNDLE_MIRROR__*", "CONDA_CHANNEL_ALIAS", "CONDA_CHANNELS", "CONDA_DEFAULT_CHANNELS", "HEX_MIRROR",
	"PUB_HOSTED_URL", "JULIA_PKG_SERVER", "RENV_CONFIG_REPOS_OVERRIDE",
}

// IndexVariable says whether the variable says where packages come from.
func IndexVariable(name string) bool {
	if upper := strings.ToUpper(name); strings.HasPrefix(upper, "NPM_") || strings.HasPrefix(upper, "PNPM_") {
		name = upper
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
	// lines says that a setting is a line, so that a line can be taken out. In the
	// others a credential may be called anything.
	lines bool
}

// indexFiles are those of the user and of the machine.
var indexFiles = [...]indexFile{
	{"", ".npmrc", "registry", false, true}, {"/", "/etc/npmrc", "registry", false, true},
	{"", ".yarnrc", "registry", false, true}, {"", ".yarnrc.yml", "registry", false, true},
	{"config", "pip/pip.conf", "", false, true}, {"", ".pip/pip.conf", "", false, true},
	{"/", "/etc/pip.conf", "", false, true}, {"config", "uv/uv.toml", "", false, true},
	{"config", "pypoetry/config.toml", "", false, false}, {"config", "pdm/config.toml", "", false, true},
	{"config", "pnpm/rc", "registry", false, true}, {"", ".bunfig.toml", "", false, true},
	{"config", "composer/config.json", "", false, false}, {"", ".composer/config.json", "", false, false},
	{"", ".nuget/NuGet/NuGet.Config", "", false, false},
	{"config", "go/env", "goproxy goprivate gonoproxy gonosumdb gosumdb", true, true},
	{"", ".cargo/config.toml", "", false, true}, {"", ".cargo/config", "", false, true},
	{"", ".m2/settings.xml", "<url>", false, false}, {"", ".gradle/init.gradle", "", false, false},
	{"", ".bundle/config", "mirror", false, false}, {"", ".gemrc", "", false, false}, {"", ".condarc", "", false, false},
}

// publicIndexes are the hosts of those that everybody asks anyway.
var publicIndexes = [...]string{
	"registry.npmjs.org", "registry.yarnpkg.com", "pypi.org", "pypi.python.org", "files.pythonhosted.org",
	"proxy.golang.org",
	"index.crates.io", "crates.io", "static.crates.io", "repo.maven.apache.org", "repo1.maven.org", "plugins.gradle.org",
	"rubygems.org", "conda.anaconda.org", "repo.anaconda.com", "jsr.io", "npm.jsr.io", "repo.packagist.org",
	"packagist.org", "api.nuget.org",
}

// findIndexes finds the files that name an index of packages and that the target
// does not see, where it has a network.
func (h *Facts) findIndexes(p *policy.Policy, tree *policy.Tree, t Target) error {
	if reachesNobody(p) || t.Home == "" {
		return nil
	}
	config := configHome(t.Env, t.Home)
	for i := range indexFiles {
		x := &indexFiles[i]
		name := x.path(t.Home, config)
		at := tree.At(name).Kind
		if !at.FromHost() && at != policy.KindFile && x.names(h.text(name)) {
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

// reachesNobody says whether the policy has neither the host's network nor hosts by name.
func reachesNobody(p *policy.Policy) bool {
	return (p.Namespaces.Net == "" || p.Namespaces.Net == "new") && len(p.Network.Hosts) == 0
}

// configHome is the directory of the user's settings.
func configHome(env []string, home string) string {
	if config, _ := Lookup(env, "XDG_CONFIG_HOME"); path.IsAbs(config) {
		return path.Clean(config)
	}
	return path.Join(home, ".config")
}

// path is the file's, for that home and that directory of settings.
func (x *indexFile) path(home, config string) string {
	switch x.base {
	case "":
		return path.Join(home, x.below)
	case "config":
		return path.Join(config, x.below)
	}
	return x.below
}

// IndexSettings are the files that name a private index of packages, by the paths that
// they have inside, without the credentials in them: of a policy that has a network, hands
// over the variables that say the same, and does not show the files themselves.
func IndexSettings(p *policy.Policy, env []string, home string) map[string]string {
	if reachesNobody(p) || !path.IsAbs(home) || !handsOverIndexes(p) {
		return nil
	}
	var w walker
	defer w.close()
	var found map[string]string
	config, tree := configHome(env, home), p.Tree()
	inside := path.Join(home, ".config")
	if p.Process.EnvEntry("XDG_CONFIG_HOME") != "" {
		inside = config
	}
	for i := range indexFiles {
		x := &indexFiles[i]
		at := x.path(home, inside)
		if kind := tree.At(at).Kind; !x.lines || kind.FromHost() || kind == policy.KindFile {
			continue
		}
		text := w.text(x.path(home, config))
		if !x.names(text) || strings.Contains(text, "PRIVATE KEY") || strings.IndexByte(text, 0) >= 0 {
			continue
		}
		var b strings.Builder
		for line := range strings.Lines(text) {
			if line = withoutUser(line); !credentialLine(line) {
				b.WriteString(line)
			}
		}
		if found == nil {
			found = make(map[string]string)
		}
		found[at] = b.String()
	}
	return found
}

// handsOverIndexes says whether the policy lets a variable cross that says where packages
// come from. One that it sets itself is another thing.
func handsOverIndexes(p *policy.Policy) bool {
	return slices.ContainsFunc(p.Process.Env, func(e string) bool {
		prefix, all := strings.CutSuffix(e, "*")
		return !strings.Contains(e, "=") && (IndexVariable(prefix) || all &&
			slices.ContainsFunc(indexVariables[:], func(known string) bool { return strings.HasPrefix(known, prefix) }))
	})
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
	b := make([]byte, 0, min(most, 4096))
	for len(b) < most {
		if len(b) == cap(b) {
			b = slices.Grow(b, len(b))
		}
		got, err := unix.Read(in, b[len(b):min(cap(b), most)])
		switch {
		case err == unix.EINTR:
		case err != nil:
			return "", err
		case got == 0:
			return string(b), nil
		default:
			b = b[:len(b)+got]
		}
	}
	return string(b), nil
}
