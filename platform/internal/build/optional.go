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

// A Part is an optional part: a module below the source whose go.mod names its programs as tools. It is a module of its own since it needs
// other versions of Kubernetes' libraries than the cluster.
type Part struct {
	folder, title string
	// packages are programs of the module itself.
	packages []string
	// manifests are the files that the cluster needs of the programs' modules.
	manifests []manifests
}

type manifests struct{ module, files string }

// Manifests is the folder with custom resource definitions and roles in the folder that Source.Programs returns.
const Manifests = "manifests"

// Rollouts is Argo Rollouts' controller, its kinds and roles.
func Rollouts() Part {
	const module = "github.com/argoproj/argo-rollouts"
	return Part{folder: "rollouts", title: "Argo Rollouts", manifests: []manifests{
		{module, "manifests/crds/*-crd.yaml"}, {module, "manifests/role/*-clusterrole.yaml"}, {module, "manifests/base/*-aggregate-roles.yaml"}}}
}

// Metrics is metrics-server.
func Metrics() Part { return Part{folder: "metrics", title: "metrics-server"} }

// GitOps is Flux: the controllers of sources and of kustomizations, and their kinds.
func GitOps() Part {
	return Part{folder: "gitops", title: "Flux", manifests: []manifests{
		{"github.com/fluxcd/source-controller", "config/crd/bases/*.yaml"}, {"github.com/fluxcd/kustomize-controller", "config/crd/bases/*.yaml"}}}
}

// Tracing is an OpenTelemetry Collector and Jaeger.
func Tracing() Part {
	return Part{folder: "tracing", title: "the OpenTelemetry Collector and Jaeger", packages: []string{"./otelcol"}}
}

// Traefik is Traefik without ACME, and its kinds.
func Traefik() Part {
	return Part{folder: "traefik", title: "Traefik", manifests: []manifests{
		{"github.com/traefik/traefik/v3", "docs/content/reference/dynamic-configuration/traefik.io_*.yaml"}}}
}

// Kyverno is Kyverno's admission controller and its kinds.
func Kyverno() Part {
	const module = "github.com/kyverno/kyverno"
	return Part{folder: "kyverno", title: "Kyverno", manifests: []manifests{
		{module, "config/crds/kyverno/*.yaml"}, {module, "config/crds/policies.kyverno.io/*.yaml"}, {module, "config/crds/reports/*.yaml"}}}
}

// inputs returns patterns of the files that the part's programs depend on: its module, its own programs, and what stands in for a dependency.
func (p Part) inputs() []string {
	patterns := []string{p.folder + "/go.mod", p.folder + "/go.sum"}
	for _, depth := range []string{"/*", "/*/*", "/*/*/*", "/*/*/*/*"} {
		patterns = append(patterns, p.folder+depth+".go")
	}
	return patterns
}

// Programs returns the folder with a part's programs below cache, and compiles them if they are missing.
func (s Source) Programs(ctx context.Context, part Part, cache string, log io.Writer) (dir string, compiled bool, err error) {
	return s.once(ctx, cache, recipe{
		inputs: part.inputs(),
		compile: func(ctx context.Context, into string, log io.Writer) error {
			return s.compilePart(ctx, part, into, log)
		},
	}, log)
}

func (s Source) compilePart(ctx context.Context, part Part, into string, log io.Writer) error {
	module := filepath.Join(s.Dir, part.folder)
	if err := enoughSpace(ctx, module); err != nil {
		return err
	}
	fmt.Fprintf(log, "compiling %s once: minutes without a build cache, seconds with one\n", part.title)
	var out bytes.Buffer
	args := append([]string{"build", "-trimpath", "-ldflags", "-s -w", "-o", into + string(filepath.Separator), "tool"}, part.packages...)
	if err := goCommand(ctx, module, &out, args...); err != nil {
		return fmt.Errorf("compile %s: %w\n%s", part.title, err, bytes.TrimSpace(out.Bytes()))
	}
	if len(part.manifests) == 0 {
		return nil
	}
	folder := filepath.Join(into, Manifests)
	if err := os.Mkdir(folder, 0o755); err != nil {
		return err
	}
	for _, m := range part.manifests {
		if err := copyManifests(ctx, module, m, folder); err != nil {
			return err
		}
	}
	return nil
}

func copyManifests(ctx context.Context, module string, m manifests, into string) error {
	source, err := output(ctx, module, "list", "-m", "-f", "{{.Dir}}", m.module)
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(source, m.files))
	if err != nil || len(files) == 0 {
		return errors.Join(err, fmt.Errorf("%s has no %s", m.module, m.files))
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(into, filepath.Base(f)), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
