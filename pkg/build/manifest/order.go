package manifest

import (
	"cmp"
	"slices"
	"strings"
)

func compareInputs(a, b Input) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Arch, b.Arch), strings.Compare(a.Version, b.Version))
}

func compareModules(a, b GoModule) int {
	return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Version, b.Version))
}

func compareTools(a, b Tool) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Version, b.Version))
}

func compareOutputs(a, b Output) int { return strings.Compare(a.Name, b.Name) }

func compareContents(a, b Content) int {
	return cmp.Or(strings.Compare(a.Role, b.Role), strings.Compare(a.Path, b.Path))
}

// sort brings every list into the file's order. A package that several groups
// of the lock name, and so came twice, is one input with the roles of both.
// Lists are never null in the file.
func (m *Manifest) sort() {
	m.Inputs = merged(m.Inputs)
	m.GoModules = ordered(m.GoModules, compareModules)
	m.Tools = ordered(m.Tools, compareTools)
	m.Parts = ordered(m.Parts, func(a, b Part) int { return strings.Compare(a.Name, b.Name) })
	m.Outputs = ordered(m.Outputs, compareOutputs)
	for i := range m.Outputs {
		if len(m.Outputs[i].Contents) > 0 {
			m.Outputs[i].Contents = ordered(m.Outputs[i].Contents, compareContents)
		}
	}
}

// ordered is a sorted copy that is never nil.
func ordered[T any](list []T, compare func(a, b T) int) []T {
	out := append([]T{}, list...)
	slices.SortStableFunc(out, compare)
	return out
}

func merged(list []Input) []Input {
	out := []Input{}
	for _, i := range ordered(list, compareInputs) {
		i.Roles = slices.Compact(slices.Sorted(slices.Values(i.Roles)))
		if n := len(out); n > 0 && compareInputs(out[n-1], i) == 0 && out[n-1].SHA256 == i.SHA256 {
			roles := slices.Concat(out[n-1].Roles, i.Roles)
			out[n-1].Roles = slices.Compact(slices.Sorted(slices.Values(roles)))
			continue
		}
		out = append(out, i)
	}
	return out
}
