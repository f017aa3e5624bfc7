package pipeline

import (
	"slices"
	"strings"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/check"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/expression"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// A policy is `only` or `except`: https://docs.gitlab.com/ci/yaml/deprecated_keywords/#only--except
type policy struct {
	refs       []string
	variables  []*expression.Expression
	changes    []string
	kubernetes bool
	has        map[string]bool // which of the four are asked for
	keyword    string          // "only" or "except"
	summary    string          // on one line
	node       *node
}

// defaultOnly is `only` of a job without it, `rules` and `workflow:rules`.
var defaultOnly = policy{
	refs: []string{"branches", "tags"}, has: map[string]bool{"refs": true}, keyword: "only", summary: "[branches, tags], the default",
}

// only reads the keyword `only`. A policy without refs has the default's.
func (c *checker) only(p *keyPath, n *node, j *jobSpec) {
	j.only = c.policy(p, n).withDefault(defaultOnly)
}

func (c *checker) except(p *keyPath, n *node, j *jobSpec) { j.except = c.policy(p, n) }

func (c *checker) policy(p *keyPath, n *node) *policy {
	pol := &policy{has: make(map[string]bool), keyword: p.Key(), summary: inline(n), node: n}
	switch n.Kind {
	case yamltree.Sequence:
		c.refs(p, n)
		pol.refs, pol.has["refs"] = n.Strings(), true
	case yamltree.Mapping:
		if len(n.Pairs) == 0 {
			c.Fail(p, n, "", "is empty")
			return pol
		}
		c.AllowedKeys(p, n, "refs", "kubernetes", "variables", "changes")
		// A key without a value asks for what never holds.
		for _, key := range []string{"refs", "variables", "changes"} {
			pol.has[key] = n.Has(key)
		}
		c.policyVariables(p, n.Get("variables"), pol)
		if v := n.Get("refs"); !v.IsNull() {
			c.refs(p.Child("refs"), v)
			pol.refs = v.Strings()
		}
		if v := n.Get("kubernetes"); !v.IsNull() {
			c.OptionalOneOf(p, n, "kubernetes", "active")
			pol.kubernetes, pol.has["kubernetes"] = true, true
		}
		c.OptionalStrings(p, n, "variables")
		if c.OptionalStrings(p, n, "changes") && !n.Get("changes").IsNull() {
			pol.changes = n.Get("changes").Strings()
		}
	default:
		c.Fail(p, n, "", "should be an array of refs or a hash, not %s", yamltree.Describe(n))
	}
	return pol
}

func (c *checker) policyVariables(p *keyPath, n *node, pol *policy) {
	if !n.Is(yamltree.Sequence) {
		return
	}
	for _, item := range n.Items {
		if item.Kind != yamltree.String {
			continue
		}
		e, err := c.Parsed.Expression(item.Text)
		if err != nil {
			c.Fail(p.Child("variables"), item, "", "%q is not a valid condition: %v", yamltree.Shorten(item.Text), err)
			continue
		}
		pol.variables = append(pol.variables, e)
	}
}

func (c *checker) refs(p *keyPath, n *node) {
	if !check.IsStrings(n) {
		c.Fail(p, check.FirstWrong(n), "", "should be an array of refs, not %s", check.DescribeItems(n))
		return
	}
	for _, item := range n.Items {
		if _, isPattern, err := expression.Pattern(item.Text); isPattern && err != nil {
			c.Fail(p, item, "", "the pattern is not RE2 syntax: %v", err)
		}
	}
}

// withDefault adds the default refs where a policy names none.
func (p *policy) withDefault(base policy) *policy {
	if p.has["refs"] {
		return p
	}
	merged := *p
	merged.refs = base.refs
	merged.has = map[string]bool{"refs": true}
	for key, asked := range p.has {
		merged.has[key] = merged.has[key] || asked
	}
	return &merged
}

// specs are the four questions of a policy, those that it asks answered.
func (p *policy) specs(e *evaluator, s *view) []bool {
	var out []bool
	if p.has["refs"] {
		out = append(out, slices.ContainsFunc(p.refs, func(ref string) bool { return e.matchesRef(ref) }))
	}
	if p.has["kubernetes"] {
		out = append(out, false) // no cluster by GitLab's certificate-based integration, which is gone
	}
	if p.has["variables"] {
		out = append(out, slices.ContainsFunc(p.variables, func(x *expression.Expression) bool {
			return x.True(expression.Scope{Variable: s.value})
		}))
	}
	if p.has["changes"] {
		paths, known := e.modified()
		out = append(out, !known || e.anyMatch(p.changes, paths)) // GitLab expands no variables here
	}
	return out
}

// allHold is the question of `only`, anyHolds that of `except`.
func allHold(specs []bool) bool  { return !slices.Contains(specs, false) }
func anyHolds(specs []bool) bool { return slices.Contains(specs, true) }

// matchesRef reports whether the pipeline is of a ref of `only:refs`: a keyword, a name or a pattern, for one project if it
// ends in @group/project.
func (e *evaluator) matchesRef(written string) bool {
	ref, project, ofProject := strings.Cut(written, "@")
	if ofProject && project != e.project.options.Path {
		return false
	}
	source := strings.TrimSuffix(string(e.event.Source), "_event")
	switch {
	case e.event.Tag != "" && ref == "tags", e.event.isBranch() && ref == "branches", ref == source, ref == plural(source):
		return true
	case e.event.isMergeRequest():
		return false
	}
	name := e.event.ref(e.project.options.DefaultBranch)
	if re, isPattern, err := expression.Pattern(ref); isPattern {
		return err == nil && re.MatchString(name)
	}
	return ref == name
}

func plural(s string) string {
	if strings.HasSuffix(s, "sh") {
		return s + "es"
	}
	return s + "s"
}
