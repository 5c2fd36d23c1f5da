package host

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// What is looked into is bounded. What is not looked into is hidden.
const (
	contentSize  = 1 << 20  // of one file
	contentTotal = 64 << 20 // of all together
)

// inspect looks into a file of the directory fd. It is why the file is hidden, or "";
// byName is why its name alone would have it hidden, and pattern the one of
// files.inspect that it is looked into for.
func (s *scan) inspect(fd int, name string, st *unix.Stat_t, byName, pattern string) (string, error) {
	// Not opened for reading before its kind is known: that can have effects, or wait.
	file, err := unix.Openat(fd, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return "it cannot be looked into", nil
	}
	defer unix.Close(file)
	var now unix.Stat_t
	if err := unix.Fstat(file, &now); err != nil {
		return "", err
	}
	if identity(&now) != identity(st) {
		return "it cannot be looked into", nil // the directory has changed, and is read again
	}
	return s.inspectFile(file, &now, byName, pattern)
}

// inspectFile is inspect for a regular file that is open by O_PATH.
func (s *scan) inspectFile(file int, st *unix.Stat_t, byName, pattern string) (string, error) {
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return byName, nil
	}
	if st.Size > contentSize || s.sizes+st.Size > contentTotal {
		return "it is too large to be looked into", nil
	}
	s.sizes += st.Size
	in, err := unix.Open("/proc/self/fd/"+strconv.Itoa(file),
		unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return "it cannot be looked into", nil
	}
	defer unix.Close(in)
	b := make([]byte, st.Size+1)
	n := 0
	for n < len(b) {
		got, err := unix.Read(in, b[n:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return "it cannot be looked into", nil
		}
		if got == 0 {
			break
		}
		n += got
	}
	if n == len(b) {
		return "it is being written", nil
	}
	switch judgeAs(pattern, b[:n]) {
	case private:
		return "it holds a private key", nil
	case credential:
		return "it holds a credential", nil
	case public:
		return "", nil
	}
	return byName, nil
}

// verdict is what a file's content is.
type verdict uint8

const (
	unclear verdict = iota
	public
	private
	credential
)

// judgeAs is judge for a name that a pattern of files.inspect means, and so may say more.
func judgeAs(pattern string, b []byte) verdict {
	// Text of two bytes a letter, as PowerShell writes it. In other files with zero bytes
	// there is no text but what is looked for.
	plain := b
	if bytes.IndexByte(b, 0) >= 0 {
		plain = bytes.ReplaceAll(b, []byte{0}, nil)
		if bytes.HasPrefix(b, []byte("\xff\xfe")) || bytes.HasPrefix(b, []byte("\xfe\xff")) {
			plain, b = plain[2:], plain[2:]
		}
	}
	for _, mark := range [...]string{"PRIVATE KEY", "AGE-SECRET-KEY-1"} {
		if bytes.Contains(plain, []byte(mark)) {
			return private
		}
	}
	v := judge(b)
	if v == unclear {
		switch kindOfSettings(pattern) {
		case lines:
			return judgeSettings(b)
		case quoted:
			return judgeQuoted(string(b))
		}
	}
	return v
}

// judge says what a file without a private key holds: PEM text in which everything may be
// seen by anybody, or a credential in settings of git's kind.
func judge(b []byte) verdict {
	const begin = "-----BEGIN "
	blocks := 0
	for rest := b; ; blocks++ {
		i := bytes.Index(rest, []byte(begin))
		if i < 0 {
			break
		}
		rest = rest[i+len(begin):]
		label, _, ok := bytes.Cut(rest, []byte("-----"))
		if !ok || !publicBlock(string(label)) {
			return unclear
		}
	}
	if bytes.IndexByte(b, 0) >= 0 {
		return unclear
	}
	for _, s := range parseGitConfig(string(b)) {
		if s.credential() {
			return credential
		}
	}
	if blocks > 0 {
		return public
	}
	return unclear
}

// settingsKind is how settings are written.
type settingsKind uint8

const (
	noSettings settingsKind = iota
	lines                   // a key and a value a line
	quoted                  // JSON or XML
)

// kindOfSettings says how files are written that the pattern of files.inspect means.
// Those of installers say where packages come from: without them the same names are asked
// of the public index. So all of them are shown, if there is no credential in them.
func kindOfSettings(pattern string) settingsKind {
	switch pattern {
	case ".npmrc", ".pypirc", ".yarnrc", ".yarnrc.yml", "pip.conf", "bunfig.toml", "uv.toml", "pdm.toml",
		"credentials", ".curlrc", ".wgetrc", ".terraformrc", "rclone.conf", "wg*.conf", "kubeconfig.y*":
		return lines
	case "*credential*.json", "*service-account*.json", "*service_account*.json",
		"client_secret*.json", "*.tfrc.json", "settings.xml", "nuget.config":
		return quoted
	}
	return noSettings
}

// judgeQuoted says whether JSON or XML has a value for a key that is a secret's. Words with
// a space between are for people, as in translations.
func judgeQuoted(text string) verdict {
	text = strings.ToLower(text)
	for _, key := range [...]string{
		`"client_secret"`, `"clientsecret"`, `"refresh_token"`, `"access_token"`, `"token"`, `"secret_access_key"`,
		`"secretaccesskey"`, `"password"`, `"private_key"`, `"auth"`, "<password>", "<passphrase>",
		`"cleartextpassword"`,
	} {
		for rest := text; ; {
			_, after, ok := strings.Cut(rest, key)
			if !ok {
				break
			}
			rest = after
			value := after
			if key[0] == '"' {
				value = strings.TrimLeft(strings.TrimPrefix(strings.TrimLeft(after, " \t\r\n:"), "value"), " \t\r\n=")
				if value == "" || value[0] != '"' {
					continue
				}
				value = value[1:]
			}
			end := strings.IndexAny(value, `"<`)
			if end > 0 && !strings.ContainsAny(value[:end], " ${%") {
				return credential
			}
		}
	}
	return public
}

// judgeSettings says whether settings with a key and a value a line hold a credential.
func judgeSettings(b []byte) verdict {
	if bytes.IndexByte(b, 0) >= 0 {
		return unclear
	}
	for line := range strings.Lines(string(b)) {
		if credentialLine(line) {
			return credential
		}
	}
	return public
}

// credentialLine says whether a line of settings has a password or a token: in a URL, or
// as the value of a key that is called like one. "${NPM_TOKEN}" is none.
func credentialLine(line string) bool {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' || line[0] == ';' {
		return false
	}
	if urlCredential(line) {
		return true
	}
	// Keys of npm have an address before them: //host:8080/:_authToken=x
	at := strings.IndexByte(line, '=')
	if at < 0 {
		at = strings.LastIndex(line, ": ")
	}
	if at < 0 {
		at = strings.IndexAny(line, " \t") // yarn's, without any
	}
	if at < 0 {
		return false
	}
	key, value := strings.ToLower(line[:at]), strings.Trim(line[at+1:], " \t\"'")
	switch {
	case value == "", value == "true", value == "false", strings.HasPrefix(value, "${") && strings.HasSuffix(value, "}"),
		strings.HasPrefix(value, "{{"):
		return false
	case value[0] == '$' && strings.Trim(lower(value[1:]), "abcdefghijklmnopqrstuvwxyz0123456789_") == "":
		return false // a variable's name, as in bunfig.toml
	case value[0] == '{': // a table in a line, as of TOML
		return slices.ContainsFunc(strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune("{},", r) }),
			credentialLine)
	}
	key = strings.TrimLeft(strings.TrimSpace(key), "-: ")
	if key == "pass" || key == "user" && strings.Contains(value, ":") {
		return true
	}
	for _, word := range [...]string{"_auth", "token", "authident", "password", "passwd", "secret", "credential",
		"api_key", "privatekey", "presharedkey", "client-key-data"} {
		if strings.Contains(key, word) {
			return true
		}
	}
	return false
}

// publicBlock says whether a PEM block of that label is for everybody to see; see RFC 7468.
func publicBlock(label string) bool {
	for _, end := range [...]string{
		"CERTIFICATE", "CERTIFICATE REQUEST", "CRL", "PUBLIC KEY", "PARAMETERS", "PKCS7", "PUBLIC KEY BLOCK", "SIGNATURE",
		"SIGNED MESSAGE",
	} {
		if label == end || strings.HasSuffix(label, " "+end) {
			return true
		}
	}
	return false
}

// credential says whether the setting holds a password or a token.
func (s *setting) credential() bool {
	if urlCredential(s.Sub) || urlCredential(s.Value) {
		return true
	}
	value := strings.ToLower(strings.TrimSpace(s.Value))
	switch value {
	case "", "true", "false", "yes", "no", "on", "off", "0", "1":
		return false
	}
	key := s.Key
	if i := strings.LastIndexByte(key, '.'); i >= 0 {
		key = key[i+1:]
	}
	switch key {
	case "extraheader", "pass", "smtppass", "auth", "authorization", "cookie", "key":
		return true
	}
	for _, word := range [...]string{"token", "password", "passwd", "secret", "apikey", "api-key", "privatekey"} {
		if strings.Contains(key, word) {
			return true
		}
	}
	return strings.Contains(value, "password=") || strings.Contains(value, "authorization:")
}

// urlCredential says whether there is a URL with a password or a token in it.
func urlCredential(s string) bool {
	for {
		_, rest, ok := strings.Cut(s, "://")
		if !ok {
			return false
		}
		s = rest
		authority := rest
		if i := strings.IndexAny(rest, "/?# \t\n\"'"); i >= 0 {
			authority = rest[:i]
		}
		at := strings.LastIndexByte(authority, '@')
		if at < 0 {
			continue
		}
		user, password, _ := strings.Cut(authority[:at], ":")
		if password != "" || isToken(user) {
			return true
		}
	}
}

// isToken says whether a URL's user is a token rather than a name.
func isToken(user string) bool {
	for _, prefix := range [...]string{"ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "gldt-", "ATB"} {
		if strings.HasPrefix(user, prefix) {
			return true
		}
	}
	return len(user) >= 20 && !strings.ContainsAny(user, ".%@")
}
