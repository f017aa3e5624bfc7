package pipeline

import (
	"maps"
	"slices"
	"strings"

	"gitlab.com/slipway-ci/slipway/internal/lazyregexp"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

var reportKinds = []string{
	"junit", "codequality", "sast", "secret_detection", "dependency_scanning", "container_scanning", "dast", "performance",
	"browser_performance", "load_performance", "license_scanning", "metrics", "lsif", "dotenv", "terraform", "accessibility",
	"coverage_fuzzing", "api_fuzzing", "cluster_image_scanning", "requirements", "requirements_v2", "coverage_report",
	"cyclonedx", "annotations", "repository_xray", "sarif",
}

var (
	artifactKeys   = []string{"name", "untracked", "paths", "reports", "when", "expire_in", "expose_as", "exclude", "public", "access"}
	artifactAccess = []string{"none", "developer", "maintainer", "all"}
)

const maxExposeAs = 100

var exposeAs = lazyregexp.New(`^\w[-\w ]*$`)

// artifacts validates the keyword `artifacts`.
func (c *checker) artifacts(p *keyPath, n *node) *Artifacts {
	if !c.mapping(p, n) {
		return nil
	}
	c.allowedKeys(p, n, artifactKeys...)
	exposed := !n.Get("expose_as").IsNull()
	if exposed && n.Get("paths").IsBlank() {
		c.fail(p.child("paths"), n.Get("expose_as"), "add paths", "expose_as needs paths")
	}
	c.exclusive(p, n, "access", "public")
	c.optionalString(p, n, "name")
	c.optionalBool(p, n, "public")
	c.optionalBool(p, n, "untracked")
	if c.optionalStrings(p, n, "paths") && exposed &&
		slices.ContainsFunc(n.Get("paths").Strings(), func(s string) bool { return strings.Contains(s, "*") }) {
		c.fail(p.child("paths"), n.Get("paths"), "write the paths out", "paths with expose_as cannot contain *")
	}
	if exposed && c.optionalString(p, n, "expose_as") {
		text := n.Get("expose_as").Text
		if len(text) > maxExposeAs || !exposeAs().MatchString(text) {
			c.fail(p.child("expose_as"), n.Get("expose_as"), "", "should be at most %d letters, digits, -, _ and spaces", maxExposeAs)
		}
	}
	c.optionalStrings(p, n, "exclude")
	c.optional(p, n, "reports", isMapping, "a hash", "")
	c.optionalOneOf(p, n, "when", "on_success", "on_failure", "always")
	if v := n.Get("expire_in"); !v.IsNull() {
		c.expiry(p.child("expire_in"), v)
	}
	c.optionalOneOf(p, n, "access", artifactAccess...)
	a := &Artifacts{
		Paths: stringList(n.Get("paths")), Exclude: stringList(n.Get("exclude")), Untracked: n.Get("untracked").True(),
		ExpireIn: n.Get("expire_in").RubyText(), ExposeAs: n.Get("expose_as").RubyText(), Name: n.Get("name").RubyText(),
		When: n.Get("when").RubyText(), Access: n.Get("access").RubyText(),
	}
	if v := n.Get("public"); v.Is(yamltree.Bool) {
		public := v.True()
		a.Public = &public
	}
	if v := n.Get("reports"); v.Is(yamltree.Mapping) {
		a.Reports = c.reports(p.child("reports"), v)
	}
	a.Stored = storedKeys(n)
	if a.Reports != nil {
		a.Stored["reports"] = a.Reports
	}
	if a.When == "" {
		a.When = string(OnSuccess)
	}
	return a
}

// storedKeys returns the keys of a mapping that are not null.
func storedKeys(n *node) map[string]any {
	m := make(map[string]any, len(n.Pairs))
	for _, pair := range n.Pairs {
		if !pair.Value.IsNull() {
			m[pair.Key.Text] = pair.Value.Any()
		}
	}
	return m
}

func (c *checker) expiry(p *keyPath, n *node) {
	if n.Is(yamltree.String) && strings.EqualFold(n.Text, "never") {
		return
	}
	c.duration(p, n, 0)
}

func (c *checker) reports(p *keyPath, n *node) map[string]any {
	c.allowedKeys(p, n, reportKinds...)
	stored := make(map[string]any, len(n.Pairs))
	for _, pair := range n.Pairs {
		kind, v := pair.Key.Text, pair.Value
		if v.IsNull() {
			continue
		}
		if kind == "coverage_report" {
			stored[kind] = c.coverageReport(p.child(kind), v)
			continue
		}
		// GitLab does not look at what codequality is.
		if slices.Contains(reportKinds, kind) && kind != "codequality" && !isStringOrStrings(v) {
			c.fail(p.child(kind), v, "", "should be a path or an array of paths, not %s", yamltree.Describe(v))
		}
		switch {
		case isStringOrStrings(v):
			stored[kind] = anys(stringList(v))
		case v.Kind == yamltree.Mapping:
			stored[kind] = v.Any()
		default:
			stored[kind] = []any{v.Any()}
		}
	}
	return stored
}

func (c *checker) coverageReport(p *keyPath, n *node) any {
	if !c.mapping(p, n) {
		return nil
	}
	c.allowedKeys(p, n, "coverage_format", "path")
	if v := n.Get("coverage_format"); !v.Is(yamltree.String) || v.Text != "cobertura" && v.Text != "jacoco" {
		c.fail(p.child("coverage_format"), orElse(v, n), "one of cobertura, jacoco", "%s is not a valid format", yamltree.Describe(v))
	}
	c.requiredString(p, n, "path")
	return storedKeys(n)
}

// orElse returns the node at which an error is reported: a value or, if it is missing, its parent.
func orElse(n, parent *node) *node {
	if n == nil {
		return parent
	}
	return n
}

// publish adds the folder of a Pages site to the paths, where it is not among them.
func (a *Artifacts) publish(folder string) *Artifacts {
	if a == nil {
		a = &Artifacts{When: string(OnSuccess), Stored: make(map[string]any)}
	}
	if slices.Contains(a.Paths, folder) {
		return a
	}
	copied := *a
	copied.Paths = append(slices.Clip(a.Paths), folder)
	copied.Stored = maps.Clone(a.Stored)
	copied.Stored["paths"] = anys(copied.Paths)
	return &copied
}

// anys returns strings as the plain data of a plan has them.
func anys(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}

func (a *Artifacts) gitLab() any { return a.Stored }
