package host

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sbx/policy"
)

const (
	pemCert = "-----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----\n"
	pemKey  = "-----BEGIN RSA PRIVATE KEY-----\nMIIC\n-----END RSA PRIVATE KEY-----\n"
)

// TestJudge: what the content of a file says.
func TestJudge(t *testing.T) {
	for _, c := range []struct {
		text string
		want verdict
	}{
		{pemCert, public}, {"# Issuer: x\n" + pemCert + pemCert, public},
		{"Certificate:\n  Data:\n" + pemCert, public},
		{"-----BEGIN PUBLIC KEY-----\nx\n-----END PUBLIC KEY-----\n", public},
		{"-----BEGIN CERTIFICATE REQUEST-----\n", public}, {"-----BEGIN X509 CRL-----\n", public},
		{"-----BEGIN DH PARAMETERS-----\n", public}, {"-----BEGIN PGP PUBLIC KEY BLOCK-----\n", public},
		{pemKey, private}, {pemCert + pemKey, private},
		{"-----BEGIN PRIVATE KEY-----", private}, {"-----BEGIN ENCRYPTED PRIVATE KEY-----", private},
		{"-----BEGIN OPENSSH PRIVATE KEY-----", private}, {"-----BEGIN PGP PRIVATE KEY BLOCK-----", private},
		{"---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----", private},
		// Nothing that is known to be public.
		{"", unclear}, {"topsecret", unclear}, {"-----BEGIN OpenVPN Static key V1-----\n", unclear},
		{pemCert + "-----BEGIN X-----\n", unclear}, {"-----BEGIN CERTIFICATE", unclear}, {pemCert + "\x00", unclear},
		{"\x30\x82\x00", unclear}, {"[core]\n\tbare = false\n", unclear},
		{pemCert + "password = hunter2\n", credential},

		{"[remote \"o\"]\nurl = https://user:pass@host/x", credential},
		{"[remote \"o\"]\nurl = https://ghp_0123@github.com/x", credential},
		{"[remote \"o\"]\nurl = https://0123456789abcdef0123456789abcdef@host/x", credential},
		{"[remote \"o\"]\npushurl=ftp://a:b@h", credential},
		{"[http]\n proxy = http://u:p@proxy:3128", credential},
		{"[url \"https://u:p@host/\"]\ninsteadOf = https://host/", credential},
		{"[http \"https://host\"]\nextraheader = AUTHORIZATION: basic eA==", credential},
		{"[github]\ntoken = x", credential}, {"[sendemail]\nsmtpPass = x", credential},
		{"[credential]\nhelper = \"!f() { echo username=x; echo password=y; }; f\"", credential},
		{"[auth]\nx.password = y", credential}, // Mercurial's
		{"[remote \"o\"]\nurl = https://user@host/x", unclear},
		{"[remote \"o\"]\nurl = https://org@dev.azure.com/org/p/_git/r", unclear},
		{"[remote \"o\"]\nurl = https://first.last%40example.com@host/x", unclear},
		{"[remote \"o\"]\nurl = ssh://git@github.com/x/y", unclear},
		{"[remote \"o\"]\nurl = git@github.com:x/y", unclear},
		{"[remote \"o\"]\nurl = https://host/a@b:c", unclear}, {"[http]\nsslCertPasswordProtected = true", unclear},
		{"[credential]\nhelper = store\n[core]\naskPass = /usr/bin/x", unclear}, {"[github]\ntoken =", unclear},
	} {
		if got := judgeAs("*.pem", []byte(c.text)); got != c.want {
			t.Errorf("%q: %d, want %d", c.text, got, c.want)
		}
	}
}

// TestJudgeAs: settings of other programs than installers, and text of two bytes a letter.
func TestJudgeAs(t *testing.T) {
	wide := func(s string) string { return "\xff\xfe" + strings.Join(strings.Split(s, ""), "\x00") + "\x00" }
	for _, c := range []struct {
		pattern, text string
		want          verdict
	}{
		{"*.crt", wide(pemKey), private}, {"*.crt", strings.Join(strings.Split(pemKey, ""), "\x00"), private},
		{"*.crt", wide(pemCert), public}, {".npmrc", wide("registry=https://h/\n"), public},
		{".npmrc", wide("//h/:_authToken=abc\n"), credential}, {"*_key", "x\x00" + pemKey, private},
		{"keys.txt", "# public key: age1x\nAGE-SECRET-KEY-1ABC\n", private}, {"keys.txt", "a list\n", unclear},
		{"credentials", "[default]\naws_access_key_id = A\naws_secret_access_key = b\n", credential},
		{"credentials", "---\n:rubygems_api_key: abc\n", credential},
		{"credentials", "[registry]\ntoken = \"x\"\n", credential},
		{"credentials", "# where to get them\n", public},
		{"wg*.conf", "[Interface]\nPrivateKey = ab=\n", credential},
		{"wg*.conf", "[Peer]\nPresharedKey=ab=\n", credential}, {"wg*.conf", "[Peer]\nPublicKey = ab=\n", public},
		{"rclone.conf", "[x]\ntype = sftp\npass = y\n", credential}, {"rclone.conf", "[x]\ntype = local\n", public},
		{".curlrc", "user = a:b\n", credential}, {".curlrc", "user = \"a:b\"\n", credential},
		{".curlrc", "silent\n", public},
		{".wgetrc", "http_password = x\n", credential},
		{".terraformrc", "credentials \"h\" {\n  token = \"x\"\n}\n", credential},
		{".terraformrc", "plugin_cache_dir = \"/x\"\n", public},
		{"kubeconfig.y*", "users:\n- name: a\n  user:\n    client-key-data: YQ==\n", credential},
		{"kubeconfig.y*", "users:\n- user:\n    - token: abc\n", credential},
		{"kubeconfig.y*", "clusters:\n- cluster:\n    certificate-authority-data: YQ==\n", public},
		{"kubeconfig.y*", "token: {{ token }}\n", public},
		{"*service-account*.json", `{"private_key": "-----BEGIN PRIVATE KEY-----\n"}`, private},
		{"client_secret*.json", `{"installed":{"client_secret" : "GOCSPX-x"}}`, credential},
		{"client_secret*.json", `{"client_secret": ""}`, public},
		{"client_secret*.json", `{"client_secret": "${X}"}`, public},
		{"*credential*.json", `{"refresh_token":"1//x"}`, credential},
		{"*credential*.json", `{"token": {"type": "x"}}`, public},
		{"*credential*.json", `{"password": "Your password"}`, public},
		{"*.tfrc.json", `{"credentials":{"h":{"token":"y"}}}`, credential},
		{"settings.xml", "<server><password>x</password></server>", credential},
		{"settings.xml", "<password>${env.X}</password><password></password>", public},
		{"nuget.config", `<add key="ClearTextPassword" value="x" />`, credential},
		{"nuget.config", `<add key="ClearTextPassword" value="%TOKEN%" />`, public},
		{"*-key", "[x]\ntoken = y\n", credential}, {"*-key", "ssh-rsa AAAA\n", unclear},
	} {
		if got := judgeAs(c.pattern, []byte(c.text)); got != c.want {
			t.Errorf("%s: %q: %d, want %d", c.pattern, c.text, got, c.want)
		}
	}
}

// TestJudgeSettings: what installers' settings say without a credential may be seen.
func TestJudgeSettings(t *testing.T) {
	for _, c := range []struct {
		text string
		want verdict
	}{
		{"registry=https://npm.corp.test/\n@corp:registry=https://npm.corp.test:8443/x/\nalways-auth=true\n", public},
		{"", public}, {"; _auth = x\n# _password=y\n", public}, {"//h/:_authToken=${NPM_TOKEN}\n", public},
		{"//h/:_authToken=\"${NPM_TOKEN}\"\n", public}, {"package-lock=false\nsave-exact = true\n", public},
		{"//h/:_authToken=abc\n", credential}, {"_auth = eDp5\n", credential},
		{"//h:80/:_password=\"eA==\"\n", credential},
		{"x=1\n  //h/:_authToken = npm_x${Y}\n", credential}, {"registry=https://u:p@h/\n", credential},
		{"proxy=http://u:p@h:3128\n", credential}, {"_auth=eA==", credential},
		{"[pypi]\nusername = __token__\npassword = pypi-x\n", credential},
		{"[distutils]\nindex-servers = corp\n[corp]\nrepository = https://h/\nusername = u\n", public},
		{"npmScopes:\n  corp:\n    npmAuthToken: \"abc\"\n    npmRegistryServer: \"https://h\"\n", credential},
		{"npmAuthIdent: \"u:p\"\n", credential},
		{"yarnPath: .yarn/releases/x.cjs\nnodeLinker: node-modules\n", public},
		{"registry \"https://h/\"\n\"//h/:_authToken\" \"abc\"\n", credential}, {"lastUpdateCheck 1\n", public},
		{"[install]\nregistry = { url = \"https://h\", token = \"abc\" }\n", credential},
		{"[install.scopes]\ncorp = { token = \"$TOKEN\", url = \"https://h\" }\n", public},
		{"[install]\nregistry = { url = \"https://h\" }\n", public},
		{"[[index]]\nurl = \"https://u:p@h\"\n", credential},
		{"[global]\nindex-url = https://h/simple\n", public},
		{"[global]\nindex-url = https://u:p@h/simple\n", credential},
		{"_auth=x\x00", unclear},
	} {
		if got := judgeSettings([]byte(c.text)); got != c.want {
			t.Errorf("%q: %d, want %d", c.text, got, c.want)
		}
	}
}

// secretRules are like those of policy base.
var secretRules = policy.Files{
	Hide:    []string{"**/.env*", "**/*.env", "**/*.pem", "**/*.key", "**/id_rsa*", ".ssh"},
	Inspect: []string{"*.pem", "*.key", "config"},
	Unhide:  []string{"*.example", "*.pub", "*.example.env", "example.env", "node_modules/", "vendor/"},
}

// TestSecrets: names, contents and places.
func TestSecrets(t *testing.T) {
	list := func(s string) []string { return strings.Fields(s) }
	for _, c := range []struct {
		name  string
		files []string
		want  string
	}{
		{"names", list(".env .ENV.local prod.env a/b/.env~ x.env.example y"), ".ENV.local .env a/b/.env~ prod.env"},
		{"templates", list(".env.example .env.example~ .env.EXAMPLE example.env docker.example.env"), ""},
		{"not in the middle", list(".env.example.local a.example.com.key x.example.key"),
			".env.example.local a.example.com.key x.example.key"},
		{"public keys", list("id_rsa id_rsa.pub"), "id_rsa"},
		{"certificates", []string{"ca.pem = " + pemCert, "a/k.key = " + pemKey, "b.pem = x", "c.pem~ = " + pemCert},
			"a/k.key b.pem"},
		{"trees", list("node_modules/a/.env a/node_modules/k.key vendor/x/.env node_modulesx/.env x.node_modules/.env"),
			"node_modulesx/.env x.node_modules/.env"},
		{"an environment", list(".env/pyvenv.cfg .env/x.env .envs/x"), ".envs"},
		{"settings", []string{"a/config = [x]token=y", "b/config = [x]y=z", "config/token = x",
			".git/config = [remote]url=https://a:b@c"}, ".git/config a/config"},
		{"directories", list(".ssh/x a/.ssh/x a.pem/x"), ".ssh a.pem"},
	} {
		dir := project(t, c.files...)
		var got []string
		for _, s := range hidden(t, &Facts{}, dir, secretRules) {
			name, _, _ := strings.Cut(s, ":")
			got = append(got, name)
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s: %s, want %s", c.name, s, c.want)
		}
	}
}

// TestLooksInto: kinds are looked at before a file is opened, and what cannot be looked
// into is hidden.
func TestLooksInto(t *testing.T) {
	dir := project(t, "cert.pem = "+pemCert, "big.pem = "+pemCert+strings.Repeat("x", contentSize),
		"elsewhere/ca.pem = "+pemCert, "certs/real.crt = "+pemCert, "keys/real = "+pemKey,
		"link.pem -> certs/real.crt", "klink.pem -> keys/real")
	if err := unix.Mkfifo(filepath.Join(dir, "fifo.pem"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{"cert.pem": 0o200, "big.pem": 0o600} {
		if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	giveAway(t, dir)
	var got []string
	asUser(t, func() { got = hidden(t, &Facts{}, dir, secretRules) })
	want := "big.pem: it is too large to be looked into|cert.pem: it cannot be looked into|fifo.pem: *.pem|" +
		"keys/real: it holds a private key"
	if s := strings.Join(got, "|"); s != want {
		t.Errorf("got  %s\nwant %s", s, want)
	}
}

// TestLinksLead: what a link with a secret's name leads to is hidden, however it leads
// there; and where that cannot be seen, the directory that denies it.
func TestLinksLead(t *testing.T) {
	dir := project(t, "shared/x", "vendor/deep/er/secret", "a/.env -> ../vendor/deep/er/secret", ".env -> l1", "l1 -> l2",
		"l2 -> shared/x", "b/.env -> nowhere", "c/.env -> ../shared/x/y", "d/.env -> .env", "e/.env -> ../.env.example",
		".env.example", "f/.env -> /etc/passwd")
	put(t, dir, "far")
	for i := range 60 { // the kernel follows 40
		to := "far"
		if i > 0 {
			to = "n" + strings.Repeat("x", i-1)
		}
		if err := os.Symlink(to, dir+"/n"+strings.Repeat("x", i)); err != nil {
			t.Fatal(err)
		}
	}
	put(t, dir, "g/.env -> ../n"+strings.Repeat("x", 59))
	names := func(h *Facts) string {
		var got []string
		for _, s := range hidden(t, h, dir, secretRules) {
			name, _, _ := strings.Cut(s, ":")
			got = append(got, name)
		}
		return strings.Join(got, " ")
	}
	if s := names(&Facts{}); s != "far shared/x vendor/deep/er/secret" {
		t.Errorf("found %s", s)
	}
	giveAway(t, dir)
	for _, mode := range []os.FileMode{0, 0o200, 0o600} {
		if err := os.Chmod(dir+"/vendor/deep", mode); err != nil {
			t.Fatal(err)
		}
		var got string
		asUser(t, func() { got = names(&Facts{}) })
		if got != "far shared/x vendor/deep" {
			t.Errorf("mode %04o: %s", mode, got)
		}
	}
	if err := os.Chmod(dir+"/vendor/deep", 0o700); err != nil {
		t.Fatal(err)
	}
}

// giveAway makes all in the directory the user's of asUser.
func giveAway(t *testing.T, dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	err := filepath.WalkDir(dir, func(name string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(name, 4711, 4711)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
}

// TestHardLinks: other names of a hidden file are looked for in the trees, too.
func TestHardLinks(t *testing.T) {
	dir := project(t, ".env", "node_modules/a/x", "b/x")
	for _, name := range []string{"node_modules/a/other", "b/again"} {
		if err := os.Link(dir+"/.env", filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	got := strings.Join(hidden(t, &Facts{}, dir, secretRules), "|")
	same := ": it is the same file as " + dir + "/.env"
	if want := ".env: .env*|b/again" + same + "|node_modules/a/other" + same; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
