package consumers

import (
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"go.yaml.in/yaml/v4"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

// An input is the declaration of an input in the header of a template.
type input struct {
	Type    string
	Default any
	Options []any
}

// inputsOf returns the inputs that a template declares.
func inputsOf(t *testing.T, name string) map[string]input {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, "templates", name+".yml"))
	if err != nil {
		t.Fatal(err)
	}
	var header struct {
		Spec struct{ Inputs map[string]input }
	}
	if err := yaml.Unmarshal(data[:strings.Index(string(data), "\n---\n")], &header); err != nil {
		t.Fatal(err)
	}
	return header.Spec.Inputs
}

// choose returns random values for some of the inputs: booleans, options, or typical values.
func choose(random *rand.Rand, inputs map[string]input) map[string]any {
	typical := map[string][]any{
		"directory": {".", "services/orders"}, "test_shards": {1, 3}, "platforms": {"", "linux/amd64,linux/arm64"},
		"tags": {[]string{"large"}}, "before_script": {[]string{"true"}},
		"repository": {"", "registry.example.com/acme/app"}, "review_url": {"https://$CI_ENVIRONMENT_SLUG.example.com"}, "build_secrets": {"", "NETRC TOKEN"},
		"environment_prefix": {"", "orders-", "orders/"}, "tag_prefix": {"", "orders-"}, "wait_minutes": {1}, "shards": {2},
	}
	chosen := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(inputs)) {
		in := inputs[name]
		var values []any
		switch {
		case typical[name] != nil:
			values = typical[name]
		case in.Type == "boolean":
			values = []any{true, false}
		case len(in.Options) > 0:
			values = in.Options
		}
		if len(values) > 0 && random.IntN(2) == 0 {
			chosen[name] = values[random.IntN(len(values))]
		}
	}
	return chosen
}

// TestCombinations plans random combinations of inputs for every event. Each must be a valid pipeline; a failure prints the configuration.
func TestCombinations(t *testing.T) {
	t.Parallel()
	const rounds = 60
	preset := inputsOf(t, "go-service")
	files, err := filepath.Glob(filepath.Join(root, "templates", "*.yml"))
	if err != nil {
		t.Fatal(err)
	}
	single := map[string]map[string]input{}
	for _, f := range files {
		if name := strings.TrimSuffix(filepath.Base(f), ".yml"); name != "go-service" {
			single[name] = inputsOf(t, name)
		}
	}
	names := slices.Sorted(maps.Keys(single))
	for seed := range uint64(rounds) {
		random := rand.New(rand.NewPCG(seed, 13)) //nolint:gosec // reproducible, not a secret
		// The preset, the preset twice with different prefixes, or single stages.
		includes := []map[string]any{{"project": "slipway-ci/slipway", "file": "/ci/workflow.yml"}}
		add := func(name string, inputs map[string]any) {
			includes = append(includes, map[string]any{"project": "slipway-ci/slipway", "file": "/templates/" + name + ".yml", "inputs": inputs})
		}
		switch random.IntN(3) {
		case 0:
			inputs := choose(random, preset)
			withoutImage(inputs)
			add("go-service", inputs)
		case 1:
			for _, prefix := range []string{"orders-", "billing-"} {
				inputs := choose(random, preset)
				withoutImage(inputs)
				inputs["job_prefix"] = prefix
				add("go-service", inputs)
			}
		default:
			prefix := []string{"", "orders-"}[random.IntN(2)]
			for _, name := range names {
				// The jobs of image and image-ko have the same name.
				if name == "image-ko" {
					continue
				}
				inputs := choose(random, single[name])
				if prefix != "" {
					inputs["job_prefix"] = prefix
				}
				if prefix != "" && (name == "publish" || name == "deploy" || name == "gitops" || name == "deploy-machine") {
					inputs["needs"] = []string{prefix + "build-image"}
				}
				if name == "acceptance" {
					inputs["url"], inputs["contract"], inputs["needs"] = "https://staging.example.com", "openapi.yaml", []string{prefix + "deploy-staging"}
				}
				if name == "gitops" {
					inputs["job_prefix"] = prefix + "gitops-"
				}
				if name == "deploy-waves" {
					inputs["job_prefix"] = prefix + "deploy-"
				}
				if name == "deploy-machine" {
					inputs["job_prefix"] = prefix + "machine-"
				}
				if name == "deploy" {
					if prefix != "" {
						inputs["review_needs"] = []string{prefix + "build-image"}
					}
					inputs["job_prefix"] = prefix + "deploy-"
				}
				if name == "test-sharded" {
					inputs["job"] = "test-in-shards"
				}
				add(name, inputs)
			}
		}
		configuration, err := yaml.Marshal(map[string]any{"include": includes})
		if err != nil {
			t.Fatal(err)
		}
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			if err := planAll(t, fstest.MapFS{".gitlab-ci.yml": {Data: configuration}}); err != nil {
				t.Errorf("%v\n%s", err, configuration)
			}
		})
	}
}

// withoutImage turns off the image jobs if the project would build the image itself, since it has no such job.
func withoutImage(inputs map[string]any) {
	if inputs["builder"] == "own" {
		inputs["image"] = false
	}
}

// planAll plans every event, with the variables of SonarQube.
func planAll(t *testing.T, files fs.FS) error {
	t.Helper()
	o := options("combination")
	o.Variables = []pipeline.Variable{{Key: "SONAR_TOKEN", Value: "x"}, {Key: "SONAR_HOST_URL", Value: "y"}}
	p, err := pipeline.Load(files, o)
	if err != nil {
		return err
	}
	for _, e := range pipeline.StandardEvents() {
		if _, err := p.Plan(t.Context(), e); err != nil {
			return fmt.Errorf("%s: %w", e.Name, err)
		}
	}
	return nil
}
