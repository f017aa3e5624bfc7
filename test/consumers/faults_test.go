package consumers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/pipelinetest"
	"gitlab.com/slipway-ci/slipway/test/outside"
)

// planned loads a configuration that includes stages.
func planned(t *testing.T, configuration string) *pipelinetest.Project {
	t.Helper()
	return pipelinetest.LoadWith(t, fstest.MapFS{".gitlab-ci.yml": {Data: []byte(configuration)}}, options("planned"))
}

// with returns a configuration that includes one template with inputs.
func with(template, inputs string) string {
	return "include:\n  - component: $CI_SERVER_FQDN/slipway-ci/slipway/" + template + "@v0.1.0\n    inputs: {" + inputs + "}\n"
}

// TestImageCheckReadsIndentedManifests checks an image whose manifest is indented JSON, as BuildKit writes it.
func TestImageCheckReadsIndentedManifests(t *testing.T) {
	t.Parallel()
	host := registry(t)
	crane := filepath.Join(commands(t), "crane")
	repository := host + "/acme/indented"
	run := func(args ...string) []byte {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), crane, args...).Output()
		if err != nil {
			t.Fatalf("crane %v: %v", args, err)
		}
		return out
	}
	run("append", "--oci-empty-base", "--platform", "linux/amd64", "--new_tag", repository+":x", "--new_layer", layer(t, map[string]os.FileMode{"orders": 0o755}, 3_000_000))
	run("mutate", repository+":x", "--user", "65532", "--tag", repository+":x")
	var manifest bytes.Buffer
	if err := json.Indent(&manifest, run("manifest", repository+":x"), "", "  "); err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+host+"/v2/acme/indented/manifests/indented", &manifest)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	digest := strings.TrimSpace(string(run("digest", repository+":indented")))
	for limit, red := range map[int]bool{2: true, 4: false} {
		p := clone(t, "service")
		p.write(".gitlab-ci.yml", with("image", fmt.Sprintf("size_limit: %d", limit)))
		p.commit("Check")
		p.variables = []pipeline.Variable{{Key: "IMAGE_REPOSITORY", Value: repository}, {Key: "IMAGE_DIGEST", Value: digest}}
		p.alone = true
		o := p.run(nil, "image-check")
		if red {
			o.red("image-check", 1, "limit 2 MB", "the image has 3")
		} else {
			o.green("image-check")
		}
	}
}

// TestImageHasNoCredentials builds a Dockerfile that copies the whole project, with a password for the registry.
func TestImageHasNoCredentials(t *testing.T) {
	t.Parallel()
	outside.Program(t, "buildah", "BUILDAH", "apt-get install buildah")
	host := registry(t)
	p := clone(t, "service")
	p.write(".gitlab-ci.yml", with("image", "go_image: 127.0.0.1:1/none"))
	p.write("Dockerfile", "FROM scratch AS build\nFROM scratch\nCOPY . /\nUSER 65532\n")
	p.commit("Copy everything")
	p.variables = []pipeline.Variable{{Key: "CI_REGISTRY", Value: host}, {Key: "CI_REGISTRY_IMAGE", Value: host + "/acme/all"},
		{Key: "CI_REGISTRY_USER", Value: "ada"}, {Key: "CI_REGISTRY_PASSWORD", Value: "correct-horse", Masked: true}}
	o := p.run(nil, "build-image")
	o.green("build-image")
	digest := variable(o.job("build-image").Dotenv, "IMAGE_DIGEST")
	out, err := exec.CommandContext(t.Context(), filepath.Join(commands(t), "crane"), "export", host+"/acme/all@"+digest, "-").Output()
	if err != nil || !bytes.Contains(out, []byte("main.go")) {
		t.Fatalf("the image cannot be exported, or does not contain the project: %v", err)
	}
	// The configuration for the registry, and "ada:correct-horse" in base64.
	for _, secret := range []string{"docker-config", `"auths"`, "YWRhOmNvcnJlY3QtaG9yc2U="} {
		if bytes.Contains(out, []byte(secret)) {
			t.Errorf("the image contains %q", secret)
		}
	}
}

// TestBaseImageThatCannotBePulled checks that the job fails on GitLab. A run on a developer's machine uses the local toolchain instead and
// labels the image.
func TestBaseImageThatCannotBePulled(t *testing.T) {
	t.Parallel()
	outside.Program(t, "buildah", "BUILDAH", "apt-get install buildah")
	host := registry(t)
	p := clone(t, "service")
	p.write(".gitlab-ci.yml", with("image", `go_image: "127.0.0.1:1/none"`))
	p.commit("Build")
	p.variables = []pipeline.Variable{{Key: "CI_REGISTRY", Value: host}, {Key: "CI_REGISTRY_IMAGE", Value: host + "/acme/base"}}
	o := p.run(nil, "build-image")
	o.green("build-image")
	out, err := exec.CommandContext(t.Context(), filepath.Join(commands(t), "crane"), "config", host+"/acme/base@"+variable(o.job("build-image").Dotenv, "IMAGE_DIGEST")).Output()
	if err != nil || !strings.Contains(string(out), `"dev.slipway.substitute":"stage build: go version go`) {
		t.Errorf("the image has no label that names the substitute of its base: %v\n%s", err, out)
	}
	p.variables = append(p.variables, pipeline.Variable{Key: "SLIPWAY", Value: ""})
	p.run(nil, "build-image").red("build-image", 1, "cannot be pulled", "SLIPWAY_GO_IMAGE")
}

// variable returns the value of a variable, or "".
func variable(list []pipeline.Variable, key string) string {
	for _, v := range list {
		if v.Key == key {
			return v.Value
		}
	}
	return ""
}

// TestTwoServices checks that two services of one repository share neither environments, images nor release tags.
func TestTwoServices(t *testing.T) {
	t.Parallel()
	p := pipelinetest.LoadWith(t, os.DirFS("services"), options("services"))
	main := p.On(pipelinetest.Push("main"))
	for _, name := range []string{"greeter", "counter"} {
		main.Job(name + "-deploy-staging").DeploysTo(name + "-staging").IsOneAtATimeIn(name + "-" + name + "-staging").RunsAfter(name + "-publish")
		main.Job(name + "-deploy-production").DeploysTo(name + "-production").IsOneAtATimeIn(name + "-" + name + "-production")
		main.Job(name+"-build-image").HasVariable("IMAGE_DIRECTORY", name).HasVariable("IMAGE_REPOSITORY", "").Runs(`name=$(echo "` + name + `-"`)
		has(p.On(pipelinetest.Tag(name+"-v1.2.3")), name+"-release", name+"-release-image")
	}
	lacks(p.On(pipelinetest.Tag("greeter-v1.2.3")), "counter-release", "counter-release-image")
	lacks(p.On(pipelinetest.Tag("v1.2.3")), "counter-release", "greeter-release")
}

// TestServicesShareNoNames includes every stage twice, for two services, and compares all names that GitLab, the registry, SonarQube and the cluster know.
func TestServicesShareNoNames(t *testing.T) {
	t.Parallel()
	service := func(prefix string) string {
		stages := with("go-service", "job_prefix: "+prefix+", app: "+strings.ToLower(strings.Trim(prefix, "-_"))+
			", image_vulnerabilities: true, sbom: true, signature: key, review: true, rehearsal: true, fuzz: true, benchmark: true, test_shards: 2")
		for stage, inputs := range map[string]string{
			"acceptance": "job_prefix: P, url: 'https://x.example.com', needs: [Pdeploy-staging]", "compatibility": "job_prefix: P",
			"gitops":         "job_prefix: Pgitops-, environment_prefix: Pg-, needs: [Pbuild-image], app: same",
			"deploy-machine": "job_prefix: Pmachine-, environment_prefix: Pm-, needs: [Pbuild-image], app: same",
			"deploy-waves":   "job_prefix: Pdeploy-, environment_prefix: P",
		} {
			stages += strings.TrimPrefix(with(stage, strings.ReplaceAll(inputs, "P", prefix)), "include:\n")
		}
		return stages
	}
	o := options("planned")
	o.Variables = []pipeline.Variable{{Key: "SONAR_TOKEN", Value: "x"}, {Key: "SONAR_HOST_URL", Value: "y"}}
	configuration := service("Orders_") + strings.TrimPrefix(service("billing-"), "include:\n")
	p, err := pipeline.Load(fstest.MapFS{".gitlab-ci.yml": {Data: []byte(configuration)}}, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range pipeline.StandardEvents() {
		plan, err := p.Plan(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		// The names that jobs use, and the service whose job it is.
		users := map[string]string{}
		for _, j := range plan.Jobs {
			owner := "Orders_"
			if strings.HasPrefix(j.Name, "billing-") {
				owner = "billing-"
			}
			var names []string
			for _, c := range j.Cache {
				if c.Key != "sonar" { // The scanner's own programs, which are the same for both.
					names = append(names, "cache "+c.Key)
				}
			}
			for _, v := range j.Variables {
				if v.Key == "SLIPWAY_REPORTS" || v.Key == "SLIPWAY_TIMINGS_FILE" {
					names = append(names, v.Key+" "+v.Value)
				}
			}
			if j.Environment != nil {
				names = append(names, "environment "+j.Environment.Name)
			}
			if j.ResourceGroup != "" {
				names = append(names, "resource group "+j.ResourceGroup)
			}
			for _, name := range names {
				if other, ok := users[name]; ok && other != owner {
					t.Errorf("%s: both services have the %s; one of the jobs is %s", e.Name, name, j.Name)
				}
				users[name] = owner
			}
		}
	}
}

// TestVariablesOfStages checks that the variables of jobs have names of their own: GitLab prefers the CI/CD variables of a project or a group, so that one
// called DATABASE or REGISTRY_PASSWORD would take the place of the stage's.
func TestVariablesOfStages(t *testing.T) {
	t.Parallel()
	others := regexp.MustCompile(`^(SLIPWAY|IMAGE|GIT|GRYPE|SYFT|COSIGN|KO|SONAR)_|^(CACHE_COMPRESSION_LEVEL|GO_CACHE_POLICY|GO_VERSION|CGO_ENABLED|SOURCE_DATE_EPOCH|BUILDKITD_FLAGS)$`)
	// CLUSTER is for the inputs overlay and url of waves.
	deployments := []string{"CLUSTER"}
	seen := map[string]bool{}
	for _, j := range everyJob(t) {
		for _, v := range j.Variables {
			if !seen[v.Key] && !others.MatchString(v.Key) && (!slices.Contains(deployments, v.Key) || j.Environment == nil) {
				t.Errorf("%s has the variable %s, which a project may have for something else", j.Name, v.Key)
			}
			seen[v.Key] = true
		}
	}
	if len(seen) < 50 {
		t.Errorf("only %d variables were seen", len(seen))
	}
}

// TestTwoImages checks that the images of two services are pushed to separate repositories.
func TestTwoImages(t *testing.T) {
	t.Parallel()
	outside.Program(t, "buildah", "BUILDAH", "apt-get install buildah")
	host := registry(t)
	p := clone(t, "services")
	p.variables = []pipeline.Variable{{Key: "CI_REGISTRY", Value: host}, {Key: "CI_REGISTRY_IMAGE", Value: host + "/acme/services"}, {Key: "SLIPWAY_GO_IMAGE", Value: "127.0.0.1:1/none"}}
	o := p.run(nil, "greeter-image-check", "counter-image-check")
	o.green("greeter-image-check", "counter-image-check")
	for _, name := range []string{"greeter", "counter"} {
		if got := variable(o.job(name+"-build-image").Dotenv, "IMAGE_REPOSITORY"); got != host+"/acme/services/"+name {
			t.Errorf("the image of %s is in %s", name, got)
		}
		if !strings.Contains(o.log(name+"-image-check"), "programs: "+name) {
			t.Errorf("the image of %s contains another program:\n%s", name, tail(o.log(name+"-image-check")))
		}
	}
}

// TestRepositoryOfPrefix checks the name of the repository of a service whose prefix is not a valid one.
func TestRepositoryOfPrefix(t *testing.T) {
	t.Parallel()
	host := registry(t)
	p := clone(t, "library")
	p.write(".gitlab-ci.yml", with("release", "job_prefix: Order_Items_-"))
	p.commit("Release")
	p.git("tag", "v1.0.0")
	p.variables = []pipeline.Variable{{Key: "CI_REGISTRY", Value: host}, {Key: "CI_REGISTRY_IMAGE", Value: host + "/acme/library"}}
	p.run(func(e *pipeline.Event) { e.Branch, e.Tag = "", "v1.0.0" }, "Order_Items_-release-image").
		red("Order_Items_-release-image", 1, "There is no "+host+"/acme/library/order_items:sha-")
	// The image is pushed to the name that the release looks for.
	lines := regexp.MustCompile(`(?m)^ +name=\$\(echo .*\n +IMAGE_REPOSITORY=.*$`)
	var found []string
	for _, stage := range []string{"image", "image-ko", "release"} {
		data, err := os.ReadFile(filepath.Join(root, "ci", stage+".yml"))
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, lines.FindString(string(data)))
	}
	if found[0] == "" || found[1] != found[0] || found[2] != found[0] {
		t.Errorf("the stages name the repository in different ways: %q", found)
	}
}

// TestPublishOtherAlphabets publishes the image of branches whose names have no letter of ASCII, for which GitLab has no slug: they do not share a tag.
func TestPublishOtherAlphabets(t *testing.T) {
	t.Parallel()
	host := registry(t)
	crane := filepath.Join(commands(t), "crane")
	repository := host + "/acme/alphabets"
	image := outside.Command(t, "", crane, "append", "--oci-empty-base", "--new_tag", repository+":x", "--new_layer", layer(t, map[string]os.FileMode{"app": 0o755}, 10))
	p := clone(t, "library")
	p.write(".gitlab-ci.yml", with("publish", "needs: []"))
	p.variables = []pipeline.Variable{{Key: "IMAGE_REPOSITORY", Value: repository}, {Key: "IMAGE_DIGEST", Value: digestOf(image)}}
	want := []string{"x"}
	for _, branch := range []string{"функция", "修复/登录", "feature/größe"} {
		p.commit("Work on " + branch)
		p.run(func(e *pipeline.Event) { e.Branch = branch }, "publish").green("publish")
		tag := "branch-" + p.git("rev-parse", "HEAD")[:8]
		if strings.HasPrefix(branch, "feature") {
			tag = "branch-feature-gr--e"
		}
		want = append(want, tag)
		p.write("README.md", branch+"\n")
	}
	got := strings.Fields(outside.Command(t, "", crane, "ls", repository))
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the tags are %q, want %q", got, want)
	}
}

// TestCacheKeys checks that no cache key is the constant "default" on GitLab.
func TestCacheKeys(t *testing.T) {
	t.Parallel()
	plan, err := loadEverything(t).Plan(t.Context(), pipelinetest.Push("main").Event)
	if err != nil {
		t.Fatal(err)
	}
	for _, j := range plan.Jobs {
		for _, c := range j.Cache {
			if len(c.KeyFiles) > 0 || c.Key == "" || c.Key == "default" {
				t.Errorf("%s: %+v", j.Name, c)
			}
		}
	}
}

// TestModulesCanBeRemoved runs a job with the module cache inside the project, as in a container: git clean must be able to remove it.
func TestModulesCanBeRemoved(t *testing.T) {
	t.Parallel()
	p := clone(t, "postgres")
	p.write(".gitlab-ci.yml", with("licenses", "before_script: []")[:strings.Index(with("licenses", ""), "    inputs")]+`
licenses:
  after_script: ["find .cache/go/mod -type d ! -perm -u+w | head >read-only.txt; test -d .cache/go/mod/cache && cat read-only.txt && echo counted $(wc -l <read-only.txt)"]
`)
	p.commit("List read-only folders of the cache")
	p.variables = []pipeline.Variable{{Key: "CI_SHARED_ENVIRONMENT", Value: "false"}}
	o := p.run(nil, "licenses")
	o.green("licenses")
	if !strings.Contains(o.log("licenses"), "counted 0") {
		t.Error(tail(o.log("licenses")))
	}
}

// TestVendor runs stages in a project with vendor/ that sets GOFLAGS as a project variable.
func TestVendor(t *testing.T) {
	t.Parallel()
	p := clone(t, "postgres")
	command := exec.CommandContext(t.Context(), "go", "mod", "vendor")
	command.Dir = p.dir
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p.write(".gitlab-ci.yml", p.read(".gitlab-ci.yml")+"  - component: $CI_SERVER_FQDN/slipway-ci/slipway/licenses@v0.1.0\n")
	p.commit("Vendor")
	p.variables = []pipeline.Variable{{Key: "GOFLAGS", Value: "-mod=vendor"}}
	o := p.run(nil, "licenses", "lint", "lint-drift")
	o.green("licenses", "lint", "lint-drift")
	if !strings.Contains(o.log("licenses"), "ok           github.com/jackc/pgx/v5") {
		t.Error(tail(o.log("licenses")))
	}
}

// TestWorkspace checks for drift in a go.work whose modules import each other without require and replace.
func TestWorkspace(t *testing.T) {
	t.Parallel()
	p := clone(t, "monorepo")
	for _, module := range []string{"billing", "catalog"} {
		text, _, _ := strings.Cut(p.read(module+"/go.mod"), "replace ")
		p.write(module+"/go.mod", strings.Replace(text, "require example.com/monorepo/greeting v0.0.0\n", "", 1))
	}
	p.commit("Use go.work only")
	p.run(nil, "billing-lint-drift").green("billing-lint-drift")
	p.write("billing/go.mod", p.read("billing/go.mod")+"\nrequire golang.org/x/text v0.41.0\n")
	p.commit("Drift")
	p.run(nil, "billing-lint-drift").red("billing-lint-drift", 1, "golang.org/x/text", "go mod tidy")
}

// TestPrivateModules fetches a module from a server that requires the job token, with the variables that docs/use.md describes.
func TestPrivateModules(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("runs jobs")
	}
	// The private module and the server of its repository.
	repositories := t.TempDir()
	module := &project{t: t, name: "greet", dir: filepath.Join(repositories, "acme", "greet.git")}
	module.write("go.mod", "module private.example.com/acme/greet.git\n\ngo 1.26\n")
	module.write("greet.go", "// Package greet greets.\npackage greet\n\n// Hello returns a greeting.\nfunc Hello() string { return \"hello\" }\n")
	module.git("init", "--quiet", "--initial-branch", "main")
	module.commit("Greet")
	module.git("tag", "v1.0.0")
	backend, err := exec.CommandContext(t.Context(), "git", "--exec-path").Output()
	if err != nil {
		t.Fatal(err)
	}
	const token = "job-token"
	git := &cgi.Handler{Path: filepath.Join(strings.TrimSpace(string(backend)), "git-http-backend"), Env: []string{"GIT_PROJECT_ROOT=" + repositories, "GIT_HTTP_EXPORT_ALL=1"}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "gitlab-ci-token" || password != token {
			w.Header().Set("WWW-Authenticate", "Basic")
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		git.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	address, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}

	p := clone(t, "library")
	p.write(".gitlab-ci.yml", "include:\n  - component: $CI_SERVER_FQDN/slipway-ci/slipway/test@v0.1.0\n  - component: $CI_SERVER_FQDN/slipway-ci/slipway/licenses@v0.1.0\n"+
		"    inputs: {except: private.example.com/...}\n")
	p.write("go.mod", p.read("go.mod")+"\nrequire private.example.com/acme/greet.git v1.0.0\n")
	p.write("hello.go", "package library\n\nimport greet \"private.example.com/acme/greet.git\"\n\n// Hello returns a greeting.\nfunc Hello() string { return greet.Hello() }\n")
	p.write("hello_test.go", "package library\n\nimport \"testing\"\n\nfunc TestHello(t *testing.T) {\n\tif Hello() != \"hello\" {\n\t\tt.Fail()\n\t}\n}\n")
	// The jobs' module cache is empty: without Go's own bin folder in PATH, the toolchain would be fetched and everything compiled again.
	goroot, err := exec.CommandContext(t.Context(), "go", "-C", root, "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	p.path = filepath.Join(strings.TrimSpace(string(goroot)), "bin")
	environment := append(os.Environ(), "GOTOOLCHAIN=local", "GOPRIVATE=private.example.com", "GOMODCACHE="+t.TempDir(), "GOFLAGS=-modcacherw", "GIT_CONFIG_COUNT=1",
		"GIT_CONFIG_KEY_0=url.http://gitlab-ci-token:"+token+"@"+address.Host+"/.insteadOf", "GIT_CONFIG_VALUE_0=https://private.example.com/")
	tidy := exec.CommandContext(t.Context(), filepath.Join(p.path, "go"), "mod", "tidy")
	tidy.Dir, tidy.Env = p.dir, environment
	if out, err := tidy.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p.commit("Greet")
	// The jobs get an empty module cache, without the private module, and share this machine's build cache.
	p.env = []string{"GOTOOLCHAIN=local", "GOMODCACHE=" + t.TempDir(), "GOFLAGS=-modcacherw"}
	p.variables = []pipeline.Variable{
		{Key: "CI_JOB_TOKEN", Value: token, Masked: true},
		{Key: "GOPRIVATE", Value: "private.example.com"}, {Key: "GIT_CONFIG_COUNT", Value: "1"},
		{Key: "GIT_CONFIG_KEY_0", Value: "url.http://gitlab-ci-token:$CI_JOB_TOKEN@" + address.Host + "/.insteadOf"}, {Key: "GIT_CONFIG_VALUE_0", Value: "https://private.example.com/"},
	}
	o := p.run(nil, "test", "licenses")
	o.green("test", "licenses")
	if !strings.Contains(o.log("licenses"), "excepted     private.example.com/acme/greet.git v1.0.0: none that is recognized") {
		t.Error(tail(o.log("licenses")))
	}
}

// besides are the stages of the preset: the inputs that switch each of them off there, and those that an own include of it needs to be the same again.
// With a job_prefix the names of jobs in its inputs have it, too.
var besides = map[string]struct{ off, own string }{
	"lint":            {"lint: false", ""},
	"gosec":           {"gosec: false", ""},
	"vulnerabilities": {"vulnerabilities: false", ""},
	"secrets":         {"secrets: false", ""},
	"licenses":        {"licenses: false", ""},
	"test":            {"test: false", ""},
	"test-sharded":    {"test: false", "shards: 3"},
	"sonar":           {"sonar: false", ""},
	"image":           {"builder: own", ""},
	"image-ko":        {"builder: own", ""},
	"scan":            {"image_vulnerabilities: false", ""},
	"sign":            {"sbom: false, signature: none, release: false", "signature: key"},
	"deploy":          {"deploy: false", "job_prefix: PREFIXdeploy-, environment_prefix: 'PREFIX', app: shop, needs: [PREFIXbuild-image, PREFIXpublish], review_needs: [PREFIXbuild-image], review: true, acceptance_job: PREFIXacceptance"},
	"release":         {"release: false", "tag_prefix: 'PREFIX', signature: key, needs: [{job: PREFIXlint, optional: true}, {job: PREFIXgosec, optional: true}, {job: PREFIXvulnerabilities, optional: true}, {job: PREFIXtest, optional: true}]"},
	"fuzz":            {"fuzz: false", ""},
	"benchmark":       {"benchmark: false", ""},
}

// TestEveryInputIsReachable replaces each stage of the preset with an include beside the preset, which makes inputs available that the preset
// does not pass on. Nothing else of the pipeline changes, with and without a prefix. The one stage that cannot be replaced is publish.
func TestEveryInputIsReachable(t *testing.T) {
	t.Parallel()
	preset, err := os.ReadFile(filepath.Join(root, "templates", "go-service.yml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`local: /ci/(\S+)\.yml`).FindAllStringSubmatch(string(preset), -1) {
		if _, ok := besides[m[1]]; !ok && m[1] != "publish" {
			t.Errorf("the stage %s of the preset is not in this test", m[1])
		}
	}
	for _, prefix := range []string{"", "orders-"} {
		for stage, b := range besides {
			t.Run(prefix+stage, func(t *testing.T) {
				t.Parallel()
				inputs := "app: shop, job_prefix: '" + prefix + "', image_vulnerabilities: true, sbom: true, signature: key, review: true, fuzz: true, benchmark: true"
				switch stage {
				case "test-sharded":
					inputs += ", test_shards: 3"
				case "image-ko":
					inputs += ", builder: ko"
				case "sign": // The preset passes the signature on to the release, which is replaced as well.
					inputs += ", release: false"
				}
				own := strings.ReplaceAll(b.own, "PREFIX", prefix)
				if stage != "deploy" {
					own = strings.TrimSuffix("job_prefix: '"+prefix+"', "+own, ", ")
				}
				without := inputs
				for _, off := range strings.Split(b.off, ", ") {
					key, _, _ := strings.Cut(off, ":")
					without = regexp.MustCompile(`, `+key+`: [a-z]+`).ReplaceAllString(without, "") + ", " + off
				}
				want := jobsOf(t, with("go-service", inputs))
				if got := jobsOf(t, with("go-service", without)+strings.TrimPrefix(with(stage, own), "include:\n")); got != want {
					t.Errorf("jobs with %s beside the preset:\n%s\njobs of the preset alone:\n%s", stage, only(got, want), only(want, got))
				}
			})
		}
	}
}

// only returns the lines of one text that another does not have.
func only(text, other string) string {
	lines := strings.Split(text, "\n")
	return strings.Join(slices.DeleteFunc(lines, func(line string) bool { return strings.Contains("\n"+other+"\n", "\n"+line+"\n") }), "\n")
}

// jobsOf returns the jobs of every event: their stages, needs, environments, and images.
func jobsOf(t *testing.T, configuration string) string {
	t.Helper()
	o := options("planned")
	o.Variables = []pipeline.Variable{{Key: "SONAR_TOKEN", Value: "x"}, {Key: "SONAR_HOST_URL", Value: "y"}}
	p, err := pipeline.Load(fstest.MapFS{".gitlab-ci.yml": {Data: []byte(configuration)}}, o)
	if err != nil {
		t.Fatalf("%v\n%s", err, configuration)
	}
	var b strings.Builder
	for _, e := range pipeline.StandardEvents() {
		plan, err := p.Plan(t.Context(), e)
		if err != nil {
			t.Fatalf("%s: %v\n%s", e.Name, err, configuration)
		}
		for _, j := range plan.Jobs {
			var needs []string
			for _, n := range j.Needs {
				needs = append(needs, n.Job)
			}
			environment := ""
			if j.Environment != nil {
				environment = j.Environment.Name
			}
			fmt.Fprintln(&b, e.Name, j.Name, j.Stage, j.When, j.ResourceGroup, environment, strings.Join(needs, ","))
		}
	}
	return sorted(b.String())
}

func sorted(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// TestSonarCommunity runs the stage for the Community edition, which analyses one branch and no merge requests, for one of several services.
func TestSonarCommunity(t *testing.T) {
	t.Parallel()
	p := clone(t, "library")
	p.write(".gitlab-ci.yml", with("sonar", "community: true, job_prefix: Orders_"))
	p.write("stand-in/sonar-scanner", "#!/bin/sh\necho \"STAND-IN for sonar-scanner\"\nprintf '%s\\n' \"$@\"\n")
	p.commit("Run SonarQube")
	if err := os.Chmod(filepath.Join(p.dir, "stand-in", "sonar-scanner"), 0o700); err != nil { //nolint:gosec // a command has to be executable
		t.Fatal(err)
	}
	p.variables = []pipeline.Variable{{Key: "SONAR_TOKEN", Value: "x"}, {Key: "SONAR_HOST_URL", Value: "https://sonar.example.com"}}
	p.path = filepath.Join(p.dir, "stand-in")
	o := p.run(nil, "Orders_sonar")
	o.green("Orders_sonar")
	if log := o.log("Orders_sonar"); strings.Contains(log, "sonar.branch") || strings.Contains(log, "sonar.pullrequest") || !strings.Contains(log, "sonar.qualitygate.wait") ||
		// Each service is a project of its own.
		!strings.Contains(log, "-Dsonar.projectKey=acme:library:Orders\n") {
		t.Error(tail(log))
	}
	sonar := pipelinetest.LoadWith(t, os.DirFS(p.dir), pipeline.Options{Path: "acme/x", Resolver: checkout{root}, Variables: p.variables})
	lacks(sonar.On(pipelinetest.MergeRequest()), "Orders_sonar")
	lacks(sonar.On(pipelinetest.Push("feature")), "Orders_sonar")
}

// TestSignaturesAreForProtectedRefs checks that only protected refs sign, and that only the keyless job gets an ID token, for Sigstore alone.
func TestSignaturesAreForProtectedRefs(t *testing.T) {
	t.Parallel()
	for mode, job := range map[string]string{"key": "image-sign", "keyless": "image-sign-keyless"} {
		p := planned(t, with("go-service", "signature: "+mode+", sbom: true"))
		for _, e := range []pipelinetest.Event{pipelinetest.MergeRequest(), pipelinetest.Push("feature")} {
			lacks(p.On(e), "image-sign", "image-sign-keyless", "image-verify")
			has(p.On(e), "image-sbom")
		}
		// A release takes the signature of the default branch's pipeline.
		release := p.On(pipelinetest.Tag("v1.0.0").Protected())
		lacks(release, "image-sign", "image-sign-keyless", "image-verify")
		has(release, "release-image")
		main := p.On(pipelinetest.Push("main").Protected())
		has(main, job, "image-verify")
		for _, j := range slices.Concat(main.Plan().Jobs, release.Plan().Jobs) {
			want := ""
			if j.Name == "image-sign-keyless" {
				want = "map[SIGSTORE_ID_TOKEN:map[aud:sigstore]]"
			}
			if got := strings.TrimPrefix(fmt.Sprint(j.IDTokens), "<nil>"); got != want {
				t.Errorf("signature %s: %s gets the ID tokens %q, want %q", mode, j.Name, got, want)
			}
		}
	}
}

// TestReleaseChecksTheRevision moves the image tag of a commit to the image of another commit.
func TestReleaseChecksTheRevision(t *testing.T) {
	t.Parallel()
	host := registry(t)
	repository := host + "/acme/moved"
	p := clone(t, "library")
	p.write(".gitlab-ci.yml", with("release", "repository: "+repository))
	p.commit("Release")
	p.git("tag", "v1.0.0")
	crane := func(args ...string) {
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), filepath.Join(commands(t), "crane"), args...).CombinedOutput(); err != nil {
			t.Fatalf("crane %v: %v\n%s", args, err, out)
		}
	}
	tagged := repository + ":sha-" + p.git("rev-parse", "HEAD")
	crane("append", "--oci-empty-base", "--new_tag", tagged, "--new_layer", layer(t, map[string]os.FileMode{"app": 0o755}, 10))
	tag := func(e *pipeline.Event) { e.Branch, e.Tag = "", "v1.0.0" }
	p.run(tag, "release-image").red("release-image", 1, "its label says that it was built from nothing", "nothing is released")
	crane("mutate", tagged, "--label", "org.opencontainers.image.revision="+strings.Repeat("7", 40), "--tag", tagged)
	p.run(tag, "release-image").red("release-image", 1, "built from 7777777", "How to fix")
	crane("mutate", tagged, "--label", "org.opencontainers.image.revision="+p.git("rev-parse", "HEAD"), "--tag", tagged)
	p.run(tag, "release-image").green("release-image")
}

// TestReportsAreForDevelopers checks that only developers can download artifacts, of every job of every event.
func TestReportsAreForDevelopers(t *testing.T) {
	t.Parallel()
	for event, j := range everyJob(t) {
		if a := j.Artifacts; a != nil && a.Access != "developer" {
			t.Errorf("%s: the artifacts of %s are for %q", event, j.Name, a.Access)
		}
	}
}
