package pipeline

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"sync"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/check"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/interpolation"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/parsed"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/repository"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/reuse"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// A compiler makes the configuration of one event: it reads and interpolates the files, includes others, merges them,
// and resolves `extends` and `!reference`.
type compiler struct {
	checker
	ctx     context.Context
	project *Project
	event   Event
	base    *variableSet // predefined variables of the pipeline
	scope   *scope       // what includes can see: no YAML variables
	// result is what is known of the configuration so far.
	result configuration
	// tooMany reports that there are more includes than GitLab allows.
	tooMany bool
	// unavailable are the includes that were reported as unavailable: one error for one cause.
	unavailable map[string]bool
	// artifacts are there for child pipelines that jobs make; nil otherwise.
	artifacts ArtifactReader
}

func (p *Project) compiler(ctx context.Context, event Event) *compiler {
	base := predefined(p.options, event)
	settings := newVariableSet(visibleVariables(p.options.Variables, "", event.RefProtected), event.Variables)
	c := &compiler{
		checker: newChecker(&p.cache.parsed),
		ctx:     ctx,
		project: p,
		event:   event,
		base:    base,
		scope:   newScope(base, settings),
	}
	c.scope.facts = &facts{}
	return c
}

// A configuration is what the files of a project are merged into for an event, or for all events with the same facts.
type configuration struct {
	tree     *node
	includes []includedFile
	// decisions are those of the rules of includes.
	decisions []Include
	// incomplete reports that an include was skipped, noJobs that there is no visible job for that reason alone;
	// unorderedStages are the stages whose place among the others is unknown for that reason.
	incomplete, noJobs bool
	unorderedStages    []string
	// specification validates the configuration once.
	specification func() (*specification, Errors)
}

// configuration returns the merged configuration, nil if there are errors.
func (c *compiler) configuration() *configuration {
	c.project.ReadAhead()
	if kept, ok := c.project.cache.configurations.find(c); ok {
		return kept
	}
	var kept *configuration
	f := c.record(func() {
		inputs := maps.Clone(c.event.Inputs)
		c.scope.facts.ask(func(o *compiler) bool {
			return len(inputs)+len(o.event.Inputs) == 0 || reflect.DeepEqual(o.event.Inputs, inputs)
		})
		own, name := c.project.own, c.project.options.ConfigPath
		content, err := own.Read(name)
		if err != nil {
			c.Fail(check.NewPath("include"), &node{Position: yamltree.Position{File: name}}, "", "cannot be read: %v", err)
			return
		}
		kept = c.merged(c.compile(&file{name: name, content: content, repository: own}, c.event.Inputs))
	})
	if kept != nil {
		c.project.cache.configurations.put(kept, f)
	}
	return kept
}

// errors returns the problems that were found.
func (c *compiler) errors() Errors { return errorsOf(c.Problems, c.project.options.Hints) }

// merged returns the configuration whose tree was merged; nil if there is none.
func (c *compiler) merged(tree *node) *configuration {
	if tree == nil {
		return nil
	}
	config := c.result
	config.tree = tree
	config.specification = sync.OnceValues(func() (*specification, Errors) {
		checker := newChecker(c.Parsed)
		s := checker.specification(&config)
		return s, errorsOf(checker.Problems, nil)
	})
	return &config
}

// maxPipelineInputs is the number of inputs that a pipeline can be given.
const maxPipelineInputs = 20

// compile makes the configuration of a file, with the values of its inputs.
func (c *compiler) compile(f *file, inputs map[string]any) *node {
	if len(inputs) > maxPipelineInputs {
		c.Fail(check.NewPath("inputs"), nil, "", "%d inputs are given, GitLab takes at most %d", len(inputs), maxPipelineInputs)
		return nil
	}
	given, err := yamltree.FromAny(inputs, yamltree.Position{})
	if err != nil {
		c.Fail(check.NewPath("inputs"), nil, "", "%v", err)
		return nil
	}
	tree := c.load(f, given)
	if tree == nil {
		return nil
	}
	return c.merge(tree, f)
}

// merge includes, extends and resolves references in the tree of a file. It returns nil if there are errors.
func (c *compiler) merge(tree *node, f *file) *node {
	for _, resolve := range []func(*node) *node{
		func(n *node) *node { return c.include(n, f) },
		c.ifIncomplete(c.pruneExtends),
		c.reporting(reuse.Extend),
		c.ifIncomplete(c.pruneReferences),
		c.reporting(reuse.References),
		c.ifIncomplete(c.pruneJobs),
		c.ifIncomplete(c.addStages),
		c.ifIncomplete(c.acceptNoJobs),
	} {
		if tree = resolve(tree); tree == nil {
			return nil
		}
	}
	return injectPreAndPost(tree)
}

// reporting wraps a step, and reports its problems; the result is nil if there are any.
func (c *compiler) reporting(step func(*node) (*node, []check.Problem)) func(*node) *node {
	return func(tree *node) *node {
		out, problems := step(tree)
		c.Problems = append(c.Problems, problems...)
		if len(problems) > 0 {
			return nil
		}
		return out
	}
}

// A file is the text of a configuration, and where it comes from.
type file struct {
	// name is the path as people know it: "ci/lint.yml", "group/project@v1:lint.yml".
	name    string
	content []byte
	// repository is where `include:local` looks; nil for remote files and templates.
	repository *repository.Repository
	// component is what $[[ component.* ]] can ask for; nil outside of components.
	component *node
}

// load returns the tree of a file with its inputs interpolated, nil if there are errors.
func (c *compiler) load(f *file, given *node) *node {
	key := loadedKey{file: parsed.KeyOf(f.name, f.content)}
	if !given.IsBlank() {
		key.given = given
	}
	// A component has a node of its own for each include, and inputs that no file holds one for each event: nobody would find
	// the tree again.
	if f.component != nil || key.given != nil && key.given.Position.File == "" {
		return c.interpolated(f, given)
	}
	kept := c.project.cache.loaded.Get(key, func() *variants[*node] { return new(variants[*node]) })
	if tree, ok := kept.find(c); ok {
		return tree
	}
	var tree *node
	before, included := len(c.Problems), len(c.result.includes)
	depends := c.record(func() { tree = c.interpolated(f, given) })
	// Files of `spec:include` count as included each time.
	if len(c.Problems) == before && len(c.result.includes) == included {
		kept.put(tree, depends)
	}
	return tree
}

// interpolated parses a file and interpolates its inputs. It returns nil if there are errors.
func (c *compiler) interpolated(f *file, given *node) *node {
	documents, err := c.Parsed.Documents(f.name, f.content)
	if err != nil {
		c.syntaxError(f, err)
		return nil
	}
	header, content := splitHeader(documents)
	if header == nil {
		if given.Is(yamltree.Mapping) && len(given.Pairs) == 0 || given.IsNull() {
			return content
		}
		if !given.Is(yamltree.Mapping) {
			c.Fail(check.NewPath("inputs"), given, "", "inputs should be a hash, not %s", yamltree.Describe(given))
			return nil
		}
		c.Fail(check.NewPath("inputs"), given, "declare them in a spec header that ends with ---",
			"%s takes no inputs", f.name)
		return nil
	}
	values := c.inputs(f, header, given)
	if values == nil {
		return nil
	}
	tree, wrong := interpolation.Apply(content, interpolation.Context{Values: values, Variable: c.expandable})
	for _, e := range wrong {
		c.Problems = append(c.Problems, check.Problem{Position: e.Position, Path: "interpolation", Message: check.Cut(e.Message)})
	}
	return tree
}

// splitHeader separates the header from the configuration: a file has a header if it has two documents and the first has
// the key spec. Of several documents without it, GitLab reads the first.
func splitHeader(documents []*node) (header, content *node) {
	switch {
	case len(documents) == 0:
		return nil, yamltree.NewMapping(nil, yamltree.Position{})
	case len(documents) > 1 && documents[0].Has("spec"):
		return documents[0], documents[len(documents)-1]
	}
	return nil, documents[0]
}

// expandable returns a variable to expand_vars.
func (c *compiler) expandable(name string) (value string, masked, ok bool) {
	v, ok := c.scope.lookup(name)
	return v.Value, v.Masked, ok
}

// syntaxError reports why a file is not YAML.
func (c *compiler) syntaxError(f *file, err error) {
	e := check.Problem{Position: yamltree.Position{File: f.name}, Path: "yaml", Message: err.Error()}
	var syntax *yamltree.SyntaxError
	if errors.As(err, &syntax) {
		explained := yamltree.Explain(*syntax, f.content)
		e.Position, e.Message, e.Hint = explained.Position, explained.Message, explained.Hint
	}
	c.Problems = append(c.Problems, e)
}
