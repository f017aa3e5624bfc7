package consumers

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

// noCluster is the message of a job that passed all checks and then found no cluster.
const noCluster = "The cluster does not answer"

// The people of a project, by their ids, and the merge requests that contain a commit.
const (
	ada           = "gid://gitlab/User/1"
	grace         = "gid://gitlab/User/2"
	linus         = "gid://gitlab/User/3"
	mergeRequests = `[{"iid": 6, "state": "closed"}, {"iid": 7, "state": "merged"}]`
)

// standInGitLab returns the URL of a server that answers those who have the token "secret", unless there is nothing about merge requests. Ada is the
// author of the merge request 7; user1, user2 and so on are the names of the people, the starter of a job is given by the number.
func standInGitLab(t *testing.T, requests string, committers, approvers []string, starter int) string {
	t.Helper()
	people := func(ids []string) string {
		var nodes []string
		for _, id := range ids {
			nodes = append(nodes, fmt.Sprintf(`{"id": %q, "username": "user%s"}`, id, id[len(id)-1:]))
		}
		return `{"nodes": [` + strings.Join(nodes, ",") + `]}`
	}
	// STAND-IN for GitLab's API: the three responses that the job reads.
	gitlab := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("PRIVATE-TOKEN") != "secret" || requests == "" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		switch {
		case strings.HasSuffix(r.URL.Path, "/merge_requests"):
			fmt.Fprint(w, requests)
		case strings.Contains(r.URL.Path, "/jobs/"):
			fmt.Fprintf(w, `{"user": {"id": %d, "username": "user%[1]d"}}`, starter)
		case r.Method == http.MethodPost && r.URL.Path == "/graphql":
			var query struct{ Variables struct{ IID string } }
			if err := json.NewDecoder(r.Body).Decode(&query); err != nil || query.Variables.IID != "7" {
				t.Errorf("the job queries another merge request: %+v %v", query, err)
			}
			fmt.Fprintf(w, `{"data": {"project": {"mergeRequest": {"author": {"id": %q}, "committers": %s, "approvedBy": %s}}}}`, ada, people(committers), people(approvers))
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(gitlab.Close)
	return gitlab.URL
}

func TestPermission(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, input string
		variables   map[string]string
		merged      string
		// The ids of the committers and the approvers of the merge request, and the number of the user who starts the job.
		committers, approvers []string
		starter               int
		says                  string
	}{
		{"off", `four_eyes: "off"`, nil, "", nil, nil, 1, noCluster},
		{"author", "four_eyes: starter", nil, mergeRequests, []string{ada}, nil, 1, "The person who starts this job is an author of the change; nothing has been touched"},
		{"author of a commit with a private address", "four_eyes: starter", map[string]string{"CI_COMMIT_AUTHOR": "Linus <3-linus@users.noreply.example.com>", "GITLAB_USER_EMAIL": "linus@example.com"},
			mergeRequests, []string{ada, linus}, nil, 3, "is an author of the change"},
		{"another person", "four_eyes: starter", nil, mergeRequests, []string{ada}, nil, 2, "Four eyes: user2 is not an author of this change"},
		{"switched off by a variable", "four_eyes: starter", map[string]string{"FOUR_EYES": "off"}, mergeRequests, []string{ada}, nil, 1, "is an author of the change"},
		{"overridden user id", "four_eyes: starter", map[string]string{"GITLAB_USER_ID": "2", "GITLAB_USER_EMAIL": "grace@example.com"}, mergeRequests, []string{ada}, nil, 1, "is an author of the change"},
		{"only the author approved", "four_eyes: approval", nil, mergeRequests, []string{ada}, []string{ada}, 1, "Nobody but its authors has approved the merge request"},
		{"a committer approved", "four_eyes: approval", nil, mergeRequests, []string{ada, linus}, []string{linus}, 1, "Nobody but its authors"},
		{"another person approved", "four_eyes: approval", nil, mergeRequests, []string{ada}, []string{ada, grace}, 1, "Four eyes: user2 is not an author"},
		{"pushed without review", "four_eyes: approval", nil, `[]`, []string{ada}, []string{grace}, 1, "No merged merge request brought this commit"},
		{"token refused", "four_eyes: approval", nil, "", nil, nil, 1, "GitLab's API does not answer with FOUR_EYES_TOKEN"},
		{"freeze", "freeze: true", map[string]string{"CI_DEPLOY_FREEZE": "true"}, "", nil, nil, 1, "A deploy freeze is on; nothing has been touched"},
		{"freeze switched off by a variable", "freeze: true", map[string]string{"CI_DEPLOY_FREEZE": "true", "FREEZE": "false"}, "", nil, nil, 1, "A deploy freeze is on"},
		{"freeze that is ignored", "freeze: false", map[string]string{"CI_DEPLOY_FREEZE": "true"}, "", nil, nil, 1, noCluster},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			gitlab := standInGitLab(t, c.merged, c.committers, c.approvers, c.starter)
			p := clone(t, "service")
			p.write(".gitlab-ci.yml", with("deploy", "app: service, "+c.input+", needs: [], review_needs: []"))
			p.commit("Deploy")
			p.alone = true
			for key, value := range map[string]string{"IMAGE_DIGEST": "sha256:0", "IMAGE_REPOSITORY": "x", "FOUR_EYES_TOKEN": "secret",
				"CI_API_V4_URL": gitlab, "CI_API_GRAPHQL_URL": gitlab + "/graphql", "CI_COMMIT_AUTHOR": "Ada <ada@example.com>", "KUBECONFIG": "/nowhere"} {
				if override, ok := c.variables[key]; ok {
					value = override
				}
				p.variables = append(p.variables, pipeline.Variable{Key: key, Value: value})
			}
			for key, value := range c.variables {
				p.variables = append(p.variables, pipeline.Variable{Key: key, Value: value})
			}
			p.run(nil, "deploy-production").red("deploy-production", 1, c.says)
		})
	}
}

// platform returns the CI/CD variables of the running platform. SLIPWAY_PLATFORM names the file that `platform env` wrote; the folder that
// `platform bin` prints must be in PATH.
func platform(t *testing.T) []pipeline.Variable {
	t.Helper()
	file := os.Getenv("SLIPWAY_PLATFORM")
	if file == "" {
		t.Skip("SLIPWAY_PLATFORM names no file of variables: make e2e writes one and runs this test")
	}
	data, err := os.ReadFile(file) //nolint:gosec // a test reads what its caller names
	if err != nil {
		t.Fatal(err)
	}
	var variables []pipeline.Variable
	if err := yaml.Unmarshal(data, &variables); err != nil {
		t.Fatal(err)
	}
	return variables
}

// TestDelivery deploys the service to staging and production of a real cluster, deploys a broken version, and rolls back. Production is reached as
// through GitLab's agent.
func TestDelivery(t *testing.T) {
	variables := platform(t)
	p := clone(t, "service")
	p.write(".gitlab-ci.yml", p.read(".gitlab-ci.yml")+"      review: true\n")
	p.write("k8s/overlays/review/kustomization.yaml", p.read("k8s/overlays/staging/kustomization.yaml"))
	p.commit("Deliver")
	// Review environments use staging's namespace and its credentials here.
	for _, v := range slices.Clone(variables) {
		if v.EnvironmentScope == "staging" {
			v.EnvironmentScope = "review/*"
			variables = append(variables, v)
		}
	}
	direct := variables
	variables = viaAgent(t, variables, "production")
	kubectl := func(environment string, args ...string) string {
		t.Helper()
		return kubectl(t, direct, environment, args...)
	}
	t.Cleanup(func() {
		for _, environment := range []string{"staging", "production"} {
			kubectl(environment, "delete", "--ignore-not-found", "deployment/service", "service/service", "lease/service-deploy")
			kubectl(environment, "delete", "configmap", "--selector", "slipway.dev/releases=service")
		}
	})
	serving := func(environment string) string {
		t.Helper()
		image := kubectl(environment, "get", "deployment/service", "-o", "jsonpath={.spec.template.spec.containers[0].image} {.status.readyReplicas}")
		_, digest, _ := strings.Cut(image, "@")
		return digest
	}
	// deliver builds an image of the current commit, passes its variables to the deployments and returns its digest.
	deliver := func() string {
		t.Helper()
		p.alone, p.variables = false, variables
		o := p.run(nil, "image-check")
		o.green("build-image", "image-check")
		p.alone, p.variables = true, append(slices.Clone(variables), o.job("build-image").Dotenv...)
		digest := variable(p.variables, "IMAGE_DIGEST")
		if digest == "" {
			t.Fatal("build-image passed on no IMAGE_DIGEST")
		}
		return digest
	}

	// promote deploys to staging and, with its artifact, to production.
	promote := func() {
		t.Helper()
		p.run(nil, "deploy-staging", "deploy-production").green("deploy-staging", "deploy-production")
	}

	first := deliver()
	promote()
	if got := serving("production"); got != first+" 1" {
		t.Errorf("production serves %s, want %s", got, first)
	}

	good := p.read("main.go")
	p.write("main.go", strings.Replace(good, "GET /version", "GET /nothing", 1))
	p.commit("Break it")
	deliver()
	o := p.run(func(e *pipeline.Event) {
		e.Variables = append(e.Variables, pipeline.Variable{Key: "SLIPWAY_ROLLOUT_TIMEOUT", Value: "15s"})
	}, "deploy-staging")
	o.red("deploy-staging", 1, "does not serve", "going back to release", "The version before it serves again")
	if got := serving("staging"); got != first+" 1" {
		t.Errorf("staging serves %s after the failure, want %s", got, first)
	}

	p.write("main.go", strings.Replace(good, `"hello"`, `"greeting"`, 1))
	p.commit("Fix it")
	second := deliver()
	promote()
	if got := serving("production"); got != second+" 1" {
		t.Errorf("production serves %s, want %s", got, second)
	}
	p.run(nil, "deploy-rollback").green("deploy-rollback")
	if got := serving("production"); got != first+" 1" {
		t.Errorf("production serves %s after the rollback, want %s", got, first)
	}
	// There is no earlier version, but the digest of a later one can be given.
	p.run(nil, "deploy-rollback").red("deploy-rollback", 1, "The record has no version before the present one")
	p.retry(map[string]string{"digest": second}, "deploy-rollback").green("deploy-rollback")
	if got := serving("production"); got != second+" 1" {
		t.Errorf("production serves %s, want %s", got, second)
	}

	p.branch()
	p.write("README.md", "Review me.\n")
	p.commit("Review")
	deliver()
	p.run(nil, "deploy-review").green("deploy-review")
	if got := kubectl("staging", "get", "deployment", "-o", "name"); !strings.Contains(got, "deployment.apps/service-review-mr-") {
		t.Errorf("the review environment is not among the deployments: %s", got)
	}
	p.run(nil, "deploy-review-stop").green("deploy-review-stop")
	if got := kubectl("staging", "get", "deployment,service", "-o", "name"); strings.Contains(got, "service-review-mr-") {
		t.Errorf("the review environment is still there: %s", got)
	}
}

// kubeconfigOf returns the variable with the access to an environment's cluster.
func kubeconfigOf(t *testing.T, variables []pipeline.Variable, environment string) *pipeline.Variable {
	t.Helper()
	i := slices.IndexFunc(variables, func(v pipeline.Variable) bool { return v.Key == "KUBECONFIG" && v.EnvironmentScope == environment })
	if i < 0 {
		t.Fatalf("no KUBECONFIG for %s", environment)
	}
	return &variables[i]
}

// kubectl runs kubectl in an environment's namespace of the platform, with the environment's credentials.
func kubectl(t *testing.T, variables []pipeline.Variable, environment string, args ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(file, []byte(kubeconfigOf(t, variables, environment).Value), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command("kubectl", append([]string{"--kubeconfig", file, "--namespace", "orders-" + environment}, args...)...) //nolint:gosec,noctx // runs in cleanups, too
	out, err := command.CombinedOutput()
	if err != nil {
		t.Errorf("kubectl %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// TestDeliveryOfTwoServices deploys two services of one repository to one namespace: each has its own image, environment and Deployment.
func TestDeliveryOfTwoServices(t *testing.T) {
	variables := platform(t)
	// The cluster may have releases of an earlier run of this test, whose commits are not in this clone's history.
	variables = append(variables, pipeline.Variable{Key: "ALLOW_OLDER", Value: "true"})
	services := []string{"greeter", "counter"}
	for _, v := range slices.Clone(variables) {
		if v.EnvironmentScope != "staging" {
			continue
		}
		for _, name := range services {
			v.EnvironmentScope = name + "-staging"
			variables = append(variables, v)
		}
	}
	t.Cleanup(func() {
		for _, name := range services {
			kubectl(t, variables, "staging", "delete", "--ignore-not-found", "deployment/"+name, "service/"+name)
		}
	})
	p := clone(t, "services")
	p.variables = variables
	built := p.run(nil, "greeter-build-image", "counter-build-image")
	built.green("greeter-build-image", "counter-build-image")
	p.alone = true
	for _, name := range services {
		passed := built.job(name + "-build-image").Dotenv
		p.variables = append(slices.Clone(variables), passed...)
		o := p.run(nil, name+"-deploy-staging")
		o.green(name + "-deploy-staging")
		if e := o.job(name + "-deploy-staging").Environment; e == nil || e.Name != name+"-staging" {
			t.Errorf("%s is in the environment %+v", name, e)
		}
		want := variable(passed, "IMAGE_REPOSITORY") + "@" + variable(passed, "IMAGE_DIGEST")
		if got := kubectl(t, variables, "staging", "get", "deployment/"+name, "-o", "jsonpath={.spec.template.spec.containers[0].image} {.status.readyReplicas}"); got != want+" 1" {
			t.Errorf("%s serves %s, want %s 1", name, got, want)
		}
		if !strings.HasSuffix(variable(passed, "IMAGE_REPOSITORY"), "/"+name) {
			t.Errorf("the image of %s is in %s", name, variable(passed, "IMAGE_REPOSITORY"))
		}
	}
}
