package pipeline

import (
	"bytes"
	"errors"
	"io/fs"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/check"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/repository"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/reuse"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/variable"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// maxIncludes is GitLab's limit of included files, nested ones and repetitions counted.
const maxIncludes = 150

var includePath = check.NewPath("include")

// An includedFile is one file that was taken in.
type includedFile struct {
	name       string // empty if it could not be read
	repository *repository.Repository
	local      string // the path in the repository, of local files
}

// include merges the files that a configuration includes under it. It returns nil if there are errors.
func (c *compiler) include(tree *node, f *file) *node {
	list := includeList(tree.Get("include"))
	if len(list) == 0 {
		return tree
	}
	before := len(c.Problems)
	merged := yamltree.NewMapping(nil, tree.Position)
	files := c.includedFiles(yamltree.NewSequence(list, tree.Position), f, false)
	if len(files) == 0 && len(c.Problems) == before {
		return tree // as it is, so a file that only includes what its rules leave out is not empty
	}
	for _, included := range files {
		if included.file == nil {
			c.Problems = append(c.Problems, included.problems...)
			continue
		}
		content := c.load(included.file, included.inputs)
		if content == nil {
			continue
		}
		content = c.include(content, included.file)
		if content == nil {
			continue
		}
		if len(content.Pairs) == 0 && !c.result.incomplete {
			c.Fail(includePath, included.entry, "", "%s has no content", included.name)
		}
		merged = yamltree.Merge(merged, content)
		if merged.Size() > reuse.MaxSize {
			c.Problems = append(c.Problems, reuse.TooBig("include", included.entry))
			break
		}
	}
	if len(c.Problems) > before {
		return nil
	}
	return yamltree.Without(yamltree.Merge(merged, tree), "include")
}

// includeList returns the entries of an include, which may be a single one.
func includeList(n *node) []*node {
	if n.IsNull() {
		return nil
	}
	entries := []*node{n}
	if n.Kind == yamltree.Sequence {
		entries = n.Items
	}
	return slices.DeleteFunc(slices.Clone(entries), (*node).IsNull)
}

// An inclusion is a file, the entry that includes it and the inputs that it gives.
type inclusion struct {
	*file
	entry  *node
	inputs *node
	// problems are why the file is unavailable, which are reported in its turn; file is nil then.
	problems []check.Problem
}

// includedFiles finds the files of the entries of an include; those of a header may not be components or templates.
func (c *compiler) includedFiles(entries *node, f *file, header bool) []inclusion {
	var files []inclusion
	for _, entry := range includeList(entries) {
		for _, location := range c.locations(entry, f, header) {
			if len(c.result.includes) >= maxIncludes {
				if !c.tooMany {
					c.tooMany = true
					c.Fail(includePath, entry, "look for files that include each other", "more than %d included files", maxIncludes)
				}
				return files
			}
			included := includedFile{}
			before := len(c.Problems)
			opened := c.open(location, f, &included)
			if opened != nil {
				included.name = opened.name
			}
			c.result.includes = append(c.result.includes, included)
			if opened != nil && len(bytes.TrimSpace(opened.content)) == 0 {
				c.Fail(includePath, entry, "", "the included file %s is empty", opened.name)
				opened = nil
			}
			if opened == nil {
				files = append(files, inclusion{problems: slices.Clone(c.Problems[before:])})
				c.Problems = c.Problems[:before]
				continue
			}
			inputs := location.Get("inputs")
			if inputs == nil {
				inputs = yamltree.NewMapping(nil, entry.Position)
			}
			files = append(files, inclusion{file: opened, entry: entry, inputs: inputs})
		}
	}
	return files
}

// locations returns what an entry of an include stands for: nothing if its rules exclude it, several files for a wildcard or a
// list, with variables expanded.
func (c *compiler) locations(entry *node, f *file, header bool) []*node {
	location := entry
	switch entry.Kind {
	case yamltree.String:
		text := yamltree.NewString(variable.Expand(entry.Text, c.scope.value), entry.Position)
		key := "local"
		if isURL(text.Text) {
			key = "remote"
		}
		location = yamltree.NewMapping([]yamltree.Pair{{Key: yamltree.NewString(key, entry.Position), Value: text}}, entry.Position)
	case yamltree.Mapping:
	default:
		c.Fail(includePath, entry, "write a path, or a hash with local, project, remote, template or component",
			"an entry should be a string or a hash, not %s", yamltree.Describe(entry))
		return nil
	}
	if !c.includeRules(location, f) {
		return nil
	}
	var expanded []*node
	for _, l := range c.expandLocation(location, f) {
		l = c.expandLocationVariables(l)
		if c.oneKind(l, header) {
			expanded = append(expanded, l)
		}
	}
	return expanded
}

func isURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Host != "" && slices.Contains([]string{"http", "https", "ssh", "git"}, u.Scheme)
}

// expandLocation makes one location of each file of a project and of each path that a wildcard matches. This happens
// before variables are expanded, so a wildcard together with a variable matches nothing.
func (c *compiler) expandLocation(location *node, f *file) []*node {
	if project := location.Get("project"); !project.IsNull() {
		var out []*node // none without a file, which is an error only if nothing else is included
		for _, name := range includeList(location.Get("file")) {
			out = append(out, yamltree.With(location, "file", name))
		}
		return out
	}
	local := location.Get("local")
	if !local.Is(yamltree.String) || !strings.Contains(local.Text, "*") || f.repository == nil {
		return []*node{location}
	}
	paths, err := f.repository.Paths()
	if err != nil {
		c.Fail(includePath, local, "", "the files of the repository cannot be listed: %v", err)
		return nil
	}
	matches := wildcard(local.Text)
	var out []*node
	for _, p := range paths {
		if !matches.MatchString(p) || slices.ContainsFunc(c.result.includes, func(i includedFile) bool {
			return i.local == p && i.repository == f.repository
		}) {
			continue
		}
		out = append(out, yamltree.With(location, "local", yamltree.NewString(p, local.Position)))
		if len(out) > maxIncludes {
			break
		}
	}
	return out
}

// wildcard compiles the pattern of `include:local`, where ** goes through folders and * does not; **/ also matches no
// folder. Paths have no leading slash, so a pattern with one matches nothing.
func wildcard(pattern string) *regexp.Regexp {
	quoted := regexp.QuoteMeta(pattern)
	quoted = strings.ReplaceAll(quoted, `\*\*/`, `(?:.*?/)?`)
	quoted = strings.ReplaceAll(quoted, `\*\*`, `.*?`)
	quoted = strings.ReplaceAll(quoted, `\*`, `[^/]*?`)
	return regexp.MustCompile("^" + quoted + "$")
}

func (c *compiler) expandLocationVariables(location *node) *node {
	expand := func(n *node) *node {
		if !n.Is(yamltree.String) {
			return n
		}
		return yamltree.NewString(variable.Expand(n.Text, c.scope.value), n.Position)
	}
	pairs := make([]yamltree.Pair, len(location.Pairs))
	for i, p := range location.Pairs {
		v := expand(p.Value)
		if v.Is(yamltree.Sequence) && p.Key.Text != "rules" {
			items := make([]*node, len(v.Items))
			for j, item := range v.Items {
				items[j] = expand(item)
			}
			v = yamltree.NewSequence(items, v.Position)
		}
		pairs[i] = yamltree.Pair{Key: p.Key, Value: v}
	}
	return yamltree.NewMapping(pairs, location.Position)
}

// oneKind reports whether a location is of exactly one kind, and an error if not.
func (c *compiler) oneKind(location *node, header bool) bool {
	kinds := []string{"local", "file", "remote", "template", "artifact", "component"}
	if header {
		kinds = kinds[:3]
	}
	var present []string
	for _, kind := range kinds {
		if location.Get(kind).IsBlank() || kind == "file" && location.Get("project").IsBlank() {
			continue
		}
		if kind == "file" {
			kind = "project"
		}
		present = append(present, kind)
	}
	switch {
	case len(present) == 1:
		return true
	case len(present) > 1:
		c.Fail(includePath, location, "make an entry of each", "%s cannot be used in one entry", strings.Join(present, " and "))
	case !location.Get("project").IsBlank():
		c.Fail(includePath, location, "add file", "the project's file is missing")
	default:
		c.Fail(includePath, location, "", "an entry needs one of local, project, remote, template and component")
	}
	return false
}

// open reads the file of a location.
func (c *compiler) open(location *node, f *file, included *includedFile) *file {
	switch {
	case !location.Get("local").IsBlank():
		return c.openLocal(location.Get("local"), f, included)
	case !location.Get("project").IsBlank():
		return c.openProject(location)
	case !location.Get("remote").IsBlank():
		return c.openRemote(location)
	case !location.Get("template").IsBlank():
		return c.openTemplate(location.Get("template"))
	case !location.Get("component").IsBlank():
		return c.openComponent(location.Get("component"))
	case c.artifacts != nil:
		return c.openArtifact(location)
	}
	c.Fail(includePath, location, "use it in trigger:include", "an artifact can be included by a child pipeline only")
	return nil
}

// openArtifact reads what a job has made for a child pipeline. Files that it includes are those of the project.
func (c *compiler) openArtifact(location *node) *file {
	artifact, job := location.Get("artifact").RubyText(), location.Get("job").RubyText()
	content, err := c.artifacts(job, artifact)
	if err != nil {
		c.Fail(includePath, location, "", "%v", err)
		return nil
	}
	return &file{name: job + ":" + artifact, content: content, repository: c.project.own}
}

// yamlPath returns the path of a location, without the leading slashes that mean the repository's root.
func (c *compiler) yamlPath(n *node) (string, bool) {
	if !n.Is(yamltree.String) {
		c.Fail(includePath, n, "put it in quotes", "a path should be a string, not %s", yamltree.Describe(n))
		return "", false
	}
	name := strings.TrimLeft(n.Text, "/")
	if ext := strings.ToLower(path.Ext(name)); ext != ".yml" && ext != ".yaml" || len(path.Base(name)) == len(ext) {
		c.Fail(includePath, n, "", "the name of an included file ends in .yml or .yaml, %q does not", yamltree.Shorten(n.Text))
		return "", false
	}
	return name, true
}

func (c *compiler) openLocal(n *node, f *file, included *includedFile) *file {
	name, ok := c.yamlPath(n)
	if !ok {
		return nil
	}
	r := f.repository
	if r == nil {
		c.Fail(includePath, n, "", "%s belongs to no project, so it cannot include the local file %s", f.name, name)
		return nil
	}
	included.repository, included.local = r, name
	content, err := r.Read(name)
	if err != nil {
		c.unreadable(n, r.Label+name, err)
		return nil
	}
	return &file{name: r.Label + name, content: content, repository: r, component: f.component}
}

func (c *compiler) unreadable(n *node, name string, err error) {
	if errors.Is(err, fs.ErrNotExist) {
		c.Fail(includePath, n, "paths begin at the root of the repository", "there is no file %s", name)
		return
	}
	c.Fail(includePath, n, "", "%s is unavailable: %v", name, err)
}

func (c *compiler) openProject(location *node) *file {
	n := location.Get("file")
	name, ok := c.yamlPath(n)
	if !ok {
		return nil
	}
	projectNode := location.Get("project")
	if projectNode.Kind == yamltree.Sequence && len(projectNode.Items) > 0 {
		projectNode = projectNode.Items[0]
	}
	ref := location.Get("ref")
	if ref.Is(yamltree.String) && ref.Text == "" {
		c.Fail(includePath, ref, "set its variable, or remove ref to use the default branch", "ref is empty")
		return nil
	}
	r := c.repository(projectNode, projectNode.RubyText(), ref.RubyText())
	if r == nil {
		return nil
	}
	content, err := r.Read(name)
	if err != nil {
		c.unreadable(n, r.Label+name, err)
		return nil
	}
	return &file{name: r.Label + name, content: content, repository: r}
}

// repository finds another project at a ref, or this one if it is meant.
func (c *compiler) repository(n *node, project, ref string) *repository.Repository {
	r, err := c.project.repository(c.ctx, project, ref, c.event)
	c.scope.facts.ask(sameRepository(project, ref, r))
	if err == nil {
		return r
	}
	name := "the project " + project
	if ref != "" {
		name += " at " + ref
	}
	c.missingInclude(ProjectUnavailable, n, name, err)
	return nil
}

func (c *compiler) openTemplate(n *node) *file {
	name := n.RubyText()
	content, err := c.template(name)
	if err != nil {
		c.missingInclude(TemplateUnavailable, n, "the template "+name, err)
		return nil
	}
	return &file{name: "template:" + name, content: content}
}

func (c *compiler) template(name string) ([]byte, error) {
	if c.project.options.Resolver == nil {
		return nil, errNoResolver
	}
	return c.project.options.Resolver.Template(c.ctx, name)
}
