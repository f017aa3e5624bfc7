package lint

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

// gitlabRule is the id of what a GitLab instance reports or does differently; it is checked only on request.
const gitlabRule = "gitlab-lint"

// A GitLab is the project on an instance whose CI lint API [Online] uses.
type GitLab struct {
	// URL is that of the instance, as in https://gitlab.com; Project the project's path or id there.
	URL, Project string
	// Token is a personal, project or group access token with the scope api.
	Token string
	// Client is [http.DefaultClient] if nil.
	Client *http.Client
}

// A lintAnswer is the response of GitLab's CI lint API: https://docs.gitlab.com/api/lint/
type lintAnswer struct {
	Valid      bool     `json:"valid"`
	Errors     []string `json:"errors"`
	Warnings   []string `json:"warnings"`
	MergedYAML string   `json:"merged_yaml"`
	Jobs       []struct {
		Name  string `json:"name"`
		Stage string `json:"stage"`
	} `json:"jobs"`
}

// Online sends the configuration to GitLab's CI lint API and returns what GitLab reports, and where its verdict, its merged
// configuration or its jobs differ from those of this engine. GitLab reads files of include:local from the default branch.
func Online(ctx context.Context, files fs.FS, project *pipeline.Project, gitlab GitLab, configPath string) ([]Finding, error) {
	text, err := fs.ReadFile(files, configPath)
	if err != nil {
		return nil, err
	}
	answer, err := gitlab.lint(ctx, string(text))
	if err != nil {
		return nil, err
	}
	c := &comparison{at: pipeline.Position{File: configPath, Line: 1, Column: 1}}
	c.verdicts(ctx, project, answer)
	return c.findings, nil
}

// maxAnswer is how much of a response is read.
const maxAnswer = 32 << 20

func (g GitLab) lint(ctx context.Context, content string) (*lintAnswer, error) {
	base, err := url.Parse(g.URL)
	if err != nil || base.Host == "" {
		return nil, fmt.Errorf("%q is not the URL of a GitLab instance", g.URL)
	}
	if base.Scheme != "https" && !isLoopback(base.Hostname()) {
		return nil, fmt.Errorf("%s: a token is sent only over https", g.URL)
	}
	body, err := json.Marshal(map[string]any{"content": content, "include_jobs": true, "dry_run": false})
	if err != nil {
		return nil, err
	}
	address := strings.TrimSuffix(g.URL, "/") + "/api/v4/projects/" + url.PathEscape(g.Project) + "/ci/lint"
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	// Unlike PRIVATE-TOKEN, this header is not sent on to another host that the server redirects to.
	request.Header.Set("Authorization", "Bearer "+g.Token)
	client := g.Client
	if client == nil {
		client = http.DefaultClient
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask GitLab: %w", err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("ask GitLab: %w", err)
	}
	switch response.StatusCode {
	case http.StatusOK, http.StatusCreated:
	case http.StatusUnauthorized, http.StatusForbidden:
		return nil, fmt.Errorf("%s refuses the token (%s): it needs the scope api and the role Developer in %s", base.Host, response.Status, g.Project)
	case http.StatusNotFound:
		return nil, fmt.Errorf("%s has no project %s that the token may read", base.Host, g.Project)
	default:
		return nil, fmt.Errorf("ask GitLab: %s answers %s", base.Host, response.Status)
	}
	answer := &lintAnswer{}
	if err := json.Unmarshal(data, answer); err != nil {
		return nil, fmt.Errorf("%s does not answer as GitLab's CI lint API: %w", base.Host, err)
	}
	return answer, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// A comparison collects what GitLab reports and where it differs.
type comparison struct {
	at       pipeline.Position
	findings []Finding
}

func (c *comparison) add(severity Severity, path, message, hint string) {
	c.findings = append(c.findings, Finding{Rule: gitlabRule, Severity: severity, Position: c.at, Path: path, Message: message, Hint: hint})
}

const differenceHint = "if GitLab is right, this is a bug of slipway; includes that GitLab reads from the default branch can differ, too"

func (c *comparison) verdicts(ctx context.Context, project *pipeline.Project, answer *lintAnswer) {
	plan, refusal := staticPlan(ctx, project)
	for _, message := range answer.Warnings {
		c.add(Warning, "", "GitLab warns: "+message, "")
	}
	switch {
	case !answer.Valid && refusal == nil:
		for _, message := range answer.Errors {
			c.add(Error, "", "GitLab refuses this configuration, slipway does not: "+message, differenceHint)
		}
		if len(answer.Errors) == 0 {
			c.add(Error, "", "GitLab refuses this configuration, slipway does not", differenceHint)
		}
		return
	case !answer.Valid:
		return // both do, and the findings say why
	case refusal != nil:
		c.add(Error, refusal.Path, "GitLab accepts this configuration, slipway does not: "+refusal.Message, differenceHint)
		return
	}
	c.mergedYAML(ctx, project, plan, answer.MergedYAML)
	c.jobs(plan, answer)
}

// staticPlan returns a plan that has all jobs, created or not, or the first error that no event can avoid.
func staticPlan(ctx context.Context, project *pipeline.Project) (plan *pipeline.Plan, refusal *pipeline.Error) {
	for _, event := range pipeline.StandardEvents() {
		plan, err := project.Plan(ctx, event)
		var list pipeline.Errors
		switch {
		case err == nil && (len(plan.Jobs) > 0 || len(plan.Dropped) > 0):
			return plan, nil
		case errors.As(err, &list) && !list[0].Create:
			return nil, list[0]
		}
	}
	return nil, nil
}

// maxDifferences is how many differences of the merged configuration are reported.
const maxDifferences = 10

func (c *comparison) mergedYAML(ctx context.Context, project *pipeline.Project, plan *pipeline.Plan, merged string) {
	if merged == "" || plan == nil {
		return
	}
	config, err := project.Config(ctx, plan.Event)
	if err != nil {
		return
	}
	var text bytes.Buffer
	if err := config.WriteYAML(&text, false); err != nil {
		return
	}
	var ours, theirs any
	if err := yaml.Unmarshal(text.Bytes(), &ours); err != nil {
		return
	}
	if err := yaml.Unmarshal([]byte(merged), &theirs); err != nil {
		c.add(Error, "", "GitLab's merged configuration cannot be parsed: "+err.Error(), "")
		return
	}
	differences := differ(nil, ours, theirs)
	for i, d := range differences {
		if i == maxDifferences {
			c.add(Error, "", fmt.Sprintf("the merged configurations differ in %d more places", len(differences)-i), "`slipway compile` prints slipway's")
			break
		}
		path := d.path
		if len(path) > 0 && !slices.Contains(globals, path[0]) {
			path = slices.Concat([]string{"jobs"}, path)
		}
		c.add(Error, strings.Join(path, ":"), d.text, differenceHint)
	}
}

// A difference is a place where two merged configurations are not the same.
type difference struct {
	path []string
	text string
}

// differ compares two values; ours is what this engine has, theirs what GitLab has.
func differ(path []string, ours, theirs any) []difference {
	a, aMap := ours.(map[string]any)
	b, bMap := theirs.(map[string]any)
	if !aMap || !bMap {
		x, y := inline(ours), inline(theirs)
		if x == y {
			return nil
		}
		return []difference{{path, fmt.Sprintf("the merged configurations differ: GitLab has %s, slipway has %s", y, x)}}
	}
	var found []difference
	keys := maps.Clone(a)
	maps.Copy(keys, b)
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if key == "extends" && len(path) == 1 {
			continue // it is merged already, and has no effect any more
		}
		below := append(slices.Clone(path), key)
		mine, isMine := a[key]
		other, isOther := b[key]
		switch {
		case !isOther:
			found = append(found, difference{below, "only slipway's merged configuration has this"})
		case !isMine:
			found = append(found, difference{below, "only GitLab's merged configuration has this"})
		default:
			found = append(found, differ(below, mine, other)...)
		}
	}
	return found
}

// inline writes a value in one line that is not too long.
func inline(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	const long = 120
	if text := string(data); len(text) <= long {
		return text
	}
	return strings.ToValidUTF8(string(data[:long]), "") + "..."
}

func (c *comparison) jobs(plan *pipeline.Plan, answer *lintAnswer) {
	if plan == nil || answer.Jobs == nil {
		return
	}
	stages := map[string]string{}
	for _, job := range slices.Concat(plan.Jobs, plan.Dropped) {
		stages[job.Name] = job.Stage
	}
	for _, job := range answer.Jobs {
		stage, ok := stages[job.Name]
		switch {
		case !ok:
			c.add(Error, "jobs:"+job.Name, "only GitLab has this job", differenceHint)
		case stage != job.Stage:
			c.add(Error, "jobs:"+job.Name+":stage", fmt.Sprintf("GitLab puts the job into stage %s, slipway into %s", job.Stage, stage), differenceHint)
		}
		delete(stages, job.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(stages)) {
		c.add(Error, "jobs:"+name, "only slipway has this job", differenceHint)
	}
}
