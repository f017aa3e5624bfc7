package runner

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/gittree"
	"gitlab.com/slipway-ci/slipway/pipeline/runner/internal/coordinator"
	"gitlab.com/slipway-ci/slipway/pipeline/runner/internal/executor"
)

// job returns the attempt in the form of GitLab's API.
func (g *gitlabRunner) job(ctx context.Context, a *attempt, uploads string) (coordinator.Job, error) {
	token := coordinator.NewToken()
	commit, err := a.run.definition.Sources.Publish(ctx, a.run.machine, pipelineRef(a.pipelineID))
	if err != nil {
		return coordinator.Job{}, err
	}
	caches, err := a.sentCaches(ctx, commit)
	if err != nil {
		return coordinator.Job{}, err
	}
	spec := a.node.job
	job := coordinator.Job{
		Runner: g.tokens[executor.Docker], Trace: a.out, Uploads: uploads, Grace: a.run.options.Grace,
		Dependencies: map[int]func(io.Writer) error{},
		Payload: coordinator.Payload{
			ID: a.id, Token: token, AllowGitFetch: true,
			JobInfo: coordinator.JobInfo{
				Name: spec.Name, Stage: spec.Stage, PipelineID: a.pipelineID, ProjectID: 1,
				ProjectName: path.Base(a.projectPath()), ProjectFullPath: a.projectPath(),
			},
			GitInfo:    a.gitInfo(commit),
			RunnerInfo: coordinator.RunnerInfo{Timeout: int(a.timeout().Seconds())},
			Variables:  a.sentVariables(token, g.coordinator.URL()),
			Steps:      a.steps(),
			Services:   []coordinator.Image{},
			Artifacts:  sentArtifacts(spec.Artifacts),
			Cache:      caches,
			Run:        spec.Run,
			Features: coordinator.Features{
				TraceSections: true, TokenMaskPrefixes: tokenPrefixes,
				FailureReasons: []string{string(ScriptFailure), string(SystemFailure), string(JobTimeout)},
			},
		},
	}
	if a.run.executorConfig().RunsOnMachine(a.run.image(spec) != nil) {
		job.Runner = g.tokens[executor.Shell]
	}
	if image := a.run.image(spec); image != nil {
		job.Payload.Image = new(sentImage(*image))
	}
	for _, service := range spec.Services {
		job.Payload.Services = append(job.Payload.Services, sentImage(service))
	}
	if hooks, ok := spec.Hooks.(map[string]any); ok {
		for _, name := range slices.Sorted(maps.Keys(hooks)) {
			job.Payload.Hooks = append(job.Payload.Hooks, coordinator.Hook{Name: name, Script: texts(hooks[name])})
		}
	}
	for _, source := range a.sources {
		folder := a.run.folder(source.Slug)
		if _, err := os.Stat(filepath.Join(folder, artifactsFolder)); err != nil {
			continue
		}
		job.Payload.Dependencies = append(job.Payload.Dependencies, coordinator.Dependency{
			ID: source.ID, Token: coordinator.NewToken(), Name: source.Name, File: coordinator.ArtifactsFile{Filename: "artifacts.zip"},
		})
		job.Dependencies[source.ID] = func(w io.Writer) error { return writeArchive(folder, w) }
	}
	return job, nil
}

// pipelineRef returns the ref by which GitLab's runner fetches the commit of a pipeline.
func pipelineRef(id int) string { return "refs/pipelines/" + strconv.Itoa(id) }

// gitInfo returns what the runner fetches; see [snapshot.CheckoutOptions].
func (a *attempt) gitInfo(commit string) coordinator.GitInfo {
	event := a.node.graph.plan.Event
	ref := pipelineRef(a.pipelineID)
	info := coordinator.GitInfo{
		RepoObjectFormat: "sha1", SHA: commit, BeforeSHA: strings.Repeat("0", len(commit)), RefType: "branch", Depth: a.checkoutOptions().Depth,
		Protected: event.RefProtected, Refspecs: []string{"+" + ref + ":" + ref},
	}
	if len(commit) == 64 {
		info.RepoObjectFormat = "sha256"
	}
	if info.Depth == 0 {
		info.Refspecs = append(info.Refspecs, "+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*")
	}
	switch {
	case event.Tag != "":
		info.Ref, info.RefType = event.Tag, "tag"
		if info.Depth > 0 {
			info.Refspecs = append(info.Refspecs, "+refs/tags/"+event.Tag+":refs/tags/"+event.Tag)
		}
	case event.MergeRequestInfo != nil:
		info.Ref = event.MergeRequestInfo.SourceBranch
	default:
		info.Ref = cmp.Or(event.Branch, a.predefinedValue("CI_DEFAULT_BRANCH"))
		if info.Depth > 0 {
			info.Refspecs = append(info.Refspecs, "+"+ref+":refs/remotes/origin/"+info.Ref)
		}
	}
	return info
}

// sentVariables returns the job's variables as GitLab sends them: the runner adds its own, and expands them.
func (a *attempt) sentVariables(token, url string) []coordinator.Variable {
	predefined := append(a.gitlabPredefined(), pipeline.Variable{Key: "SLIPWAY", Value: "true"})
	variables := toSent(a.node.graph.plan.SentVariables(a.node.job, a.dotenv, predefined))
	return append(variables,
		coordinator.Variable{Key: "CI_JOB_TOKEN", Value: token, Masked: true, Raw: true},
		coordinator.Variable{Key: "CI_REPOSITORY_URL", Value: strings.Replace(url, "://", "://gitlab-ci-token:"+token+"@", 1) + "/" + a.projectPath() + ".git", Masked: true, Raw: true},
	)
}

func toSent(variables []pipeline.Variable) []coordinator.Variable {
	sent := make([]coordinator.Variable, len(variables))
	for i, v := range variables {
		sent[i] = coordinator.Variable{Key: v.Key, Value: v.Value, Public: !v.Masked, File: v.File, Masked: v.Masked, Raw: v.Raw}
	}
	return sent
}

func (a *attempt) steps() []coordinator.Step {
	job, timeout := a.node.job, int(a.timeout().Seconds())
	steps := []coordinator.Step{{Name: "script", Script: slices.Concat(job.BeforeScript, job.Script), Timeout: timeout, When: "on_success"}}
	if len(job.AfterScript) > 0 {
		steps = append(steps, coordinator.Step{Name: "after_script", Script: job.AfterScript, Timeout: timeout, When: "always", AllowFailure: true})
	}
	return steps
}

func sentImage(image pipeline.Image) coordinator.Image {
	sent := coordinator.Image{
		Name: image.Name, Alias: image.Alias, Command: image.Command, Entrypoint: image.Entrypoint, PullPolicy: image.PullPolicy, Variables: toSent(image.Variables),
	}
	if image.Docker != nil {
		sent.ExecutorOpts = map[string]any{"docker": image.Docker}
	}
	return sent
}

// sentCaches returns the job's caches, with keys computed from the sources.
func (a *attempt) sentCaches(ctx context.Context, commit string) ([]coordinator.Cache, error) {
	caches := []coordinator.Cache{}
	if len(a.node.job.Cache) == 0 {
		return caches, nil
	}
	repository := a.run.definition.Sources.Dir
	tree, err := gittree.Open(ctx, repository, commit)
	if err != nil {
		return nil, err
	}
	defer tree.Close()
	for _, c := range a.node.job.Cache {
		keys, err := a.sentCacheKeys(ctx, c, keySources{tree, repository, commit})
		if err != nil {
			return nil, fmt.Errorf("cache: %w", err)
		}
		caches = append(caches, coordinator.Cache{
			Key: keys[0], FallbackKeys: keys[1:], Untracked: c.Untracked, Policy: cmp.Or(c.Policy, "pull-push"), Paths: c.Paths, When: cmp.Or(c.When, "on_success"),
		})
	}
	return caches, nil
}

// A reportFile describes how a runner uploads a kind of report.
type reportFile struct{ name, format string }

// rawReports are the file names of the kinds of reports that are uploaded as they are; the others are compressed.
// https://gitlab.com/gitlab-org/gitlab/-/blob/master/lib/gitlab/ci/reports lists them.
var rawReports = map[string]string{
	"codequality": "gl-code-quality-report.json", "sast": "gl-sast-report.json", "secret_detection": "gl-secret-detection-report.json",
	"dependency_scanning": "gl-dependency-scanning-report.json", "container_scanning": "gl-container-scanning-report.json",
	"cluster_image_scanning": "gl-cluster-image-scanning-report.json", "dast": "gl-dast-report.json",
	"license_scanning": "gl-license-scanning-report.json", "performance": "performance.json", "browser_performance": "browser-performance.json",
	"load_performance": "load-performance.json", "terraform": "tfplan.json", "requirements": "requirements.json",
	"requirements_v2": "requirements_v2.json", "coverage_fuzzing": "gl-coverage-fuzzing.json", "api_fuzzing": "gl-api-fuzzing-report.json",
	"accessibility": "gl-accessibility.json",
}

func reportFileOf(kind string) reportFile {
	if name, isRaw := rawReports[kind]; isRaw {
		return reportFile{name, "raw"}
	}
	switch kind {
	case "junit", "cobertura", "jacoco":
		return reportFile{kind + ".xml", "gzip"}
	case "dotenv":
		return reportFile{".env", "gzip"}
	case "metrics":
		return reportFile{"metrics.txt", "gzip"}
	case "lsif":
		return reportFile{"lsif.json", "zip"}
	}
	return reportFile{kind + ".json", "gzip"}
}

// sentArtifacts returns the uploads that a job asks for: the archive, and each kind of report.
func sentArtifacts(spec *pipeline.Artifacts) []coordinator.Artifact {
	sent := []coordinator.Artifact{}
	if spec == nil {
		return sent
	}
	if len(spec.Paths) > 0 || spec.Untracked {
		sent = append(sent, coordinator.Artifact{
			Name: spec.Name, Untracked: spec.Untracked, Paths: spec.Paths, Exclude: spec.Exclude, When: spec.When, ExpireIn: spec.ExpireIn,
			Type: "archive", Format: "zip",
		})
	}
	for _, kind := range slices.Sorted(maps.Keys(spec.Reports)) {
		artifactType := kind
		if report, ok := spec.Reports[kind].(map[string]any); ok && kind == coverageReport {
			artifactType = fmt.Sprint(report["coverage_format"])
		}
		file := reportFileOf(artifactType)
		sent = append(sent, coordinator.Artifact{
			Name: file.name, Paths: spec.ReportPaths(kind), When: "always", ExpireIn: spec.ExpireIn, Type: artifactType, Format: file.format,
		})
	}
	return sent
}

// coverageReport is the kind of report whose value names its format.
const coverageReport = "coverage_report"

// keptUploads stores the files that the runner uploads for a job where other jobs find them.
type keptUploads struct {
	*attempt
	kinds  []string
	dotenv []pipeline.Variable
}

// keep stores an upload. It returns an error if GitLab would refuse it.
func (k *keptUploads) keep(u coordinator.Upload) error {
	if u.Type == "" || u.Type == "archive" {
		return readArchive(u.Path, k.run.folder(k.node.state.Slug))
	}
	kind := u.Type
	if kind == "cobertura" || kind == "jacoco" {
		kind = coverageReport
	}
	files, err := readReport(u)
	if err != nil {
		return err
	}
	if kind == "dotenv" {
		if err := k.readDotenvReport(files); err != nil {
			return err
		}
	}
	folder := filepath.Join(k.folder(reportsFolder), kind)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	for i, file := range files {
		path := filepath.Join(folder, file.name)
		if _, err := os.Lstat(path); err == nil {
			path = filepath.Join(folder, strconv.Itoa(i+1)+"-"+file.name)
		}
		if err := os.WriteFile(path, file.content, 0o600); err != nil {
			return err
		}
	}
	k.kinds = append(k.kinds, kind)
	return nil
}

func (k *keptUploads) readDotenvReport(files []uploadedFile) error {
	for _, file := range files {
		variables, err := parseDotenv(file.name, file.content)
		if err != nil {
			return err
		}
		k.dotenv = append(k.dotenv, variables...)
	}
	return nil
}

// An uploadedFile is one file of a report.
type uploadedFile struct {
	name    string
	content []byte
}

// readReport reads the files of a report: one as it is, or several compressed ones in sequence.
func readReport(u coordinator.Upload) ([]uploadedFile, error) {
	if u.Format != "gzip" {
		content, err := os.ReadFile(u.Path)
		return []uploadedFile{{filepath.Base(u.Name), content}}, err
	}
	packed, err := os.Open(u.Path)
	if err != nil {
		return nil, err
	}
	defer packed.Close()
	members := bufio.NewReader(packed)
	reader, err := gzip.NewReader(members)
	if err != nil {
		return nil, err
	}
	var files []uploadedFile
	for {
		reader.Multistream(false)
		content, err := io.ReadAll(reader)
		if err != nil {
			return nil, err
		}
		files = append(files, uploadedFile{cmp.Or(filepath.Base(reader.Name), "report"), content})
		if err := reader.Reset(members); err != nil {
			if errors.Is(err, io.EOF) {
				return files, nil
			}
			return nil, err
		}
	}
}

// outcome returns the outcome of the attempt that the runner reported.
func (k *keptUploads) outcome(executed coordinator.Result) outcome {
	result := outcome{status: Success, dotenv: k.dotenv, reports: k.kinds}
	switch executed.State {
	case "canceled":
		result.status = Canceled
	case "failed":
		result.status, result.failure, result.exitCode = Failed, Failure(executed.FailureReason), executed.ExitCode
		result.err = fmt.Errorf("gitlab-runner: %s", strings.ReplaceAll(executed.FailureReason, "_", " "))
		if result.failure == ScriptFailure && executed.ExitCode != 0 {
			result.err = fmt.Errorf("exit code %d", executed.ExitCode)
		}
	}
	if pattern := k.node.job.Coverage; pattern != "" {
		result.coverage = k.coverage(pattern)
	}
	if result.status == Success {
		result.environment = k.deployment(result.dotenv)
	}
	return result
}
