package pipeline

// A Source is the value of CI_PIPELINE_SOURCE: why GitLab created the pipeline.
type Source string

// The sources that GitLab documents for CI_PIPELINE_SOURCE and that an [Event] can have.
const (
	Push           Source = "push"
	MergeRequest   Source = "merge_request_event"
	Schedule       Source = "schedule"
	Web            Source = "web"
	API            Source = "api"
	Trigger        Source = "trigger"
	MultiProject   Source = "pipeline"
	ParentPipeline Source = "parent_pipeline"
)

// An Event is what happened in a project: it yields GitLab's predefined variables and decides, with the
// configuration, which jobs there are. The zero value of every field but Source means "GitLab's default".
type Event struct {
	// Name is a label for readers ("merge request from a fork"); it has no effect.
	Name   string `json:"name,omitzero"`
	Source Source `json:"source,omitzero"`
	// Branch is the pipeline's branch; empty for tags. For merge requests the source branch is used.
	Branch string `json:"branch,omitzero"`
	// Tag is the pipeline's tag; with it Branch is empty.
	Tag string `json:"tag,omitzero"`
	// NewBranch reports that the push created the branch (CI_COMMIT_BEFORE_SHA is zero): there is no diff, and
	// `rules:changes` is true.
	NewBranch bool `json:"new_branch,omitzero"`
	// Changed holds the paths that the push or the merge request changes, relative to the project's root.
	Changed []string `json:"changed,omitzero"`
	// CompareTo returns the paths that differ from a ref, for `rules:changes:compare_to`. Refs named here exist.
	CompareTo map[string][]string `json:"compare_to,omitzero"`
	// AnyRef reports that the refs that CompareTo does not name exist, too, and differ by Changed: for events that are looked
	// at without the repository's refs.
	AnyRef bool `json:"any_ref,omitzero"`
	// MergeRequestInfo is set for the source merge_request_event.
	MergeRequestInfo *MergeRequestInfo `json:"merge_request_info,omitzero"`
	// OpenMergeRequests is the list in CI_OPEN_MERGE_REQUESTS of a branch pipeline.
	OpenMergeRequests []string `json:"open_merge_requests,omitzero"`
	// RefProtected is CI_COMMIT_REF_PROTECTED.
	RefProtected bool `json:"ref_protected,omitzero"`
	// Variables are given to this run (web form, API, trigger, schedule); they override project variables.
	Variables []Variable `json:"variables,omitzero"`
	// Inputs are the pipeline's inputs, by name.
	Inputs map[string]any `json:"inputs,omitzero"`
	// SHA is the commit, 40 hexadecimal digits; [DefaultSHA] if empty.
	SHA string `json:"sha,omitzero"`
	// CommitMessage is CI_COMMIT_MESSAGE; "change" if empty. If it contains [skip ci] or [ci skip], a push and a merge
	// request have no jobs.
	CommitMessage string `json:"commit_message,omitzero"`
	// Predefined adds or replaces predefined variables that depend on the machine (CI_REGISTRY, CI_PROJECT_DIR, ...).
	Predefined map[string]string `json:"predefined,omitzero"`

	// RootSource is set for child pipelines: the source of the first pipeline above, whose diff and merge request the child has.
	// Depth is how many pipelines are above.
	RootSource Source `json:"root_source,omitzero"`
	Depth      int    `json:"depth,omitzero"`
}

// MergeRequestInfo describes the merge request of an [Event].
type MergeRequestInfo struct {
	IID          int    `json:"iid,omitzero"`
	SourceBranch string `json:"source_branch,omitzero"`
	// TargetBranch is the project's default branch if empty.
	TargetBranch string   `json:"target_branch,omitzero"`
	Title        string   `json:"title,omitzero"`
	Draft        bool     `json:"draft,omitzero"`
	Labels       []string `json:"labels,omitzero"`
	// Fork reports that the source project is another one, whose path is SourceProject ("contributor/app" if empty).
	Fork          bool   `json:"fork,omitzero"`
	SourceProject string `json:"source_project,omitzero"`
	// Kind is CI_MERGE_REQUEST_EVENT_TYPE: "detached" (if empty), "merged_result" or "merge_train".
	Kind string `json:"kind,omitzero"`
}

// A Variable is a CI/CD variable with its attributes on GitLab's settings page.
type Variable struct {
	Key   string `json:"key" yaml:"key"`
	Value string `json:"value" yaml:"value"`
	// Raw variables are not expanded (`expand: false`).
	Raw bool `json:"raw,omitempty" yaml:"raw"`
	// File variables reach the job as the path of a file that holds the value.
	File bool `json:"file,omitempty" yaml:"file"`
	// Masked values are replaced by [MASKED] in logs.
	Masked bool `json:"masked,omitempty" yaml:"masked"`
	// Protected variables exist only where the ref is protected.
	Protected bool `json:"protected,omitempty" yaml:"protected"`
	// EnvironmentScope limits the variable to jobs of matching environments ("*" or empty: all; "review/*").
	EnvironmentScope string `json:"environment_scope,omitempty" yaml:"environment_scope"`
}
