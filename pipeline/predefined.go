package pipeline

import (
	"cmp"
	"fmt"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// DefaultSHA is the commit of an [Event] that names none.
const DefaultSHA = "5d1c5f0e0a9bd4f3c6e7b8291a0f4d3c2b1e0f9a"

const (
	zeroSHA = "0000000000000000000000000000000000000000"
	// beforeSHA is the parent commit of pushes that have one.
	beforeSHA = "1b2c3d4e5f60718293a4b5c6d7e8f90123456789"
	// gitlabVersion is the version whose behaviour the package has.
	gitlabVersion = "18.11.0"
	// createdAt stands for the time of the pipeline and of the commit, so that equal inputs result in equal plans.
	createdAt = "2026-01-01T00:00:00Z"
)

// ref is the branch or tag that the pipeline runs on; for a merge request its source branch.
func (e Event) ref(defaultBranch string) string {
	switch {
	case e.Tag != "":
		return e.Tag
	case e.isMergeRequest() && e.MergeRequestInfo != nil:
		return e.MergeRequestInfo.SourceBranch
	case e.Branch != "":
		return e.Branch
	}
	return defaultBranch
}

func (e Event) sha() string {
	if e.SHA != "" {
		return e.SHA
	}
	return DefaultSHA
}

// root is the source of the pipeline, of a child pipeline that of the first one above it.
func (e Event) root() Source {
	if e.RootSource != "" {
		return e.RootSource
	}
	return e.Source
}

func (e Event) isMergeRequest() bool { return e.root() == MergeRequest }

// isBranch reports whether the pipeline is one of a branch: not of a tag, not of a merge request.
func (e Event) isBranch() bool { return e.Tag == "" && !e.isMergeRequest() }

// predefined returns GitLab's predefined variables of a pipeline for an event
// (https://docs.gitlab.com/ci/variables/predefined_variables/), as far as they are known before a job runs.
func predefined(o Options, e Event) *variableSet {
	p := make(predefinedVariables, 0, 96)
	p.server(o)
	p.project(o)
	p.pipeline(o, e)
	if e.isMergeRequest() && e.MergeRequestInfo != nil {
		p.mergeRequest(o, e, e.MergeRequestInfo)
	}
	set := newVariableSet(p)
	for _, key := range sortedKeys(e.Predefined) {
		if slices.Contains(userKeys[:], key) {
			continue // see userVariables
		}
		set.set(Variable{Key: key, Value: e.Predefined[key], Raw: true})
	}
	return set
}

// decisionVariables are what the rules of workflow and jobs see besides, but those of includes do not.
func decisionVariables(e Event) []Variable {
	p := make(predefinedVariables, 0, 3)
	if e.Source == Trigger {
		p.add("CI_PIPELINE_TRIGGERED", "true")
		p.add("CI_TRIGGER_SHORT_TOKEN", "1234")
	}
	p.add("CI_NODE_TOTAL", "1")
	return p
}

var userKeys = [...]string{"GITLAB_USER_ID", "GITLAB_USER_EMAIL", "GITLAB_USER_LOGIN", "GITLAB_USER_NAME"}

// userVariables describe who started the pipeline. They take precedence over variables of the configuration, and includes do
// not see them.
func userVariables(e Event) []Variable {
	p := make(predefinedVariables, 0, len(userKeys))
	for i, value := range [...]string{"1", "author@example.com", "author", "Author"} {
		if known, ok := e.Predefined[userKeys[i]]; ok {
			value = known
		}
		p.add(userKeys[i], value)
	}
	return p
}

// registryKeys are variables of GitLab's registry that rules see.
var registryKeys = [...]string{"CI_REGISTRY", "CI_REGISTRY_IMAGE"}

// withoutRegistry leaves out GitLab's registry unless the event names one: a job that runs here must not push there by
// accident.
func withoutRegistry(variables []Variable, e Event) []Variable {
	return slices.DeleteFunc(slices.Clone(variables), func(v Variable) bool {
		_, known := e.Predefined[v.Key]
		return !known && slices.Contains(registryKeys[:], v.Key)
	})
}

// atRuntime are the predefined variables of a job that its rules do not see.
func atRuntime(j *Job) []Variable {
	p := make(predefinedVariables, 0, 2)
	p.add("CI_SERVER", "yes")
	if e := j.Environment; e != nil && e.Name != "" {
		p.add("CI_ENVIRONMENT_SLUG", environmentSlug(e.Name))
	}
	return p
}

type predefinedVariables []Variable

func (p *predefinedVariables) add(key, value string) {
	*p = append(*p, Variable{Key: key, Value: value, Raw: true})
}

func (p *predefinedVariables) server(o Options) {
	base := o.Protocol + "://" + o.Host
	host, port := splitHost(o.Host)
	if port == "" {
		port = cmp.Or(map[string]string{"http": "80"}[o.Protocol], "443")
	}
	major, rest, _ := strings.Cut(gitlabVersion, ".")
	minor, patch, _ := strings.Cut(rest, ".")
	p.add("CI", "true")
	p.add("GITLAB_CI", "true")
	p.add("GITLAB_FEATURES", "")
	p.add("CI_SERVER_FQDN", o.Host)
	p.add("CI_SERVER_HOST", host)
	p.add("CI_SERVER_NAME", "GitLab")
	p.add("CI_SERVER_PORT", port)
	p.add("CI_SERVER_PROTOCOL", o.Protocol)
	p.add("CI_SERVER_REVISION", "0000000")
	p.add("CI_SERVER_SHELL_SSH_HOST", host)
	p.add("CI_SERVER_SHELL_SSH_PORT", cmp.Or(o.SSHPort, "22"))
	p.add("CI_SERVER_URL", base)
	p.add("CI_SERVER_VERSION", gitlabVersion)
	p.add("CI_SERVER_VERSION_MAJOR", major)
	p.add("CI_SERVER_VERSION_MINOR", minor)
	p.add("CI_SERVER_VERSION_PATCH", patch)
	p.add("CI_API_V4_URL", base+"/api/v4")
	p.add("CI_API_GRAPHQL_URL", base+"/api/graphql")
	p.add("CI_TEMPLATE_REGISTRY_HOST", "registry.gitlab.com")
}

// splitHost separates the port from a host; the brackets of an IPv6 address are part of the host, as in GitLab's variables.
func splitHost(address string) (host, port string) {
	port = (&url.URL{Host: address}).Port()
	return strings.TrimSuffix(address, ":"+port), port
}

// isAddress reports whether a host is an IP address, of which there are no subdomains.
func isAddress(host string) bool {
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil
}

// registryHost is GitLab's usual name for the container registry of an instance.
func registryHost(o Options) string {
	host, _ := splitHost(o.Host)
	switch {
	case o.Registry != "":
		return o.Registry
	case isAddress(host):
		return host + ":5050"
	}
	return "registry." + host
}

// pages adds the variables of GitLab Pages, which needs a domain.
func (p *predefinedVariables) pages(o Options) {
	host, _ := splitHost(o.Host)
	if isAddress(host) {
		return
	}
	domain := "pages." + host
	if host == "gitlab.com" {
		domain = "gitlab.io"
	}
	root, project, _ := strings.Cut(o.Path, "/")
	site := strings.ToLower(root) + "." + domain
	p.add("CI_PAGES_DOMAIN", domain)
	if strings.EqualFold(project, site) {
		p.add("CI_PAGES_URL", "https://"+site)
		return
	}
	p.add("CI_PAGES_URL", "https://"+site+"/"+project)
}

func (p *predefinedVariables) project(o Options) {
	namespace, name := path.Split(o.Path)
	namespace = strings.TrimSuffix(namespace, "/")
	root, _, _ := strings.Cut(o.Path, "/")
	p.add("CI_PROJECT_ID", "1")
	p.add("CI_PROJECT_NAME", name)
	p.add("CI_PROJECT_TITLE", name)
	p.add("CI_PROJECT_DESCRIPTION", "")
	p.add("CI_PROJECT_PATH", o.Path)
	p.add("CI_PROJECT_PATH_SLUG", Slug(o.Path))
	p.add("CI_PROJECT_NAMESPACE", namespace)
	p.add("CI_PROJECT_NAMESPACE_ID", "1")
	p.add("CI_PROJECT_NAMESPACE_SLUG", Slug(namespace))
	p.add("CI_PROJECT_ROOT_NAMESPACE", root)
	p.add("CI_PROJECT_URL", o.Protocol+"://"+o.Host+"/"+o.Path)
	p.add("CI_PROJECT_VISIBILITY", "private")
	p.add("CI_PROJECT_REPOSITORY_LANGUAGES", "")
	p.add("CI_PROJECT_CLASSIFICATION_LABEL", "")
	p.add("CI_PROJECT_TOPICS", "")
	p.add("CI_DEFAULT_BRANCH", o.DefaultBranch)
	p.add("CI_DEFAULT_BRANCH_SLUG", Slug(o.DefaultBranch))
	p.add("CI_CONFIG_PATH", o.ConfigPath)
	registry := registryHost(o)
	p.add("CI_REGISTRY", registry)
	p.add("CI_REGISTRY_IMAGE", registry+"/"+strings.ToLower(o.Path))
	p.pages(o)
}

func (p *predefinedVariables) pipeline(o Options, e Event) {
	ref, sha := e.ref(o.DefaultBranch), e.sha()
	before := beforeSHA
	if e.NewBranch || e.Tag != "" || e.root() != Push {
		before = zeroSHA
	}
	message := e.CommitMessage
	if message == "" {
		message = "change"
	}
	title, description := splitCommitMessage(message)
	truncated := len(message) > maxCommitMessage
	if truncated {
		message, title, description = truncateBytes(message), truncateBytes(title), truncateBytes(description)
	}
	p.add("CI_PIPELINE_IID", "1")
	p.add("CI_PIPELINE_SOURCE", string(e.Source))
	p.add("CI_PIPELINE_CREATED_AT", createdAt)
	p.add("CI_CONFIG_REF_URI", o.Host+"/"+o.Path+"//"+o.ConfigPath+"@"+refPath(e, ref))
	if e.Source == MultiProject || e.Source == ParentPipeline {
		p.add("CI_UPSTREAM_PIPELINE_ID", "1")
		p.add("CI_UPSTREAM_PROJECT_ID", "1")
		p.add("CI_UPSTREAM_JOB_ID", "1")
	}
	p.add("CI_COMMIT_SHA", sha)
	p.add("CI_COMMIT_SHORT_SHA", sha[:min(8, len(sha))])
	p.add("CI_COMMIT_BEFORE_SHA", before)
	p.add("CI_COMMIT_REF_NAME", ref)
	p.add("CI_COMMIT_REF_SLUG", Slug(ref))
	if e.isBranch() {
		p.add("CI_COMMIT_BRANCH", ref)
	}
	if e.Tag != "" {
		p.add("CI_COMMIT_TAG", e.Tag)
		p.add("CI_COMMIT_TAG_MESSAGE", "")
	}
	p.add("CI_COMMIT_MESSAGE", message)
	p.add("CI_COMMIT_MESSAGE_IS_TRUNCATED", strconv.FormatBool(truncated))
	p.add("CI_COMMIT_TITLE", title)
	p.add("CI_COMMIT_DESCRIPTION", description)
	p.add("CI_COMMIT_REF_PROTECTED", strconv.FormatBool(e.RefProtected))
	p.add("CI_COMMIT_TIMESTAMP", createdAt)
	p.add("CI_COMMIT_AUTHOR", "Author <author@example.com>")
	if e.Source == Schedule {
		p.add("CI_PIPELINE_SCHEDULE_DESCRIPTION", e.Name)
	}
	if len(e.OpenMergeRequests) > 0 && e.Tag == "" {
		p.add("CI_OPEN_MERGE_REQUESTS", strings.Join(e.OpenMergeRequests, ","))
	}
}

// maxCommitMessage is the number of bytes to which GitLab truncates a commit message.
const maxCommitMessage = 100_000

func truncateBytes(s string) string { return s[:min(len(s), maxCommitMessage)] }

// refPath is the full name of the ref of a pipeline, of a merge request that of its source branch.
func refPath(e Event, ref string) string {
	if e.Tag != "" {
		return "refs/tags/" + ref
	}
	return "refs/heads/" + ref
}

// splitCommitMessage returns the title and the description of a commit message. The description is the whole message where the
// title is long (100 characters or more), else what follows the first line: with the blank line, if there is one, but without
// the last line break.
func splitCommitMessage(message string) (title, description string) {
	title, description, _ = strings.Cut(message, "\n")
	title, _, _ = strings.Cut(title, "\r")
	if utf8.RuneCountInString(title) >= 100 {
		return title, message
	}
	return title, strings.TrimSuffix(strings.TrimSuffix(description, "\n"), "\r")
}

func (p *predefinedVariables) mergeRequest(o Options, e Event, m *MergeRequestInfo) {
	target, sourceProject, kind := m.TargetBranch, o.Path, m.Kind
	if target == "" {
		target = o.DefaultBranch
	}
	sourceID := "1"
	if m.Fork {
		sourceProject, sourceID = "contributor/app", "2"
		if m.SourceProject != "" {
			sourceProject = m.SourceProject
		}
	}
	if kind == "" {
		kind = "detached"
	}
	iid := strconv.Itoa(m.IID)
	base := o.Protocol + "://" + o.Host + "/"
	p.add("CI_MERGE_REQUEST_ID", iid)
	p.add("CI_MERGE_REQUEST_IID", iid)
	p.add("CI_MERGE_REQUEST_REF_PATH", mergeRequestRefPath(iid, kind))
	p.add("CI_MERGE_REQUEST_PROJECT_ID", "1")
	p.add("CI_MERGE_REQUEST_PROJECT_PATH", o.Path)
	p.add("CI_MERGE_REQUEST_PROJECT_URL", base+o.Path)
	p.add("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", target)
	p.add("CI_MERGE_REQUEST_TARGET_BRANCH_PROTECTED", strconv.FormatBool(target == o.DefaultBranch))
	p.add("CI_MERGE_REQUEST_SOURCE_PROJECT_ID", sourceID)
	p.add("CI_MERGE_REQUEST_SOURCE_PROJECT_PATH", sourceProject)
	p.add("CI_MERGE_REQUEST_SOURCE_PROJECT_URL", base+sourceProject)
	p.add("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", m.SourceBranch)
	p.add("CI_MERGE_REQUEST_SOURCE_BRANCH_PROTECTED", "false")
	p.add("CI_MERGE_REQUEST_TITLE", m.Title)
	p.add("CI_MERGE_REQUEST_DESCRIPTION", "")
	p.add("CI_MERGE_REQUEST_DESCRIPTION_IS_TRUNCATED", "false")
	p.add("CI_MERGE_REQUEST_DIFF_ID", "1")
	p.add("CI_MERGE_REQUEST_DIFF_BASE_SHA", beforeSHA)
	p.add("CI_MERGE_REQUEST_DRAFT", strconv.FormatBool(m.Draft))
	p.add("CI_MERGE_REQUEST_SQUASH_ON_MERGE", "false")
	p.add("CI_MERGE_REQUEST_EVENT_TYPE", kind)
	merged := ""
	if kind != "detached" {
		merged = e.sha()
	}
	p.add("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA", merged)
	p.add("CI_MERGE_REQUEST_TARGET_BRANCH_SHA", merged)
	if len(m.Labels) > 0 {
		p.add("CI_MERGE_REQUEST_LABELS", strings.Join(m.Labels, ","))
	}
}

func mergeRequestRefPath(iid, kind string) string {
	name := map[string]string{"merged_result": "merge", "merge_train": "train"}[kind]
	if name == "" {
		name = "head"
	}
	return fmt.Sprintf("refs/merge-requests/%s/%s", iid, name)
}

// Slug returns a name in the form of CI_COMMIT_REF_SLUG: lower case, at most 63 bytes, all but letters and digits replaced by
// dashes, none of which stands first or last.
func Slug(name string) string {
	slug := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(name))
	return strings.Trim(slug[:min(63, len(slug))], "-")
}

// jobPredefined returns the predefined variables of one job.
func jobPredefined(j *Job) []Variable {
	p := make(predefinedVariables, 0, 12)
	p.add("CI_JOB_NAME", j.Name)
	p.add("CI_JOB_NAME_SLUG", Slug(j.Name))
	p.add("CI_JOB_GROUP_NAME", groupName(j.Name))
	p.add("CI_JOB_STAGE", j.Stage)
	if j.When == Manual || j.When == Delayed {
		p.add("CI_JOB_MANUAL", "true")
	}
	if j.Instance > 0 {
		p.add("CI_NODE_INDEX", strconv.Itoa(j.Instance))
	}
	p.add("CI_NODE_TOTAL", strconv.Itoa(max(1, j.Parallel)))
	if e := j.Environment; e != nil && e.Name != "" {
		p.add("CI_ENVIRONMENT_NAME", e.Name)
		p.add("CI_ENVIRONMENT_ACTION", e.action())
		p.add("CI_ENVIRONMENT_TIER", e.Tier())
		if e.URL != "" {
			// Its variables may be those of a dotenv report.
			p = append(p, Variable{Key: "CI_ENVIRONMENT_URL", Value: e.URL})
		}
	}
	return p
}

// groupName is a job's name without the numbers and brackets of parallel jobs: "test 1/3" and "test: [a, b]" are "test".
func groupName(name string) string {
	if strings.HasSuffix(name, "]") {
		if i := strings.LastIndex(name, ": ["); i > 0 {
			return name[:i]
		}
	}
	i := strings.LastIndexByte(name, ' ')
	if i <= 0 {
		return name
	}
	n, total, ok := strings.Cut(name[i+1:], "/")
	if !ok || strings.Trim(n+total, "0123456789") != "" || n == "" || total == "" {
		return name
	}
	return name[:i]
}
