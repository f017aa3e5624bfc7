package lint

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

func checkDuplicateKeys(p *pass) {
	for _, s := range p.sources {
		for _, document := range []*yaml.Node{s.header, s.body} {
			s.duplicates(p, document, "")
		}
	}
}

// duplicates looks at the keys of a mapping and of what is in it. Aliases are looked at where they are defined, and
// several merge keys are a habit that GitLab obeys.
func (s *source) duplicates(p *pass, node *yaml.Node, path string) {
	if node == nil {
		return
	}
	if node.Kind == yaml.SequenceNode {
		for _, item := range node.Content {
			s.duplicates(p, item, path)
		}
	}
	if node.Kind != yaml.MappingNode {
		return
	}
	first := map[string]*yaml.Node{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := node.Content[i]
		below := key.Value
		if path != "" {
			below = path + ":" + below
		}
		s.duplicates(p, node.Content[i+1], below)
		if key.Value == "<<" {
			continue
		}
		if before := first[key.Value]; before != nil {
			p.report(Finding{
				Position: s.at(key), Path: below,
				Message: fmt.Sprintf("%s stands in line %d already, and what is written there is not used", key.Value, before.Line),
				Hint:    "keep one of them, or write both into one",
			})
		}
		first[key.Value] = key
	}
}
