package lint

import (
	"fmt"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"gitlab.com/slipway-ci/slipway/internal/lazyregexp"
	"gitlab.com/slipway-ci/slipway/pipeline"
)

// secretName matches the names of variables that hold a secret: the word for it is the last one, or is followed by the name of an
// environment or an encoding. TOKEN_URL, SECRET_NAME or API_KEY_FILE are about a secret, but are not one.
var secretName = lazyregexp.New(`(?i)(TOKEN|PASSWORD|PASSWD|PASSPHRASE|SECRET|SECRET_?KEY|PRIVATE_?KEY|ACCESS_?KEY|API_?KEY|CREDENTIALS?)` +
	`(_?[0-9]+|_(B64|BASE64|VALUE|STAGING|STAGE|STG|PRODUCTION|PROD|PRD|LIVE|DEV|DEVELOPMENT|TEST|QA|REVIEW|CI))*$`)

var variableName = lazyregexp.New(`\$\{?([A-Za-z_][A-Za-z0-9_]*)`)

func isSecret(name string) bool { return secretName().MatchString(name) }

const secretHint = "masking fails for short, multi-line and transformed values: do not print it; pipe or redirect it to the command that needs it"

// checkSecretEchoed reports commands that write secrets to the log. A variable of type file holds only a path: its name is
// harmless, and its content is not.
func checkSecretEchoed(p *pass) {
	files := p.fileVariables()
	for _, s := range p.scripts {
		for _, c := range s.calls {
			if !c.logged || len(c.words) == 0 {
				continue
			}
			switch c.words[0] {
			case "echo", "printf":
				for _, arg := range c.Args[1:] {
					if name := secretIn(arg); name != "" && !files[name] {
						f := s.position(arg.Pos())
						f.Message, f.Hint = fmt.Sprintf("$%s is written to the log", name), secretHint
						p.report(f)
					}
				}
			case "cat", "head", "tail":
				for _, arg := range c.Args[1:] {
					if name := secretIn(arg); name != "" {
						f := s.position(arg.Pos())
						f.Message, f.Hint = fmt.Sprintf("the file of $%s is written to the log", name), secretHint
						p.report(f)
					}
				}
			case "env", "printenv":
				if len(c.words) == 1 {
					f := s.position(c.Pos())
					f.Message = c.words[0] + " writes all variables to the log, secrets included"
					f.Hint = "print only the variables that are needed, by their names"
					p.report(f)
				}
			case "set":
				if traces(c.words[1:]) && p.usesSecret(s.job, files) {
					f := s.position(c.Pos())
					f.Message = "tracing writes every expanded command to the log, secrets included"
					f.Hint = "use `set +x` around the commands with secrets, or trace only jobs without any"
					p.report(f)
				}
			}
		}
	}
}

// pathArguments are commands whose arguments are paths.
var pathArguments = []string{"chmod", "chown", "cp", "mv", "install", "rm", "source", ".", "ssh-add", "test", "[", "ls", "stat", "dos2unix", "cat"}

// fileVariables returns the variables whose value is the path of a file: those that the project's settings say so of, and those that
// a script uses as a path.
func (p *pass) fileVariables() map[string]bool {
	files := map[string]bool{}
	note := func(variables []pipeline.Variable) {
		for _, v := range variables {
			if v.File {
				files[v.Key] = true
			}
		}
	}
	for _, plan := range p.plans {
		note(plan.Project)
		note(plan.Run)
	}
	for _, s := range p.scripts {
		for _, c := range s.calls {
			for i, arg := range c.Args {
				if i == 0 || !slices.Contains(pathArguments, c.words[0]) && !isPathOption(c.words[i-1]) {
					continue
				}
				if (c.words[0] == "test" || c.words[0] == "[") && !slices.Contains([]string{"-e", "-f", "-r", "-s"}, c.words[i-1]) {
					continue
				}
				if name := secretIn(arg); name != "" {
					files[name] = true
				}
			}
		}
	}
	return files
}

// isPathOption reports whether the word after an option is a path, whatever the command.
func isPathOption(word string) bool {
	return word == "-i" || strings.HasSuffix(word, "file") ||
		slices.Contains([]string{"--kubeconfig", "--cert", "--cacert", "--key", "--json_key", "--json-key", "--keystore"}, word)
}

var tracing = lazyregexp.New(`^-[a-zA-Z]*x|^xtrace$`)

// traces reports whether the words after `set` switch tracing on. What follows -- are positional parameters.
func traces(words []string) bool {
	if end := slices.Index(words, "--"); end >= 0 {
		words = words[:end]
	}
	return slices.ContainsFunc(words, tracing().MatchString)
}

// usesSecret reports whether a script of a job uses a variable that holds a secret.
func (p *pass) usesSecret(job sourceJob, files map[string]bool) bool {
	return slices.ContainsFunc(p.scripts, func(s *script) bool {
		return s.job.key == job.key && slices.ContainsFunc(variableName().FindAllStringSubmatch(s.text, -1), func(m []string) bool {
			return isSecret(m[1]) && !files[m[1]]
		})
	})
}

// secretIn returns the name of a variable that holds a secret and whose value the word contains; empty if there is none.
func secretIn(word *syntax.Word) (name string) {
	syntax.Walk(word, func(node syntax.Node) bool {
		switch n := node.(type) {
		case *syntax.CmdSubst:
			return false
		case *syntax.ParamExp:
			// ${#X}, ${X:+set} and ${X+set} depend on the value, but do not show it.
			if n.Length || n.Exp != nil && (n.Exp.Op == syntax.AlternateUnset || n.Exp.Op == syntax.AlternateUnsetOrNull) {
				return false
			}
			if n.Param != nil && isSecret(n.Param.Value) {
				name = n.Param.Value
			}
		}
		return name == ""
	})
	return name
}
