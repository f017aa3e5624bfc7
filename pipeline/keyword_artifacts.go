package pipeline

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"gitlab.com/slipway-ci/slipway/internal/lazyregexp"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/check"
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
	if !c.Mapping(p, n) {
		return nil
	}
	c.AllowedKeys(p, n, artifactKeys...)
	exposed := !n.Get("expose_as").IsNull()
	if exposed && n.Get("paths").IsBlank() {
		c.Fail(p.Child("paths"), n.Get("expose_as"), "add paths", "expose_as needs paths")
	}
	c.Exclusive(p, n, "access", "public")
	c.OptionalString(p, n, "name")
	c.OptionalBool(p, n, "public")
	c.OptionalBool(p, n, "untracked")
	if c.OptionalStrings(p, n, "paths") && exposed &&
		slices.ContainsFunc(n.Get("paths").Strings(), func(s string) bool { return strings.Contains(s, "*") }) {
		c.Fail(p.Child("paths"), n.Get("paths"), "write the paths out", "paths with expose_as cannot contain *")
	}
	if exposed && c.OptionalString(p, n, "expose_as") {
		text := n.Get("expose_as").Text
		if len(text) > maxExposeAs || !exposeAs().MatchString(text) {
			c.Fail(p.Child("expose_as"), n.Get("expose_as"), "", "should be at most %d letters, digits, -, _ and spaces", maxExposeAs)
		}
	}
	c.OptionalStrings(p, n, "exclude")
	c.Optional(p, n, "reports", check.IsMapping, "a hash", "")
	c.OptionalOneOf(p, n, "when", "on_success", "on_failure", "always")
	if v := n.Get("expire_in"); !v.IsNull() {
		c.expiry(p.Child("expire_in"), v)
	}
	c.OptionalOneOf(p, n, "access", artifactAccess...)
	a := &Artifacts{
		Paths: check.StringList(n.Get("paths")), Exclude: check.StringList(n.Get("exclude")), Untracked: n.Get("untracked").True(),
		ExpireIn: n.Get("expire_in").RubyText(), ExposeAs: n.Get("expose_as").RubyText(), Name: n.Get("name").RubyText(),
		When: n.Get("when").RubyText(), Access: n.Get("access").RubyText(),
	}
	if v := n.Get("public"); v.Is(yamltree.Bool) {
		public := v.True()
		a.Public = &public
	}
	if v := n.Get("reports"); v.Is(yamltree.Mapping) {
		a.Reports = c.reports(p.Child("reports"), v)
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
	c.AllowedKeys(p, n, reportKinds...)
	stored := make(map[string]any, len(n.Pairs))
	for _, pair := range n.Pairs {
		kind, v := pair.Key.Text, pair.Value
		if v.IsNull() {
			continue
		}
		if kind == "coverage_report" {
			stored[kind] = c.coverageReport(p.Child(kind), v)
			continue
		}
		// GitLab does not look at what codequality is.
		if slices.Contains(reportKinds, kind) && kind != "codequality" && !check.IsStringOrStrings(v) {
			c.Fail(p.Child(kind), v, "", "should be a path or an array of paths, not %s", yamltree.Describe(v))
		}
		switch {
		case check.IsStringOrStrings(v):
			stored[kind] = anys(check.StringList(v))
		case v.Kind == yamltree.Mapping:
			stored[kind] = v.Any()
		default:
			stored[kind] = []any{v.Any()}
		}
	}
	return stored
}

func (c *checker) coverageReport(p *keyPath, n *node) any {
	if !c.Mapping(p, n) {
		return nil
	}
	c.AllowedKeys(p, n, "coverage_format", "path")
	if v := n.Get("coverage_format"); !v.Is(yamltree.String) || v.Text != "cobertura" && v.Text != "jacoco" {
		c.Fail(p.Child("coverage_format"), cmp.Or(v, n), "one of cobertura, jacoco", "%s is not a valid format", yamltree.Describe(v))
	}
	c.RequiredString(p, n, "path")
	return storedKeys(n)
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
