package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/expression"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/glob"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/repository"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/variable"
)

// maxComparisons is the number of patterns times paths from which GitLab takes `changes` and `exists` for true.
const maxComparisons = 50_000

// An evaluator decides rules for an event.
type evaluator struct {
	ctx        context.Context
	project    *Project
	event      Event
	repository *repository.Repository // where `exists` looks
	mask       mask
	facts      *facts // of the event that decisions depend on, if they are recorded
}

func (c *compiler) evaluator(r *repository.Repository) evaluator {
	return evaluator{
		ctx: c.ctx, project: c.project, event: c.event, repository: r,
		mask: newMask(c.project.options.Variables, c.event.Variables),
	}
}

// match returns the index of the first rule that holds, -1 if none does, and the record of each rule.
func (e *evaluator) match(keyword string, rules []rule, s *scope) (int, []Check, error) {
	matched, failed := -1, error(nil)
	checks := make([]Check, len(rules))
	for i := range rules {
		checks[i] = Check{Keyword: keyword, Index: i, Rule: rules[i].written, Text: rules[i].summary, Position: at(rules[i].node), Result: NotEvaluated}
		if matched >= 0 || failed != nil {
			continue
		}
		v := &view{scope: s, mask: e.mask}
		holds, err := e.holds(&rules[i], v)
		switch {
		case err != nil:
			failed = err
			checks[i].Result = Failed
		case holds:
			matched = i
			checks[i].Result = Matched
		default:
			checks[i].Result = NotMatched
		}
		checks[i].Variables = v.seen
	}
	return matched, checks, failed
}

// holds reports whether all conditions of a rule hold.
func (e *evaluator) holds(r *rule, s *view) (bool, error) {
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

// modified returns the paths that the event changes; known is false where GitLab has no diff.
func (e *evaluator) modified() (paths []string, known bool) {
	paths, known = e.event.modified()
	e.facts.ask(func(o *compiler) bool {
		others, othersKnown := o.event.modified()
		return othersKnown == known && slices.Equal(others, paths)
	})
	return paths, known
}

func (e *evaluator) changed(ch *changes, s *view) (bool, error) {
	paths, known := e.modified()
	if ch.hasCompareTo {
		ref := variable.ExpandKnown(ch.compareTo, s.expandedValue)
		compared, ok := e.event.compareTo(ref)
		e.facts.ask(func(o *compiler) bool {
			others, same := o.event.compareTo(ref)
			return same == ok && slices.Equal(others, compared)
		})
		if !ok {
			return false, fmt.Errorf("rules:changes:compare_to: there is no ref %q", e.mask.hide(ref))
		}
		paths, known = compared, true
	}
	if !known {
		return true, nil
	}
	globs := expandAll(ch.paths, s)
	slices.Sort(globs)
	return e.anyMatch(slices.Compact(globs), paths), nil
}

// modified returns the paths that the event changes; known is false where GitLab has no diff.
func (e Event) modified() (paths []string, known bool) {
	isPush := e.root() == Push && e.Tag == "" && !e.NewBranch
	return e.Changed, isPush || e.isMergeRequest()
}

// compareTo returns the paths that differ from a ref; ok is false if there is no such ref.
func (e Event) compareTo(ref string) (paths []string, ok bool) {
	if paths, ok := e.CompareTo[ref]; ok {
		return paths, true
	}
	for _, prefix := range []string{"refs/heads/", "refs/tags/", "origin/"} {
		if short, ok := strings.CutPrefix(ref, prefix); ok {
			if paths, ok := e.CompareTo[short]; ok {
				return paths, true
			}
		}
		if paths, ok := e.CompareTo[prefix+ref]; ok {
			return paths, true
		}
	}
	return e.Changed, e.AnyRef
}

func expandAll(globs []string, s *view) []string {
	out := make([]string, len(globs))
	for i, g := range globs {
		out[i] = variable.ExpandKnown(g, s.expandedValue)
	}
	return out
}

func (e *evaluator) anyMatch(globs, paths []string) bool {
	if len(globs)*len(paths) > maxComparisons {
		return true
	}
	for _, g := range globs {
		pattern := e.project.cache.parsed.Glob(g)
		for _, p := range paths {
			if pattern.Match(p) {
				return true
			}
		}
	}
	return false
}

func (e *evaluator) exists(ex *exists, s *view) (bool, error) {
	r := e.repository
	if ex.project != "" {
		if len(ex.paths) == 0 {
			return false, nil
		}
		var err error
		project, ref := variable.ExpandKnown(ex.project, s.expandedValue), variable.ExpandKnown(ex.ref, s.expandedValue)
		r, err = e.project.repository(e.ctx, project, ref, e.event)
		e.facts.ask(sameRepository(project, ref, r))
		if err != nil {
			message := fmt.Sprintf("the project %s is not available", e.mask.hide(project))
			if skip := e.project.options.SkipMissing; skip != nil && skip(&Error{Path: "rules:exists:project", Code: ProjectUnavailable, Message: message}) {
				return false, nil
			}
			return false, fmt.Errorf("rules:exists:project: %s %s: %w", e.mask.hide(project), e.mask.hide(ref), err)
		}
	}
	if r == nil {
		return false, nil
	}
	globs := expandAll(ex.paths, s)
	var patterns []string
	for _, g := range globs {
		if !glob.Literal(g) {
			patterns = append(patterns, g)
			continue
		}
		folder, isFolder := strings.CutSuffix(g, "/")
		if r.Has(g) || isFolder && r.HasFolder(folder) {
			return true, nil
		}
	}
	if len(patterns) == 0 {
		return false, nil
	}
	paths, err := r.Paths()
	if err != nil {
		return false, errors.Join(errors.New("rules:exists: the files cannot be listed"), err)
	}
	return e.anyExists(patterns, paths, !slices.ContainsFunc(globs, entersFolders)), nil
}

// entersFolders reports whether a glob can match below the root.
func entersFolders(g string) bool { return strings.Contains(g, "/") || strings.Contains(g, "**") }

// anyExists reports whether a path matches. What GitLab compares as the end of a path, "**/*.go", does not count for its limit.
func (e *evaluator) anyExists(patterns, paths []string, rootOnly bool) bool {
	if rootOnly {
		paths = slices.DeleteFunc(slices.Clone(paths), func(p string) bool { return strings.Contains(p, "/") })
	}
	var others []string
	for _, g := range patterns {
		end, ok := strings.CutPrefix(g, "**/*")
		if !ok || !strings.HasPrefix(end, ".") || strings.Contains(end, "/") || !glob.Literal(end) {
			others = append(others, g)
		} else if slices.ContainsFunc(paths, func(p string) bool { return strings.HasSuffix(p, end) }) {
			return true
		}
	}
	return e.anyMatch(others, paths)
}

// includeRules reports whether the rules of an entry of an include let it in.
func (c *compiler) includeRules(entry *node, f *file) bool {
	n := entry.Get("rules")
	if n.IsNull() {
		return true
	}
	before := len(c.Problems)
	rules := c.rules(includePath, n, includeRules)
	for i := range c.Problems[before:] {
		c.Problems[before+i].Path = includePath.String()
	}
	if len(c.Problems) > before {
		return false
	}
	e := c.evaluator(f.repository)
	e.facts = c.scope.facts
	e.facts.ask(func(o *compiler) bool { return slices.Equal(o.event.Variables, e.event.Variables) }) // they decide what is masked
	i, checks, err := e.match("include:rules", rules, c.scope)
	if err != nil {
		c.Fail(includePath, n, "", "%v", err)
		return false
	}
	d := Decision{Rule: i, Text: fmt.Sprintf("none of %d include:rules matched", len(rules)), Position: at(entry), Checks: checks}
	included := i >= 0 && rules[i].when != Never
	if i >= 0 {
		d.Text, d.Position = fmt.Sprintf("include:rules[%d] matched: %s", i, rules[i].summary), at(rules[i].node)
	}
	c.result.decisions = append(c.result.decisions, Include{Name: includeName(entry), Position: at(entry), Included: included, Decision: d})
	return included
}

// includeName is what an entry of an include names, as written.
func includeName(entry *node) string {
	for _, key := range []string{"local", "project", "remote", "template", "component", "artifact"} {
		v := entry.Get(key)
		if v.IsNull() {
			continue
		}
		name := inline(v)
		if file := entry.Get("file"); key == "project" && !file.IsNull() {
			name += ": " + inline(file)
		}
		return name
	}
	return inline(entry)
}
