package pipeline

import (
	"slices"
	"strings"
	"time"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

const maxJobName = 255

// A jobSpec is a job of the configuration, validated and with its defaults, before an event decides on it.
type jobSpec struct {
	inheritable
	name string // in the plan: "test 1/3"
	base string // in the configuration: "test"
	node *node
	key  *node
	// keywords are the places of the keywords, by key path.
	keywords map[string]Position

	stage       string
	when        When
	startIn     time.Duration
	startInText string
	// ignored is allow_failure, which manual jobs have by themselves.
	ignored       bool
	exitCodes     []int
	hasExitCodes  bool
	rules         []rule
	hasRules      bool
	only, except  *policy
	variables     []Variable
	inherit       inheritance
	environment   *Environment
	resourceGroup string
	script        []string
	needs         needList
	hasNeeds      bool
	dependencies  []string
	coverage      string
	release       any
	pages         any
	secrets       any
	run           any
	confirmation  string
	parallel      *parallel
	instance      instance
	trigger       *TriggerSpec
}

var (
	commonKeys = []string{"extends", "stage", "only", "except", "rules", "variables", "inherit", "allow_failure", "when", "needs",
		"resource_group", "environment", "interruptible"}
	// secrets, identity and run are of paid tiers or experiments: they are configuration only.
	jobKeys = append([]string{"tags", "script", "image", "services", "start_in", "artifacts", "cache", "dependencies", "before_script",
		"after_script", "hooks", "coverage", "retry", "parallel", "timeout", "inputs", "release", "id_tokens", "publish", "pages",
		"manual_confirmation", "run", "secrets", "identity", "dast_configuration"}, commonKeys...)
	bridgeKeys = append([]string{"trigger", "parallel"}, commonKeys...)

	// GitLab validates default:timeout and then forgets it.
	inheritedByJob    = []string{"before_script", "after_script", "hooks", "cache", "image", "services", "retry", "tags", "artifacts", "id_tokens", "identity"}
	inheritedByBridge = []string{"interruptible"}
)

// A jobKind says as what GitLab takes an entry of the configuration.
type jobKind uint8

const (
	noJob jobKind = iota
	hiddenJob
	buildJob
	bridgeJob
)

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

// job validates a visible job. workflow says that there are `workflow:rules`, with which the default `only` goes.
func (c *checker) job(p *keyPath, key, n *node, kind jobKind, defaults *inheritable, workflow bool) *jobSpec {
	j := &jobSpec{name: key.Text, base: key.Text, node: n, key: key}
	c.jobName(p, key)
	c.exclusive(p, n, "script", "trigger")
	c.exclusive(p, n, "run", "trigger")
	c.notWithRules(p, n)
	c.optionalStringOrStrings(p, n, "extends")
	if v := n.Get("rules"); !v.IsNull() && !isNestedList(v, maxNesting, isMapping) {
		c.fail(p.child("rules"), v, "write a list of hashes", "should be an array of rules nested up to %d levels, not %s", maxNesting, describeRules(v))
	}
	c.optionalString(p, n, "resource_group")
	if kind == bridgeJob {
		c.bridgeOwn(p, n, j)
	} else {
		c.jobOwn(p, n, j)
	}
	c.composed(p, n, j, kind)
	c.common(p, n, j, defaults, workflow)
	if kind == bridgeJob {
		c.bridgeParts(p, n, j)
	} else {
		c.jobParts(p, n, j, defaults)
	}
	return j
}

func describeRules(n *node) string {
	if !n.Is(yamltree.Sequence) {
		return describe(n)
	}
	for _, item := range n.Flatten() {
		if !isMapping(item) {
			return "a list with " + describe(item)
		}
	}
	return describe(n)
}

func (c *checker) jobName(p *keyPath, key *node) {
	switch {
	case key.Kind != yamltree.String:
		c.fail(p.child("name"), key, "put it in quotes", "the name of a job should be a string, not %s", describe(key))
	case key.IsBlank():
		c.fail(p.child("name"), key, "", "the name of a job is empty")
	case len([]rune(key.Text)) > maxJobName:
		c.fail(p.child("name"), key, "", "the name is longer than %d characters", maxJobName)
	}
}

func (c *checker) notWithRules(p *keyPath, n *node) {
	if n.Get("rules").IsNull() {
		return
	}
	for _, k := range []string{"only", "except", "start_in"} {
		if !n.Get(k).IsNull() {
			c.fail(p, n.Key(k), "move it into the rules", "%s cannot be used with rules", k)
		}
	}
}

// jobOwn validates what GitLab looks at before the parts of a job.
func (c *checker) jobOwn(p *keyPath, n *node, j *jobSpec) {
	c.allowedKeys(p, n, jobKeys...)
	for _, k := range []string{"script", "before_script", "after_script"} {
		c.exclusive(p, n, k, "run")
	}
	if !n.Has("run") && n.Get("script").IsBlank() {
		c.fail(p.child("script"), orElse(n.Get("script"), n), "write the commands", "script is empty")
	}
	c.optionalOneOf(p, n, "when", "on_success", "on_failure", "always", "manual", "delayed")
	c.optionalStrings(p, n, "dependencies")
	c.optional(p, n, "allow_failure", func(v *node) bool { return isMapping(v) || v.Kind == yamltree.Bool }, "true, false or a hash", "")
	c.optionalString(p, n, "manual_confirmation")
	if v := n.Get("run"); !v.IsNull() {
		j.run = c.run(p.child("run"), v)
	}
	j.when = When(n.Get("when").RubyText())
	switch {
	case j.when == Delayed && n.Has("rules") && !n.Get("start_in").IsBlank():
		if n.Get("rules").IsNull() { // else notWithRules has said so
			c.fail(p.child("start_in"), n.Get("start_in"), "remove rules", "start_in cannot be used with rules")
		}
	case j.when == Delayed:
		j.startIn = c.startIn(p.child("start_in"), n)
		j.startInText = n.Get("start_in").RubyText()
	case !n.Get("start_in").IsBlank():
		c.fail(p.child("start_in"), n.Get("start_in"), "add when: delayed", "start_in is for jobs with when: delayed")
	}
	if !n.Get("publish").IsBlank() && !isPages(j.name, n.Get("pages")) {
		c.fail(p.child("publish"), n.Get("publish"), "add pages: true", "publish is for Pages jobs")
	}
}

func (c *checker) bridgeOwn(p *keyPath, n *node, j *jobSpec) {
	c.allowedKeys(p, n, bridgeKeys...)
	c.optionalOneOf(p, n, "when", "on_success", "on_failure", "always", "manual")
	c.optionalBool(p, n, "allow_failure")
	j.when = When(n.Get("when").RubyText())
}

// composed validates what GitLab looks at when it knows the parts, but reports before what is wrong with them.
func (c *checker) composed(p *keyPath, n *node, j *jobSpec, kind jobKind) {
	quiet := &checker{cache: c.cache}
	if v := n.Get("needs"); !v.IsNull() {
		j.needs = quiet.needs(p.child("needs"), v, bridgeNeeds)
		// A job that mirrors another pipeline waits for the earlier stages.
		j.hasNeeds = j.needs.bridges == 0 || len(j.needs.jobs) > 0
	}
	if kind == bridgeJob {
		switch {
		case n.Get("trigger").IsNull() && j.needs.bridges == 0:
			c.fail(p, j.key, "add script, or trigger", "neither script nor trigger says what the job does")
		case j.needs.bridges > 1:
			c.fail(p, n.Key("needs"), "", "more than one pipeline is needed")
		}
		return
	}
	j.dependencies = stringList(n.Get("dependencies"))
	if v := n.Get("dependencies"); v.Is(yamltree.Sequence) && j.dependencies == nil {
		j.dependencies = []string{}
	}
	if len(j.dependencies) == 0 || len(j.needs.jobs)+len(j.needs.foreign) == 0 {
		return
	}
	if len(j.needs.jobs) == 0 {
		c.fail(p.child("needs"), n.Get("needs"), "", "dependencies must be of the same pipeline")
		return
	}
	for _, d := range j.dependencies {
		if !slices.ContainsFunc(j.needs.jobs, func(s needSpec) bool { return s.Job == d }) {
			c.fail(p.child("dependencies"), n.Get("dependencies"), "add it to needs", "%s is none of the needs", d)
		}
	}
}

// common validates the parts that jobs and bridges have.
func (c *checker) common(p *keyPath, n *node, j *jobSpec, defaults *inheritable, workflow bool) {
	j.stage = defaultStage
	if v := n.Get("stage"); !v.IsNull() {
		if !isString(v) {
			c.fail(p.child("stage"), v, "", "should be a string, not %s", describe(v))
		}
		j.stage = v.RubyText()
	}
	c.policies(p, n, j, workflow)
	if v := n.Get("rules"); !v.IsNull() {
		j.hasRules = true
		if isNestedList(v, maxNesting, isMapping) {
			j.rules = c.rules(p.child("rules"), v, jobRules)
		}
	}
	if v := n.Get("variables"); !v.IsNull() {
		j.variables = c.variables(p.child("variables"), v, jobData)
	}
	j.inherit = c.inherit(p.child("inherit"), n.Get("inherit"))
	if v := n.Get("environment"); !v.IsNull() {
		j.environment = c.environment(p.child("environment"), v)
	}
	j.read(c, p, "interruptible", n.Get("interruptible"))
	j.take(defaults, inheritedByBridge, j.inherit.defaults.allows)
	j.resourceGroup = n.Get("resource_group").RubyText()
	j.ignored = j.when == Manual
	if v := n.Get("allow_failure"); v.Is(yamltree.Bool) {
		j.ignored = v.True()
	}
}

// policies reads only and except, and gives a job without them and without rules the default.
func (c *checker) policies(p *keyPath, n *node, j *jobSpec, workflow bool) {
	if v := n.Get("only"); !v.IsNull() {
		j.only = c.policy(p.child("only"), v).withDefault(defaultOnly)
	} else if !n.Has("rules") && !workflow {
		j.only = &defaultOnly
	}
	if v := n.Get("except"); !v.IsNull() {
		j.except = c.policy(p.child("except"), v)
	}
}

func (c *checker) jobParts(p *keyPath, n *node, j *jobSpec, defaults *inheritable) {
	j.read(c, p, "before_script", n.Get("before_script"))
	if v := n.Get("script"); !v.IsNull() {
		j.script = c.commands(p.child("script"), v)
	}
	for _, key := range []string{"after_script", "hooks", "cache", "image", "services", "timeout", "retry", "tags", "artifacts", "id_tokens", "identity"} {
		j.read(c, p, key, n.Get(key))
	}
	j.take(defaults, inheritedByJob, j.inherit.defaults.allows)
	if v := n.Get("needs"); !v.IsNull() {
		c.needs(p.child("needs"), v, jobNeeds)
	}
	if v := n.Get("coverage"); !v.IsNull() {
		j.coverage = c.coverage(p.child("coverage"), v)
	}
	if v := n.Get("release"); !v.IsNull() {
		j.release = c.release(p.child("release"), v)
	}
	if v := n.Get("parallel"); !v.IsNull() {
		j.parallel = c.parallel(p.child("parallel"), v, true)
	}
	if v := n.Get("allow_failure"); isMapping(v) {
		_, j.exitCodes = c.allowFailure(p.child("allow_failure"), v)
		j.ignored, j.hasExitCodes = false, true
	}
	c.jobInputs(p.child("inputs"), n.Get("inputs"))
	if v := n.Get("pages"); !v.IsNull() {
		j.pages = c.pages(p.child("pages"), v)
	}
	if v := n.Get("publish"); !v.IsNull() && !isString(v) {
		c.fail(p.child("publish"), v, "", "should be a string, not %s", describe(v))
	}
	if v := n.Get("secrets"); !v.IsNull() {
		j.secrets = c.secrets(p.child("secrets"), v)
	}
	if v := n.Get("dast_configuration"); !v.IsNull() {
		c.dastConfiguration(p.child("dast_configuration"), v)
	}
	j.confirmation = n.Get("manual_confirmation").RubyText()
	j.publishPages(n)
}

// isPages reports whether a job makes a Pages site: because it says so, or by its name.
func isPages(name string, pages *node) bool {
	return !pages.IsBlank() || name == "pages" && !pages.Is(yamltree.Bool)
}

// publishPages adds the folder of a Pages job to its artifacts.
func (j *jobSpec) publishPages(n *node) {
	pages := n.Get("pages")
	if !isPages(j.name, pages) {
		return
	}
	folder := "public"
	if v := n.Get("publish"); isString(v) {
		folder = v.Text
	}
	if v := pages.Get("publish"); isString(v) {
		folder = v.Text
	}
	j.artifacts = j.artifacts.publish(folder)
}

// maxJobInputs is how many inputs a job may have.
const maxJobInputs = 50

func (c *checker) jobInputs(p *keyPath, n *node) {
	if n.IsNull() || !c.mapping(p, n) {
		return
	}
	if len(n.Pairs) > maxJobInputs {
		c.fail(p, n, "", "more than %d inputs", maxJobInputs)
	}
	for _, pair := range n.Pairs {
		q, before := p.child(pair.Key.Text), len(c.errors)
		c.validateInput(q, pair.Value)
		if isMapping(pair.Value) && pair.Value.Get("default").IsNull() {
			c.fail(q, pair.Value, "add default", "an input of a job needs a default")
		}
		if len(c.errors) == before {
			declaredInput{checker: c, name: pair.Key.Text, path: q, spec: pair.Value}.value()
		}
	}
}

func (c *checker) bridgeParts(p *keyPath, n *node, j *jobSpec) {
	if v := n.Get("trigger"); !v.IsNull() {
		j.trigger = c.trigger(p.child("trigger"), v)
	}
	if v := n.Get("needs"); !v.IsNull() {
		c.needs(p.child("needs"), v, bridgeNeeds)
	}
	if v := n.Get("parallel"); !v.IsNull() {
		j.parallel = c.parallel(p.child("parallel"), v, false)
	}
}
