package lint

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"
)

func checkDuplicateKeys(p *pass) {
	for _, s := range p.sources {
		for _, document := range []*yaml.Node{s.header, s.body} {
			s.duplicates(p, document, nil)
		}
	}
}

// duplicates checks the keys of a mapping and of what is in it. Aliases are checked where they are defined; several merge keys are
// common, and GitLab accepts them.
func (s *source) duplicates(p *pass, node *yaml.Node, path []string) {
	switch {
	case node == nil:
	case node.Kind == yaml.SequenceNode:
		for _, item := range node.Content {
			s.duplicates(p, item, path)
		}
	case node.Kind == yaml.MappingNode:
		const few = 32 // keys and values; a walk over so many is faster than a map
		var seen map[string]*yaml.Node
		if len(node.Content) > few {
			seen = make(map[string]*yaml.Node, len(node.Content)/2)
		}
		for i := 0; i+1 < len(node.Content); i += 2 {
			key := node.Content[i]
			below := append(path, key.Value)
			s.duplicates(p, node.Content[i+1], below)
			if key.Value == "<<" {
				continue
			}
			first := seen[key.Value]
			if seen == nil {
				first = keyBefore(node, i)
			} else {
				seen[key.Value] = key
			}
			if first != nil {
				p.report(Finding{
					Position: s.at(key), Path: strings.Join(below, ":"),
					Message: fmt.Sprintf("key %q is already in line %d, whose value is ignored", key.Value, first.Line),
					Hint:    "remove one of the two, or merge them",
				})
			}
		}
	}
}

// keyBefore returns the last key before index i that equals the one at i.
func keyBefore(mapping *yaml.Node, i int) *yaml.Node {
	for k := i - 2; k >= 0; k -= 2 {
		if mapping.Content[k].Value == mapping.Content[i].Value {
			return mapping.Content[k]
		}
	}
	return nil
}
