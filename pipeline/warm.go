package pipeline

import (
	"path"
	"strings"

	"gitlab.com/slipway-ci/slipway/internal/concurrent"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// ReadAhead reads and parses the configuration and the files of the project that it includes, as far as their names have no
// variables, on all processors, once. [Project.Plan] begins with it, and reports what is wrong with the files: call ReadAhead in
// a goroutine while something else, like git, is slow.
func (p *Project) ReadAhead() { p.warm.Do(p.readAhead) }

func (p *Project) readAhead() {
	seen := map[string]bool{p.options.ConfigPath: true}
	// Of as many files as a configuration may include, those first that were included first.
	for names := []string{p.options.ConfigPath}; len(names) > 0 && len(seen) <= maxIncludes; {
		included := make([][]string, len(names))
		concurrent.Do(len(names), func(i int) { included[i] = p.localIncludes(names[i]) })
		names = nil
		for _, list := range included {
			for _, name := range list {
				if !seen[name] {
					seen[name] = true
					names = append(names, name)
				}
			}
		}
	}
}

// localIncludes reads a file and returns the files of the project that it includes.
func (p *Project) localIncludes(name string) []string {
	content, err := p.own.Read(name)
	if err != nil {
		return nil
	}
	documents, err := p.cache.parsed.Documents(name, content)
	if err != nil {
		return nil
	}
	_, tree := splitHeader(documents)
	var names []string
	for _, entry := range includeList(tree.Get("include")) {
		if included := localName(entry); included != "" {
			names = append(names, included)
		}
	}
	return names
}

// localName returns the path of an entry of an include that names a file of this project, "" for others.
func localName(entry *node) string {
	local := entry
	if entry.Kind == yamltree.Mapping {
		local = entry.Get("local")
	}
	if !local.Is(yamltree.String) || strings.ContainsAny(local.Text, "$*") || isURL(local.Text) {
		return ""
	}
	return path.Clean(strings.TrimLeft(local.Text, "/"))
}
