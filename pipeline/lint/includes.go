package lint

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"

	"gitlab.com/slipway-ci/slipway/internal/lazyregexp"
)

// pinned matches versions that do not move: a SHA, or a full version.
var pinned = lazyregexp.New(`^([0-9a-f]{7,64}|v?\d+\.\d+\.\d+([-+].*)?)$`)

func checkIncludeNotPinned(p *pass) {
	for _, s := range p.sources {
		for _, item := range s.includes() {
			if item.Kind != yaml.MappingNode {
				continue
			}
			project, component, remote := value(item, "project"), value(item, "component"), value(item, "remote")
			switch {
			case project != nil && value(item, "ref") == nil:
				p.report(Finding{
					Position: s.at(project), Path: "include:project",
					Message: fmt.Sprintf("the include of project %s is not pinned: it follows the default branch", project.Value),
					Hint:    "add `ref:` with a tag or a SHA",
				})
			case component != nil:
				_, version, _ := strings.Cut(component.Value, "@")
				if !pinned().MatchString(version) && !strings.Contains(version, "$") {
					p.report(Finding{
						Position: s.at(component), Path: "include:component",
						Message: fmt.Sprintf("component version %q is not pinned", version),
						Hint:    "name a full version (1.2.3) or a SHA after the @",
					})
				}
			case remote != nil && value(item, "integrity") == nil:
				p.report(Finding{
					Position: s.at(remote), Path: "include:remote",
					Message: "the content of the included URL is not checked",
					Hint:    "add `integrity: sha256-...` (base64 of the file's SHA-256)",
				})
			}
		}
	}
}
