package lint

import (
	"fmt"
	"iter"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// inputs visits the declared inputs of a template.
func (s *source) inputs(visit func(name string, key, definition *yaml.Node)) {
	inputs := value(value(s.header, "spec"), "inputs")
	if inputs == nil || inputs.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(inputs.Content); i += 2 {
		visit(inputs.Content[i].Value, inputs.Content[i], resolve(inputs.Content[i+1]))
	}
}

func checkInputWithoutDefault(p *pass) {
	for _, s := range p.sources {
		s.inputs(func(name string, key, definition *yaml.Node) {
			// Since GitLab 18.7 a default can come from the input's rules.
			if at, _ := entry(definition, "default"); at != nil || value(definition, "rules") != nil {
				return
			}
			p.report(Finding{
				Position: s.at(key), Path: "spec:inputs:" + name,
				Message: fmt.Sprintf("input %q has no default", name),
				Hint:    "add a `default`, so that an include without the input still works",
			})
		})
	}
}

func checkInputWithoutDescription(p *pass) {
	for _, s := range p.sources {
		s.inputs(func(name string, key, definition *yaml.Node) {
			if value(definition, "description") == nil {
				p.report(Finding{
					Position: s.at(key), Path: "spec:inputs:" + name,
					Message: fmt.Sprintf("input %q has no description", name),
					Hint:    "add a `description`: one line about its effect",
				})
			}
		})
	}
}

func checkUnusedInput(p *pass) {
	for _, s := range p.sources {
		// The rules of another input may use what the body does not.
		var unused []*yaml.Node
		used := usedInputs(s.body)
		s.inputs(func(name string, key, _ *yaml.Node) {
			if !used[name] {
				unused = append(unused, key)
			}
		})
		if len(unused) == 0 {
			continue
		}
		used = usedInputs(s.header)
		for _, key := range unused {
			if used[key.Value] {
				continue
			}
			p.report(Finding{
				Position: s.at(key), Path: "spec:inputs:" + key.Value,
				Message: fmt.Sprintf("input %q is never used", key.Value),
				Hint:    fmt.Sprintf("use it as $[[ inputs.%s ]], or remove it", key.Value),
			})
		}
	}
}

// usedInputs returns the names of the inputs that a document interpolates.
func usedInputs(document *yaml.Node) map[string]bool {
	used := map[string]bool{}
	scalars(document, func(n *yaml.Node) {
		for _, name := range inputUses(n.Value) {
			used[name] = true
		}
	})
	return used
}

// inputUses returns the places in a text where an input is interpolated, and the inputs' names. It sees every text of every file,
// where a regular expression would be slow.
func inputUses(text string) iter.Seq2[int, string] {
	return func(yield func(int, string) bool) {
		for at := 0; ; {
			i := strings.Index(text[at:], "$[[")
			if i < 0 {
				return
			}
			start := at + i
			at = start + len("$[[")
			name, ok := strings.CutPrefix(strings.TrimLeft(text[at:], " \t\r\n\f"), "inputs.")
			if end := strings.IndexFunc(name, notInInputName); end >= 0 {
				name = name[:end]
			}
			if ok && name != "" && !yield(start, name) {
				return
			}
		}
	}
}

func notInInputName(r rune) bool {
	return r != '_' && r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
}

func checkComponentGlobals(p *pass) {
	for _, s := range p.sources {
		if !s.isTemplate() || s.body == nil {
			continue
		}
		// A file with nothing but `workflow` is a workflow for others to include: that is its purpose.
		if len(s.body.Content) == 2 && s.body.Content[0].Value == "workflow" {
			continue
		}
		for i := 0; i+1 < len(s.body.Content); i += 2 {
			key := s.body.Content[i]
			if key.Value == "include" || !slices.Contains(globals, key.Value) {
				continue
			}
			p.report(Finding{
				Position: s.at(key), Path: key.Value,
				Message: fmt.Sprintf("the template sets `%s` for all jobs of the projects that include it", key.Value),
				Hint:    "set it in the template's own jobs; put `workflow` into a separate file",
			})
		}
	}
}

func checkUnquotedInput(p *pass) {
	for _, s := range p.sources {
		s.conditions(func(path string, node *yaml.Node) {
			for at := range inputUses(node.Value) {
				if !quotedAt(node.Value, at) {
					p.report(Finding{
						Position: s.at(node), Path: path,
						Message: fmt.Sprintf("%s is not quoted in the expression", interpolation().FindString(node.Value[at:])),
						Hint:    `quote it twice, for YAML and for the expression: '"$[[ inputs.x ]]" == "y"'`,
					})
				}
			}
		})
	}
}

// quotedAt reports whether offset is inside of a string or a pattern of an expression. A single interpolated value is meant to be
// an expression as a whole.
func quotedAt(expression string, offset int) bool {
	if whole := strings.TrimSpace(expression); interpolation().FindString(whole) == whole {
		return true
	}
	quote := byte(0)
	for i := range offset {
		switch c := expression[i]; {
		case quote == c:
			quote = 0
		case quote == 0 && (c == '"' || c == '\'' || c == '/'):
			quote = c
		}
	}
	return quote != 0
}

// conditions visits every `if` of the file's rules: of workflow, includes and jobs.
func (s *source) conditions(visit func(path string, node *yaml.Node)) {
	list := func(path string, rules *yaml.Node) {
		for _, rule := range ruleList(rules) {
			if cond := value(rule, "if"); cond != nil && cond.Kind == yaml.ScalarNode {
				visit(path+":rules:if", cond)
			}
		}
	}
	list("workflow", value(value(s.body, "workflow"), "rules"))
	for _, include := range s.includes() {
		list("include", value(include, "rules"))
	}
	for _, job := range s.jobs {
		list("jobs:"+job.name, value(job.node, "rules"))
	}
}

func checkUnusedHiddenJob(p *pass) {
	if p.incomplete {
		return // what is missing may use it
	}
	used := map[string]bool{}
	for _, s := range p.sources {
		// A hidden job can also be used by an anchor, on itself or on a part of it.
		aliased := map[*yaml.Node]bool{}
		aliases(s.body, aliased)
		for _, job := range s.jobs {
			for _, name := range items(value(job.node, "extends")) {
				if strings.Contains(name.Value, "$[[") {
					return // it can be any
				}
				used[name.Value] = true
			}
			if containsAny(job.node, aliased) {
				used[job.name] = true
			}
		}
		references(s.body, used)
	}
	for _, job := range p.jobs() {
		// Those of templates are for the projects that include them.
		if job.hidden() && !used[job.name] && !strings.HasPrefix(job.source.path, "templates/") {
			p.report(Finding{
				Position: job.source.at(job.key), Path: "jobs:" + job.name,
				Message: fmt.Sprintf("%s is not used", job.name),
				Hint:    "remove it, or correct the `extends` that should name it",
			})
		}
	}
}

func aliases(node *yaml.Node, found map[*yaml.Node]bool) {
	if node == nil {
		return
	}
	if node.Kind == yaml.AliasNode {
		found[node.Alias] = true
	}
	for _, child := range node.Content {
		aliases(child, found)
	}
}

func containsAny(node *yaml.Node, wanted map[*yaml.Node]bool) bool {
	return wanted[node] || slices.ContainsFunc(node.Content, func(child *yaml.Node) bool { return containsAny(child, wanted) })
}

// references adds the job of every `!reference [.job, keyword]`.
func references(node *yaml.Node, found map[string]bool) {
	if node == nil {
		return
	}
	if node.Tag == "!reference" && len(node.Content) > 0 {
		found[node.Content[0].Value] = true
	}
	for _, child := range node.Content {
		references(child, found)
	}
}
