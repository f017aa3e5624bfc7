package lint

import (
	"context"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"go.yaml.in/yaml/v4"

	"gitlab.com/slipway-ci/slipway/internal/lazyregexp"
	"gitlab.com/slipway-ci/slipway/pipeline"
)

// A source is a file of the project as it was written: what the merged configuration no longer shows.
type source struct {
	path string
	text string
	// header is the document with `spec`, nil if there is none; body is the configuration, nil if the file is empty.
	header, body *yaml.Node
	switches     []disabling
	// jobs are those of the body, hidden ones too.
	jobs []sourceJob
}

// loadSources reads the configuration, the templates for the Catalog, and what they include from the project. Files that
// are no YAML are left out: compiling tells what is wrong with them.
func loadSources(files fs.FS, project *pipeline.Project, configPath string) []*source {
	queue := []string{configPath}
	for _, pattern := range []string{"templates/*.yml", "templates/*/template.yml"} {
		if found, err := doublestar.Glob(files, pattern); err == nil {
			queue = append(queue, found...)
		}
	}
	return addSources(nil, files, project, queue)
}

// addSources reads files and what they include, those that are there already excepted.
func addSources(sources []*source, files fs.FS, project *pipeline.Project, queue []string) []*source {
	for i := 0; i < len(queue); i++ {
		if slices.ContainsFunc(sources, func(s *source) bool { return s.path == queue[i] }) {
			continue
		}
		text, documents, err := project.Written(queue[i])
		if err != nil {
			continue
		}
		s := newSource(queue[i], text, documents)
		sources = append(sources, s)
		queue = append(queue, s.localIncludes(files)...)
	}
	return sources
}

// compiledSources are the files of the project that events include by a name with variables.
func compiledSources(ctx context.Context, sources []*source, project *pipeline.Project, events []pipeline.Event) []string {
	if !slices.ContainsFunc(sources, func(s *source) bool {
		return slices.ContainsFunc(s.localNames(), func(name string) bool { return strings.Contains(name, "$") })
	}) {
		return nil
	}
	var names []string
	for _, event := range events {
		if config, err := project.Config(ctx, event); err == nil {
			names = append(names, config.Files...)
		}
	}
	return names
}

func newSource(name string, text []byte, documents []*yaml.Node) *source {
	s := &source{path: name, text: string(text)}
	if strings.Contains(s.text, disableMark) {
		s.switches = disablings(s.lines())
	}
	for _, document := range documents {
		if len(document.Content) == 0 || document.Content[0].Kind != yaml.MappingNode {
			continue
		}
		root := document.Content[0]
		if spec := value(root, "spec"); spec != nil && s.header == nil && s.body == nil {
			s.header = root
			continue
		}
		s.body = root
	}
	s.jobs = s.findJobs()
	return s
}

func (s *source) lines() []string { return strings.Split(s.text, "\n") }

// localIncludes are the files of the project that this one includes, or starts as child pipelines, as far as their names
// are known here.
func (s *source) localIncludes(files fs.FS) []string {
	var paths []string
	for _, name := range s.localNames() {
		if strings.Contains(name, "$") {
			continue
		}
		found, err := doublestar.Glob(files, strings.TrimPrefix(path.Clean(name), "/"))
		if err == nil {
			paths = append(paths, found...)
		}
	}
	return paths
}

// localNames are the names of files of the project that are included, as they are written.
func (s *source) localNames() []string {
	included := s.includes()
	for _, job := range s.jobs {
		if child := value(value(job.node, "trigger"), "include"); child != nil {
			included = append(included, items(child)...)
		}
	}
	var names []string
	for _, item := range included {
		if item.Kind == yaml.MappingNode {
			item = value(item, "local")
		}
		if item != nil && item.Kind == yaml.ScalarNode && !strings.Contains(item.Value, "://") {
			names = append(names, item.Value)
		}
	}
	return names
}

// includes are the items of `include`, whichever of its forms was written.
func (s *source) includes() []*yaml.Node {
	return items(value(s.body, "include"))
}

// isTemplate reports whether the file is made to be included with inputs.
func (s *source) isTemplate() bool { return s.header != nil }

// at is the position of a node of this file.
func (s *source) at(node *yaml.Node) pipeline.Position {
	return pipeline.Position{File: s.path, Line: node.Line, Column: node.Column}
}

// A sourceJob is a job as it was written in one file; hidden jobs too.
type sourceJob struct {
	source *source
	name   string
	key    *yaml.Node
	node   *yaml.Node
}

func (j sourceJob) hidden() bool { return strings.HasPrefix(j.name, ".") }

// globals are the top-level keys that are no jobs.
var globals = []string{
	"default", "include", "stages", "variables", "workflow", "spec", "image", "services", "cache", "before_script",
	"after_script", "types",
}

func (s *source) findJobs() []sourceJob {
	var jobs []sourceJob
	if s.body == nil {
		return nil
	}
	for i := 0; i+1 < len(s.body.Content); i += 2 {
		key, node := s.body.Content[i], resolve(s.body.Content[i+1])
		if slices.Contains(globals, key.Value) || node.Kind != yaml.MappingNode {
			continue
		}
		jobs = append(jobs, sourceJob{source: s, name: key.Value, key: key, node: node})
	}
	return jobs
}

// jobs are those of all files.
func (p *pass) jobs() []sourceJob {
	var jobs []sourceJob
	for _, s := range p.sources {
		jobs = append(jobs, s.jobs...)
	}
	return jobs
}

// written finds where a compiled job was written; false if that is in another project's file.
func (p *pass) written(job *pipeline.Job) (sourceJob, bool) {
	s := p.source(job.Source.File)
	if s == nil {
		return sourceJob{}, false
	}
	for _, j := range s.jobs {
		if j.key.Line == job.Source.Line {
			return j, true
		}
	}
	return sourceJob{}, false
}

// place is where a keyword of a compiled job was written, and its key path: in the job, in what it extends, or in
// `default`; else it is the job.
func (p *pass) place(job *pipeline.Job, keys ...string) (pipeline.Position, string) {
	if at, path := p.ownPlace(job, keys...); at.File != "" {
		return at, path
	}
	return job.Source, jobPath(job.BaseName, keys)
}

// ownPlace is like place, but nowhere if the keyword comes from a file of another project.
func (p *pass) ownPlace(job *pipeline.Job, keys ...string) (pipeline.Position, string) {
	if written, ok := p.written(job); ok {
		if key, path := p.owner(written, keys); key != nil {
			return key.at(), path
		}
	}
	return pipeline.Position{}, ""
}

func jobPath(name string, keys []string) string {
	return strings.Join(append([]string{"jobs", name}, keys...), ":")
}

// A placed node knows its file.
type placed struct {
	source *source
	node   *yaml.Node
}

func (n *placed) at() pipeline.Position { return n.source.at(n.node) }

// owner finds the key of a keyword in a job, in what it extends, or in `default`: first one that has the whole path, else
// one that has its beginning. It is nil if there is none.
func (p *pass) owner(job sourceJob, keys []string) (*placed, string) {
	lineage := p.lineage(job)
	for _, whole := range []bool{true, false} {
		for _, j := range lineage {
			if key := lastKey(j.node, keys, whole); key != nil {
				return &placed{j.source, key}, jobPath(j.name, keys)
			}
		}
		for _, s := range p.sources {
			if key := lastKey(value(s.body, "default"), keys, whole); key != nil {
				return &placed{s, key}, "default:" + strings.Join(keys, ":")
			}
			if key := lastKey(s.body, keys, whole); key != nil && slices.Contains(globals, keys[0]) {
				return &placed{s, key}, strings.Join(keys, ":")
			}
		}
	}
	return nil, ""
}

// lastKey is the deepest key of a path that a mapping has; with whole, nil unless it has all.
func lastKey(node *yaml.Node, keys []string, whole bool) *yaml.Node {
	var last *yaml.Node
	for _, name := range keys {
		key, child := entry(node, name)
		if key == nil {
			if whole {
				return nil
			}
			break
		}
		last, node = key, child
	}
	return last
}

// maxExtends bounds a circle of `extends`, which compiling refuses.
const maxExtends = 12

// lineage is a job and what it extends, the nearest first: what stands in one overrides the later ones.
func (p *pass) lineage(job sourceJob) []sourceJob {
	jobs := []sourceJob{job}
	var climb func(j sourceJob, depth int)
	climb = func(j sourceJob, depth int) {
		for _, parent := range slices.Backward(items(value(j.node, "extends"))) {
			for _, found := range p.jobsNamed(parent.Value, j.source) {
				if depth < maxExtends && !slices.Contains(jobs, found) {
					jobs = append(jobs, found)
					climb(found, depth+1)
				}
			}
		}
	}
	climb(job, 0)
	for _, other := range p.jobsNamed(job.name, job.source) {
		if !slices.Contains(jobs, other) {
			jobs = append(jobs, other)
			climb(other, 0)
		}
	}
	return jobs
}

// jobsNamed are the jobs of a name, those of one file first: a child pipeline can have the same names.
func (p *pass) jobsNamed(name string, first *source) []sourceJob {
	jobs := p.named[name]
	if len(jobs) > 1 {
		jobs = slices.Clone(jobs)
		slices.SortStableFunc(jobs, func(a, b sourceJob) int {
			switch {
			case a.source == b.source:
				return 0
			case a.source == first:
				return -1
			case b.source == first:
				return 1
			}
			return 0
		})
	}
	return jobs
}

// entry finds a key of a mapping and its value, also behind a merge key; nil if it is not there.
func entry(node *yaml.Node, name string) (key, val *yaml.Node) {
	return mergedEntry(node, name, maxMergeDepth)
}

// maxMergeDepth bounds chains of merge keys: in a tree of nodes, an anchor can hold itself.
const maxMergeDepth = 10

func mergedEntry(node *yaml.Node, name string, depth int) (key, val *yaml.Node) {
	if node = resolve(node); node == nil || node.Kind != yaml.MappingNode {
		return nil, nil
	}
	var merged []*yaml.Node
	for i := 0; i+1 < len(node.Content); i += 2 {
		switch node.Content[i].Value {
		case name:
			key, val = node.Content[i], resolve(node.Content[i+1])
		case "<<":
			if target := resolve(node.Content[i+1]); target.Kind == yaml.SequenceNode {
				merged = append(merged, target.Content...)
			} else {
				merged = append(merged, target)
			}
		}
	}
	for i := 0; key == nil && depth > 0 && i < len(merged); i++ {
		key, val = mergedEntry(merged[i], name, depth-1)
	}
	return key, val
}

func value(node *yaml.Node, name string) *yaml.Node {
	_, val := entry(node, name)
	return val
}

// items are the elements of a list, or the value itself.
func items(node *yaml.Node) []*yaml.Node {
	switch {
	case node == nil:
		return nil
	case node.Kind == yaml.SequenceNode:
		return resolveAll(node.Content)
	default:
		return []*yaml.Node{node}
	}
}

// resolve follows an alias. An alias inside of its own anchor is refused by the parser, so this ends.
func resolve(node *yaml.Node) *yaml.Node {
	for node != nil && node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	return node
}

func resolveAll(nodes []*yaml.Node) []*yaml.Node {
	out := make([]*yaml.Node, len(nodes))
	for i, node := range nodes {
		out[i] = resolve(node)
	}
	return out
}

// ruleList are the rules of a list, which may have lists in it.
func ruleList(rules *yaml.Node) []*yaml.Node {
	var list []*yaml.Node
	if rules != nil {
		flatten(rules, maxNesting, func(n *yaml.Node) { list = append(list, n) })
	}
	return list
}

// rulesOf are the rules of a job, with those that it refers to by `!reference` in their place.
func (p *pass) rulesOf(job sourceJob) []*yaml.Node {
	var list []*yaml.Node
	for _, rule := range ruleList(value(job.node, "rules")) {
		if rule.Tag != "!reference" || len(rule.Content) == 0 {
			list = append(list, rule)
			continue
		}
		for _, s := range p.sources {
			node := s.body
			for _, key := range rule.Content {
				node = value(node, key.Value)
			}
			list = append(list, ruleList(node)...)
		}
	}
	return list
}

// holds reports whether a rule stands in the job itself.
func (j sourceJob) holds(rule *yaml.Node) bool {
	return slices.Contains(ruleList(value(j.node, "rules")), rule)
}

// scalars visits every text below a node once, keys included.
func scalars(node *yaml.Node, visit func(*yaml.Node)) {
	if node == nil {
		return
	}
	if node.Kind == yaml.ScalarNode {
		visit(node)
	}
	for _, child := range node.Content {
		scalars(child, visit)
	}
}

// A disabling switches rules off for the lines from..to of a file.
type disabling struct {
	rules    []string
	from, to int
}

const disableMark = "slipway:disable"

var disableComment = lazyregexp.New(`#\s*slipway:disable(-file)?=([a-z0-9,-]+)`)

// disablings finds the comments `# slipway:disable=ID,ID`, which hold for the block that begins on their line, or on the
// next line if nothing else is on theirs, and `# slipway:disable-file=ID`.
func disablings(lines []string) []disabling {
	var found []disabling
	for i, line := range lines {
		if !strings.Contains(line, disableMark) {
			continue
		}
		m := disableComment().FindStringSubmatchIndex(line)
		if m == nil {
			continue
		}
		d := disabling{rules: strings.Split(line[m[4]:m[5]], ","), from: i + 1, to: len(lines)}
		if m[2] >= 0 {
			d.from = 1
			found = append(found, d)
			continue
		}
		start := i
		if strings.TrimSpace(line[:m[0]]) == "" {
			for start++; start < len(lines) && isBlank(lines[start]); start++ {
			}
		}
		if start == len(lines) {
			continue
		}
		end := start + 1
		for end < len(lines) && (isBlank(lines[end]) || belongsTo(lines[end], lines[start])) {
			end++
		}
		d.to = end
		found = append(found, d)
	}
	return found
}

// belongsTo reports whether a line is inside of the block that begins with another: deeper, or an item of its list.
func belongsTo(line, start string) bool {
	in, at := indent(line), indent(start)
	return in > at || in == at && isItem(line) && !isItem(start)
}

func isItem(line string) bool { return strings.HasPrefix(strings.TrimLeft(line, " "), "- ") }

func isBlank(line string) bool {
	text := strings.TrimSpace(line)
	return text == "" || strings.HasPrefix(text, "#")
}

func indent(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

func (s *source) disabled(rule string, line int) bool {
	return slices.ContainsFunc(s.switches, func(d disabling) bool {
		return d.from <= line && line <= d.to && slices.Contains(d.rules, rule)
	})
}
