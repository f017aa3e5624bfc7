package consumers

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/lint"
	"gitlab.com/slipway-ci/slipway/pipeline/pipelinetest"
)

// habits is the configuration of a project that uses the inputs in the table "Other habits" of docs/use.md; its examples are appended.
const habits = `include:
  - project: slipway-ci/slipway
    ref: v0.1.0
    file: /ci/workflow.yml
    inputs: {branches: default, drafts: light}
  - component: $CI_SERVER_FQDN/slipway-ci/slipway/go-service@v0.1.0
    inputs:
      app: shop
      repository: 123456789012.dkr.ecr.eu-central-1.amazonaws.com/shop
      registry: 123456789012.dkr.ecr.eu-central-1.amazonaws.com
      registry_user: AWS
      registry_password: $REGISTRY_TOKEN
      image_before_script: [export REGISTRY_TOKEN="$(cat /run/token)"]
      image_vulnerabilities: true
      sbom: true
      review: true
      review_url: https://$CI_ENVIRONMENT_SLUG.example.com
      test_services: [{name: "docker.io/library/postgres:17.6", alias: postgres, variables: {POSTGRES_PASSWORD: test}}]
`

// yamlBlock matches the examples of a page, and what is before each.
var yamlBlock = regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$")

// examples returns the examples in YAML of a page of docs/ that are configurations of GitLab.
func examples(t *testing.T, page string) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, page))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, m := range yamlBlock.FindAllStringSubmatch(string(data), -1) {
		switch text := m[1]; {
		// Manifests, accepted risks, and the settings of slipway and of Fulcio.
		case strings.Contains(text, "apiVersion:"), strings.HasPrefix(text, "- rule:"), strings.HasPrefix(text, "lint:\n  rules:\n    image-"), strings.HasPrefix(text, "host:"), strings.HasPrefix(text, "oidc-issuers:"):
		// A part of a list or of a job.
		case strings.HasPrefix(text, "  - project:"):
			found = append(found, "include:\n"+text)
		case strings.HasPrefix(text, "allow_failure:"):
			found = append(found, "scan:\n  script: [scan]\n  "+strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ")+"\n")
		default:
			found = append(found, text)
		}
	}
	return found
}

// TestExamples lints and plans each example of the documentation for all events: those without an include, and those of stages that need jobs of
// the preset, beside the preset.
func TestExamples(t *testing.T) {
	t.Parallel()
	beside := map[string]string{"docs/stages/acceptance.md": "app: shop", "docs/stages/workflow.md": "app: shop", "docs/stages/deploy-waves.md": "app: orders, deploy: false", "docs/stages/gitops.md": "app: orders, deploy: false"}
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	stages, err := filepath.Glob(filepath.Join(root, "docs", "stages", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, file := range append(append(pages, stages...), filepath.Join(root, "README.md")) {
		page, err := filepath.Rel(root, file)
		if err != nil {
			t.Fatal(err)
		}
		if page == "docs/lint.md" {
			continue // Its examples are wrong on purpose; pipeline/lint has a test.
		}
		for i, example := range examples(t, page) {
			count++
			t.Run(fmt.Sprint(page, "/", i), func(t *testing.T) {
				t.Parallel()
				configuration := example
				switch before, after, include := strings.Cut(example, "include:\n"); {
				case !include:
					configuration = with("go-service", "app: shop") + example
				case beside[page] != "":
					configuration = before + with("go-service", beside[page]) + after
				}
				if !strings.Contains(configuration, "workflow") {
					configuration = strings.Replace(configuration, "include:\n", "include:\n  - {project: slipway-ci/slipway, ref: v0.1.0, file: /ci/workflow.yml}\n", 1)
				}
				files := fstest.MapFS{".gitlab-ci.yml": {Data: []byte(configuration)}}
				p, err := pipeline.Load(files, options("shop"))
				if err != nil {
					t.Fatalf("%v\n%s", err, configuration)
				}
				findings, err := lint.Run(t.Context(), files, p, lint.Options{})
				if err != nil {
					t.Fatal(err)
				}
				for _, f := range findings {
					t.Errorf("%s:%d: %s: %s [%s]\n%s", f.Position.File, f.Position.Line, f.Path, f.Message, f.Rule, configuration)
				}
				if err := planAll(t, files); err != nil {
					t.Errorf("%v\n%s", err, configuration)
				}
			})
		}
	}
	if count < 20 {
		t.Errorf("only %d examples were found", count)
	}
}

// TestHabits plans one project with all habits that docs/use.md names.
func TestHabits(t *testing.T) {
	t.Parallel()
	configuration := habits
	for _, example := range examples(t, "docs/use.md") {
		if !strings.HasPrefix(example, "include:") && !strings.HasPrefix(example, "workflow:") {
			configuration += strings.Replace(example, "deploy-production:\n", ".vault:\n", 1)
		}
	}
	p := planned(t, configuration)
	main := p.On(pipelinetest.Push("main").Changing("Dockerfile"))
	has(main, "hadolint", "render", "deploy-staging", "deploy-production", "acceptance", "publish", "image-vulnerabilities", "image-sbom")
	main.Job("deploy-staging").RunsAfter("render")
	main.Job("deploy-production").RunsAfter("render")
	main.Job("acceptance").RunsAfter("deploy-staging")
	mr := p.On(pipelinetest.MergeRequest())
	has(mr, "lint", "test", "deploy-review")
	lacks(mr, "acceptance", "render", "deploy-staging")
	p.On(pipelinetest.Push("feature")).IsNotCreated()
	// Jobs that use the registry run the project's commands first and then log in.
	for _, name := range []string{"build-image", "image-check", "image-vulnerabilities-scan", "image-sbom", "publish"} {
		main.Job(name).HasVariable("SLIPWAY_REGISTRY", "123456789012.dkr.ecr.eu-central-1.amazonaws.com").HasVariable("SLIPWAY_REGISTRY_USER", "AWS").Runs("/run/token")
	}
}

// TestBranchesOnly plans the workflow of docs/use.md that creates no merge request pipelines.
func TestBranchesOnly(t *testing.T) {
	t.Parallel()
	all := examples(t, "docs/use.md")
	i := slices.IndexFunc(all, func(s string) bool { return strings.HasPrefix(s, "workflow:") })
	p := planned(t, with("go-service", "app: shop")+all[i])
	p.On(pipelinetest.MergeRequest()).IsNotCreated()
	has(p.On(pipelinetest.Push("feature")), "lint", "test", "publish")
	has(p.On(pipelinetest.Push("main")), "deploy-staging")
	has(p.On(pipelinetest.Tag("v1.2.3")), "release")
}

// TestCloudToken logs in with a token that a command of the project fetches during the job.
func TestCloudToken(t *testing.T) {
	t.Parallel()
	p := clone(t, "library")
	standIn := filepath.Join(p.dir, "stand-in")
	p.write(".gitlab-ci.yml", with("publish", `registry: registry.example.com, registry_user: AWS, registry_password: $CLOUD_TOKEN, needs: [], before_script: ["export CLOUD_TOKEN=t0ken PATH=`+standIn+`:$PATH"]`))
	p.write("stand-in/crane", "#!/bin/sh\necho \"STAND-IN for crane: $*\"\ncase $* in *login*) echo \"password: $(cat | rev)\" ;; esac\n")
	p.commit("Publish")
	if err := os.Chmod(filepath.Join(standIn, "crane"), 0o700); err != nil { //nolint:gosec // a command has to be executable
		t.Fatal(err)
	}
	p.alone = true
	p.variables = []pipeline.Variable{{Key: "IMAGE_REPOSITORY", Value: "registry.example.com/acme/library"}, {Key: "IMAGE_DIGEST", Value: "sha256:0"}}
	o := p.run(nil, "publish")
	o.green("publish")
	if log := o.log("publish"); !strings.Contains(log, "crane: auth login registry.example.com --username AWS --password-stdin") || !strings.Contains(log, "password: nek0t") {
		t.Error(tail(log))
	}
}
