package lint

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"go.yaml.in/yaml/v4"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

// An ImagePolicy limits the images of jobs and services. The zero value allows all.
type ImagePolicy struct {
	// Allow lists registries, or repositories in them: an entry covers what is below it, and may have wildcards, as in
	// "registry.example.com", "docker.io/library" or "quay.io/*/golang". Names are completed as docker does: "golang" is
	// docker.io/library/golang. A variable stands for itself: $CI_REGISTRY_IMAGE. Nil allows all.
	Allow []string `yaml:"allow"`
	// Digest demands a digest (image@sha256:...).
	Digest bool `yaml:"digest"`
}

// An IncludePolicy limits where included files come from. Nil lists allow all. Files of the project itself and GitLab's own
// templates are always allowed.
type IncludePolicy struct {
	// Projects are patterns of paths of projects and components: "platform/**".
	Projects []string `yaml:"projects"`
	// Hosts are those of remote files, and of components of other instances.
	Hosts []string `yaml:"hosts"`
}

func checkImagePolicy(p *pass) {
	policy := p.settings.Images
	if policy.Allow == nil && !policy.Digest {
		return
	}
	seen := map[string]bool{}
	for _, plan := range p.plans {
		eachPlan(plan, func(plan *pipeline.Plan) {
			for _, job := range plan.Jobs {
				for _, use := range imagesOf(job) {
					at, path := p.placeForPolicy(job, use.keyword)
					if id := fmt.Sprint(at, use.name); !seen[id] {
						seen[id] = true
						p.checkImage(plan, job, use.name, Finding{Position: at, Path: path})
					}
				}
			}
		})
	}
}

// eachPlan visits a pipeline and its child pipelines.
func eachPlan(plan *pipeline.Plan, visit func(*pipeline.Plan)) {
	visit(plan)
	for _, job := range plan.Jobs {
		if job.Trigger != nil && job.Trigger.Child != nil {
			eachPlan(job.Trigger.Child, visit)
		}
	}
}

// An imageUse is an image of a job, and the keyword that names it.
type imageUse struct{ keyword, name string }

func imagesOf(job *pipeline.Job) []imageUse {
	var uses []imageUse
	if job.Image != nil && job.Image.Name != "" {
		uses = append(uses, imageUse{"image", job.Image.Name})
	}
	for _, service := range job.Services {
		uses = append(uses, imageUse{"services", service.Name})
	}
	return uses
}

// placeForPolicy is like place, but for what comes from files of other projects, which a policy covers as well, it is the top of the
// configuration.
func (p *pass) placeForPolicy(job *pipeline.Job, keyword string) (pipeline.Position, string) {
	at, path := p.place(job, keyword)
	if p.source(at.File) == nil {
		at = p.topOfConfig()
	}
	return at, path
}

func (p *pass) checkImage(plan *pipeline.Plan, job *pipeline.Job, name string, f Finding) {
	expanded, unknown := expandImage(plan, job, name)
	policy := p.settings.Images
	switch {
	case policy.Allow != nil && !allowsImage(policy.Allow, name) && !allowsImage(policy.Allow, expanded):
		f.Message = fmt.Sprintf("image %q is not in an allowed registry", expanded)
		f.Hint = "allowed are " + strings.Join(policy.Allow, ", ") + " (lint:images:allow in .slipway.yml)"
	case policy.Digest && !strings.Contains(expanded, "@"):
		f.Message = fmt.Sprintf("image %q has no digest", expanded)
		f.Hint = "add @sha256:... (lint:images:digest in .slipway.yml)"
	default:
		return
	}
	if len(unknown) > 0 {
		f.Message = fmt.Sprintf("image %q cannot be checked: $%s is not known here", name, strings.Join(unknown, ", $"))
		f.Hint = "compile with the project's CI/CD variables, or allow the name as it is written (lint:images:allow in .slipway.yml)"
	}
	p.report(f)
}

// expandImage expands the variables of an image's name, and returns those that have no value.
func expandImage(plan *pipeline.Plan, job *pipeline.Job, name string) (expanded string, unknown []string) {
	if !strings.Contains(name, "$") {
		return name, nil
	}
	values := map[string]string{}
	for _, v := range plan.Environment(job, nil, nil) {
		values[v.Key] = v.Value
	}
	return os.Expand(name, func(key string) string {
		value, ok := values[key]
		if !ok {
			unknown = append(unknown, key)
			return "${" + key + "}"
		}
		return value
	}), unknown
}

// allowsImage reports whether one of the entries covers an image.
func allowsImage(allowed []string, image string) bool {
	name, _, _ := strings.Cut(image, "@")
	if i := strings.LastIndex(name, ":"); i > strings.LastIndex(name, "/") {
		name = name[:i]
	}
	return slices.ContainsFunc(allowed, func(entry string) bool {
		return covers(entry, name) || covers(completeImage(entry), completeImage(name))
	})
}

// completeImage returns the name of a repository with its registry: "golang" is docker.io/library/golang.
func completeImage(name string) string {
	first, rest, _ := strings.Cut(name, "/")
	switch {
	case !strings.ContainsAny(first, ".:$*") && first != "localhost":
		rest = name
	case first != "docker.io" && first != "index.docker.io" || rest == "":
		return name
	}
	if !strings.Contains(rest, "/") && rest != "library" {
		rest = "library/" + rest
	}
	return "docker.io/" + rest
}

// covers reports whether a pattern matches a path or a folder above it.
func covers(pattern, name string) bool {
	pattern = strings.TrimSuffix(pattern, "/")
	if name == pattern || strings.HasPrefix(name, pattern+"/") {
		return true
	}
	if !strings.Contains(pattern, "*") {
		return false
	}
	whole, err := doublestar.Match(pattern, name)
	below, errBelow := doublestar.Match(pattern+"/**", name)
	return err == nil && whole || errBelow == nil && below
}

func checkIncludePolicy(p *pass) {
	policy := p.settings.Includes
	if policy.Projects == nil && policy.Hosts == nil {
		return
	}
	reported := map[string]bool{}
	report := func(origin includeOrigin, at pipeline.Position) {
		message, hint := policy.objection(origin)
		if message == "" || reported[message] {
			return
		}
		reported[message] = true
		p.report(Finding{Position: at, Path: "include", Message: message, Hint: hint})
	}
	for _, s := range p.sources {
		for _, item := range s.includes() {
			if origin := writtenOrigin(item, p.host); origin != (includeOrigin{}) {
				report(origin, s.at(item))
			}
		}
	}
	// Files that included files include, and those whose names have variables.
	for _, name := range p.files {
		report(compiledOrigin(name), p.topOfConfig())
	}
}

// An includeOrigin is where an included file comes from: a project, a host, or both; empty for the project itself.
type includeOrigin struct{ project, host string }

// objection returns what a policy has against an origin; an empty message for nothing.
func (policy IncludePolicy) objection(origin includeOrigin) (message, hint string) {
	if origin.host != "" && policy.Hosts != nil && !slices.Contains(policy.Hosts, origin.host) {
		return fmt.Sprintf("files of the host %s may not be included", origin.host),
			"allowed are " + orNone(policy.Hosts) + " (lint:includes:hosts in .slipway.yml)"
	}
	if origin.project != "" && policy.Projects != nil &&
		!slices.ContainsFunc(policy.Projects, func(pattern string) bool { return covers(pattern, origin.project) }) {
		return fmt.Sprintf("files of the project %s may not be included", origin.project),
			"allowed are " + orNone(policy.Projects) + " (lint:includes:projects in .slipway.yml)"
	}
	return "", ""
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// writtenOrigin returns the origin of an include as it is written. What a variable decides is left to the compiled names.
func writtenOrigin(item *yaml.Node, host string) (origin includeOrigin) {
	text := func(key string) string {
		if v := value(item, key); v != nil {
			return v.Value
		}
		return ""
	}
	remote := text("remote")
	if item.Kind == yaml.ScalarNode && strings.Contains(item.Value, "://") {
		remote = item.Value
	}
	switch project, component := text("project"), text("component"); {
	case project != "":
		origin.project = project
	case component != "":
		address, _, _ := strings.Cut(component, "@")
		first, path, _ := strings.Cut(address, "/")
		if first != host && !strings.Contains(first, "$") {
			origin.host = first
		}
		if i := strings.LastIndex(path, "/"); i >= 0 {
			origin.project = path[:i]
		}
	case remote != "":
		return compiledOrigin(remote)
	}
	if strings.Contains(origin.project, "$") {
		origin.project = ""
	}
	return origin
}

// compiledOrigin returns the origin of a file by its name in the merged configuration: "group/project@ref:file", or a URL.
func compiledOrigin(name string) includeOrigin {
	if strings.Contains(name, "://") {
		if u, err := url.Parse(name); err == nil {
			return includeOrigin{host: u.Host}
		}
		return includeOrigin{}
	}
	project, _, ok := strings.Cut(name, ":")
	if !ok || project == "template" {
		return includeOrigin{}
	}
	project, _, _ = strings.Cut(project, "@")
	return includeOrigin{project: project}
}

// compiledFiles returns the files of which the configurations of the events are made.
func compiledFiles(ctx context.Context, project *pipeline.Project, events []pipeline.Event) []string {
	var names []string
	for _, event := range events {
		config, err := project.Config(ctx, event)
		if err != nil {
			continue
		}
		for _, name := range config.Files {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// serverHost returns the GitLab instance's host as the plans know it.
func serverHost(plans []*pipeline.Plan) string {
	for _, plan := range plans {
		for _, v := range plan.Predefined {
			if v.Key == "CI_SERVER_HOST" {
				return v.Value
			}
		}
	}
	return ""
}
