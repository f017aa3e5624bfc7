package lint

import (
	"fmt"
	"maps"
	"slices"
)

// Settings are the section `lint` of a project's .slipway.yml.
type Settings struct {
	// Rules sets the severity of rules by their ids: off, warning or error.
	Rules map[string]Severity `yaml:"rules"`
	// Images limits which images jobs and services may use, Includes where included files may come from.
	Images   ImagePolicy   `yaml:"images"`
	Includes IncludePolicy `yaml:"includes"`
	// Baseline is the file of findings that are accepted, relative to the project; see [Baseline].
	Baseline string `yaml:"baseline"`
}

// An UnknownRuleError is the error of options that name a rule which does not exist.
type UnknownRuleError struct{ ID string }

func (e *UnknownRuleError) Error() string { return fmt.Sprintf("there is no lint rule %q", e.ID) }

// rules returns the rules that are checked, with their severities.
func (o Options) rules() ([]Rule, error) {
	for _, id := range slices.Concat(o.Disable, slices.Sorted(maps.Keys(o.Settings.Rules))) {
		if !slices.ContainsFunc(rules, func(r Rule) bool { return r.ID == id }) {
			return nil, &UnknownRuleError{ID: id}
		}
	}
	var active []Rule
	for _, rule := range rules {
		if severity, ok := o.Settings.Rules[rule.ID]; ok {
			switch severity {
			case Error, Warning, Off:
				rule.Severity = severity
			default:
				return nil, fmt.Errorf("lint rule %s: severity %q is not valid; use off, warning or error", rule.ID, severity)
			}
		}
		if rule.Severity != Off && !slices.Contains(o.Disable, rule.ID) {
			active = append(active, rule)
		}
	}
	return active, nil
}
