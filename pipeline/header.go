package pipeline

import (
	"slices"
	"strings"
	"unicode/utf8"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/check"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/input"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// The header of a file: https://docs.gitlab.com/ci/yaml/#header-keywords

const (
	maxSpecDescription  = 256
	componentWordsCount = 4
)

var (
	headerIncludeKeys = []string{"local", "file", "remote", "project", "ref", "integrity"}

	componentWords = [componentWordsCount]string{"name", "sha", "version", "reference"}
)

// inputs checks the values given to a file against its header and returns the values that blocks can use; nil if there are errors.
func (c *compiler) inputs(f *file, header, given *node) *node {
	if !given.IsNull() && given.Kind != yamltree.Mapping {
		c.Fail(check.NewPath("inputs"), given, "", "inputs should be a hash, not %s", yamltree.Describe(given))
		return nil
	}
	declared, wanted, ok := c.spec(f, header)
	if !ok {
		return nil
	}
	before := len(c.Problems)
	values := input.Values(&c.Checker, f.name, declared, given, string(InputRequired))
	if len(c.Problems) > before {
		return nil
	}
	root := header.Position
	return yamltree.NewMapping([]yamltree.Pair{
		{Key: yamltree.NewString("inputs", root), Value: values},
		{Key: yamltree.NewString("component", root), Value: only(f.component, wanted, root)},
	}, root)
}

// only returns the keys of a mapping that are wanted.
func only(n *node, keys []string, at yamltree.Position) *node {
	var pairs []yamltree.Pair
	for _, k := range slices.Compact(slices.Sorted(slices.Values(keys))) {
		if n.Has(k) {
			pairs = append(pairs, yamltree.Pair{Key: yamltree.NewString(k, at), Value: n.Get(k)})
		}
	}
	return yamltree.NewMapping(pairs, at)
}

// spec validates a header and returns the declared inputs and the facts of the component that it asks for.
func (c *compiler) spec(f *file, header *node) (inputs *node, component []string, ok bool) {
	before := len(c.Problems)
	p := check.NewPath("spec")
	c.AllowedKeys(p, header, "spec")
	spec := header.Get("spec")
	if spec.IsNull() {
		spec = yamltree.NewMapping(nil, header.Position)
	}
	if !c.Mapping(p, spec) {
		return nil, nil, false
	}
	c.AllowedKeys(p, spec, "inputs", "include", "component", "description")
	if c.OptionalString(p, spec, "description") && utf8.RuneCountInString(spec.Get("description").RubyText()) > maxSpecDescription {
		c.Fail(p.Child("description"), spec.Get("description"), "", "longer than %d characters", maxSpecDescription)
	}
	inputs = c.declaredInputs(f, p, spec)
	if words := spec.Get("component"); !words.IsNull() {
		if !check.IsStrings(words) || slices.ContainsFunc(words.Strings(), func(w string) bool { return !slices.Contains(componentWords[:], w) }) {
			c.Fail(p.Child("component"), words, "", "should be an array of %s", strings.Join(componentWords[:], ", "))
		}
		component = check.StringList(words)
	}
	return inputs, component, len(c.Problems) == before
}

func (c *compiler) declaredInputs(f *file, p *keyPath, spec *node) *node {
	inputs := spec.Get("inputs")
	if inputs.IsNull() {
		inputs = yamltree.NewMapping(nil, spec.Position)
	}
	if !c.Mapping(p.Child("inputs"), inputs) {
		return inputs
	}
	input.ValidateAll(&c.Checker, p.Child("inputs"), inputs)
	if !spec.Get("include").IsNull() {
		return c.includeInputs(f, p, spec, inputs)
	}
	return inputs
}

// includeInputs adds the inputs of the files of `spec:include`; the same name in two places is an error.
func (c *compiler) includeInputs(f *file, p *keyPath, spec, inputs *node) *node {
	p = p.Child("include")
	if f.component != nil {
		c.Fail(p, spec.Get("include"), "", "a component cannot use spec:include")
		return inputs
	}
	if !c.headerInclude(p, spec.Get("include")) {
		return inputs
	}
	all := yamltree.NewMapping(nil, spec.Position)
	for _, included := range c.includedFiles(spec.Get("include"), f, true) {
		if included.file == nil {
			c.Problems = append(c.Problems, included.problems...)
			return inputs
		}
		tree := c.loadHeaderFile(p, included.file)
		if tree == nil {
			return inputs
		}
		all = c.mergeInputs(p, all, tree.Get("inputs"))
	}
	return c.mergeInputs(p, all, inputs)
}

// headerInclude checks the entries of `spec:include`, which have fewer keys than those of `include`.
func (c *compiler) headerInclude(p *keyPath, n *node) bool {
	if !n.Is(yamltree.Sequence) && !n.Is(yamltree.String) {
		c.Fail(p, n, "write a list", "should be an array or a string, not %s", yamltree.Describe(n))
		return false
	}
	ok := true
	for _, entry := range n.Flatten() {
		ok = c.AllowedKeys(p, entry, headerIncludeKeys...) && ok
	}
	return ok
}

func (c *compiler) mergeInputs(p *keyPath, a, b *node) *node {
	if !b.Is(yamltree.Mapping) {
		return a
	}
	for _, pair := range b.Pairs {
		if a.Has(pair.Key.Text) {
			c.Fail(p, pair.Key, "declare it once", "the input %s is declared twice", pair.Key.Text)
		}
	}
	return yamltree.Merge(a, b)
}

func (c *compiler) loadHeaderFile(p *keyPath, included *file) *node {
	documents, err := c.Parsed.Documents(included.name, included.content)
	if err != nil {
		c.syntaxError(included, err)
		return nil
	}
	_, tree := splitHeader(documents)
	if !c.AllowedKeys(p, tree, "inputs") {
		return nil
	}
	if inputs := tree.Get("inputs"); inputs.Is(yamltree.Mapping) {
		input.ValidateAll(&c.Checker, p, inputs)
	}
	return tree
}
