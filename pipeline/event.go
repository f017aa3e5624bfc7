package pipeline

// A Source is the value of CI_PIPELINE_SOURCE: what made GitLab create the pipeline.
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
	// Name is a label for people ("merge request from a fork"); it has no effect.
	Name   string
	Source Source
	// Branch is the pipeline's branch; empty for tags. For merge requests the source branch is used.
	Branch string
	// Tag is the pipeline's tag; with it Branch is empty.
	Tag string
	// NewBranch says that the push made the branch (CI_COMMIT_BEFORE_SHA is zero): there is no diff, and
	// `rules:changes` is true.
	NewBranch bool
	// Changed holds the paths that the push or the merge request changes, relative to the project's root.
	Changed []string
	// CompareTo gives the paths that differ from a ref, for `rules:changes:compare_to`. Refs named here exist.
	CompareTo map[string][]string
	// AnyRef says that the refs that CompareTo does not name exist, too, and differ by Changed: for events that are looked
	// at without the repository's refs.
	AnyRef bool
	// MergeRequestInfo is set for the source merge_request_event.
	MergeRequestInfo *MergeRequestInfo
	// OpenMergeRequests is the list in CI_OPEN_MERGE_REQUESTS of a branch pipeline.
	OpenMergeRequests []string
	// RefProtected is CI_COMMIT_REF_PROTECTED.
	RefProtected bool
	// Variables are given to this run (web form, API, trigger, schedule); they beat project variables.
	Variables []Variable
	// Inputs are the pipeline's inputs, by name.
	Inputs map[string]any
	// SHA is the commit, 40 hexadecimal digits; a fixed one if empty.
	SHA string
	// CommitMessage is CI_COMMIT_MESSAGE; "change" if empty. Where it says [skip ci] or [ci skip], a push and a merge
	// request have no jobs.
	CommitMessage string
	// Predefined adds or replaces predefined variables that depend on the machine (CI_REGISTRY, CI_PROJECT_DIR, ...).
	Predefined map[string]string

	// parent is the source of the first pipeline above a child pipeline, whose diff and merge request the child has;
	// depth is how many pipelines are above.
	parent Source
	depth  int
}

// MergeRequestInfo describes the merge request of an [Event].
type MergeRequestInfo struct {
	IID          int
	SourceBranch string
	// TargetBranch is the project's default branch if empty.
	TargetBranch string
	Title        string
	Draft        bool
	Labels       []string
	// Fork says that the source project is another one, whose path is SourceProject ("contributor/app" if empty).
	Fork          bool
	SourceProject string
	// Kind is CI_MERGE_REQUEST_EVENT_TYPE: "detached" (if empty), "merged_result" or "merge_train".
	Kind string
}

// A Variable is a CI/CD variable with what GitLab's settings page knows of it.
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
