package pipeline

import (
	"crypto/sha256"
	"math/big"
	"os"
	"slices"
	"strings"

	"gitlab.com/slipway-ci/slipway/internal/envscope"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/variable"
)

// Environment returns the variables of a job as its shell sees them: all layers merged by GitLab's precedence (predefined <
// YAML < dotenv < project < run) and expanded, except raw ones. dotenv holds what the reports of earlier jobs passed on;
// extra are predefined variables that only the machine which runs the job knows (CI_PROJECT_DIR, CI_JOB_ID, ...).
// Variables of other environment scopes, and protected ones on an unprotected ref, are left out.
//
// A file variable comes with its content; where another variable refers to it, it is replaced by the path of its file, which is
// that of GitLab Runner: $CI_PROJECT_DIR.tmp/NAME.
func (p *Plan) Environment(job *Job, dotenv, extra []Variable) []Variable {
	s := p.jobScope(job, dotenv, extra)
	out := s.all()
	for i, v := range out {
		if !v.Raw && strings.Contains(v.Value, "$") {
			out[i].Value = os.Expand(v.Value, s.forRunner)
		}
	}
	return out
}

// SentVariables returns the variables of a job as GitLab sends them to its runner, which sets more (CI_PROJECT_DIR, ...) and then expands
// them once. The parameters are those of [Plan.Environment].
func (p *Plan) SentVariables(job *Job, dotenv, extra []Variable) []Variable {
	return p.jobScope(job, dotenv, extra).all()
}

func (p *Plan) jobScope(job *Job, dotenv, extra []Variable) *jobScope {
	s := &jobScope{expanded: map[string]Variable{}, visiting: map[string]bool{}}
	for _, layer := range [][]Variable{
		notRaw(p.Predefined), notRaw(jobPredefined(job)), atRuntime(job), raw(extra), job.Variables, userVariables(p.Event), dotenv,
		p.visible(p.Project, job), p.visible(p.Run, job),
	} {
		s.layers = append(s.layers, newVariableSet(layer))
		s.variables = append(s.variables, layer...)
	}
	return s
}

// all returns the variables in the order in which they are first defined.
func (s *jobScope) all() []Variable {
	list := newVariableSet(s.variables).list
	out := make([]Variable, len(list))
	for i, v := range list {
		out[i], _ = s.value(v.Key)
	}
	return out
}

// A jobScope expands the variables of a job in two steps. GitLab replaces the variables that it knows, and leaves those that are not
// set, raw ones and files as they are written, and "$$" too; see value. Its runner expands the result once more; see forRunner.
type jobScope struct {
	layers   []*variableSet
	expanded map[string]Variable
	visiting map[string]bool
	// variables are those of all layers.
	variables []Variable
}

// value returns a variable as GitLab sends it to the runner, by the rules of [scope.resolve].
func (s *jobScope) value(name string) (Variable, bool) {
	if known, ok := s.expanded[name]; ok {
		return known, true
	}
	var definitions []Variable
	for _, layer := range s.layers {
		if v, ok := layer.get(name); ok {
			definitions = append(definitions, v)
		}
	}
	if len(definitions) == 0 || s.visiting[name] {
		return Variable{}, false
	}
	s.visiting[name] = true
	defer delete(s.visiting, name)
	strongest := len(definitions) - 1
	winner := definitions[strongest]
	i := slices.IndexFunc(definitions, func(v Variable) bool {
		return !v.Raw && slices.Contains(variable.Names(v.Value), v.Key)
	})
	var own *string
	if i >= 0 && len(definitions) > 1 {
		if i == strongest {
			strongest--
		}
		own = new(s.expand(definitions[strongest], nil))
		winner = definitions[i]
	}
	winner.Value = s.expand(winner, own)
	s.expanded[name] = winner
	return winner, true
}

// expand returns the value of a definition. Its own name stands for own, if that is given.
func (s *jobScope) expand(v Variable, own *string) string {
	if v.Raw {
		return v.Value
	}
	return variable.Replace(v.Value, true, func(name, written string) string {
		if name == v.Key {
			if own != nil {
				return *own
			}
			return written
		}
		used, known := s.value(name)
		if !known || used.Raw || used.File {
			return written
		}
		return used.Value
	})
}

// forRunner returns what GitLab's runner replaces a name with: "$$" becomes a dollar sign, and what looks like a variable but is none,
// such as ${NAME:-default} or $1, nothing. $(command) stays.
func (s *jobScope) forRunner(name string) string {
	if name == "$" {
		return name
	}
	v, _ := s.value(name)
	if v.File {
		folder, _ := s.value("CI_PROJECT_DIR")
		return folder.Value + ".tmp/" + name
	}
	return v.Value
}

func raw(variables []Variable) []Variable { return withRaw(variables, true) }

// notRaw lets predefined variables be expanded, as GitLab does for jobs: a commit's message with a dollar sign in it is not safe from it.
func notRaw(variables []Variable) []Variable { return withRaw(variables, false) }

func withRaw(variables []Variable, raw bool) []Variable {
	out := make([]Variable, len(variables))
	for i, v := range variables {
		v.Raw = raw
		out[i] = v
	}
	return out
}

// visible leaves out the variables that a job must not see.
func (p *Plan) visible(variables []Variable, job *Job) []Variable {
	name := ""
	if job.Environment != nil {
		name = job.Environment.Name
	}
	return visibleVariables(variables, name, p.Event.RefProtected)
}

// visibleVariables keeps the variables whose scope covers an environment; of several of one name, the most specific scope wins.
func visibleVariables(variables []Variable, environment string, protectedRef bool) []Variable {
	out := make([]Variable, 0, len(variables))
	exactness := make(map[string]int)
	for _, v := range variables {
		if v.Protected && !protectedRef || !envscope.Covers(v.EnvironmentScope, environment) {
			continue
		}
		exact := len(v.EnvironmentScope)
		if v.EnvironmentScope == "" || v.EnvironmentScope == "*" {
			exact = 0
		}
		if before, ok := exactness[v.Key]; ok && before > exact {
			continue
		}
		exactness[v.Key] = exact
		out = append(out, v)
	}
	return out
}

func (e *Environment) action() string {
	if e.Action == "" {
		return "start"
	}
	return e.Action
}

// Tier returns the deployment tier: as given, or as GitLab infers it from the name.
func (e *Environment) Tier() string {
	if e.DeploymentTier != "" {
		return e.DeploymentTier
	}
	name := strings.ToLower(e.Name)
	for _, t := range tiers {
		for _, part := range t.parts {
			if strings.Contains(name, part) {
				return t.name
			}
		}
	}
	return "other"
}

// https://docs.gitlab.com/ci/environments/#deployment-tier-of-environments
var tiers = []struct {
	name  string
	parts []string
}{
	{"development", []string{"dev", "review", "trunk"}},
	{"testing", []string{"test", "tst", "int", "acpt", "accept", "qa", "qc", "control", "quality"}},
	{"staging", []string{"stg", "stag", "modl", "model", "pre", "demo", "non"}},
	{"production", []string{"prod", "prd", "live"}},
}

// environmentSlug is CI_ENVIRONMENT_SLUG: at most 24 bytes; where the name had to be changed, it
// ends with the last six digits of the name's SHA-256 in base 36.
func environmentSlug(name string) string {
	slug := strings.ToLower(name)
	slug = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, slug)
	for strings.Contains(slug, "--") {
		slug = strings.ReplaceAll(slug, "--", "-")
	}
	if slug == "" || slug[0] < 'a' || slug[0] > 'z' {
		slug = "env-" + slug
	}
	if slug != name || len(slug) > 24 {
		sum := sha256.Sum256([]byte(name))
		slug = slug[:min(17, len(slug))]
		digits := new(big.Int).SetBytes(sum[:]).Text(36)
		slug = strings.TrimSuffix(slug, "-") + "-" + digits[len(digits)-6:]
	}
	return strings.TrimSuffix(slug, "-")
}
