// Sbom writes what a binary of sbx is made of as SPDX 2.3, in JSON: the Go modules
// that the binary itself lists, Go, and the C libraries that are linked in.
//
//	go run ./integration/sbom -binary bin/sbx -version v1.0.0 -library libseccomp=2.5.4 >sbx.spdx.json
//
// The same binary gives the same text: the time in it is SOURCE_DATE_EPOCH.
package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

func main() {
	binary := flag.String("binary", "bin/sbx", "the binary")
	version := flag.String("version", "", "its version")
	var libraries []string
	flag.Func("library", "NAME=VERSION of a C library that is linked in", func(s string) error {
		if !strings.Contains(s, "=") {
			return fmt.Errorf("%q is not NAME=VERSION", s)
		}
		libraries = append(libraries, s)
		return nil
	})
	flag.Parse()
	if err := run(os.Stdout, *binary, *version, libraries); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

// document is what of SPDX is used here: https://spdx.github.io/spdx-spec/v2.3/
type document struct {
	Version      string         `json:"spdxVersion"`
	License      string         `json:"dataLicense"`
	ID           string         `json:"SPDXID"`
	Name         string         `json:"name"`
	Namespace    string         `json:"documentNamespace"`
	Creation     creation       `json:"creationInfo"`
	Packages     []component    `json:"packages"`
	Relationship []relationship `json:"relationships"`
}

type creation struct {
	Created  string   `json:"created"`
	Creators []string `json:"creators"`
}

type component struct {
	ID        string      `json:"SPDXID"`
	Name      string      `json:"name"`
	Version   string      `json:"versionInfo"`
	Location  string      `json:"downloadLocation"`
	Analyzed  bool        `json:"filesAnalyzed"`
	License   string      `json:"licenseConcluded"`
	Declared  string      `json:"licenseDeclared"`
	Copyright string      `json:"copyrightText"`
	Checksums []checksum  `json:"checksums,omitempty"`
	Refs      []reference `json:"externalRefs,omitempty"`
}

type checksum struct {
	Algorithm string `json:"algorithm"`
	Value     string `json:"checksumValue"`
}

type reference struct {
	Category string `json:"referenceCategory"`
	Type     string `json:"referenceType"`
	Locator  string `json:"referenceLocator"`
}

type relationship struct {
	From string `json:"spdxElementId"`
	Type string `json:"relationshipType"`
	To   string `json:"relatedSpdxElement"`
}

const noAssertion = "NOASSERTION"

func run(w io.Writer, binary, version string, libraries []string) error {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(binary)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(data)
	digest := hex.EncodeToString(sum[:])
	created, err := created(os.Getenv("SOURCE_DATE_EPOCH"))
	if err != nil {
		return err
	}
	d := document{
		Version: "SPDX-2.3", License: "CC0-1.0", ID: "SPDXRef-DOCUMENT", Name: "sbx-" + version,
		Namespace: "https://spdx.org/spdxdocs/sbx-" + digest,
		Creation:  creation{created, []string{"Tool: sbx-integration-sbom"}},
	}
	add := func(c component, kind, from string) {
		c.ID = "SPDXRef-" + strconv.Itoa(len(d.Packages))
		if c.Declared == "" {
			c.Declared = noAssertion
		}
		c.Location, c.License, c.Copyright = noAssertion, c.Declared, noAssertion
		d.Packages = append(d.Packages, c)
		d.Relationship = append(d.Relationship, relationship{from, kind, c.ID})
	}
	purl := func(s string) []reference { return []reference{{"PACKAGE-MANAGER", "purl", "pkg:" + s}} }
	add(component{Name: "sbx", Version: version, Declared: "MIT",
		Checksums: []checksum{{"SHA256", digest}}}, "DESCRIBES", d.ID)
	sbx := d.Packages[0].ID
	goVersion := strings.TrimPrefix(info.GoVersion, "go")
	add(component{Name: "go", Version: goVersion, Declared: "BSD-3-Clause", Refs: purl("golang/stdlib@" + goVersion)},
		"DEPENDS_ON", sbx)
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		add(component{Name: m.Path, Version: m.Version, Refs: purl("golang/" + m.Path + "@" + m.Version)},
			"DEPENDS_ON", sbx)
	}
	for _, l := range libraries {
		name, version, _ := strings.Cut(l, "=")
		add(component{Name: name, Version: version, Refs: purl("deb/debian/" + name + "@" + version)},
			"DEPENDS_ON", sbx)
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(d)
}

// created is a time in seconds since 1970 as SPDX writes it.
func created(epoch string) (string, error) {
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		return "", fmt.Errorf("SOURCE_DATE_EPOCH: %q is no number of seconds", epoch)
	}
	return time.Unix(seconds, 0).UTC().Format(time.RFC3339), nil
}
