package render

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

// Text writes a plan stage by stage: what starts each job and what it waits for, then the jobs that are left out.
func Text(w io.Writer, plan *pipeline.Plan, color Palette) error {
	out := bufio.NewWriter(w)
	label := EventLabel(plan.Event)
	if !plan.Created {
		fmt.Fprintf(out, "%s: no pipeline, %s\n", color.Bold(label), NotCreated(plan.Reason))
		if plan.Reason == "workflow" {
			fmt.Fprintf(out, "  %s  %s\n", plan.Decision.Text, color.Dim(plan.Decision.Position.String()))
		}
		leftOut(out, plan, color)
		return out.Flush()
	}
	fmt.Fprintf(out, "%s: %s in %s\n", color.Bold(label), Count(len(plan.Jobs), "job"), Count(len(plan.Stages), "stage"))
	if plan.Name != "" {
		fmt.Fprintf(out, "name: %s\n", plan.Name)
	}
	if plan.AutoCancel != nil {
		fmt.Fprintf(out, "auto_cancel: %s\n", autoCancel(plan.AutoCancel))
	}
	unmet := plan.UnmetNeeds()
	nameWidth, traitWidth := 0, 0
	for _, job := range plan.Jobs {
		nameWidth = max(nameWidth, utf8.RuneCountInString(job.Name))
		traitWidth = max(traitWidth, utf8.RuneCountInString(traitsOf(job)))
	}
	for _, stage := range plan.Stages {
		fmt.Fprintf(out, "\n%s\n", color.Bold(stage))
		for _, job := range plan.Jobs {
			if job.Stage != stage {
				continue
			}
			traits := Pad(traitsOf(job), traitWidth)
			if job.When == pipeline.Manual {
				traits = color.Yellow(traits)
			}
			line := "  " + Pad(job.Name, nameWidth) + "  " + traits + "  " + waitsFor(plan, job)
			fmt.Fprintln(out, strings.TrimRight(line+color.Dim(destination(job, unmet)), " "))
		}
	}
	leftOut(out, plan, color)
	return out.Flush()
}

// EventLabel returns the name of an event if it has one, else a description.
func EventLabel(event pipeline.Event) string {
	switch {
	case event.Name != "":
		return event.Name
	case event.Tag != "":
		return fmt.Sprintf("%s of tag %s", event.Source, event.Tag)
	case event.MergeRequestInfo != nil:
		target := event.MergeRequestInfo.TargetBranch
		if target == "" {
			target = "the default branch"
		}
		return fmt.Sprintf("merge request %s -> %s", event.MergeRequestInfo.SourceBranch, target)
	case event.Branch != "":
		return fmt.Sprintf("%s on %s", event.Source, event.Branch)
	default:
		return string(event.Source)
	}
}

// NotCreated describes a reason why there is no pipeline.
func NotCreated(reason string) string {
	switch reason {
	case "workflow":
		return "workflow:rules exclude it"
	case "no_jobs":
		return "no job is left for it"
	case "skip_ci":
		return "the commit message skips it"
	default:
		return reason
	}
}

// traitsOf describes how a job starts and what its failure does; empty for a job that just runs.
func traitsOf(job *pipeline.Job) string {
	var traits []string
	blocking := false
	switch job.When {
	case pipeline.Manual:
		traits = append(traits, "manual")
		blocking = !job.AllowFailure
	case pipeline.Delayed:
		traits = append(traits, "delayed "+job.StartInText)
	case pipeline.Always:
		traits = append(traits, "always")
	case pipeline.OnFailure:
		traits = append(traits, "on failure")
	}
	switch {
	case blocking:
		traits = append(traits, "blocking")
	case len(job.AllowFailureExitCodes) > 0:
		traits = append(traits, fmt.Sprintf("may fail with %s", join(job.AllowFailureExitCodes)))
	case job.AllowFailure && job.When != pipeline.Manual:
		traits = append(traits, "may fail")
	}
	return strings.Join(traits, ", ")
}

const startsImmediately = "starts immediately"

// waitsFor describes after which jobs a job starts.
func waitsFor(plan *pipeline.Plan, job *pipeline.Job) string {
	if len(job.Needs) == 0 {
		if job.Needs != nil || len(plan.Stages) == 0 || plan.Stages[0] == job.Stage {
			return startsImmediately
		}
		return "after the stages above"
	}
	var names []string
	for _, need := range job.Needs {
		switch {
		case need.Project != "":
			names = append(names, need.Job+" of "+need.Project)
		case plan.Job(need.Job) != nil:
			names = append(names, need.Job)
		}
	}
	if len(names) == 0 {
		return startsImmediately
	}
	return "after " + strings.Join(names, ", ")
}

// destination says where a job deploys to, starts a pipeline, or which lock it takes.
func destination(job *pipeline.Job, unmet []pipeline.UnmetNeed) string {
	var parts []string
	if e := job.Environment; e != nil {
		action := e.Action
		if action == "" || action == "start" {
			action = "deploys to"
		}
		name := e.Name
		if !e.HasValidName() {
			name = fmt.Sprintf("%q, a name that GitLab refuses", name)
		}
		parts = append(parts, action+" "+name)
	}
	if t := job.Trigger; t != nil {
		if t.Project != "" {
			parts = append(parts, "triggers "+t.Project)
		} else {
			parts = append(parts, "triggers "+child(t)+failing(job, unmet))
		}
	}
	if job.ResourceGroup != "" {
		parts = append(parts, "one at a time in "+job.ResourceGroup)
	}
	if len(parts) == 0 {
		return ""
	}
	return "; " + strings.Join(parts, "; ")
}

func child(t *pipeline.TriggerSpec) string {
	switch {
	case len(t.ChildErrors) > 0:
		first := *t.ChildErrors[0]
		first.Hint = ""
		return "a child pipeline, which GitLab refuses: " + first.Error()
	case t.Child != nil && !t.Child.Created:
		return "a child pipeline, which has no jobs and fails"
	}
	return "a child pipeline"
}

// failing names the jobs of the child pipeline of a trigger job that fail for want of a job in a pipeline above it.
func failing(trigger *pipeline.Job, unmet []pipeline.UnmetNeed) string {
	var jobs []string
	for _, u := range unmet {
		if u.Root != trigger {
			continue
		}
		why := fmt.Sprintf("%s does not wait for it", u.Trigger.Name)
		if u.Missing {
			why = fmt.Sprintf("the pipeline of %s does not have it", u.Trigger.Name)
		}
		jobs = append(jobs, fmt.Sprintf("%s fails: it needs %q, and %s", u.Job.Name, u.Need.Job, why))
	}
	if len(jobs) == 0 {
		return ""
	}
	return ", in which " + strings.Join(jobs, ", and ")
}

func leftOut(w io.Writer, plan *pipeline.Plan, color Palette) {
	if len(plan.Dropped) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\n", color.Bold("left out"))
	width := 0
	for _, job := range plan.Dropped {
		width = max(width, utf8.RuneCountInString(job.Name))
	}
	for _, job := range plan.Dropped {
		fmt.Fprintln(w, color.Dim("  "+Pad(job.Name, width)+"  "+job.Decision.Text))
	}
}

func autoCancel(a *pipeline.AutoCancel) string {
	var parts []string
	if a.OnNewCommit != "" {
		parts = append(parts, "on new commit "+a.OnNewCommit)
	}
	if a.OnJobFailure != "" {
		parts = append(parts, "on job failure "+a.OnJobFailure)
	}
	return strings.Join(parts, ", ")
}

// Count writes a number of things: "1 job", "2 jobs".
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func join(numbers []int) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(numbers), " ", ", "), "[]")
}

// Pad appends spaces to a text up to a width in characters.
func Pad(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(s)))
}
