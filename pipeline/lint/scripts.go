package lint

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"gitlab.com/slipway-ci/slipway/internal/lazyregexp"
	"gitlab.com/slipway-ci/slipway/pipeline"
)

func checkCovermodeWithRace(p *pass) {
	for _, s := range p.scripts {
		for _, c := range s.calls {
			if !slices.Contains(c.words, "-race") {
				continue
			}
			for i, word := range c.words {
				mode, ok := strings.CutPrefix(strings.TrimLeft(word, "-"), "covermode=")
				if strings.TrimLeft(word, "-") == "covermode" && i+1 < len(c.words) {
					mode, ok = c.words[i+1], true
				}
				if ok && (mode == "count" || mode == "set") {
					f := s.position(c.Args[i].Pos())
					f.Message = fmt.Sprintf("-race does not work with -covermode=%s", mode)
					f.Hint = "use -covermode=atomic, or remove -covermode: with -race it is atomic"
					p.report(f)
				}
			}
		}
	}
}

// verification matches commands whose failure must not be ignored.
var verification = lazyregexp.New(`^(cosign|go (test|vet)|golangci-lint|gosec|govulncheck|gitleaks|grype|trivy|slipway gate|kubeconform|exit [1-9]|` +
	`cargo (test|clippy|audit)|pytest|tox|npm (test|audit)|yarn (test|audit)|mvn (test|verify)|bundle exec (rspec|rubocop)|shellcheck|hadolint)`)

func checkVerificationInAfterScript(p *pass) {
	for _, s := range p.scripts {
		if s.keyword != "after_script" {
			continue
		}
		for _, c := range s.calls {
			if command := strings.Join(c.words, " "); verification().MatchString(command) {
				f := s.position(c.Pos())
				f.Message = fmt.Sprintf("if `%s` fails in after_script, the job still succeeds", c.words[0])
				f.Hint = "move it to `script`"
				p.report(f)
			}
		}
	}
}

func checkShallowHistory(p *pass) {
	for _, s := range p.scripts {
		if s.keyword != "script" || strings.Contains(s.text, "git fetch") || s.job.setsDepth() ||
			len(s.users) > 0 && !slices.ContainsFunc(s.users, func(job *pipeline.Job) bool { return !hasHistory(job) }) {
			continue
		}
		for _, c := range s.calls {
			if tool := comparesCommits(c); tool != "" {
				f := s.position(c.Pos())
				f.Message = tool + " needs commits that GitLab's shallow clone of one branch may not have"
				f.Hint = "set the job's variable GIT_DEPTH to \"0\", or `git fetch` what it compares with"
				p.report(f)
			}
		}
	}
}

// hasHistory reports whether a job has more commits than GitLab clones by default.
func hasHistory(job *pipeline.Job) bool {
	return slices.ContainsFunc(job.Variables, func(v pipeline.Variable) bool {
		return v.Key == "GIT_DEPTH" && isDeep(v.Value) || v.Key == "GIT_FETCH_EXTRA_FLAGS" && strings.Contains(v.Value, "depth")
	}) || slices.ContainsFunc(slices.Concat(job.BeforeScript, job.Script), func(line string) bool { return strings.Contains(line, "git fetch") })
}

// defaultDepth is the number of commits that GitLab clones in new projects.
const defaultDepth = 20

func isDeep(depth string) bool {
	n, err := strconv.Atoi(depth)
	return strings.Contains(depth, "$") || err == nil && (n == 0 || n > defaultDepth)
}

// setsDepth reports whether the job sets a greater depth in its own block.
func (j sourceJob) setsDepth() bool {
	depth := value(value(j.node, "variables"), "GIT_DEPTH")
	return depth != nil && isDeep(depth.Value)
}

// comparesCommits returns the tool of a command that needs older commits, or a branch that GitLab does not fetch.
func comparesCommits(c call) string {
	words := c.words
	if len(words) == 0 {
		return ""
	}
	switch words[0] {
	case "sonar-scanner":
		return "sonar-scanner"
	case "golangci-lint":
		for _, word := range words {
			if strings.HasPrefix(word, "--new-from-") {
				return "golangci-lint " + strings.SplitN(word, "=", 2)[0]
			}
		}
	case "git":
		if len(words) < 2 {
			return ""
		}
		switch words[1] {
		case "merge-base", "describe":
			return "git " + words[1]
		case "diff", "log", "rev-list":
			for _, arg := range c.Args[2:] {
				if strings.HasPrefix(literalPrefix(arg), "origin/") {
					return "git " + words[1] + " origin/..."
				}
			}
		}
	}
	return ""
}

// literalPrefix returns the text of a word before its first expansion.
func literalPrefix(word *syntax.Word) string {
	var text strings.Builder
	for _, part := range word.Parts {
		switch part := part.(type) {
		case *syntax.Lit:
			text.WriteString(part.Value)
		case *syntax.DblQuoted:
			for _, inner := range part.Parts {
				lit, ok := inner.(*syntax.Lit)
				if !ok {
					return text.String()
				}
				text.WriteString(lit.Value)
			}
		default:
			return text.String()
		}
	}
	return text.String()
}
