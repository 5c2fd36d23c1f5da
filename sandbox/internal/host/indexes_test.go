package host

import "testing"

func TestIndexVariable(t *testing.T) {
	for name, want := range map[string]bool{
		"GOPROXY": true, "PIP_EXTRA_INDEX_URL": true, "npm_config_registry": true, "NPM_CONFIG_REGISTRY": true,
		"npm_config_@corp:registry": true, "CARGO_REGISTRIES_X_INDEX": true, "npm_config_loglevel": false, "GOFLAGS": false,
		"PATH": false, "npm_": false, "goproxy": false,
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
