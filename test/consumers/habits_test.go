package consumers

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/pipelinetest"
)

// habits is the configuration of a project that uses the table "Other habits" of docs/use.md.
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
lint:
  rules: [{if: $CI_MERGE_REQUEST_IID}, {if: $CI_COMMIT_BRANCH, allow_failure: true}]
hadolint:
  stage: test
  image: hadolint/hadolint:2.14.0-debian
  script: [hadolint Dockerfile]
render:
  stage: build
  image: alpine/helm:3.19.0
  script: [helm template . >k8s/overlays/staging/all.yaml]
  artifacts: {paths: [k8s]}
deploy-staging:
  needs: [build-image, publish, render]
deploy-production:
  needs: [deploy-staging, render]
load:
  stage: deploy
  image: grafana/k6:1.3.0
  needs: [deploy-staging]
  rules: [{if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH}]
  script: [k6 run load.js]
`

func TestHabits(t *testing.T) {
	t.Parallel()
	p := planned(t, habits)
	main := p.On(pipelinetest.Push("main"))
	has(main, "hadolint", "render", "deploy-staging", "deploy-production", "load", "publish", "image-vulnerabilities", "image-sbom")
	main.Job("deploy-staging").RunsAfter("render")
	main.Job("load").RunsAfter("deploy-staging")
	mr := p.On(pipelinetest.MergeRequest())
	has(mr, "lint", "test", "deploy-review", "hadolint")
	lacks(mr, "load", "deploy-staging")
	p.On(pipelinetest.Push("feature")).IsNotCreated()
	// Jobs that use the registry run the project's commands first and then log in.
	for _, name := range []string{"build-image", "image-check", "image-vulnerabilities-scan", "image-sbom", "publish"} {
		main.Job(name).HasVariable("REGISTRY", "123456789012.dkr.ecr.eu-central-1.amazonaws.com").HasVariable("REGISTRY_USER", "AWS").Runs("/run/token")
	}
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
