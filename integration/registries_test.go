package integration

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/cgi"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// registries are the servers of a world that have the names of the public ones: each over
// https at 443, with certificates of an authority of the test's own, and one package in each.
type registries struct {
	ca []byte // the authority's certificate, PEM

	mu    sync.Mutex
	pages map[string][]byte // by host and path
	asked map[string]int    // by host
	keys  []string          // of the model's callers
	// models answer at the hosts of models, if there are some.
	models map[string]func(path, body string) []byte
}

// publicHosts are the names that the registries have in the world, beside bait that no role
// names.
var publicHosts = []string{
	"registry.npmjs.org", "pypi.org", "files.pythonhosted.org", "index.crates.io", "static.crates.io", "crates.io",
	"proxy.golang.org", "sum.golang.org", "github.com", "api.example.com", "queue.example.com", "evil.example.com",
	"api.anthropic.com", "api.openai.com", "generativelanguage.googleapis.com",
}

// newRegistries are to be served in a world.
func newRegistries(t *testing.T) *registries {
	t.Helper()
	r := &registries{pages: map[string][]byte{}, asked: map[string]int{}}
	r.npm()
	r.python()
	r.crate()
	r.module()
	return r
}

// serve is for newWorld: it runs where the server is.
func (r *registries) serve(t *testing.T, w *world) {
	t.Helper()
	w.mu.Lock()
	for _, name := range publicHosts {
		w.names[name] = []string{serverAddr}
	}
	w.mu.Unlock()
	l, err := net.Listen("tcp", serverAddr+":443")
	if err != nil {
		t.Error(err)
		return
	}
	config, err := r.certificates()
	if err != nil {
		t.Error(err)
		return
	}
	git := &cgi.Handler{Path: "/usr/bin/git", Args: []string{"http-backend"},
		Env: []string{"GIT_PROJECT_ROOT=" + filepath.Join(base, "git"), "GIT_HTTP_EXPORT_ALL=1", "HOME=/"}}
	quiet := log.New(io.Discard, "", 0) // clients may leave at any time
	s := &http.Server{TLSConfig: config, ErrorLog: quiet, Handler: http.HandlerFunc(func(rw http.ResponseWriter,
		q *http.Request) {
		r.mu.Lock()
		page, ok := r.pages[q.Host+q.URL.Path]
		r.asked[q.Host]++
		if q.Host == "api.example.com" {
			r.keys = append(r.keys, q.Header.Get("Authorization"))
		}
		r.mu.Unlock()
		switch {
		case q.Host == "github.com":
			git.ServeHTTP(rw, q)
		case ok:
			rw.Write(page) // whoever asks sees what is missing
		case r.models[q.Host] != nil && q.Method == "POST":
			body, err := io.ReadAll(q.Body)
			answer := r.models[q.Host](q.URL.Path, string(body))
			if err != nil || answer == nil {
				http.NotFound(rw, q)
				return
			}
			rw.Header().Set("Content-Type", "text/event-stream")
			rw.Write(answer)
		default:
			http.NotFound(rw, q)
		}
	})}
	go s.ServeTLS(l, "", "")
	t.Cleanup(func() { s.Close() })
}

// certificates makes an authority and one certificate for all names.
func (r *registries) certificates() (*tls.Config, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	authority := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, authority, authority, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	r.ca = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "registries"},
		NotBefore: authority.NotBefore, NotAfter: authority.NotAfter, DNSNames: publicHosts,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if der, err = x509.CreateCertificate(rand.Reader, leaf, authority, &own.PublicKey, key); err != nil {
		return nil, err
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: own}}}, nil
}

// trust has the machine trust the authority, in this world alone: its own bundle of
// certificates has one more.
func (r *registries) trust(t *testing.T) {
	t.Helper()
	const bundle = "/etc/ssl/certs/ca-certificates.crt"
	old, err := os.ReadFile(bundle)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(base, "ca-certificates.crt")
	if err := os.WriteFile(file, append(old, r.ca...), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(file, bundle, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
}

// calls are how many requests have come for a host.
func (r *registries) calls(host string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked[host]
}

// archive is a .tar.gz of files, in order: name, content.
func archive(files ...string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for i := 0; i < len(files); i += 2 {
		h := &tar.Header{Name: files[i], Mode: 0o755, Size: int64(len(files[i+1])), Typeflag: tar.TypeReg}
		if w.WriteHeader(h) != nil {
			panic("a buffer refuses to be written")
		}
		w.Write([]byte(files[i+1])) // Close reports it
	}
	if w.Close() != nil || z.Close() != nil {
		panic("a buffer refuses to be written")
	}
	return b.Bytes()
}

// zipped is a .zip of files, in order: name, content.
func zipped(files ...string) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		f, err := w.Create(files[i])
		if err != nil {
			panic(err)
		}
		f.Write([]byte(files[i+1])) // Close reports it
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// npm has two packages: one with a script that runs when it is installed, and a server of
// tools for an agent.
func (r *registries) npm() {
	add := func(name string, files ...string) {
		data := archive(files...)
		sum := sha512.Sum512(data)
		tarball := "/" + name + "/-/" + name + "-1.0.0.tgz"
		r.pages["registry.npmjs.org"+tarball] = data
		r.pages["registry.npmjs.org/"+name] = fmt.Appendf(nil, `{"name":%q,"dist-tags":{"latest":"1.0.0"},
"versions":{"1.0.0":{"name":%[1]q,"version":"1.0.0","bin":{%[1]q:"run.js"},"hasInstallScript":true,
"scripts":{"postinstall":"sh ./install.sh"},
"dist":{"tarball":"https://registry.npmjs.org%s","integrity":"sha512-%s"}}}}`, name, tarball,
			base64.StdEncoding.EncodeToString(sum[:]))
	}
	manifest := `{"name":%q,"version":"1.0.0","main":"i.js","bin":{%[1]q:"run.js"},
"scripts":{"postinstall":"sh ./install.sh"}}`
	add("left-test", "package/package.json", fmt.Sprintf(manifest, "left-test"),
		"package/i.js", "module.exports = 'from the registry'\n", "package/run.js", "#!/usr/bin/env node\n",
		"package/install.sh", "echo stolen: $(cat ../../../secret.txt ~/.ssh/id_test 2>&1) >installed\n"+
			"getent hosts evil.example.com >>installed; true\n")
	add("tools-test", "package/package.json", fmt.Sprintf(manifest, "tools-test"), "package/i.js", "",
		"package/install.sh", "true\n", "package/run.js", toolsServer)
}

// toolsServer is a server of MCP (Model Context Protocol) with one tool, which reads a file.
const toolsServer = `#!/usr/bin/env node
const fs = require('fs')
const read = path => { try { return fs.readFileSync(path, 'utf8') } catch (e) { return e.code } }
const tool = {name: 'read_note', description: 'reads a note', inputSchema: {type: 'object',
  properties: {path: {type: 'string'}}, required: ['path']}}
const answers = {
  initialize: p => ({protocolVersion: p.protocolVersion, capabilities: {tools: {}},
    serverInfo: {name: 'notes', version: '1.0.0'}}),
  'tools/list': () => ({tools: [tool]}),
  'tools/call': p => ({content: [{type: 'text', text: read(p.arguments.path)}]}),
}
require('readline').createInterface({input: process.stdin}).on('line', line => {
  const q = JSON.parse(line), answer = answers[q.method], reply = {jsonrpc: '2.0', id: q.id}
  if (q.id === undefined) return
  if (answer) reply.result = answer(q.params)
  else reply.error = {code: -32601, message: 'there is no ' + q.method}
  console.log(JSON.stringify(reply))
})
`

// python has a wheel.
func (r *registries) python() {
	info := "pytest_left-1.0.dist-info/"
	data := zipped("pytest_left.py", "print('from the index')\n",
		info+"METADATA", "Metadata-Version: 2.1\nName: pytest-left\nVersion: 1.0\n",
		info+"WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
		info+"RECORD", "pytest_left.py,,\n"+info+"METADATA,,\n"+info+"WHEEL,,\n"+info+"RECORD,,\n")
	sum := sha256.Sum256(data)
	name := "/packages/pytest_left-1.0-py3-none-any.whl"
	r.pages["files.pythonhosted.org"+name] = data
	r.pages["pypi.org/simple/pytest-left/"] = fmt.Appendf(nil,
		"<!DOCTYPE html><html><body><a href=\"https://files.pythonhosted.org%s#sha256=%s\">%s</a></body></html>",
		name, hex.EncodeToString(sum[:]), filepath.Base(name))
}

// crate has a crate, in the sparse index of crates.io.
func (r *registries) crate() {
	data := archive("left-crate-1.0.0/Cargo.toml", "[package]\nname = \"left-crate\"\nversion = \"1.0.0\"\n",
		"left-crate-1.0.0/src/lib.rs", "pub fn left() -> &'static str { \"from the index\" }\n")
	sum := sha256.Sum256(data)
	r.pages["static.crates.io/crates/left-crate/1.0.0/download"] = data
	r.pages["index.crates.io/config.json"] = []byte(`{"dl":"https://static.crates.io/crates","api":"https://crates.io"}`)
	r.pages["index.crates.io/le/ft/left-crate"] = fmt.Appendf(nil,
		`{"name":"left-crate","vers":"1.0.0","deps":[],"cksum":%q,"features":{},"yanked":false}`+"\n",
		hex.EncodeToString(sum[:]))
}

// module has a module of Go's.
func (r *registries) module() {
	const at = "proxy.golang.org/left.test/module/@v/"
	r.pages[at+"list"] = []byte("v1.0.0\n")
	r.pages[at+"v1.0.0.info"] = []byte(`{"Version":"v1.0.0","Time":"2026-01-01T00:00:00Z"}`)
	r.pages[at+"v1.0.0.mod"] = []byte("module left.test/module\n\ngo 1.21\n")
	r.pages[at+"v1.0.0.zip"] = zipped("left.test/module@v1.0.0/go.mod", "module left.test/module\n\ngo 1.21\n",
		"left.test/module@v1.0.0/left.go", "package module\n\n// From the mirror.\nconst Left = 1\n")
	r.pages["api.example.com/v1/messages"] = []byte("an answer\n")
	r.pages["queue.example.com/jobs"] = []byte("a job\n")
}
