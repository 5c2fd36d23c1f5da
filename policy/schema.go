package policy

import (
	"encoding/json"
	"slices"
	"strings"

	"sbx/policy/seccomp"
)

// Schema is a JSON Schema (draft 2020-12) for policy files, for editors that
// complete and check TOML by one. It is made from the same list of keys that
// Parse reads by. What it cannot say, Parse still refuses.
func Schema() ([]byte, error) {
	type object = map[string]any
	closed := func(properties object) object {
		return object{"type": "object", "additionalProperties": false, "properties": properties}
	}
	top := object{}
	inTables := map[string]object{}
	for _, t := range tables() {
		inTables[t] = object{}
	}
	for _, f := range fields() {
		table, key := f.place()
		at := top
		if table != "" {
			at = inTables[table]
		}
		s := fieldSchema(&f)
		s["description"] = f.doc
		at[key] = s
	}
	call := object{"$ref": "#/$defs/call"}
	rule := closed(object{
		"syscalls": object{"description": ruleDoc("syscalls"), "type": "array", "minItems": 1,
			"uniqueItems": true, "items": call},
		"when": object{
			"description": ruleDoc("when"), "type": "array", "minItems": 1,
			"items": object{"type": "string", "pattern": "^ *arg[0-5]"},
		},
		"action": object{"description": ruleDoc("action"), "type": "string", "pattern": actionPattern},
	})
	rule["required"] = []string{"syscalls"}
	inTables["seccomp"]["rule"] = object{"description": "rules about arguments", "type": "array", "items": rule}
	for _, t := range tables() {
		top[t] = closed(inTables[t])
	}
	schema := closed(top)
	schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	schema["$defs"] = object{"call": object{"anyOf": []object{
		{"enum": syscallNames()},
		{"type": "string", "pattern": "^!"},
	}}}
	schema["title"] = "sbx policy, version 1"
	schema["required"] = []string{"version"}
	out, err := json.MarshalIndent(schema, "", " ")
	if err != nil {
		return nil, err
	}
	return append(out, '\n'), nil
}

const actionPattern = `^(allow|errno:[A-Z0-9]+|kill-process|kill-thread|trap|log|notify)$`

// fieldSchema is the schema of one key's value.
func fieldSchema(f *field) map[string]any {
	type object = map[string]any
	text := func(pattern string) object { return object{"type": "string", "pattern": pattern} }
	switch {
	case f.key == "version":
		return object{"const": 1}
	case strings.HasPrefix(f.key, "limits."):
		return limitSchema(f)
	case f.id32 != nil:
		return object{"type": "integer", "minimum": 0, "maximum": MaxID}
	case f.key == "namespaces.hostname":
		return text(`^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$`)
	case f.key == "namespaces.monotonic", f.key == "namespaces.boottime":
		return text(`^-?([0-9]+[hms])+$`)
	case f.key == "network.port":
		return object{"anyOf": []object{{"type": "integer", "minimum": 0, "maximum": 65535}, text(`^[0-9]+$`)}}
	case f.isMap():
		return mapSchema(f)
	case f.truth != nil:
		return object{"type": "boolean"}
	case f.action != nil:
		return text(actionPattern)
	case f.list == nil && f.values != nil:
		s := object{"enum": f.values()}
		if table, _ := f.place(); table == "namespaces" {
			return object{"anyOf": []object{s, text("^/")}}
		}
		return s
	case f.list == nil:
		return object{"type": "string"}
	}
	var entry object
	switch {
	case strings.HasPrefix(f.key, "seccomp.a") && f.key != "seccomp.allow":
		entry = object{"type": "string"}
	case strings.HasPrefix(f.key, "seccomp."):
		entry = object{"$ref": "#/$defs/call"}
	case f.closed:
		entry = object{"anyOf": []object{{"type": "integer", "minimum": 0, "maximum": 65535}, text(`^!?[0-9]+$`)}}
	case f.key == "network.hosts":
		const bits, port = `(/[0-9]+)?`, `(:[0-9]+)?`
		entry = text(`^!?(@[a-z0-9-]+|[^@/:\[]+` + bits + port + `|\[[0-9A-Fa-f:.]+` + bits + `\]` + port +
			`|[0-9A-Fa-f:.]+` + bits + `)$`)
	case f.key == "network.listen":
		const address, rest = `(([0-9.]+|\[[0-9A-Fa-f:.]+\]):)?`, `(/|\$\{)[^:]*`
		entry = text(`^!?(` + address + `[0-9]+|unix:` + rest + `)(:([0-9]+|(unix:)?` + rest + `))?$`)
	case f.key == "files.guard", f.key == "files.unguard":
		entry = text(`^!?(\*\*/)?[^/$]+/?$`)
	case f.key == "files.inspect":
		entry = text(`^!?[^/$]+$`)
	case f.key == "files.hide", f.key == "files.unhide":
		entry = object{"type": "string", "minLength": 1}
	case strings.HasPrefix(f.key, "files."):
		entry = text(`^[!?]?([/~]|\.(/|$)|\$\{)`)
	case f.key == "process.capabilities":
		names := f.values()
		for _, n := range f.values() {
			names = append(names, "?"+n)
		}
		entry = object{"anyOf": []object{{"enum": names}, text("^!")}}
	case strings.HasPrefix(f.key, "expect."):
		entry = text("^[!?]?(" + strings.Join(expectVerbs(), "|") + ") .")
	default:
		entry = object{"type": "string", "minLength": 1}
	}
	return object{"type": "array", "uniqueItems": true, "items": entry}
}

// limitSchema is the schema of a bound.
func limitSchema(f *field) map[string]any {
	type object = map[string]any
	pattern := `([1-9][0-9]*[KMGT]?)`
	switch f.key {
	case "limits.processes", "limits.open_files":
		pattern = `([1-9][0-9]*)`
	case "limits.core":
		pattern = `(0|[1-9][0-9]*[KMGT]?)`
	case "limits.cpu":
		pattern = `([1-9][0-9]*%)`
	case "limits.time", "limits.cpu_time":
		pattern = `(([0-9]+[hms])+)`
	}
	s := object{"type": "string", "pattern": `^(\??` + pattern + `|none)$`}
	if f.whole {
		least := 1
		if f.key == "limits.core" {
			least = 0
		}
		return object{"anyOf": []object{{"type": "integer", "minimum": least}, s}}
	}
	return s
}

// mapSchema is the schema of a table by path.
func mapSchema(f *field) map[string]any {
	type object = map[string]any
	value := object{"type": "string"}
	if f.options != nil {
		properties := object{}
		for _, o := range pathOptions() {
			s := object{"type": "string", "minLength": 1, "description": o.doc}
			if o.truth != nil {
				s = object{"type": "boolean", "description": o.doc}
			}
			properties[o.key] = s
		}
		value = object{"type": "object", "additionalProperties": false, "properties": properties}
	}
	return object{"type": "object", "additionalProperties": object{"anyOf": []object{value, {"const": false}}}}
}

// syscallNames are all system calls and @groups, for completion.
func syscallNames() []string {
	var names []string
	for s := range seccomp.Syscalls() {
		names = append(names, s.Name())
	}
	for _, g := range seccomp.Groups() {
		names = append(names, g.Name())
	}
	slices.Sort(names)
	return names
}
