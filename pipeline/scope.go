package pipeline

import (
	"slices"
	"strings"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/variable"
)

// A variableSet is a list of variables in which a later one overrides an earlier one of the same name, at its place.
type variableSet struct {
	list []Variable
	// index has the places of a list that is too long for a walk.
	index map[string]int
}

// indexFrom is the number of variables from which a lookup in a map is faster than a walk.
const indexFrom = 9

func newVariableSet(lists ...[]Variable) *variableSet {
	n := 0
	for _, l := range lists {
		n += len(l)
	}
	s := &variableSet{list: make([]Variable, 0, n)}
	if n >= indexFrom {
		s.index = make(map[string]int, n)
	}
	for _, l := range lists {
		for _, v := range l {
			s.set(v)
		}
	}
	return s
}

// setOf returns the set of a list in which every name occurs once, and which is not changed.
func setOf(list []Variable) *variableSet {
	s := &variableSet{list: list}
	if len(list) >= indexFrom {
		s.index = make(map[string]int, len(list))
		for i, v := range list {
			s.index[v.Key] = i
		}
	}
	return s
}

func (s *variableSet) set(v Variable) {
	if i := s.find(v.Key); i >= 0 {
		s.list[i] = v
		return
	}
	if s.index != nil {
		s.index[v.Key] = len(s.list)
	}
	s.list = append(s.list, v)
}

// find returns the place of a variable, -1 if it is not there.
func (s *variableSet) find(name string) int {
	if s.index != nil {
		if i, ok := s.index[name]; ok {
			return i
		}
		return -1
	}
	return slices.IndexFunc(s.list, func(v Variable) bool { return v.Key == name })
}

func (s *variableSet) get(name string) (Variable, bool) {
	if i := s.find(name); i >= 0 {
		return s.list[i], true
	}
	return Variable{}, false
}

// mergeVariables lays over upon base, in place of variables with the same name, else behind them.
func mergeVariables(base, over []Variable) []Variable {
	if len(over) == 0 {
		return base
	}
	if len(base) == 0 {
		return over
	}
	return newVariableSet(base, over).list
}

// A scope has the variables that something sees: layers of which a later one overrides an earlier one.
type scope struct {
	layers   []*variableSet
	expanded map[string]string
	visiting map[string]bool
	// tooBig names a variable that grows beyond all bounds when it is expanded.
	tooBig string
	// facts records which variables are looked up, unless it is nil.
	facts *facts
}

func newScope(layers ...*variableSet) *scope { return &scope{layers: layers} }

func (s *scope) lookup(name string) (Variable, bool) {
	s.facts.lookUp(name, s)
	for i := len(s.layers) - 1; i >= 0; i-- {
		if v, ok := s.layers[i].get(name); ok {
			return v, true
		}
	}
	return Variable{}, false
}

// value returns a variable as it is written, which is what conditions compare.
func (s *scope) value(name string) (string, bool) {
	v, ok := s.lookup(name)
	return v.Value, ok
}

// expandedValue returns a variable with the variables in it expanded, those that are not set to nothing.
func (s *scope) expandedValue(name string) (string, bool) {
	var room [8]Variable
	definitions := s.definitions(name, room[:0])
	if len(definitions) == 0 {
		return "", false
	}
	if v := definitions[0]; len(definitions) == 1 && (v.Raw || !strings.ContainsAny(v.Value, "$%")) {
		return v.Value, true
	}
	if known, ok := s.expanded[name]; ok {
		return known, true
	}
	if s.visiting[name] {
		return "", true
	}
	if s.visiting == nil {
		s.visiting = make(map[string]bool)
		s.expanded = make(map[string]string)
	}
	s.visiting[name] = true
	result := s.resolve(definitions)
	if len(result) > variable.MaxExpanded {
		s.tooBig = name
	}
	delete(s.visiting, name)
	s.expanded[name] = result
	return result, true
}

// definitions adds the definitions of a variable to found, the strongest last.
func (s *scope) definitions(name string, found []Variable) []Variable {
	s.facts.lookUp(name, s)
	return s.defined(name, found)
}

func (s *scope) defined(name string, found []Variable) []Variable {
	for _, layer := range s.layers {
		if v, ok := layer.get(name); ok {
			found = append(found, v)
		}
	}
	return found
}

// resolve returns the value that the definitions of one variable come to. The strongest wins, but GitLab puts a definition that
// uses its own name behind the others, and the name in it stands for the strongest of these. Two such make a cycle.
func (s *scope) resolve(definitions []Variable) string {
	strongest := len(definitions) - 1
	i := slices.IndexFunc(definitions, func(v Variable) bool {
		return !v.Raw && slices.Contains(variable.Names(v.Value), v.Key)
	})
	if i < 0 || strongest == 0 {
		return s.expand(definitions[strongest], "")
	}
	if i == strongest {
		strongest--
	}
	return s.expand(definitions[i], s.expand(definitions[strongest], ""))
}

// expand returns the value of a variable in which its own name stands for own.
func (s *scope) expand(v Variable, own string) string {
	if v.Raw {
		return v.Value
	}
	return variable.ExpandEscaped(v.Value, func(name string) (string, bool) {
		if name == v.Key {
			return own, true
		}
		return s.expandedValue(name)
	})
}

// cycle finds variables that use each other in a cycle, which GitLab refuses; one that uses itself is fine. A variable
// that another layer overrides counts as well.
func (s *scope) cycle() []string {
	var users []Variable
	named := make(map[string][]int)
	for _, layer := range s.layers {
		for _, v := range layer.list {
			if !v.Raw && strings.ContainsAny(v.Value, "$%") {
				named[v.Key] = append(named[v.Key], len(users))
				users = append(users, v)
			}
		}
	}
	if len(users) < 2 {
		return nil
	}
	cycle := findCycle(indices(len(users)), func(i int) []int {
		var next []int
		for _, name := range variable.Names(users[i].Value) {
			for _, k := range named[name] {
				if k != i {
					next = append(next, k)
				}
			}
		}
		return next
	})
	var names []string
	for _, i := range cycle {
		names = append(names, users[i].Key)
	}
	return names
}

func indices(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}
