package pipeline

import (
	"slices"
	"sync"
)

// facts are what a compilation has found out about its event. One that would find the same has the same result.
type facts struct {
	// variables are the definitions of each variable that was looked up.
	variables map[string][]Variable
	answers   []answer
}

// An answer reports whether another compilation gets the same answer to a question that was asked about the event.
type answer func(*compiler) bool

// ask records a question that was answered. Nothing is recorded on nil.
func (f *facts) ask(a answer) {
	if f != nil {
		f.answers = append(f.answers, a)
	}
}

// lookUp records that a variable was looked up.
func (f *facts) lookUp(name string, s *scope) {
	if f == nil {
		return
	}
	if _, ok := f.variables[name]; ok {
		return
	}
	if f.variables == nil {
		f.variables = make(map[string][]Variable)
	}
	f.variables[name] = s.defined(name, nil)
}

func (f *facts) add(other *facts) {
	if f.variables == nil && len(other.variables) > 0 {
		f.variables = make(map[string][]Variable, len(other.variables))
	}
	for name, definitions := range other.variables {
		f.variables[name] = definitions
	}
	f.answers = append(f.answers, other.answers...)
}

// hold reports whether another compilation finds the same facts.
func (f *facts) hold(c *compiler) bool {
	for name, definitions := range f.variables {
		if !slices.Equal(definitions, c.scope.defined(name, nil)) {
			return false
		}
	}
	return !slices.ContainsFunc(f.answers, func(same answer) bool { return !same(c) })
}

// maxVariants is how many results are kept that differ in their facts.
const maxVariants = 16

// variants are the results of one computation, by the facts that they depend on.
type variants[V any] struct {
	mu   sync.Mutex
	list []variant[V]
}

type variant[V any] struct {
	facts *facts
	value V
}

// find returns the result whose facts hold for a compilation, which then depends on them as well.
func (v *variants[V]) find(c *compiler) (value V, ok bool) {
	v.mu.Lock()
	list := v.list
	v.mu.Unlock()
	for _, kept := range list {
		if kept.facts.hold(c) {
			c.scope.facts.add(kept.facts)
			return kept.value, true
		}
	}
	return value, false
}

// put keeps a result. The oldest is dropped if there are too many.
func (v *variants[V]) put(value V, f *facts) {
	v.mu.Lock()
	defer v.mu.Unlock()
	list := v.list[max(0, len(v.list)-maxVariants+1):]
	v.list = append(slices.Clone(list), variant[V]{f, value})
}

// record computes a value and returns the facts that it depends on. What surrounds it depends on them as well.
func (c *compiler) record(compute func()) *facts {
	outer, inner := c.scope.facts, &facts{}
	c.scope.facts = inner
	compute()
	c.scope.facts = outer
	outer.add(inner)
	return inner
}
