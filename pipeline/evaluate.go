package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/expression"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/glob"
)

// maxComparisons is the number of patterns times paths from which GitLab takes `changes` and `exists` for true.
const maxComparisons = 50_000

// An evaluator decides rules for an event.
type evaluator struct {
	ctx        context.Context
	project    *Project
	event      Event
	repository *repository // where `exists` looks
}

// match gives the index of the first rule that holds, -1 if none does.
func (e *evaluator) match(rules []rule, s *scope) (int, error) {
	for i := range rules {
		holds, err := e.holds(&rules[i], s)
		if err != nil {
			return -1, err
		}
		if holds {
			return i, nil
		}
	}
	return -1, nil
}

// holds says whether all that a rule asks for is so.
func (e *evaluator) holds(r *rule, s *scope) (bool, error) {
	if r.condition != nil && !r.condition.True(expression.Scope{Variable: s.value}) {
		return false, nil
	}
	if r.changes != nil {
		changed, err := e.changed(r.changes, s)
		if err != nil || !changed {
			return false, err
		}
	}
	if r.exists != nil {
		return e.exists(r.exists, s)
	}
	return true, nil
}

// modified gives the paths that the event changes; known is false where GitLab has no diff.
func (e *evaluator) modified() (paths []string, known bool) {
	isPush := e.event.root() == Push && e.event.Tag == "" && !e.event.NewBranch
	return e.event.Changed, isPush || e.event.isMergeRequest()
}

func (e *evaluator) changed(ch *changes, s *scope) (bool, error) {
	paths, known := e.modified()
	if ch.hasCompareTo {
		ref := expandExisting(ch.compareTo, s.expandedValue)
		compared, ok := e.compareTo(ref)
		if !ok {
			return false, fmt.Errorf("rules:changes:compare_to: there is no ref %q", ref)
		}
		paths, known = compared, true
	}
	if !known {
		return true, nil
	}
	return e.anyMatch(expandAll(ch.paths, s), paths), nil
}

func (e *evaluator) compareTo(ref string) ([]string, bool) {
	if paths, ok := e.event.CompareTo[ref]; ok {
		return paths, true
	}
	for _, prefix := range []string{"refs/heads/", "refs/tags/", "origin/"} {
		if short, ok := strings.CutPrefix(ref, prefix); ok {
			if paths, ok := e.event.CompareTo[short]; ok {
				return paths, true
			}
		}
		if paths, ok := e.event.CompareTo[prefix+ref]; ok {
			return paths, true
		}
	}
	return e.event.Changed, e.event.AnyRef
}

func expandAll(globs []string, s *scope) []string {
	out := make([]string, len(globs))
	for i, g := range globs {
		out[i] = expandExisting(g, s.expandedValue)
	}
	return out
}

func (e *evaluator) anyMatch(globs, paths []string) bool {
	if len(globs)*len(paths) > maxComparisons {
		return true
	}
	for _, g := range globs {
		pattern := e.project.cache.glob(g)
		for _, p := range paths {
			if pattern.Match(p) {
				return true
			}
		}
	}
	return false
}

func (e *evaluator) exists(ex *exists, s *scope) (bool, error) {
	r := e.repository
	if ex.project != "" {
		if len(ex.paths) == 0 {
			return false, nil
		}
		var err error
		project, ref := expandExisting(ex.project, s.expandedValue), expandExisting(ex.ref, s.expandedValue)
		if r, err = e.project.repository(e.ctx, project, ref, e.event); err != nil {
			return false, fmt.Errorf("rules:exists:project: %s %s: %w", project, ref, err)
		}
	}
	if r == nil {
		return false, nil
	}
	var patterns []string
	for _, g := range expandAll(ex.paths, s) {
		if !glob.Literal(g) {
			patterns = append(patterns, g)
			continue
		}
		folder, isFolder := strings.CutSuffix(g, "/")
		if r.has(g) || isFolder && r.hasFolder(folder) {
			return true, nil
		}
	}
	if len(patterns) == 0 {
		return false, nil
	}
	paths, err := r.paths()
	if err != nil {
		return false, errors.Join(errors.New("rules:exists: the files cannot be listed"), err)
	}
	return e.anyMatch(patterns, paths), nil
}

// includeRules says whether the rules of an include let it in.
func (c *compiler) includeRules(n *node, f *file) bool {
	if n.IsNull() {
		return true
	}
	before := len(c.errors)
	rules := c.rules(includePath, n, includeRules)
	for _, err := range c.errors[before:] {
		err.Path = includePath.String()
	}
	if len(c.errors) > before {
		return false
	}
	e := &evaluator{ctx: c.ctx, project: c.project, event: c.event, repository: f.repository}
	for _, r := range rules {
		c.eventful = c.eventful || r.changes != nil
	}
	i, err := e.match(rules, c.scope)
	if err != nil {
		c.fail(includePath, n, "", "%v", err)
		return false
	}
	return i >= 0 && rules[i].when != Never
}
