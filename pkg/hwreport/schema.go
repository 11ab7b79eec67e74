package hwreport

import _ "embed"

// JSONSchema is the published schema of the report (JSON Schema 2020-12), which
// the tests make from the types and hold against them.
//
//go:embed schema.json
var JSONSchema string
