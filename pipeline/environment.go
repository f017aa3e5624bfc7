package pipeline

// Environment gives the variables of a job as its shell sees them: all layers merged by GitLab's precedence (predefined <
// YAML < dotenv < project < run) and expanded, except raw ones. dotenv holds what the reports of earlier jobs passed on;
// extra are predefined variables that only the machine which runs the job knows (CI_PROJECT_DIR, CI_JOB_ID, ...).
// Variables of other environment scopes, and protected ones on an unprotected ref, are left out.
func (p *Plan) Environment(job *Job, dotenv, extra []Variable) []Variable {
	panic("written by the engine's first commit")
}
