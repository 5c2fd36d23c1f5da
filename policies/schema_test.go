package policies

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// schema is as much of a JSON Schema validator as the policies' schema needs;
// a keyword that it does not know is an error.
type schema struct{ root map[string]any }

func newSchema(t *testing.T, data []byte) *schema {
	t.Helper()
	s := &schema{}
	if err := json.Unmarshal(data, &s.root); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *schema) check(text []byte) error {
	v, err := decode(text)
	if err != nil {
		return err
	}
	return s.valid("", s.root, v)
}

func (s *schema) valid(at string, rule map[string]any, v any) error {
	for key, want := range rule {
		if err := s.keyword(at, key, want, rule, v); err != nil {
			return err
		}
	}
	return nil
}

func (s *schema) keyword(at, key string, want any, rule map[string]any, v any) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%s: "+format, append([]any{at}, args...)...)
	}
	list, isList := v.([]any)
	text, isText := v.(string)
	object, isObject := v.(map[string]any)
	switch key {
	case "$schema", "$defs", "title", "description":
	case "$ref":
		name := strings.TrimPrefix(want.(string), "#/$defs/")
		return s.valid(at, s.root["$defs"].(map[string]any)[name].(map[string]any), v)
	case "type":
		var got string
		switch v.(type) {
		case string:
			got = "string"
		case bool:
			got = "boolean"
		case int64:
			got = "integer"
		case []any:
			got = "array"
		case map[string]any:
			got = "object"
		}
		if got != want {
			return bad("is %q, want %v", got, want)
		}
	case "const":
		if fmt.Sprint(v) != fmt.Sprint(want) {
			return bad("is not %v", want)
		}
	case "enum":
		if !slices.ContainsFunc(want.([]any), func(w any) bool { return reflect.DeepEqual(w, v) }) {
			return bad("%v is not listed", v)
		}
	case "pattern":
		if isText && !regexp.MustCompile(want.(string)).MatchString(text) {
			return bad("%q does not match %v", text, want)
		}
	case "minimum":
		if n, ok := v.(int64); ok && float64(n) < want.(float64) {
			return bad("%d is below %v", n, want)
		}
	case "minLength":
		if isText && float64(len(text)) < want.(float64) {
			return bad("is too short")
		}
	case "minItems":
		if isList && float64(len(list)) < want.(float64) {
			return bad("has too few items")
		}
	case "uniqueItems":
		for i := range list {
			if slices.Contains(list[:i], list[i]) {
				return bad("has %v twice", list[i])
			}
		}
	case "items":
		for i, item := range list {
			if err := s.valid(fmt.Sprintf("%s[%d]", at, i), want.(map[string]any), item); err != nil {
				return err
			}
		}
	case "anyOf":
		var errs []string
		for _, one := range want.([]any) {
			err := s.valid(at, one.(map[string]any), v)
			if err == nil {
				return nil
			}
			errs = append(errs, err.Error())
		}
		return bad("none of: %s", strings.Join(errs, "; "))
	case "required":
		for _, name := range want.([]any) {
			if _, ok := object[name.(string)]; isObject && !ok {
				return bad("lacks %v", name)
			}
		}
	case "properties":
		for name, value := range object {
			if p, ok := want.(map[string]any)[name]; ok {
				if err := s.valid(at+"."+name, p.(map[string]any), value); err != nil {
					return err
				}
			}
		}
	case "maximum":
		if n, ok := v.(int64); ok && float64(n) > want.(float64) {
			return bad("%d is above %v", n, want)
		}
	case "additionalProperties":
		if others, ok := want.(map[string]any); ok {
			for name, value := range object {
				if err := s.valid(at+"."+name, others, value); err != nil {
					return err
				}
			}
			return nil
		}
		for name := range object {
			if _, ok := rule["properties"].(map[string]any)[name]; !ok {
				return bad("has the unknown key %s", name)
			}
		}
	default:
		return bad("the schema uses %q", key)
	}
	return nil
}
