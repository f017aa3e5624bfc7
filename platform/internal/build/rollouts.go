package build

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

const (
	rolloutsModule = "github.com/argoproj/argo-rollouts"
	// RolloutsController is the program of Argo Rollouts, and RolloutsManifests the folder with its custom resource definitions
	// and roles, in the folder that Rollouts returns.
	RolloutsController = "rollouts-controller"
	RolloutsManifests  = "manifests"
)

// Rollouts returns the folder with Argo Rollouts' controller and manifests below cache, and compiles it if it is missing.
func (s Source) Rollouts(ctx context.Context, cache string, log io.Writer) (dir string, compiled bool, err error) {
	return s.once(ctx, cache, recipe{
		inputs:  []string{"rollouts/go.mod", "rollouts/go.sum"},
		compile: s.compileRollouts,
	}, log)
}

func (s Source) compileRollouts(ctx context.Context, into string, log io.Writer) error {
	module := filepath.Join(s.Dir, "rollouts")
	if err := enoughSpace(ctx, module); err != nil {
		return err
	}
	fmt.Fprintln(log, "compiling Argo Rollouts once: minutes without a build cache, seconds with one")
	var out bytes.Buffer
	if err := goCommand(ctx, module, &out, "build", "-trimpath", "-ldflags", "-s -w", "-o", into+string(filepath.Separator), "tool"); err != nil {
		return fmt.Errorf("compile Argo Rollouts: %w\n%s", err, bytes.TrimSpace(out.Bytes()))
	}
	source, err := output(ctx, module, "list", "-m", "-f", "{{.Dir}}", rolloutsModule)
	if err != nil {
		return err
	}
	manifests := filepath.Join(into, RolloutsManifests)
	if err := os.Mkdir(manifests, 0o755); err != nil {
		return err
	}
	for _, pattern := range []string{"crds/*-crd.yaml", "role/*-clusterrole.yaml", "base/*-aggregate-roles.yaml"} {
		files, err := filepath.Glob(filepath.Join(source, "manifests", pattern))
		if err != nil || len(files) == 0 {
			return errors.Join(err, fmt.Errorf("%s has no manifests/%s", rolloutsModule, pattern))
		}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(manifests, filepath.Base(f)), text, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}
