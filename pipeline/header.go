package pipeline

import (
	"slices"
	"strings"
	"unicode/utf8"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/check"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// The header of a file: https://docs.gitlab.com/ci/yaml/#header-keywords

const (
	maxInputOptions     = 50
	maxSpecDescription  = 256
	componentWordsCount = 4
)

var (
	headerIncludeKeys = []string{"local", "file", "remote", "project", "ref", "integrity"}

	inputTypes     = []string{"array", "boolean", "number", "string"}
	componentWords = [componentWordsCount]string{"name", "sha", "version", "reference"}
)

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
	c.validateInputs(p.Child("inputs"), inputs)
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
		c.validateInputs(p, inputs)
	}
	return tree
}

// validateInputs checks what is said of each input. That a rule may ask for an input that is not declared is GitLab's: such
// an input has no value.
func (c *compiler) validateInputs(p *keyPath, inputs *node) {
	for _, pair := range inputs.Pairs {
		q := p.Child(pair.Key.Text)
		if !isAlphanumeric(pair.Key) {
			c.Fail(q, pair.Key, "put it in quotes", "%s is not a valid name of an input", yamltree.Describe(pair.Key))
		}
		if !pair.Value.IsNull() {
			c.validateInput(q, pair.Value, "rules")
		}
	}
}

// validateInput checks an input of `spec:inputs` or, without rules, of a job.
func (c *checker) validateInput(p *keyPath, n *node, more ...string) {
	if !n.Is(yamltree.Mapping) {
		c.Mapping(p, n)
		return
	}
	c.Optional(p, n, "description", func(v *node) bool { return check.IsString(v) || check.IsInteger(v) }, "a string", "")
	c.OptionalString(p, n, "regex")
	c.OptionalOneOf(p, n, "type", inputTypes...)
	if c.Optional(p, n, "options", func(v *node) bool { return v.Kind == yamltree.Sequence }, "an array", "") {
		options := n.Get("options")
		if options.Is(yamltree.Sequence) {
			if len(options.Items) > maxInputOptions {
				c.Fail(p, options, "", "more than %d options", maxInputOptions)
			}
			if slices.ContainsFunc(options.Items, (*node).IsNull) {
				c.Fail(p, options, "", "an option is null")
			}
		}
	}
	c.AllowedKeys(p, n, append([]string{"default", "description", "options", "regex", "type"}, more...)...)
	if slices.Contains(more, "rules") {
		c.Exclusive(p, n, "rules", "options")
		c.Exclusive(p, n, "rules", "default")
		if rules := n.Get("rules"); !rules.IsNull() {
			c.validateSpecRules(p, rules)
		}
	}
}

func (c *checker) validateSpecRules(p *keyPath, rules *node) {
	if !rules.Is(yamltree.Sequence) {
		c.Fail(p, rules, "", "rules should be an array of rules, not %s", yamltree.Describe(rules))
		return
	}
	p = (check.NewPath("inputs")).Child(p.Key()) // GitLab says of its rules that the input is wrong
	for _, rule := range rules.Items {
		if !rule.Is(yamltree.Mapping) || len(rule.Pairs) == 0 {
			c.Fail(p, rule, "", "a rule should be a hash, not %s", yamltree.Describe(rule))
			continue
		}
		c.AllowedKeys(p, rule, "if", "options", "default")
		c.Condition(p, rule.Get("if"))
		options, hasDefault := rule.Get("options"), rule.Has("default")
		switch {
		case !options.IsNull() && options.Kind != yamltree.Sequence:
			c.Fail(p, options, "", "options should be an array, not %s", yamltree.Describe(options))
		case options != nil && len(options.Items) > maxInputOptions:
			c.Fail(p, options, "", "more than %d options", maxInputOptions)
		case !hasDefault:
			c.Fail(p, rule, "add default", "a rule of an input needs options and a default")
		case !options.IsBlank() && !slices.ContainsFunc(options.Items, func(o *node) bool { return yamltree.Equal(o, rule.Get("default")) }):
			c.Fail(p, rule.Get("default"), "add it to the options", "the default is none of the options")
		}
	}
}
