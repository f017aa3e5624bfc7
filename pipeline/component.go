package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"golang.org/x/mod/semver"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/repository"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

var (
	errNoResolver = errors.New("there is no resolver for other projects")
	errNoVersion  = errors.New("the project has no tag that is a version")
)

// repository returns a project at a ref. The project itself at the pipeline's commit, or at the branch or tag that the
// pipeline is for, is the project that was loaded; a fork and a renamed clone thus behave as on GitLab.
func (p *Project) repository(ctx context.Context, project, ref string, event Event) (*repository.Repository, error) {
	if strings.EqualFold(project, p.options.Path) {
		current := event.ref(p.options.DefaultBranch)
		if ref == "" || ref == "HEAD" {
			ref = p.options.DefaultBranch
		}
		if ref == event.sha() || ref == current {
			return p.own, nil
		}
	}
	if p.options.Resolver == nil {
		return nil, errNoResolver
	}
	r := p.cache.repositories.Get(project+"@"+ref, func() repositoryResult {
		r := p.resolve(ctx, project, ref)
		// GitLab ignores case in paths of projects; what is called by a path here may not.
		if lower := strings.ToLower(project); lower != project && errors.Is(r.err, fs.ErrNotExist) {
			if found := p.resolve(ctx, lower, ref); found.err == nil {
				return found
			}
		}
		return r
	})
	return r.repository, r.err
}

// sameRepository is the answer to which repository a project at a ref is; nil if there is none.
func sameRepository(project, ref string, known *repository.Repository) answer {
	return func(o *compiler) bool {
		r, _ := o.project.repository(o.ctx, project, ref, o.event)
		return r == known
	}
}

func (p *Project) resolve(ctx context.Context, project, ref string) repositoryResult {
	files, sha, err := p.options.Resolver.Project(ctx, project, ref)
	if err != nil {
		return repositoryResult{err: err}
	}
	label := project + "@" + ref + ":"
	if ref == "" {
		label = project + ":"
	}
	return repositoryResult{repository: repository.New(files, sha, label)}
}

type repositoryResult struct {
	repository *repository.Repository
	err        error
}

// openComponent reads `include:component`, which is HOST/PROJECT/NAME@VERSION.
func (c *compiler) openComponent(n *node) *file {
	const form = "write $CI_SERVER_FQDN/project/name@version"
	address, version, ok := strings.Cut(n.RubyText(), "@")
	if !ok || version == "" {
		c.Fail(includePath, n, form, "the component %s has no version", yamltree.Shorten(address))
		return nil
	}
	full, ok := strings.CutPrefix(address, c.project.options.Host+"/")
	if !ok {
		message := fmt.Sprintf("the component %s is not one of %s", yamltree.Shorten(address), c.project.options.Host)
		if c.skipped(ForeignComponent, includePath, n, message) {
			c.result.incomplete = true
			return nil
		}
		c.FailCode(string(ForeignComponent), includePath, n, "%s", message)
		return nil
	}
	project, name := path.Split(full)
	project = strings.TrimSuffix(project, "/")
	if project == "" || name == "" {
		c.Fail(includePath, n, form, "%s is not a component address", yamltree.Shorten(address))
		return nil
	}
	ref, release, err := c.componentRef(project, version)
	switch {
	case errors.Is(err, errNoVersion):
		c.Fail(includePath, n, "", "the component %s has no version %s: %v", full, version, err)
		return nil
	case err != nil:
		c.missingInclude(ProjectUnavailable, n, "the project "+project, err)
		return nil
	}
	r := c.repository(n, project, ref)
	if r == nil {
		return nil
	}
	for _, candidate := range []string{"templates/" + name + ".yml", "templates/" + name + "/template.yml"} {
		content, err := r.Read(candidate)
		if err == nil {
			facts := componentFacts(n, name, version, release, c.sha(r))
			return &file{name: r.Label + candidate, content: content, repository: r, component: facts}
		}
		if !errors.Is(err, fs.ErrNotExist) {
			c.unreadable(n, r.Label+candidate, err)
			return nil
		}
	}
	c.Fail(includePath, n, "", "%s has no component %s: neither templates/%s.yml nor templates/%s/template.yml", project, name, name, name)
	return nil
}

func (c *compiler) sha(r *repository.Repository) string {
	if r.SHA == "" {
		sha := c.event.sha()
		c.scope.facts.ask(func(o *compiler) bool { return o.event.sha() == sha })
		return sha
	}
	return r.SHA
}

func componentFacts(n *node, name, reference, version, sha string) *node {
	pair := func(key, value string) yamltree.Pair {
		v := yamltree.NewString(value, n.Position)
		if value == "" {
			v = yamltree.NewScalar(yamltree.Null, "", n.Position)
		}
		return yamltree.Pair{Key: yamltree.NewString(key, n.Position), Value: v}
	}
	return yamltree.NewMapping([]yamltree.Pair{
		pair("name", name), pair("sha", sha), pair("version", version), pair("reference", reference),
	}, n.Position)
}

// componentRef finds the tag of a partial version ("~latest", "1", "1.2"). Other versions are refs themselves; release is
// the released version, empty for branches and commits.
func (c *compiler) componentRef(project, version string) (ref, release string, err error) {
	partial, isPartial := partialVersion(version)
	if !isPartial {
		if _, ok := releaseVersion(version); ok {
			release = version
		}
		return version, release, nil
	}
	resolver := c.project.options.Resolver
	if resolver == nil {
		return "", "", errNoResolver
	}
	tags, err := resolver.Tags(c.ctx, project)
	if lower := strings.ToLower(project); lower != project && errors.Is(err, fs.ErrNotExist) {
		tags, err = resolver.Tags(c.ctx, lower)
	}
	if err != nil {
		return "", "", err
	}
	var best string
	for _, tag := range tags {
		v, ok := releaseVersion(tag)
		if !ok || semver.Prerelease(v) != "" || !strings.HasPrefix(v, partial) {
			continue
		}
		if ref == "" || semver.Compare(best, v) < 0 {
			best, ref = v, tag
		}
	}
	if ref == "" && version != "~latest" {
		return version, "", nil // a branch may be called "1"
	}
	if ref == "" {
		return "", "", errNoVersion
	}
	return ref, ref, nil
}

// partialVersion returns what the versions that a partial one ("1", "1.2", "~latest") names begin with, and whether s is one.
func partialVersion(s string) (prefix string, ok bool) {
	if s == "~latest" {
		return "v", true
	}
	v := "v" + s
	if !semver.IsValid(v) || strings.Count(s, ".") > 1 || strings.ContainsAny(s, "-+") {
		return "", false
	}
	return v + ".", true
}

// releaseVersion returns the version that a tag names, as package semver writes it, and whether it names one: three numbers, with
// or without a leading v.
func releaseVersion(tag string) (version string, ok bool) {
	v := "v" + strings.TrimPrefix(tag, "v")
	core, _, _ := strings.Cut(v, "+")
	return v, semver.IsValid(v) && semver.Canonical(v) == core
}
