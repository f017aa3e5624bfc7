package lint

import (
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"go.yaml.in/yaml/v4"

	"gitlab.com/slipway-ci/slipway/internal/lazyregexp"
	"gitlab.com/slipway-ci/slipway/pipeline"
)

// A source is a file of the project as it is written, which the merged configuration no longer shows.
type source struct {
	path string
	text string
	// header is the document with `spec`, nil if there is none; body is the configuration, nil if the file is empty.
	header, body *yaml.Node
	suppressions []suppression
	// jobs are those of the body, hidden ones too.
	jobs []sourceJob
}

// loadSources reads the configuration, the templates for the Catalog, and what they include from the project. Files that are not
// valid YAML are skipped: the compiler reports them.
func loadSources(files fs.FS, project *pipeline.Project, configPath string) []*source {
	queue := []string{configPath}
	for _, pattern := range []string{"templates/*.yml", "templates/*/template.yml"} {
		if found, err := doublestar.Glob(files, pattern); err == nil {
			queue = append(queue, found...)
		}
	}
	return addSources(nil, files, project, queue)
}

// addSources reads files and what they include, except those that were read before.
func addSources(sources []*source, files fs.FS, project *pipeline.Project, queue []string) []*source {
	for i := 0; i < len(queue); i++ {
		if slices.ContainsFunc(sources, func(s *source) bool { return s.path == queue[i] }) {
			continue
		}
		text, documents, err := project.Source(queue[i])
		if err != nil {
			continue
		}
		s := newSource(queue[i], text, documents)
		sources = append(sources, s)
		queue = append(queue, s.localIncludes(files)...)
	}
	return sources
}

// includesVariables reports whether a file of the project is included by a name with variables, which only events know.
func includesVariables(sources []*source) bool {
	return slices.ContainsFunc(sources, func(s *source) bool {
		return slices.ContainsFunc(s.localNames(), func(name string) bool { return strings.Contains(name, "$") })
	})
}

func newSource(name string, text []byte, documents []*yaml.Node) *source {
	s := &source{path: name, text: string(text)}
	if strings.Contains(s.text, suppressionMark) {
		s.suppressions = suppressions(s.lines())
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

// localIncludes returns the files of the project that this one includes, or starts as child pipelines, as far as their names
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

// localNames returns the names of files of the project that are included, as they are written.
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

// includes returns the items of `include`, in whichever form it is written.
func (s *source) includes() []*yaml.Node {
	return items(value(s.body, "include"))
}

// isTemplate reports whether the file is made to be included with inputs.
func (s *source) isTemplate() bool { return s.header != nil }

// at returns the position of a node of this file.
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

// The top-level keys that are not jobs: GitLab's global keywords, the header, and what GitLab had before stages.
var (
	globalKeywords, deprecatedGlobalKeywords = pipeline.GlobalKeywords()
	globals                                  = slices.Concat(globalKeywords, deprecatedGlobalKeywords, []string{"spec", "types"})
)

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

// jobs returns those of all files.
func (p *pass) jobs() []sourceJob {
	var jobs []sourceJob
	for _, s := range p.sources {
		jobs = append(jobs, s.jobs...)
	}
	return jobs
}

// entryAt returns the top-level key whose block has a line; empty if there is none.
func (s *source) entryAt(line int) string {
	name := ""
	for i := 0; s.body != nil && i+1 < len(s.body.Content) && s.body.Content[i].Line <= line; i += 2 {
		name = s.body.Content[i].Value
	}
	return name
}

// entry returns a key of a mapping and its value, also of a mapping that is merged in by `<<`; nil if it does not exist.
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

// items returns the elements of a list, or the value itself.
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

// resolve follows an alias. The parser refuses an alias inside its own anchor, so this ends.
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

// ruleList returns the rules of a list, in which lists may be nested.
func ruleList(rules *yaml.Node) []*yaml.Node {
	var list []*yaml.Node
	if rules != nil {
		flatten(rules, maxNesting, func(n *yaml.Node) { list = append(list, n) })
	}
	return list
}

// scalars visits every scalar below a node once, keys included.
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

// valueAt returns the value of the key that is written at a position; nil if there is none.
func valueAt(node *yaml.Node, at pipeline.Position) *yaml.Node {
	if node == nil {
		return nil
	}
	for i, child := range node.Content {
		if node.Kind == yaml.MappingNode && i%2 == 0 && child.Line == at.Line && child.Column == at.Column {
			return resolve(node.Content[i+1])
		}
		if found := valueAt(child, at); found != nil {
			return found
		}
	}
	return nil
}

// A suppression keeps rules from reporting the lines from..to of a file.
type suppression struct {
	rules    []string
	from, to int
}

const suppressionMark = "slipway:disable"

var suppressionComment = lazyregexp.New(`#\s*slipway:disable(-file)?=([a-z0-9,-]+)`)

// suppressions returns those of the comments `# slipway:disable=ID,ID`, which hold for the block that begins on their line, or on
// the next line if nothing else is on theirs, and `# slipway:disable-file=ID`.
func suppressions(lines []string) []suppression {
	var found []suppression
	for i, line := range lines {
		if !strings.Contains(line, suppressionMark) {
			continue
		}
		m := suppressionComment().FindStringSubmatchIndex(line)
		if m == nil {
			continue
		}
		d := suppression{rules: strings.Split(line[m[4]:m[5]], ","), from: i + 1, to: len(lines)}
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

func (s *source) suppresses(rule string, line int) bool {
	return slices.ContainsFunc(s.suppressions, func(d suppression) bool {
		return d.from <= line && line <= d.to && slices.Contains(d.rules, rule)
	})
}
