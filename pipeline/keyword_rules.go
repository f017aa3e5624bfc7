package pipeline

import (
	"slices"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/check"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/expression"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// maxPaths is how many paths `changes` and `exists` may list.
const maxPaths = 50

// maxNesting is how deep lists of rules, of commands and of stages may be nested.
const maxNesting = 10

// A rule is an entry of `rules`.
type rule struct {
	node          *node
	written       *Rule
	summary       string
	condition     *expression.Expression
	changes       *changes
	exists        *exists
	when          When
	startIn       string
	allowFailure  *bool
	interruptible *bool
	variables     []Variable
	needs         []needSpec
	autoCancel    *AutoCancel
}

// changes is `rules:changes`.
type changes struct {
	paths        []string
	compareTo    string
	hasCompareTo bool
}

// exists is `rules:exists`.
type exists struct {
	paths        []string
	project, ref string
}

// A ruleKind says what the rules of a place may hold.
type ruleKind struct {
	when []string
	keys []string
	// manyPaths reports that a plain list of `exists` has no limit.
	manyPaths bool
}

var (
	jobRules = ruleKind{
		when: []string{"on_success", "on_failure", "always", "never", "manual", "delayed"},
		keys: []string{"if", "changes", "exists", "when", "start_in", "allow_failure", "variables", "needs", "interruptible"},
	}
	// GitLab lets start_in, allow_failure and needs pass in workflow rules, where they do nothing.
	workflowRules = ruleKind{
		when: []string{"always", "never"},
		keys: []string{"if", "changes", "exists", "when", "start_in", "allow_failure", "variables", "needs", "auto_cancel"},
	}
	includeRules = ruleKind{
		when: []string{"always", "never"},
		keys: []string{"if", "exists", "when", "changes"},

		manyPaths: true,
	}
)

// rules validates a list of rules, which may be nested.
func (c *checker) rules(p *keyPath, n *node, kind ruleKind) []rule {
	if !n.Is(yamltree.Sequence) || len(n.Items) == 0 {
		c.Fail(p, n, "write a list of rules", "should be an array of rules, not %s", describeEmpty(n))
		return nil
	}
	items := n.Flatten()
	list := make([]rule, len(items))
	for i, item := range items {
		list[i] = c.rule(p, item, kind)
	}
	return list
}

func describeEmpty(n *node) string {
	if n.Is(yamltree.Sequence) && len(n.Items) == 0 {
		return "an empty array"
	}
	return yamltree.Describe(n)
}

func (c *checker) rule(p *keyPath, n *node, kind ruleKind) rule {
	r := rule{node: n, summary: ruleSummary(n)}
	if !n.Is(yamltree.Mapping) || len(n.Pairs) == 0 {
		c.Fail(p, n, "write if, changes, exists or when", "a rule should be a hash with keys, not %s", describeEmptyHash(n))
		return r
	}
	r.written = writtenRule(n)
	r.when, r.allowFailure = r.written.When, r.written.AllowFailure
	r.startIn = n.Get("start_in").RubyText()
	if r.when == Delayed {
		c.startIn(p.Child("start_in"), n)
	} else if n.Has("start_in") {
		c.Fail(p, n.Key("start_in"), "add when: delayed", "start_in is for rules with when: delayed")
	}
	r.condition = c.Condition(p, n.Get("if"))
	c.OptionalBool(p, n, "allow_failure")
	if c.OptionalBool(p, n, "interruptible") && n.Get("interruptible").Is(yamltree.Bool) {
		b := n.Get("interruptible").True()
		r.interruptible = &b
	}
	if w := n.Get("when"); !w.IsNull() && !slices.Contains(kind.when, w.RubyText()) {
		c.Fail(p.Child("when"), w, "one of "+join(kind.when), "%s is not a value of when", yamltree.Describe(w))
	}
	c.AllowedKeys(p, n, kind.keys...)
	if v := n.Get("changes"); !v.IsNull() {
		r.changes = c.changes(p.Child("changes"), v)
	}
	if v := n.Get("exists"); !v.IsNull() {
		r.exists = c.exists(p.Child("exists"), v, kind.manyPaths)
	}
	if v := n.Get("variables"); !v.IsNull() {
		r.variables = c.variables(p.Child("variables"), v, noData)
	}
	if v := n.Get("needs"); !v.IsNull() {
		r.needs = c.needs(p.Child("needs"), v, ruleNeeds).jobs
	}
	if v := n.Get("auto_cancel"); !v.IsNull() {
		r.autoCancel = c.autoCancel(p.Child("auto_cancel"), v)
	}
	return r
}

func describeEmptyHash(n *node) string {
	if n.Is(yamltree.Mapping) {
		return "an empty hash"
	}
	return yamltree.Describe(n)
}

func (c *checker) changes(p *keyPath, n *node) *changes {
	switch n.Kind {
	case yamltree.Sequence:
		c.pathList(p, n)
		return &changes{paths: n.Strings()}
	case yamltree.Mapping:
		c.AllowedKeys(p, n, "paths", "compare_to")
		if c.RequiredKeys(p, n, "paths") {
			c.pathList(p.Child("paths"), n.Get("paths"))
		}
		c.OptionalString(p, n, "compare_to")
		ref := n.Get("compare_to")
		return &changes{paths: check.StringList(n.Get("paths")), compareTo: ref.RubyText(), hasCompareTo: !ref.IsNull()}
	}
	c.Fail(p, n, "write a list", "should be an array of paths or a hash, not %s", yamltree.Describe(n))
	return nil
}

func (c *checker) pathList(p *keyPath, n *node) {
	switch {
	case !check.IsStrings(n):
		c.Fail(p, check.FirstWrong(n), "", "should be an array of strings, not %s", check.DescribeItems(n))
	case len(n.Items) > maxPaths:
		c.Fail(p, n, "", "more than %d paths", maxPaths)
	}
}

func (c *checker) exists(p *keyPath, n *node, manyPaths bool) *exists {
	switch {
	case n.IsBlank():
		return &exists{}
	case n.Kind == yamltree.String:
		return &exists{paths: []string{n.Text}}
	case n.Kind == yamltree.Sequence:
		if !manyPaths || !check.IsStrings(n) {
			c.pathList(p, n)
		}
		return &exists{paths: n.Strings()}
	case n.Kind == yamltree.Mapping:
		c.AllowedKeys(p, n, "paths", "project", "ref")
		c.RequiredKeys(p, n, "paths")
		if !n.Get("ref").IsNull() {
			c.RequiredKeys(p, n, "project")
		}
		if v := n.Get("paths"); !v.IsNull() {
			c.pathList(p.Child("paths"), v)
		}
		c.OptionalString(p, n, "project")
		c.OptionalString(p, n, "ref")
		return &exists{paths: check.StringList(n.Get("paths")), project: n.Get("project").RubyText(), ref: n.Get("ref").RubyText()}
	}
	c.Fail(p, n, "", "should be an array of paths or a hash, not %s", yamltree.Describe(n))
	return nil
}
