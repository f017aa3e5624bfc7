package render

import (
	"encoding/json"
	"errors"
	"io"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

// JSON writes a plan in the form of GitLab's verdict: valid, created, reason, stages, jobs, name and auto_cancel, where a
// job holds only what differs from GitLab's default; and beside them what GitLab does not report: event (its name, source,
// branch and tag), decisions (why each job is there, by name), left_out (the jobs that are not, with the decision), workflow
// (the decision of workflow:rules) and includes (the entries of include that have rules). A decision lists its checks: the
// rules that were evaluated, each with its result and the variables that it saw, masked ones as [MASKED]. The form is stable:
// keys are added, never changed or removed.
func JSON(w io.Writer, plan *pipeline.Plan) error { return encodeJSON(w, document(plan)) }

// ErrorJSON writes the verdict on a configuration that was refused: valid, where (the key path of the first error), phase
// ("create" if only this event's pipeline is impossible), and errors, each with path, message, hint, file, line.
func ErrorJSON(w io.Writer, err error) error { return encodeJSON(w, errorDocument(err)) }

func encodeJSON(w io.Writer, document map[string]any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(document)
}

func document(plan *pipeline.Plan) map[string]any {
	d := map[string]any{"valid": true, "created": plan.Created}
	d["event"] = event(plan.Event)
	leftOut := []any{}
	for _, job := range plan.Dropped {
		leftOut = append(leftOut, with(jobDecision(job), "name", job.Name))
	}
	d["left_out"] = leftOut
	if plan.Decision.Rule >= 0 || len(plan.Decision.Checks) > 0 {
		d["workflow"] = decision(plan.Decision)
	}
	includes := []any{}
	for _, i := range plan.Includes {
		includes = append(includes, with(with(decision(i.Decision), "name", i.Name), "included", i.Included))
	}
	if len(includes) > 0 {
		d["includes"] = includes
	}
	if !plan.Created {
		d["reason"] = plan.Reason
		if plan.Reason == "workflow" {
			d["reason_text"] = plan.Decision.Text
		}
		return d
	}
	decisions := map[string]any{}
	for _, job := range plan.Jobs {
		decisions[job.Name] = jobDecision(job)
	}
	d["jobs"], d["decisions"] = GitLabJobs(plan.Jobs), decisions
	d["stages"] = plan.Stages
	put(d, "name", plan.Name)
	if plan.AutoCancel != nil {
		d["auto_cancel"] = plan.AutoCancel
	}
	return d
}

// GitLabJobs returns the jobs of a plan as GitLab stores them: see [pipeline.Job.GitLab].
func GitLabJobs(jobs []*pipeline.Job) []map[string]any {
	list := make([]map[string]any, len(jobs))
	for i, job := range jobs {
		list[i] = job.GitLab()
	}
	return list
}

func errorDocument(err error) map[string]any {
	d := map[string]any{"valid": false}
	var list pipeline.Errors
	if !errors.As(err, &list) {
		d["errors"] = []any{map[string]any{"message": err.Error()}}
		return d
	}
	d["where"] = list[0].Path
	if list[0].Create {
		d["phase"] = "create"
	}
	all := make([]any, len(list))
	for i, e := range list {
		item := position(e.Position)
		item["message"] = e.Message
		put(item, "path", e.Path)
		put(item, "hint", e.Hint)
		all[i] = item
	}
	d["errors"] = all
	return d
}

func event(e pipeline.Event) map[string]any {
	d := map[string]any{"source": e.Source}
	put(d, "name", e.Name)
	put(d, "branch", e.Branch)
	put(d, "tag", e.Tag)
	return d
}

func jobDecision(job *pipeline.Job) map[string]any {
	d := decision(job.Decision)
	if job.Source.File != "" {
		d["defined"] = position(job.Source)
	}
	return d
}

func decision(decided pipeline.Decision) map[string]any {
	d := position(decided.Position)
	d["text"] = decided.Text
	if decided.Rule >= 0 {
		d["rule"] = decided.Rule
	}
	all := []any{}
	for _, c := range decided.Checks {
		check := position(c.Position)
		check["keyword"], check["text"], check["result"] = c.Keyword, c.Text, c.Result
		if c.Keyword != "only" && c.Keyword != "except" {
			check["index"] = c.Index
		}
		variables := []any{}
		for _, v := range c.Variables {
			variable := map[string]any{"name": v.Name, "value": nil}
			if v.Set {
				variable["value"] = v.Value
			}
			variables = append(variables, variable)
		}
		if len(variables) > 0 {
			check["variables"] = variables
		}
		all = append(all, check)
	}
	if len(all) > 0 {
		d["checks"] = all
	}
	return d
}

func position(p pipeline.Position) map[string]any {
	d := map[string]any{}
	put(d, "file", p.File)
	put(d, "line", p.Line)
	return d
}

// put sets a key unless the value is the zero value of its type.
func put[T comparable](d map[string]any, key string, value T) {
	var zero T
	if value != zero {
		d[key] = value
	}
}

func with(d map[string]any, key string, value any) map[string]any {
	d[key] = value
	return d
}
