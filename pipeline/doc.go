// Package pipeline compiles GitLab CI/CD configurations: the pipeline that GitLab would create from a `.gitlab-ci.yml` for an
// event, decided on one machine, without GitLab.
//
//	project, err := pipeline.Load(os.DirFS("."), pipeline.Options{})
//	plan, err := project.Plan(ctx, pipeline.Event{Source: pipeline.Push, Branch: "main"})
//
// The package reads neither the environment nor the network: files come from an [fs.FS], other projects from a [Resolver]
// (package resolver has some). A [Plan] is plain data; package runner executes it, package pipelinetest makes tests of it.
//
// A configuration goes through these steps, in GitLab's order and with GitLab's limits:
//
//   - each file is read as YAML 1.1, and its inputs are interpolated;
//   - files that it includes are merged under it;
//   - `extends` and `!reference` are resolved: this is the result of [Project.Config];
//   - the keywords are validated, parallel jobs are made, needs and stages are checked;
//   - `workflow:rules`, then the rules of each job, decide for the event: this is the result of [Project.Plan].
//
// A commit message that skips the pipeline comes before all of them. The problems are an [Errors], in the order in which
// GitLab would report it; if files of other projects are unavailable, [Options.SkipMissing] compiles the rest.
package pipeline
