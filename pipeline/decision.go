package pipeline

import (
	"cmp"
	"slices"
	"strings"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// A Decision says why a job, an include or the pipeline itself is part of an event's pipeline, or is not.
type Decision struct {
	// Rule is the 0-based index of the rule that matched; -1 if none did, or there are no rules.
	Rule int `json:"rule,omitzero"`
	// Text is one line for people: "rules[1] matched: if $CI_COMMIT_TAG".
	Text string `json:"text,omitzero"`
	// Position of that rule, or of the job.
	Position Position `json:"position,omitzero"`
	// AssumedChanges reports that the rule holds because GitLab takes its `changes` for true: the event has no diff, as with tags,
	// schedules and new branches, and the rule has no compare_to.
	AssumedChanges bool `json:"assumed_changes,omitzero"`
	// Checks are the rules, or the `only` and `except`, that decided, in their order.
	Checks []Check `json:"checks,omitzero"`
}

// A Check is one entry of `rules`, or an `only` or `except`, as it was evaluated for an event.
type Check struct {
	// Keyword is "rules", "workflow:rules", "include:rules", "only" or "except"; Index is the 0-based index among the rules.
	Keyword string `json:"keyword,omitzero"`
	Index   int    `json:"index,omitzero"`
	// Rule is the rule as it is written; nil for `only` and `except`.
	Rule *Rule `json:"rule,omitzero"`
	// Text is the condition on one line: "if $CI_COMMIT_TAG, when manual".
	Text     string      `json:"text,omitzero"`
	Position Position    `json:"position,omitzero"`
	Result   CheckResult `json:"result,omitzero"`
	// Variables are those that were looked up, in that order, each once. What a condition does not get to is not among them:
	// of `$A && $B` only A, if A is not set.
	Variables []SeenVariable `json:"variables,omitzero"`
}

// A Rule is an entry of `rules` as it is written: nothing is expanded, and what is not given is the zero value.
type Rule struct {
	If           string `json:"if,omitzero"`
	When         When   `json:"when,omitzero"`
	AllowFailure *bool  `json:"allow_failure,omitzero"`
	// Changes and Exists are the patterns of these keywords.
	Changes []Pattern `json:"changes,omitzero"`
	Exists  []Pattern `json:"exists,omitzero"`
	// Keywords are the places of the rule's keys, by name.
	Keywords map[string]Position `json:"keywords,omitzero"`
}

// A Pattern is an item of `changes` or `exists`, and its place.
type Pattern struct {
	Text     string   `json:"text,omitzero"`
	Position Position `json:"position,omitzero"`
}

// A CheckResult is the outcome of a [Check].
type CheckResult string

// The results of checks. NotEvaluated are the rules after one that matched; Failed is a rule that cannot be decided, such as
// one that compares with a ref that does not exist.
const (
	Matched      CheckResult = "matched"
	NotMatched   CheckResult = "not_matched"
	NotEvaluated CheckResult = "not_evaluated"
	Failed       CheckResult = "failed"
)

// A SeenVariable is a variable as a rule saw it: after precedence, environment scopes and protection.
type SeenVariable struct {
	Name string `json:"name,omitzero"`
	// Value is empty if the variable is not set. The values of masked variables are replaced by [MASKED].
	Value string `json:"value,omitzero"`
	Set   bool   `json:"set,omitzero"`
}

// An Include is an entry of `include` that has rules, with what they decided.
type Include struct {
	// Name is the file, project, component, template or URL as written.
	Name     string   `json:"name,omitzero"`
	Position Position `json:"position,omitzero"`
	Included bool     `json:"included,omitzero"`
	Decision Decision `json:"decision,omitzero"`
}

// maskedValue stands for the values of masked variables, as in GitLab's job logs.
const maskedValue = "[MASKED]"

// A mask hides the values of masked variables in texts.
type mask struct{ replacer *strings.Replacer }

func newMask(lists ...[]Variable) mask {
	var values []string
	for _, list := range lists {
		for _, v := range list {
			if v.Masked && v.Value != "" {
				values = append(values, v.Value)
			}
		}
	}
	if len(values) == 0 {
		return mask{}
	}
	// Of values that begin alike, the longest one is replaced.
	slices.SortFunc(values, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	pairs := make([]string, 0, 2*len(values))
	for _, v := range values {
		pairs = append(pairs, v, maskedValue)
	}
	return mask{strings.NewReplacer(pairs...)}
}

func (m mask) hide(text string) string {
	if m.replacer == nil {
		return text
	}
	return m.replacer.Replace(text)
}

// A view is a scope that a rule looks variables up in; it records which ones.
type view struct {
	*scope
	mask mask
	seen []SeenVariable
}

func (v *view) value(name string) (string, bool) {
	value, ok := v.scope.value(name)
	v.record(name, value, ok)
	return value, ok
}

func (v *view) expandedValue(name string) (string, bool) {
	value, ok := v.scope.expandedValue(name)
	v.record(name, value, ok)
	return value, ok
}

func (v *view) record(name, value string, set bool) {
	if !slices.ContainsFunc(v.seen, func(s SeenVariable) bool { return s.Name == name }) {
		v.seen = append(v.seen, SeenVariable{Name: name, Value: v.mask.hide(value), Set: set})
	}
}

// writtenRule returns a rule as it is written.
func writtenRule(n *node) *Rule {
	r := &Rule{If: n.Get("if").RubyText(), When: When(n.Get("when").RubyText()), Changes: patterns(n.Get("changes")), Exists: patterns(n.Get("exists"))}
	if v := n.Get("allow_failure"); v.Is(yamltree.Bool) {
		r.AllowFailure = new(v.True())
	}
	r.Keywords = make(map[string]Position, len(n.Pairs))
	for _, pair := range n.Pairs {
		r.Keywords[pair.Key.Text] = at(pair.Key)
	}
	return r
}

// patterns returns those of a list, of its key paths, or a single one.
func patterns(n *node) []Pattern {
	if n.Is(yamltree.Mapping) {
		n = n.Get("paths")
	}
	var list []Pattern
	for _, item := range n.Flatten() {
		if item.Is(yamltree.String) {
			list = append(list, Pattern{item.Text, at(item)})
		}
	}
	return list
}

// ruleSummary is the condition of a rule, and what it sets, on one line.
func ruleSummary(n *node) string {
	var parts []string
	for _, key := range []string{"if", "changes", "exists", "when"} {
		if v := n.Get(key); !v.IsNull() {
			parts = append(parts, key+" "+strings.Join(strings.Fields(inline(v)), " "))
		}
	}
	if len(parts) == 0 {
		return "always"
	}
	return strings.Join(parts, ", ")
}

// inline writes a value on one line.
func inline(n *node) string {
	switch n.Kind {
	case yamltree.Sequence:
		texts := make([]string, len(n.Items))
		for i, item := range n.Items {
			texts[i] = inline(item)
		}
		return "[" + strings.Join(texts, ", ") + "]"
	case yamltree.Mapping:
		texts := make([]string, len(n.Pairs))
		for i, pair := range n.Pairs {
			texts[i] = pair.Key.Text + ": " + inline(pair.Value)
		}
		return "{" + strings.Join(texts, ", ") + "}"
	}
	return n.Text
}
