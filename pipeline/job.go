package pipeline

import (
	"cmp"
	"slices"
	"strings"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/check"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/input"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

const maxJobName = 255

// A jobSpec is a job of the configuration, validated and with its defaults, before an event decides on it. So is `default`.
type jobSpec struct {
	Job  // as far as it does not depend on the event
	kind jobKind
	node *node
	key  *node

	rules        []rule
	hasRules     bool
	only, except *policy
	needs        needList
	hasNeeds     bool
	parallel     *parallel
	// matrix are the variables that make the job one of a matrix.
	matrix []Variable

	inherited inheritance
	defaults  *defaultSection
}

// A jobKind says as what GitLab takes an entry of the configuration.
type jobKind uint8

const (
	noJob jobKind = iota
	hiddenJob
	buildJob
	bridgeJob
)

func (k jobKind) place() places {
	if k == bridgeJob {
		return inBridge
	}
	return inJob
}

func kindOf(name string, n *node) jobKind {
	switch {
	case strings.HasPrefix(name, "."):
		return hiddenJob
	case !n.Is(yamltree.Mapping):
		return noJob
	case n.Has("script"), n.Has("run"):
		return buildJob
	case n.Has("trigger"), n.Has("needs"):
		return bridgeJob
	}
	return noJob
}

// job validates a visible job. workflow reports that there are `workflow:rules`, which disable the default of `only`.
func (c *checker) job(p *keyPath, key, n *node, kind jobKind, defaults *defaultSection, workflow bool) *jobSpec {
	j := &jobSpec{kind: kind, node: n, key: key, defaults: defaults}
	j.Name, j.BaseName, j.Stage, j.Source = key.Text, key.Text, defaultStage, at(key)
	c.jobName(p, key)
	c.Exclusive(p, n, "script", "trigger")
	c.Exclusive(p, n, "run", "trigger")
	c.notWithRules(p, n)
	place := kind.place()
	c.checkKeywords(p, j, func(k *keyword) checkFunc { return k.shape })
	c.AllowedKeys(p, n, keywordNames[place]...)
	c.checkKeywords(p, j, func(k *keyword) checkFunc { return k.check })
	c.composed(p, j)
	c.readValues(p, n, j, place)
	if !n.Has("rules") && n.Get("only").IsNull() && !workflow {
		j.only = &defaultOnly
	}
	j.inheritDefaults()
	j.publishPages()
	return j
}

func (c *checker) checkKeywords(p *keyPath, j *jobSpec, check func(*keyword) checkFunc) {
	for i := range jobKeywords {
		k := &jobKeywords[i]
		if f := check(k); f != nil && k.in&j.kind.place() != 0 {
			f(c, p, j)
		}
	}
}

func (c *checker) rulesShape(p *keyPath, j *jobSpec) {
	if v := j.node.Get("rules"); !v.IsNull() && !check.IsNestedList(v, maxNesting, check.IsMapping) {
		c.Fail(p.Child("rules"), v, "write a list of hashes", "should be an array of rules nested up to %d levels, not %s", maxNesting, describeRules(v))
	}
}

func (c *checker) jobRules(p *keyPath, n *node, j *jobSpec) {
	j.hasRules = true
	if check.IsNestedList(n, maxNesting, check.IsMapping) {
		j.rules = c.rules(p, n, jobRules)
	}
}

func describeRules(n *node) string {
	if !n.Is(yamltree.Sequence) {
		return yamltree.Describe(n)
	}
	for _, item := range n.Flatten() {
		if !check.IsMapping(item) {
			return "a list with " + yamltree.Describe(item)
		}
	}
	return yamltree.Describe(n)
}

func (c *checker) jobName(p *keyPath, key *node) {
	switch {
	case key.Kind != yamltree.String:
		c.Fail(p.Child("name"), key, "put it in quotes", "the name of a job should be a string, not %s", yamltree.Describe(key))
	case key.IsBlank():
		c.Fail(p.Child("name"), key, "", "the name of a job is empty")
	case len([]rune(key.Text)) > maxJobName:
		c.Fail(p.Child("name"), key, "", "the name is longer than %d characters", maxJobName)
	}
}

func (c *checker) notWithRules(p *keyPath, n *node) {
	if n.Get("rules").IsNull() {
		return
	}
	for _, k := range []string{"only", "except", "start_in"} {
		if !n.Get(k).IsNull() {
			c.Fail(p, n.Key(k), "move it into the rules", "%s cannot be used with rules", k)
		}
	}
}

func (c *checker) scriptGiven(p *keyPath, j *jobSpec) {
	c.Exclusive(p, j.node, "script", "run")
	if n := j.node.Get("script"); !j.node.Has("run") && n.IsBlank() {
		c.Fail(p.Child("script"), cmp.Or(n, j.node), "write the commands", "script is empty")
	}
}

func (c *checker) dependencyNames(p *keyPath, j *jobSpec) {
	c.OptionalStrings(p, j.node, "dependencies")
}

func (c *checker) runSteps(p *keyPath, j *jobSpec) {
	if v := j.node.Get("run"); !v.IsNull() {
		j.Run = c.run(p.Child("run"), v)
	}
}

// composed runs the checks that GitLab reports before those of values, although they depend on values.
func (c *checker) composed(p *keyPath, j *jobSpec) {
	n := j.node
	quiet := newChecker(c.Parsed)
	if v := n.Get("needs"); !v.IsNull() {
		j.needs = quiet.needs(p.Child("needs"), v, bridgeNeeds)
		// A job that mirrors another pipeline waits for the earlier stages.
		j.hasNeeds = j.needs.bridges == 0 || len(j.needs.jobs) > 0
	}
	if j.kind == bridgeJob {
		switch {
		case n.Get("trigger").IsNull() && j.needs.bridges == 0:
			c.Fail(p, j.key, "add script, or trigger", "neither script nor trigger says what the job does")
		case j.needs.bridges > 1:
			c.Fail(p, n.Key("needs"), "", "more than one pipeline is needed")
		}
		return
	}
	j.Dependencies = check.StringList(n.Get("dependencies"))
	if v := n.Get("dependencies"); v.Is(yamltree.Sequence) && j.Dependencies == nil {
		j.Dependencies = []string{}
	}
	if len(j.Dependencies) == 0 || len(j.needs.jobs)+len(j.needs.foreign) == 0 {
		return
	}
	if len(j.needs.jobs) == 0 {
		c.Fail(p.Child("needs"), n.Get("needs"), "", "dependencies must be of the same pipeline")
		return
	}
	for _, d := range j.Dependencies {
		if !slices.ContainsFunc(j.needs.jobs, func(s needSpec) bool { return s.Job == d }) {
			c.Fail(p.Child("dependencies"), n.Get("dependencies"), "add it to needs", "%s is not among the needs", d)
		}
	}
}

func (c *checker) publishOfPages(p *keyPath, j *jobSpec) {
	if v := j.node.Get("publish"); !v.IsBlank() && !isPages(j.Name, j.node.Get("pages")) {
		c.Fail(p.Child("publish"), v, "add pages: true", "publish is for Pages jobs")
	}
}

func (c *checker) publish(p *keyPath, n *node, _ *jobSpec) {
	if !check.IsString(n) {
		c.Fail(p, n, "", "should be a string, not %s", yamltree.Describe(n))
	}
}

// isPages reports whether a job creates a Pages site: by the keyword, or by its name.
func isPages(name string, pages *node) bool {
	return !pages.IsBlank() || name == "pages" && !pages.Is(yamltree.Bool)
}

// publishPages adds the folder of a Pages job to its artifacts.
func (j *jobSpec) publishPages() {
	pages := j.node.Get("pages")
	if j.kind == bridgeJob || !isPages(j.Name, pages) {
		return
	}
	folder := "public"
	if v := j.node.Get("publish"); check.IsString(v) {
		folder = v.Text
	}
	if v := pages.Get("publish"); check.IsString(v) {
		folder = v.Text
	}
	j.Artifacts = j.Artifacts.publish(folder)
}

// maxJobInputs is how many inputs a job may have.
const maxJobInputs = 50

func (c *checker) jobInputs(p *keyPath, n *node, j *jobSpec) {
	if !c.Mapping(p, n) {
		return
	}
	if len(n.Pairs) > maxJobInputs {
		c.Fail(p, n, "", "more than %d inputs", maxJobInputs)
	}
	for _, pair := range n.Pairs {
		q, before := p.Child(pair.Key.Text), len(c.Problems)
		input.Validate(&c.Checker, q, pair.Value)
		if check.IsMapping(pair.Value) && pair.Value.Get("default").IsNull() {
			c.Fail(q, pair.Value, "add default", "an input of a job needs a default")
		}
		if len(c.Problems) == before {
			input.ValidateDefault(&c.Checker, q, input.Declaration{Name: pair.Key.Text, Spec: pair.Value})
			j.Inputs = append(j.Inputs, newInput(pair.Key, pair.Value))
		}
	}
}
