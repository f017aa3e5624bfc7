package lint

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

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
					f.Hint = "use -covermode=atomic, or leave -covermode away: with -race it is atomic"
					p.report(f)
				}
			}
		}
	}
}

// verification are commands whose failure should be seen.
var verification = lazyregexp.New(`^(cosign|go (test|vet)|golangci-lint|gosec|govulncheck|gitleaks|grype|trivy|slipway gate|kubeconform|exit [1-9])`)

func checkVerificationInAfterScript(p *pass) {
	for _, s := range p.scripts {
		if s.keyword != "after_script" {
			continue
		}
		for _, c := range s.calls {
			if command := strings.Join(c.words, " "); verification().MatchString(command) {
				f := s.position(c.Pos())
				f.Message = fmt.Sprintf("if `%s` fails here, the job stays green", c.words[0])
				f.Hint = "move it to `script`"
				p.report(f)
			}
		}
	}
}

func checkShallowHistory(p *pass) {
	// What a template's script lacks depends on the jobs that use it.
	shallow, deep := map[string]bool{}, map[string]bool{}
	p.compiled(func(job *pipeline.Job) {
		names := shallow
		if hasHistory(job) {
			names = deep
		}
		names[job.BaseName] = true
		if written, ok := p.written(job); ok {
			for _, j := range p.lineage(written) {
				names[j.name] = true
			}
		}
	})
	for _, s := range p.scripts {
		if s.keyword != "script" || deep[s.job.name] && !shallow[s.job.name] || strings.Contains(s.text, "git fetch") || s.job.setsDepth() {
			continue
		}
		for _, c := range s.calls {
			if tool := comparesCommits(c.words); tool != "" {
				f := s.position(c.Pos())
				f.Message = tool + " needs older commits than GitLab's shallow clone has"
				f.Hint = "set the job's variable GIT_DEPTH to \"0\", or `git fetch` what it compares with"
				p.report(f)
			}
		}
	}
}

// hasHistory reports whether a job asks for more commits than GitLab clones by itself.
func hasHistory(job *pipeline.Job) bool {
	return slices.ContainsFunc(job.Variables, func(v pipeline.Variable) bool {
		return v.Key == "GIT_DEPTH" && isDeep(v.Value) || v.Key == "GIT_FETCH_EXTRA_FLAGS" && strings.Contains(v.Value, "depth")
	}) || slices.ContainsFunc(slices.Concat(job.BeforeScript, job.Script), func(line string) bool { return strings.Contains(line, "git fetch") })
}

// defaultDepth is how many commits GitLab clones in new projects.
const defaultDepth = 20

func isDeep(depth string) bool {
	n, err := strconv.Atoi(depth)
	return strings.Contains(depth, "$") || err == nil && (n == 0 || n > defaultDepth)
}

// setsDepth reports whether the job itself, as it is written, asks for more commits.
func (j sourceJob) setsDepth() bool {
	depth := value(value(j.node, "variables"), "GIT_DEPTH")
	return depth != nil && isDeep(depth.Value)
}

func comparesCommits(words []string) string {
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
		if len(words) > 1 && (words[1] == "merge-base" || words[1] == "describe") {
			return "git " + words[1]
		}
	}
	return ""
}

func checkCoveragePattern(p *pass) {
	for _, job := range p.jobs() {
		key, node := entry(job.node, "coverage")
		if node == nil || strings.Contains(node.Value, "$[[") {
			continue
		}
		pattern := strings.TrimSuffix(strings.TrimPrefix(node.Value, "/"), "/")
		if _, err := regexp.Compile(pattern); err != nil {
			continue // GitLab refuses it, and compiling has told.
		}
		if !strings.Contains(pattern, `\d`) && !strings.Contains(pattern, "0-9") && !strings.Contains(pattern, "[:digit:]") {
			p.report(Finding{
				Position: job.source.at(key), Path: "jobs:" + job.name + ":coverage",
				Message: fmt.Sprintf("%s matches no number", node.Value),
				Hint:    `write where the number is; for Go: /total:\s+\(statements\)\s+\d+.\d+%/`,
			})
		}
	}
}
