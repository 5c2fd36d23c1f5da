package policies

import (
	"bytes"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// schema is the policies' JSON Schema as an editor uses it.
type schema struct{ rules *jsonschema.Schema }

// newSchema compiles it, which checks it against its draft's own schema.
func newSchema(t *testing.T, data []byte) *schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	const name = "policy.schema.json"
	c := jsonschema.NewCompiler()
	if err := c.AddResource(name, doc); err != nil {
		t.Fatal(err)
	}
	rules, err := c.Compile(name)
	if err != nil {
		t.Fatal(err)
	}
	return &schema{rules}
}

// check says what the schema refuses of a policy file.
func (s *schema) check(text []byte) error {
	v, err := decode(text)
	if err != nil {
		return err
	}
	return s.rules.Validate(v)
}
