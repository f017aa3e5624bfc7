package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

var (
	errNoResolver = errors.New("there is no resolver for other projects")
	errNoVersion  = errors.New("the project has no tag that is a version")
)

// repository gives a project at a ref. The project itself at the pipeline's commit, or at the branch or tag that the
// pipeline is for, is what is here; a fork and a renamed clone thus behave as on GitLab.
func (p *Project) repository(ctx context.Context, project, ref string, event Event) (*repository, error) {
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
	r := p.cache.repositories.get(project+"@"+ref, func() repositoryResult {
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

func (p *Project) resolve(ctx context.Context, project, ref string) repositoryResult {
	files, sha, err := p.options.Resolver.Project(ctx, project, ref)
	if err != nil {
		return repositoryResult{err: err}
	}
	label := project + "@" + ref + ":"
	if ref == "" {
		label = project + ":"
	}
	return repositoryResult{repository: &repository{files: files, path: project, sha: sha, label: label}}
}

type repositoryResult struct {
	repository *repository
	err        error
}

// openComponent reads `include:component`, which is HOST/PROJECT/NAME@VERSION.
func (c *compiler) openComponent(n *node) *file {
	const form = "write $CI_SERVER_FQDN/project/name@version"
	address, version, ok := strings.Cut(n.RubyText(), "@")
	if !ok || version == "" {
		c.fail(includePath, n, form, "the component %s has no version", shorten(address))
		return nil
	}
	full, ok := strings.CutPrefix(address, c.project.options.Host+"/")
	if !ok {
		message := fmt.Sprintf("the component %s is not one of %s", shorten(address), c.project.options.Host)
		if c.skipped(ForeignComponent, includePath, n, message) {
			c.incomplete = true
			return nil
		}
		c.failCode(ForeignComponent, includePath, n, "%s", message)
		return nil
	}
	project, name := path.Split(full)
	project = strings.TrimSuffix(project, "/")
	if project == "" || name == "" {
		c.fail(includePath, n, form, "%s is no component", shorten(address))
		return nil
	}
	ref, release, err := c.componentRef(project, version)
	switch {
	case errors.Is(err, errNoVersion):
		c.fail(includePath, n, "", "the component %s has no version %s: %v", full, version, err)
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
		content, err := r.read(candidate)
		if err == nil {
			facts := componentFacts(n, name, version, release, c.sha(r))
			return &file{name: r.label + candidate, content: content, repository: r, component: facts}
		}
		if !errors.Is(err, fs.ErrNotExist) {
			c.unreadable(n, r.label+candidate, err)
			return nil
		}
	}
	c.fail(includePath, n, "", "%s has no component %s: neither templates/%s.yml nor templates/%s/template.yml", project, name, name, name)
	return nil
}

func (c *compiler) sha(r *repository) string {
	if r.sha == "" {
		c.eventful = true
		return c.event.sha()
	}
	return r.sha
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
		if _, ok := parseVersion(version); ok {
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
	var best semver
	for _, tag := range tags {
		v, ok := parseVersion(tag)
		if !ok || v.pre != "" || !partial.covers(v) {
			continue
		}
		if ref == "" || best.less(v) {
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

// A partial is a version of which only the first numbers are given; none for ~latest.
type partial []int

func partialVersion(s string) (partial, bool) {
	if s == "~latest" {
		return partial{}, true
	}
	parts := strings.Split(s, ".")
	if len(parts) > 2 {
		return nil, false
	}
	p := make(partial, len(parts))
	for i, part := range parts {
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 {
			return nil, false
		}
		p[i] = n
	}
	return p, true
}

func (p partial) covers(v semver) bool {
	for i, n := range p {
		if v.numbers[i] != n {
			return false
		}
	}
	return true
}

// A semver is a version after https://semver.org, without the build.
type semver struct {
	numbers [3]int
	pre     string
}

func parseVersion(s string) (v semver, ok bool) {
	s, _, _ = strings.Cut(strings.TrimPrefix(s, "v"), "+")
	s, v.pre, _ = strings.Cut(s, "-")
	parts := strings.Split(s, ".")
	if len(parts) != len(v.numbers) {
		return v, false
	}
	for i, part := range parts {
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 {
			return v, false
		}
		v.numbers[i] = n
	}
	return v, true
}

func (v semver) less(w semver) bool {
	for i := range v.numbers {
		if v.numbers[i] != w.numbers[i] {
			return v.numbers[i] < w.numbers[i]
		}
	}
	return false
}
