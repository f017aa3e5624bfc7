package coordinator

// A Payload describes a job to the runner: the response to POST /api/v4/jobs/request. Names and meanings are those of GitLab's API.
type Payload struct {
	ID            int           `json:"id"`
	Token         string        `json:"token"`
	AllowGitFetch bool          `json:"allow_git_fetch"`
	JobInfo       JobInfo       `json:"job_info"`
	GitInfo       GitInfo       `json:"git_info"`
	RunnerInfo    RunnerInfo    `json:"runner_info"`
	Variables     []Variable    `json:"variables"`
	Steps         []Step        `json:"steps"`
	Hooks         []Hook        `json:"hooks"`
	Image         *Image        `json:"image,omitempty"`
	Services      []Image       `json:"services"`
	Artifacts     []Artifact    `json:"artifacts"`
	Cache         []Cache       `json:"cache"`
	Credentials   []any         `json:"credentials"`
	Dependencies  []Dependency  `json:"dependencies"`
	Features      Features      `json:"features"`
	Run           any           `json:"run,omitempty"`
	PolicyOptions PolicyOptions `json:"policy_options"`
}

// JobInfo names a job.
type JobInfo struct {
	Name            string `json:"name"`
	Stage           string `json:"stage"`
	PipelineID      int    `json:"pipeline_id"`
	ProjectID       int    `json:"project_id"`
	ProjectName     string `json:"project_name"`
	ProjectFullPath string `json:"project_full_path"`
}

// GitInfo describes where the sources are. [Coordinator.Execute] sets RepoURL.
type GitInfo struct {
	RepoURL          string   `json:"repo_url"`
	RepoObjectFormat string   `json:"repo_object_format"`
	Ref              string   `json:"ref"`
	SHA              string   `json:"sha"`
	BeforeSHA        string   `json:"before_sha"`
	RefType          string   `json:"ref_type"`
	Refspecs         []string `json:"refspecs"`
	Depth            int      `json:"depth"`
	Protected        bool     `json:"protected"`
}

// RunnerInfo holds the timeout of the job, in seconds.
type RunnerInfo struct {
	Timeout int `json:"timeout"`
}

// A Variable is one variable of a job; the runner expands those that are not raw.
type Variable struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Public bool   `json:"public"`
	File   bool   `json:"file"`
	Masked bool   `json:"masked"`
	Raw    bool   `json:"raw"`
}

// A Step is one script of a job: "script" or "after_script".
type Step struct {
	Name         string   `json:"name"`
	Script       []string `json:"script"`
	Timeout      int      `json:"timeout"`
	When         string   `json:"when"`
	AllowFailure bool     `json:"allow_failure"`
}

// A Hook is one script of the keyword `hooks`.
type Hook struct {
	Name   string   `json:"name"`
	Script []string `json:"script"`
}

// An Image is the image of a job or of a service.
type Image struct {
	Name         string         `json:"name"`
	Alias        string         `json:"alias,omitempty"`
	Command      []string       `json:"command,omitempty"`
	Entrypoint   []string       `json:"entrypoint,omitempty"`
	PullPolicy   []string       `json:"pull_policy,omitempty"`
	Variables    []Variable     `json:"variables,omitempty"`
	ExecutorOpts map[string]any `json:"executor_opts,omitempty"`
}

// An Artifact is one upload that the runner makes: the archive of `artifacts:paths`, or a report.
type Artifact struct {
	Name      string   `json:"name,omitempty"`
	Untracked bool     `json:"untracked"`
	Paths     []string `json:"paths"`
	Exclude   []string `json:"exclude,omitempty"`
	When      string   `json:"when,omitempty"`
	ExpireIn  string   `json:"expire_in,omitempty"`
	Type      string   `json:"artifact_type"`
	Format    string   `json:"artifact_format"`
}

// A Cache is one entry of the keyword `cache`, its key computed.
type Cache struct {
	Key          string   `json:"key"`
	Untracked    bool     `json:"untracked"`
	Policy       string   `json:"policy,omitempty"`
	Paths        []string `json:"paths"`
	When         string   `json:"when,omitempty"`
	FallbackKeys []string `json:"fallback_keys"`
}

// A Dependency is a job whose archive the runner fetches.
type Dependency struct {
	ID    int           `json:"id"`
	Token string        `json:"token"`
	Name  string        `json:"name"`
	File  ArtifactsFile `json:"artifacts_file"`
}

// ArtifactsFile describes the archive of a dependency.
type ArtifactsFile struct {
	Filename string `json:"filename"`
	Size     int64  `json:"size"`
}

// Features are the features of this coordinator.
type Features struct {
	TraceSections     bool     `json:"trace_sections"`
	TokenMaskPrefixes []string `json:"token_mask_prefixes"`
	FailureReasons    []string `json:"failure_reasons"`
}

// PolicyOptions are those of jobs that a security policy added: none here.
type PolicyOptions struct {
	PolicyJob bool `json:"execution_policy_job"`
}
