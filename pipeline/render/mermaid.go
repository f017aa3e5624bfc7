package render

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

// Mermaid writes a plan as a Mermaid flowchart, which GitLab shows in Markdown: a box per stage, an arrow per `needs`
// (dotted if no artifacts are fetched), an arrow from the stage before to each job without `needs`.
func Mermaid(w io.Writer, plan *pipeline.Plan) error {
	out := bufio.NewWriter(w)
	fmt.Fprintln(out, "flowchart LR")
	if !plan.Created {
		fmt.Fprintf(out, "  none[\"%s: no pipeline, %s\"]\n", mermaidText(EventLabel(plan.Event)), NotCreated(plan.Reason))
		return out.Flush()
	}
	ids := map[string]string{}
	for i, job := range plan.Jobs {
		ids[job.Name] = fmt.Sprintf("job%d", i)
	}
	for i, stage := range plan.Stages {
		fmt.Fprintf(out, "  subgraph stage%d [\"%s\"]\n", i, mermaidText(stage))
		for _, job := range plan.Jobs {
			if job.Stage == stage {
				fmt.Fprintf(out, "    %s%s\n", ids[job.Name], mermaidNode(job))
			}
		}
		fmt.Fprintln(out, "  end")
	}
	for _, job := range plan.Jobs {
		for _, edge := range mermaidEdges(plan, job, ids) {
			fmt.Fprintf(out, "  %s %s\n", edge, ids[job.Name])
		}
	}
	var manual []string
	for _, job := range plan.Jobs {
		if job.When == pipeline.Manual {
			manual = append(manual, ids[job.Name])
		}
	}
	if len(manual) > 0 {
		fmt.Fprintln(out, "  classDef manual stroke-dasharray: 4 3")
		fmt.Fprintf(out, "  class %s manual\n", strings.Join(manual, ","))
	}
	return out.Flush()
}

// mermaidNode is a box; rounded for a manual job, with its traits on a second line.
func mermaidNode(job *pipeline.Job) string {
	text := mermaidText(job.Name)
	if traits := traitsOf(job); traits != "" {
		text += "<br/>" + mermaidText(traits)
	}
	if job.When == pipeline.Manual {
		return `(["` + text + `"])`
	}
	return `["` + text + `"]`
}

func mermaidEdges(plan *pipeline.Plan, job *pipeline.Job, ids map[string]string) []string {
	if job.Needs == nil {
		for i, stage := range plan.Stages {
			if stage == job.Stage && i > 0 {
				return []string{fmt.Sprintf("stage%d -->", i-1)}
			}
		}
		return nil
	}
	var edges []string
	for _, need := range job.Needs {
		id, here := ids[need.Job]
		switch {
		case !here || need.Project != "":
		case need.Artifacts:
			edges = append(edges, id+" -->")
		default:
			edges = append(edges, id+" -.->")
		}
	}
	return edges
}

// mermaidText escapes what ends a quoted label or begins markup in it.
func mermaidText(s string) string {
	return strings.NewReplacer(`"`, "#quot;", "<", "#lt;", ">", "#gt;", "#", "#35;", "`", "#96;", "\n", " ").Replace(s)
}
