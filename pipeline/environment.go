package pipeline

import (
	"crypto/sha256"
	"math/big"
	"os"
	"path"
	"slices"
	"strings"
)

// Environment gives the variables of a job as its shell sees them: all layers merged by GitLab's precedence (predefined <
// YAML < dotenv < project < run) and expanded, except raw ones. dotenv holds what the reports of earlier jobs passed on;
// extra are predefined variables that only the machine which runs the job knows (CI_PROJECT_DIR, CI_JOB_ID, ...).
// Variables of other environment scopes, and protected ones on an unprotected ref, are left out.
//
// A file variable comes with its content; where another variable refers to it, the path of its file is put in, which is
// that of GitLab Runner: $CI_PROJECT_DIR.tmp/NAME.
func (p *Plan) Environment(job *Job, dotenv, extra []Variable) []Variable {
	all := newVariableSet(p.Predefined, jobPredefined(job), atRuntime(job), raw(extra), job.Variables, userVariables(p.Event), dotenv,
		p.visible(p.Project, job), p.visible(p.Run, job))
	s := newScope(escaped(all))
	value := func(name string) (string, bool) {
		if v, ok := all.get(name); ok && v.File {
			folder, _ := s.expandedValue("CI_PROJECT_DIR")
			return folder + ".tmp/" + name, true
		}
		return s.expandedValue(name)
	}
	out := make([]Variable, len(all.list))
	for i, v := range all.list {
		if !v.Raw && !v.File && strings.ContainsAny(v.Value, "$%") {
			self := v.Key
			v.Value = expandEscaped(v.Value, func(name string) (string, bool) {
				if name == self {
					return "", true
				}
				return value(name)
			})
			v.Value = unescape(v.Value)
		}
		out[i] = v
	}
	return out
}

// escaped doubles the dollar signs of raw variables, which unescape turns back.
func escaped(variables *variableSet) *variableSet {
	list := slices.Clone(variables.list)
	for i, v := range list {
		if v.Raw {
			list[i].Value = strings.ReplaceAll(v.Value, "$", "$$")
		}
	}
	return setOf(list)
}

// unescape does what is left for GitLab's runner when GitLab has put in the variables that it knows: "$$" becomes a dollar
// sign, and what looks like a variable but is none, such as ${NAME:-default} or $1, nothing. $(command) stays.
func unescape(value string) string {
	return os.Expand(value, func(name string) string {
		if name == "$" {
			return name
		}
		return ""
	})
}

func raw(variables []Variable) []Variable {
	out := make([]Variable, len(variables))
	for i, v := range variables {
		v.Raw = true
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

// visibleVariables keeps the variables whose scope covers an environment; of two of the same name, the more exact one.
func visibleVariables(variables []Variable, environment string, protectedRef bool) []Variable {
	out := make([]Variable, 0, len(variables))
	exactness := make(map[string]int)
	for _, v := range variables {
		if v.Protected && !protectedRef || !covers(v.EnvironmentScope, environment) {
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

// covers says whether an environment scope, in which * stands for any text, is one of an environment.
func covers(scope, environment string) bool {
	if scope == "" || scope == "*" {
		return true
	}
	if environment == "" {
		return false
	}
	pattern := strings.NewReplacer("\\", "\\\\", "[", "\\[", "?", "\\?").Replace(scope)
	// A * covers slashes too, which path.Match does not; no environment's name has a NUL.
	ok, err := path.Match(strings.ReplaceAll(pattern, "/", "\x00"), strings.ReplaceAll(environment, "/", "\x00"))
	return err == nil && ok
}

func (e *Environment) action() string {
	if e.Action == "" {
		return "start"
	}
	return e.Action
}

// Tier is the deployment tier: as given, or what GitLab guesses from the name.
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
