package pipeline

import (
	"path"
	"strings"
	"sync"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// ReadAhead reads and parses the configuration and the files of the project that it includes, as far as their names have no
// variables, on all processors. [Project.Plan] does that as well, and tells what is wrong with them: call ReadAhead in a
// goroutine while something else has to be waited for, like git.
func (p *Project) ReadAhead() {
	r := readAhead{project: p, seen: make(map[string]bool)}
	r.file(p.options.ConfigPath)
	r.reading.Wait()
}

type readAhead struct {
	project *Project
	reading sync.WaitGroup
	mu      sync.Mutex
	seen    map[string]bool
}

// file reads a file and then those that it includes.
func (r *readAhead) file(name string) {
	if !r.isNew(name) {
		return
	}
	content, err := r.project.own.read(name)
	if err != nil {
		return
	}
	documents, err := r.project.cache.parse(name, content)
	if err != nil {
		return
	}
	_, tree := splitHeader(documents)
	for _, entry := range includeList(tree.Get("include")) {
		if included := localName(entry); included != "" {
			r.reading.Go(func() { r.file(included) })
		}
	}
}

// isNew says whether a file is named for the first time. As many files as a configuration may include are enough.
func (r *readAhead) isNew(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.seen[name] || len(r.seen) > maxIncludes
	r.seen[name] = true
	return !known
}

// localName is the path of an entry of an include that names a file of this project, "" for others.
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
