package pipeline

// StandardEvents returns the events that a configuration should be compiled for: every source, and the kinds of each that
// configurations distinguish. Their names are stable, short enough to type, and used in golden files.
func StandardEvents() []Event {
	const feature = "feature"
	change := func(name string, info MergeRequestInfo) Event {
		info.IID, info.SourceBranch = 1, feature
		if info.Title == "" {
			info.Title = "Change"
		}
		return Event{Name: name, Source: MergeRequest, Branch: feature, MergeRequestInfo: &info}
	}
	events := []Event{
		// An empty branch is the default branch, whatever its name.
		{Name: "push-default", Source: Push, RefProtected: true},
		{Name: "push-feature", Source: Push, Branch: feature},
		{Name: "push-feature-with-mr", Source: Push, Branch: feature, OpenMergeRequests: []string{"acme/app!1"}},
		{Name: "push-new-branch", Source: Push, Branch: feature, NewBranch: true},
		{Name: "push-release-branch", Source: Push, Branch: "release/1.2", RefProtected: true},
		change("mr", MergeRequestInfo{}),
		change("mr-draft", MergeRequestInfo{Title: "Draft: Change", Draft: true}),
		change("mr-fork", MergeRequestInfo{Fork: true}),
		change("mr-merged-result", MergeRequestInfo{Kind: "merged_result"}),
		change("mr-merge-train", MergeRequestInfo{Kind: "merge_train"}),
		{Name: "tag-version", Source: Push, Tag: "v1.2.3", RefProtected: true},
		{Name: "tag-prerelease", Source: Push, Tag: "v1.2.3-rc.1", RefProtected: true},
		{Name: "tag-other", Source: Push, Tag: "nightly"},
		{Name: "schedule", Source: Schedule, RefProtected: true},
		{Name: "web", Source: Web, RefProtected: true},
		{Name: "web-feature", Source: Web, Branch: feature},
		{Name: "api", Source: API, RefProtected: true},
		{Name: "trigger", Source: Trigger, RefProtected: true},
		{Name: "multi-project", Source: MultiProject, RefProtected: true},
		{Name: "parent-pipeline", Source: ParentPipeline, RefProtected: true},
	}
	for i := range events {
		events[i].AnyRef = true
	}
	return events
}
