package host

import (
	"maps"
	"testing"

	"sbx/policy"
)

func TestIndexVariable(t *testing.T) {
	for name, want := range map[string]bool{
		"GOPROXY": true, "PIP_EXTRA_INDEX_URL": true, "npm_config_registry": true, "NPM_CONFIG_REGISTRY": true,
		"npm_config_@corp:registry": true, "CARGO_REGISTRIES_X_INDEX": true, "npm_config_loglevel": false, "GOFLAGS": false,
		"PATH": false, "npm_": false, "goproxy": false,
		"BUN_CONFIG_REGISTRY": true, "pnpm_config_registry": true, "PNPM_CONFIG_@corp:registry": true, "JSR_URL": true,
		"PUB_HOSTED_URL": true, "pnpm_config_loglevel": false, "bun_config_registry": false,
	} {
		if got := IndexVariable(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestHoldsCredentials(t *testing.T) {
	for _, c := range []struct {
		name, value string
		want        bool
	}{
		{"A", "https://host/x", false}, {"A", "https://me@host/x", true}, {"A", "https://me:pw@host", true},
		{"A", "https://host/a@b", false}, {"A", "https://one,https://me:pw@two|direct", true}, {"A", "direct", false},
		{"A", "https://one https://u:p@two/", true}, {"A", "sparse+https://u:p@h/", true}, {"A", "me@host", false},
		{"CARGO_REGISTRIES_X_TOKEN", "x", true}, {"POETRY_HTTP_BASIC_PASSWORD", "", true}, {"npm_config__auth", "x", true},
	} {
		if got := HoldsCredentials(c.name, c.value); got != c.want {
			t.Errorf("%s=%s: %v", c.name, c.value, got)
		}
	}
}

func TestNamesIndex(t *testing.T) {
	for _, c := range []struct {
		keys  string
		plain bool
		text  string
		want  bool
	}{
		{"registry", false, "registry=https://npm.corp/\n", true},
		{"registry", false, "REGISTRY = \"http://u:p@npm.corp:8080\"", true},
		{"registry", false, "registry=https://registry.npmjs.org/\n", false},
		{"registry", false, "registry=https://u:p@registry.npmjs.org\n", false},
		{"registry", false, "# registry=https://npm.corp/\n;registry=http://x/\n", false},
		{"registry", false, "proxy=http://proxy.corp:3128\n", false},
		{"", false, "[global]\nextra-index-url =\n  https://pypi.org/simple\n\thttps://pypi.corp/simple\n", true},
		{"", false, "[net]\nretry = 2\n", false},
		{"goprivate", true, "GOPRIVATE=corp/*\n", true},
		{"goprivate", true, "GOFLAGS=-mod=mod\n", false},
		{"", false, "", false},
	} {
		x := indexFile{keys: c.keys, plain: c.plain}
		if got := x.names(c.text); got != c.want {
			t.Errorf("%q: %v", c.text, got)
		}
	}
}

// TestIndexSettings: the files without their credentials, where the policy hands over the
// variables that say the same.
func TestIndexSettings(t *testing.T) {
	home := project(t, ".npmrc = @corp:registry=https://npm.corp/\n//npm.corp/:_authToken=abc",
		".config/pip/pip.conf = [global]\nindex-url = https://u:p@pypi.corp/simple",
		".yarnrc.yml = npmRegistryServer: https://registry.yarnpkg.com\n",
		".cargo/config.toml = [registries.c]\nindex = \"sparse+https://c.corp/\"\ntoken = \"x\"",
		".condarc = channels: [https://conda.corp/t/tk-1/x]\n", "other/go/env = GOPRIVATE=corp/*")
	p := &policy.Policy{Namespaces: policy.Namespaces{Net: "host"}, Files: policy.Files{Tmpfs: []string{home}},
		Process: policy.Process{Env: []string{"PIP_*"}}}
	want := map[string]string{
		home + "/.npmrc":               "@corp:registry=https://npm.corp/\n",
		home + "/.config/pip/pip.conf": "[global]\nindex-url = https://pypi.corp/simple\n",
		home + "/.cargo/config.toml":   "[registries.c]\nindex = \"sparse+https://c.corp/\"\n",
	}
	if got := IndexSettings(p, nil, home); !maps.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	env := []string{"XDG_CONFIG_HOME=" + home + "/other"}
	delete(want, home+"/.config/pip/pip.conf")
	want[home+"/.config/go/env"] = "GOPRIVATE=corp/*\n" // the variable does not cross
	if got := IndexSettings(p, env, home); !maps.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	for name, change := range map[string]func(*policy.Policy){
		"no network":   func(p *policy.Policy) { p.Namespaces.Net = "new" },
		"no variables": func(p *policy.Policy) { p.Process.Env = []string{"GOPROXY=off", "LANG"} },
		"shown":        func(p *policy.Policy) { p.Files.Read = []string{home} },
	} {
		q := *p
		if name == "shown" {
			q.Files.Tmpfs = nil
		}
		change(&q)
		if got := IndexSettings(&q, nil, home); len(got) != 0 {
			t.Errorf("%s: %q", name, got)
		}
	}
}
