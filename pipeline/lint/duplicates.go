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

// duplicates looks at the keys of a mapping and of what is in it. Aliases are looked at where they are defined, and
// several merge keys are a habit that GitLab obeys.
func (s *source) duplicates(p *pass, node *yaml.Node, path []string) {
	switch {
	case node == nil:
	case node.Kind == yaml.SequenceNode:
		for _, item := range node.Content {
			s.duplicates(p, item, path)
		}
	case node.Kind == yaml.MappingNode:
		const few = 32 // keys and values; so many are walked sooner than put into a map
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
					Message: fmt.Sprintf("%s stands in line %d already, and what is written there is not used", key.Value, first.Line),
					Hint:    "keep one of them, or write both into one",
				})
			}
		}
	}
}

// keyBefore finds the last key before the one at i that is the same.
func keyBefore(mapping *yaml.Node, i int) *yaml.Node {
	for k := i - 2; k >= 0; k -= 2 {
		if mapping.Content[k].Value == mapping.Content[i].Value {
			return mapping.Content[k]
		}
	}
	return nil
}
