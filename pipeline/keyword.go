package pipeline

import (
	"reflect"
	"slices"
	"time"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/check"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// A keyword describes a key of a job: where it may be, how its value is validated and read, who inherits it, and what GitLab stores.
type keyword struct {
	name string
	in   places
	// shape, check and value.read validate the keyword, in the order in which GitLab reports errors: shape before unknown keys are
	// reported, check before any value is read. Both are called for jobs without the keyword, too.
	shape, check checkFunc
	value        value
	// named reports that a hash without the key name is invalid.
	named bool
}

type checkFunc func(c *checker, p *keyPath, j *jobSpec)

// places are the parts of a configuration that may have a keyword.
type places uint8

const (
	inJob places = 1 << iota
	inBridge
	inDefault // in the section `default`
	atTop     // among the global keywords, where it is deprecated

	inAnyJob  = inJob | inBridge
	anyGlobal = inDefault | atTop
)

// A value is how the value of a keyword is read, inherited and stored; without functions it is validated only.
type value struct {
	// read validates the value, which is not null, and stores it in the job.
	read func(c *checker, p *keyPath, n *node, j *jobSpec)
	// inherit copies the value of `default` to a job without the keyword; nil if no job inherits it.
	inherit func(to, from *Job)
	// stored returns the value in GitLab's form, nil if it is GitLab's default.
	stored func(j *Job) any
}

// jobKeywords are all keywords of jobs, in the order in which GitLab reads them. `rules` has different keys: see ruleKind.
var jobKeywords = []keyword{
	{name: "extends", in: inAnyJob, shape: (*checker).extendsShape},
	{name: "stage", in: inAnyJob, value: value{read: (*checker).stageName, stored: storedField(func(j *Job) *string { return &j.Stage })}},
	{name: "only", in: inAnyJob, value: value{read: (*checker).only}},
	{name: "except", in: inAnyJob, value: value{read: (*checker).except}},
	{name: "rules", in: inAnyJob, shape: (*checker).rulesShape, value: value{read: (*checker).jobRules}},
	{name: "variables", in: inAnyJob, value: value{read: (*checker).jobVariables, stored: storedVariables}},
	{name: "inherit", in: inAnyJob, value: value{read: (*checker).inherit}},
	{name: "environment", in: inAnyJob, value: field(func(j *Job) **Environment { return &j.Environment }, (*checker).environment), named: true},
	{name: "interruptible", in: inAnyJob | inDefault, value: field(func(j *Job) **bool { return &j.Interruptible }, (*checker).boolean)},
	{name: "resource_group", in: inAnyJob, shape: optionalString("resource_group"), value: field(func(j *Job) *string { return &j.ResourceGroup }, text)},
	{name: "before_script", in: inJob | anyGlobal, check: notWithRun("before_script"), value: field(func(j *Job) *[]string { return &j.BeforeScript }, (*checker).commands)},
	{name: "script", in: inJob, check: (*checker).scriptGiven, value: field(func(j *Job) *[]string { return &j.Script }, (*checker).commands)},
	{name: "after_script", in: inJob | anyGlobal, check: notWithRun("after_script"), value: field(func(j *Job) *[]string { return &j.AfterScript }, (*checker).commands)},
	{name: "hooks", in: inJob | inDefault, value: field(func(j *Job) *any { return &j.Hooks }, (*checker).hooks)},
	{name: "cache", in: inJob | anyGlobal, value: listField(func(j *Job) *[]Cache { return &j.Cache }, (*checker).caches)},
	{name: "image", in: inJob | anyGlobal, value: field(func(j *Job) **Image { return &j.Image }, (*checker).image), named: true},
	{name: "services", in: inJob | anyGlobal, value: listField(func(j *Job) *[]Image { return &j.Services }, (*checker).services), named: true},
	{name: "timeout", in: inJob | inDefault, value: notInherited(field(func(j *Job) *time.Duration { return &j.Timeout }, (*checker).timeout))},
	{name: "retry", in: inJob | inDefault, value: field(func(j *Job) **Retry { return &j.Retry }, (*checker).retry)},
	{name: "tags", in: inJob | inDefault, value: listField(func(j *Job) *[]string { return &j.Tags }, (*checker).tags)},
	{name: "artifacts", in: inJob | inDefault, value: field(func(j *Job) **Artifacts { return &j.Artifacts }, (*checker).artifacts)},
	{name: "id_tokens", in: inJob | inDefault, value: field(func(j *Job) *any { return &j.IDTokens }, (*checker).idTokens)},
	{name: "identity", in: inJob | inDefault, value: field(func(j *Job) *string { return &j.Identity }, (*checker).identity)},
	{name: "when", in: inAnyJob, check: (*checker).when, value: value{stored: storedWhen}},
	{name: "dependencies", in: inJob, check: (*checker).dependencyNames, value: value{stored: storedField(func(j *Job) *[]string { return &j.Dependencies })}},
	{name: "trigger", in: inBridge, value: field(func(j *Job) **TriggerSpec { return &j.Trigger }, (*checker).trigger)},
	{name: "needs", in: inAnyJob, value: value{read: (*checker).jobNeeds, stored: storedNeeds}},
	{name: "coverage", in: inJob, value: field(func(j *Job) *string { return &j.Coverage }, (*checker).coverage)},
	{name: "release", in: inJob, value: field(func(j *Job) *any { return &j.Release }, (*checker).release)},
	{name: "parallel", in: inAnyJob, value: value{read: (*checker).jobParallel, stored: storedField(func(j *Job) *int { return &j.Parallel })}},
	{name: "allow_failure", in: inAnyJob, check: (*checker).allowFailureShape, value: value{read: (*checker).allowFailure, stored: storedAllowFailure}},
	{name: "manual_confirmation", in: inJob, check: optionalString("manual_confirmation"), value: field(func(j *Job) *string { return &j.ManualConfirmation }, text)},
	{name: "run", in: inJob, check: (*checker).runSteps, value: value{stored: storedField(func(j *Job) *any { return &j.Run })}},
	{name: "start_in", in: inJob, check: (*checker).jobDelay, value: value{stored: storedField(func(j *Job) *string { return &j.StartInText })}},
	{name: "inputs", in: inJob, value: value{read: (*checker).jobInputs}},
	{name: "pages", in: inJob, value: field(func(j *Job) *any { return &j.Pages }, (*checker).pages)},
	{name: "publish", in: inJob, check: (*checker).publishOfPages, value: value{read: (*checker).publish}},
	{name: "secrets", in: inJob, value: field(func(j *Job) *any { return &j.Secrets }, (*checker).secrets)},
	{name: "dast_configuration", in: inJob, value: value{read: (*checker).dastConfiguration}},
}

// Names of the table, by place. The global keywords that are not in it have no meaning in a job; those of reservedKeys cannot be jobs.
var (
	keywordNames = map[places][]string{inJob: namesIn(inJob), inBridge: namesIn(inBridge), inDefault: namesIn(inDefault), atTop: namesIn(atTop)}
	reservedKeys = append([]string{"include", "variables", "stages"}, keywordNames[atTop]...)
	rootKeys     = append([]string{"default", "workflow"}, reservedKeys...)
	namedKeys    = namesOf(func(k keyword) bool { return k.named })
)

func namesIn(place places) []string { return namesOf(func(k keyword) bool { return k.in&place != 0 }) }

func namesOf(is func(keyword) bool) []string {
	var names []string
	for _, k := range jobKeywords {
		if is(k) {
			names = append(names, k.name)
		}
	}
	return names
}

// GlobalKeywords returns the keywords that a configuration may have beside its jobs. Those that are deprecated there, since
// `default` has them, come last.
func GlobalKeywords() (names, deprecated []string) {
	return slices.Clone(rootKeys[:len(rootKeys)-len(keywordNames[atTop])]), slices.Clone(keywordNames[atTop])
}

// field describes a keyword whose value is a field of [Job].
func field[T any](of func(*Job) *T, read func(*checker, *keyPath, *node) T) value {
	return value{
		read:    func(c *checker, p *keyPath, n *node, j *jobSpec) { *of(&j.Job) = read(c, p, n) },
		inherit: func(to, from *Job) { *of(to) = *of(from) },
		stored:  storedField(of),
	}
}

// listField describes a keyword whose value is a list of [Job]; an empty one is GitLab's default.
func listField[T any](of func(*Job) *[]T, read func(*checker, *keyPath, *node) []T) value {
	v := field(of, read)
	v.stored = func(j *Job) any {
		if list := *of(j); len(list) > 0 {
			return storedList(list)
		}
		return nil
	}
	return v
}

// notInherited describes what GitLab validates in `default` and then ignores.
func notInherited(v value) value {
	v.inherit = nil
	return v
}

// A gitLabForm is a value that GitLab stores in another form than ours.
type gitLabForm interface{ gitLab() any }

func storedField[T any](of func(*Job) *T) func(*Job) any {
	return func(j *Job) any {
		switch v := any(*of(j)).(type) {
		case gitLabForm:
			if reflect.ValueOf(v).IsNil() {
				return nil
			}
			return v.gitLab()
		case time.Duration:
			return unlessZero(int64(v.Seconds()))
		default:
			return unlessZero(v)
		}
	}
}

func storedList[T any](list []T) []any {
	out := make([]any, len(list))
	for i := range list {
		out[i] = list[i]
		if v, ok := any(&list[i]).(gitLabForm); ok {
			out[i] = v.gitLab()
		}
	}
	return out
}

// unlessZero returns nil for the zero value of a type.
func unlessZero(v any) any {
	if v == nil || reflect.ValueOf(v).IsZero() {
		return nil
	}
	return v
}

// GitLab returns the job in the form in which GitLab stores it: the values of its keywords, without those that are GitLab's
// default, its name, and for a parallel job its number (instance). The form is that of the conformance cases: see
// testdata/conformance/README.md. The caller may change the map, but not the values in it.
func (j *Job) GitLab() map[string]any {
	m := map[string]any{"name": j.Name}
	put(m, "instance", j.Instance)
	for i := range jobKeywords {
		k := &jobKeywords[i]
		if k.value.stored == nil {
			continue
		}
		if v := k.value.stored(j); v != nil {
			m[k.name] = v
		}
	}
	return m
}

// put sets a key unless the value is the zero value of its type.
func put[T comparable](m map[string]any, key string, value T) {
	var zero T
	if value != zero {
		m[key] = value
	}
}

// putList sets a key to a list that is given, even an empty one.
func putList[T any](m map[string]any, key string, list []T) {
	if list != nil {
		m[key] = list
	}
}

// inheritDefaults copies what the job does not have itself from `default`, as far as it inherits it.
func (j *jobSpec) inheritDefaults() {
	for i := range jobKeywords {
		k := &jobKeywords[i]
		if k.value.inherit == nil || k.in&j.kind.place() == 0 || k.in&inDefault == 0 {
			continue
		}
		if j.node.Get(k.name).IsNull() && !j.defaults.node.Get(k.name).IsNull() && j.inherited.defaults.allows(k.name) {
			k.value.inherit(&j.Job, &j.defaults.Job)
		}
	}
}

// A defaultSection is `default` with the global keywords that mean the same.
type defaultSection struct {
	jobSpec
	// keys are those that it may have.
	keys []string
}

// defaults validates `default` and the keywords at the top that mean the same; one in both places is an error. The result has
// the values of all that are given.
func (c *checker) defaults(tree *node) *defaultSection {
	p := check.NewPath("default")
	n := tree.Get("default")
	if n.IsNull() {
		n = yamltree.NewMapping(nil, tree.Position)
	}
	d := &defaultSection{jobSpec: jobSpec{node: n}, keys: keywordNames[inDefault]}
	if !c.Mapping(p, n) {
		return d
	}
	c.AllowedKeys(p, n, d.keys...)
	for _, key := range keywordNames[atTop] {
		if !tree.Get(key).IsNull() && !n.Get(key).IsNull() {
			c.Fail(check.NewPath(key), tree.Key(key), "keep the one in default", "%s is given at the top and in default", key)
		}
	}
	c.readValues(p, n, &d.jobSpec, inDefault)
	global := yamltree.NewMapping(slices.DeleteFunc(slices.Clone(tree.Pairs), func(pair yamltree.Pair) bool {
		return !slices.Contains(keywordNames[atTop], pair.Key.Text) || !n.Get(pair.Key.Text).IsNull()
	}), tree.Position)
	c.readValues(nil, global, &d.jobSpec, atTop)
	d.node = yamltree.NewMapping(slices.Concat(global.Pairs, slices.DeleteFunc(slices.Clone(n.Pairs), func(pair yamltree.Pair) bool {
		return pair.Value.IsNull()
	})), n.Position)
	return d
}

// readValues reads the keywords of a place from a mapping.
func (c *checker) readValues(p *keyPath, n *node, j *jobSpec, place places) {
	for i := range jobKeywords {
		k := &jobKeywords[i]
		if k.value.read == nil || k.in&place == 0 {
			continue
		}
		if v := n.Get(k.name); !v.IsNull() {
			k.value.read(c, p.Child(k.name), v, j)
		}
	}
}

func text(_ *checker, _ *keyPath, n *node) string { return n.RubyText() }

// optionalString checks a key of a job that is a string, if it is given.
func optionalString(key string) checkFunc {
	return func(c *checker, p *keyPath, j *jobSpec) { c.OptionalString(p, j.node, key) }
}

// notWithRun checks that a key is not used together with `run`.
func notWithRun(key string) checkFunc {
	return func(c *checker, p *keyPath, j *jobSpec) { c.Exclusive(p, j.node, key, "run") }
}

func storedWhen(j *Job) any {
	if j.When == OnSuccess {
		return nil
	}
	return unlessZero(j.When)
}

func storedVariables(j *Job) any {
	if len(j.Variables) == 0 {
		return nil
	}
	m := make(map[string]any, len(j.Variables))
	for _, v := range j.Variables {
		m[v.Key] = v.Value
		if v.Raw {
			m[v.Key] = map[string]any{"value": v.Value, "expand": false}
		}
	}
	return m
}

func storedNeeds(j *Job) any {
	if j.Needs == nil {
		return nil
	}
	return storedList(j.Needs)
}

func storedAllowFailure(j *Job) any {
	switch {
	case j.AllowFailureCriteria || j.AllowFailureExitCodes != nil:
		criteria := map[string]any{}
		putList(criteria, "exit_codes", j.AllowFailureExitCodes)
		return criteria
	case j.AllowFailure:
		return true
	}
	return nil
}
