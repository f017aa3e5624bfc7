// Package resolver finds the files that a configuration includes from elsewhere: other projects in a folder, in local
// clones or by git; GitLab's templates in a folder; remote files over https.
//
// Resolvers are combined with [Chain]:
//
//	r := resolver.Chain{&resolver.Clones{Root: "/src"}, &resolver.Git{BaseURL: "https://gitlab.com", Cache: dir}}
//	defer r.Close()
//	project, err := pipeline.Load(files, pipeline.Options{Resolver: r})
package resolver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

// None is a resolver without files. Resolvers that implement only some methods embed it.
type None struct{}

// Project implements [pipeline.Resolver].
func (None) Project(_ context.Context, path, _ string) (fs.FS, string, error) {
	return nil, "", missing("project", path)
}

// Tags implements [pipeline.Resolver].
func (None) Tags(_ context.Context, path string) ([]string, error) {
	return nil, missing("project", path)
}

// Remote implements [pipeline.Resolver].
func (None) Remote(_ context.Context, url string) ([]byte, error) { return nil, missing("file", url) }

// Template implements [pipeline.Resolver].
func (None) Template(_ context.Context, name string) ([]byte, error) {
	return nil, missing("template", name)
}

func missing(kind, name string) error { return fmt.Errorf("%s %s: %w", kind, name, fs.ErrNotExist) }

// A Chain asks its resolvers in turn and returns the first answer that is not an error.
type Chain []pipeline.Resolver

// Project implements [pipeline.Resolver].
func (c Chain) Project(ctx context.Context, path, ref string) (fs.FS, string, error) {
	var errs chainError
	for _, r := range c {
		tree, sha, err := r.Project(ctx, path, ref)
		if err == nil {
			return tree, sha, nil
		}
		errs.add(err)
	}
	return nil, "", errs.of("project", path)
}

// Tags implements [pipeline.Resolver].
func (c Chain) Tags(ctx context.Context, path string) ([]string, error) {
	var errs chainError
	for _, r := range c {
		tags, err := r.Tags(ctx, path)
		if err == nil {
			return tags, nil
		}
		errs.add(err)
	}
	return nil, errs.of("project", path)
}

// Remote implements [pipeline.Resolver].
func (c Chain) Remote(ctx context.Context, url string) ([]byte, error) {
	return c.first("file", url, func(r pipeline.Resolver) ([]byte, error) { return r.Remote(ctx, url) })
}

// Template implements [pipeline.Resolver].
func (c Chain) Template(ctx context.Context, name string) ([]byte, error) {
	return c.first("template", name, func(r pipeline.Resolver) ([]byte, error) { return r.Template(ctx, name) })
}

func (c Chain) first(kind, name string, ask func(pipeline.Resolver) ([]byte, error)) ([]byte, error) {
	var errs chainError
	for _, r := range c {
		content, err := ask(r)
		if err == nil {
			return content, nil
		}
		errs.add(err)
	}
	return nil, errs.of(kind, name)
}

// Close closes the resolvers that can be closed.
func (c Chain) Close() error {
	var errs []error
	for _, r := range c {
		if closer, ok := r.(io.Closer); ok {
			errs = append(errs, closer.Close())
		}
	}
	return errors.Join(errs...)
}

// A chainError keeps the errors that say more than that something is not there.
type chainError struct{ telling []error }

func (e *chainError) add(err error) {
	if !errors.Is(err, fs.ErrNotExist) {
		e.telling = append(e.telling, err)
	}
}

func (e *chainError) of(kind, name string) error {
	if len(e.telling) == 0 {
		return missing(kind, name)
	}
	return errors.Join(e.telling...)
}
