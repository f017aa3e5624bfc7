package lint

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
	"mvdan.cc/sh/v3/syntax"

	"gitlab.com/slipway-ci/slipway/internal/concurrent"
	"gitlab.com/slipway-ci/slipway/internal/lazyregexp"
)

// A script is a list of commands of a job, as one text: GitLab Runner feeds all items to one shell.
type script struct {
	job     sourceJob
	keyword string
	text    string
	// origins[i] is where line i of the text comes from.
	origins []origin
	// calls are the commands in it, none if there is an error.
	calls []call
	err   error
}

// A call is a command in a script.
type call struct {
	*syntax.CallExpr
	// words are those of the command as far as they are plain text, "" for those that are not.
	words []string
	// shown says that what it prints reaches the log.
	shown bool
}

// An origin is a line of an item of a script's list.
type origin struct {
	item *yaml.Node
	line int
}

// parseScripts gives the scripts of every job and of `default` of some files. Scripts for other shells are left out.
func (p *pass) parseScripts(sources []*source) []*script {
	shells := p.foreignShells()
	parsed := make([][]*script, len(sources))
	concurrent.Do(len(sources), func(i int) { parsed[i] = sources[i].parseScripts(shells) })
	return slices.Concat(parsed...)
}

func (s *source) parseScripts(shells map[string]foreignShell) []*script {
	owners := slices.Clone(s.jobs)
	if key, node := entry(s.body, "default"); node != nil && node.Kind == yaml.MappingNode {
		owners = append(owners, sourceJob{source: s, name: "default", key: key, node: node})
	}
	var scripts []*script
	parser := syntax.NewParser(syntax.Variant(syntax.LangBash))
	for _, job := range owners {
		shell := shells[job.name]
		if shell == foreign {
			continue
		}
		for _, keyword := range []string{"before_script", "script", "after_script"} {
			node := value(job.node, keyword)
			if node == nil {
				continue
			}
			parsed := parseScript(parser, job, keyword, node)
			if parsed.err != nil && (shell == perhapsForeign || foreignText().MatchString(parsed.text)) {
				continue
			}
			scripts = append(scripts, parsed)
		}
	}
	return scripts
}

var (
	// foreignText is what PowerShell and cmd have and bash has not.
	foreignText = lazyregexp.New(`(?im)\$env:|\$(LASTEXITCODE|ErrorActionPreference|ProgressPreference)\b|\$_\.|` +
		`\b(Add|ConvertFrom|ConvertTo|Copy|Expand|Export|ForEach|Get|Import|Install|Invoke|Join|Measure|Move|New|Out|Remove|Rename|Select|Set|Start|Stop|Test|Where|Write)-[A-Z]\w+|` +
		`%[A-Z_][A-Z0-9_]*%|%%[a-z]\b|^\s*@?(call\s|echo off|rmdir /s|if (not )?(exist|defined|errorlevel)\b)`)
)

// A foreignShell says whether a job runs in PowerShell or cmd.
type foreignShell int

const (
	_ foreignShell = iota
	// perhapsForeign are scripts that a job for such a shell uses, or that are called so.
	perhapsForeign
	foreign
)

// foreignShells tells the shells of jobs by their names, as far as images and tags say, their own or those of what they
// extend.
func (p *pass) foreignShells() map[string]foreignShell {
	byDefault := slices.ContainsFunc(p.sources, func(s *source) bool {
		return isForeign(value(s.body, "default")) || namesForeign(value(s.body, "image"))
	})
	jobs := p.jobs()
	if !byDefault && !slices.ContainsFunc(jobs, func(j sourceJob) bool { return namesForeignShell(j.name) || j.foreign() }) {
		return nil // as nearly always
	}
	shells := map[string]foreignShell{}
	if byDefault {
		shells["default"] = foreign
	}
	for _, job := range jobs {
		if namesForeignShell(job.name) {
			shells[job.name] = max(shells[job.name], perhapsForeign)
		}
		lineage := p.lineage(job)
		if !slices.ContainsFunc(lineage, sourceJob.foreign) && (!byDefault || slices.ContainsFunc(lineage, sourceJob.choosesRunner)) {
			continue
		}
		for _, j := range lineage {
			shells[j.name] = max(shells[j.name], perhapsForeign)
		}
		shells[job.name] = foreign
	}
	return shells
}

func (j sourceJob) foreign() bool { return isForeign(j.node) }

// choosesRunner reports whether a job has an image or tags of its own, in the place of the default ones.
func (j sourceJob) choosesRunner() bool {
	return value(j.node, "image") != nil || value(j.node, "tags") != nil
}

// isForeign reports whether the image or the tags of a mapping tell of another shell.
func isForeign(node *yaml.Node) bool {
	return namesForeign(value(node, "image")) || namesForeign(value(node, "tags"))
}

// foreignNames are parts of the images, tags and names of jobs that do not run in a Unix shell.
var foreignNames = []string{"windows", "powershell", "nanoserver", "pwsh", "servercore"}

func namesForeignShell(text string) bool {
	text = strings.ToLower(text)
	return slices.ContainsFunc(foreignNames, func(name string) bool { return strings.Contains(text, name) })
}

func namesForeign(node *yaml.Node) bool {
	found := false
	scalars(node, func(n *yaml.Node) { found = found || namesForeignShell(n.Value) })
	return found
}

func parseScript(parser *syntax.Parser, job sourceJob, keyword string, node *yaml.Node) *script {
	s := &script{job: job, keyword: keyword}
	var lines []string
	flatten(node, maxNesting, func(item *yaml.Node) {
		for i, line := range strings.Split(strings.TrimSuffix(neutral(item), "\n"), "\n") {
			lines = append(lines, line)
			s.origins = append(s.origins, origin{item, i})
		}
	})
	s.text = strings.Join(lines, "\n")
	file, err := parser.Parse(strings.NewReader(s.text), "")
	if err != nil {
		s.err = err
		return s
	}
	s.calls = findCalls(file)
	return s
}

// maxNesting is GitLab's limit for lists in the lists of scripts and rules.
const maxNesting = 10

func flatten(node *yaml.Node, depth int, visit func(*yaml.Node)) {
	node = resolve(node)
	if node.Kind == yaml.SequenceNode && node.Tag != "!reference" && depth > 0 {
		for _, child := range node.Content {
			flatten(child, depth-1, visit)
		}
		return
	}
	visit(node)
}

var interpolation = lazyregexp.New(`\$\[\[.*?\]\]|\$\{\{.*?\}\}`)

// neutral is the text of an item that the shell would see, with words of the same length for what GitLab fills in.
func neutral(item *yaml.Node) string {
	if item.Kind != yaml.ScalarNode {
		return ":"
	}
	text := item.Value
	if !strings.Contains(text, "$[[") && !strings.Contains(text, "${{") {
		return text
	}
	if whole := strings.TrimSpace(text); interpolation().FindString(whole) == whole && whole != "" {
		return ":"
	}
	return interpolation().ReplaceAllStringFunc(text, func(s string) string { return strings.Repeat("x", len(s)) })
}

// place is where a line stands in its file: below the `|` of its item, or, for other styles, where the item begins.
func (o origin) place(s *source) (line, column int) {
	if o.item.Kind == yaml.ScalarNode && o.item.Style&yaml.LiteralStyle != 0 {
		lines := s.lines()
		if line = o.item.Line + 1 + o.line; line <= len(lines) {
			return line, indent(lines[o.item.Line]) + 1
		}
	}
	column = o.item.Column
	if o.item.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 {
		column++
	}
	return o.item.Line, column
}

// position maps a place of the text to the file.
func (s *script) position(pos syntax.Pos) Finding {
	f := Finding{Path: "jobs:" + s.job.name + ":" + s.keyword, Position: s.job.source.at(s.job.key)}
	if s.job.name == "default" {
		f.Path = "default:" + s.keyword
	}
	if i := int(pos.Line()) - 1; i >= 0 && i < len(s.origins) {
		line, column := s.origins[i].place(s.job.source)
		f.Position.Line, f.Position.Column = line, column+int(pos.Col())-1
	}
	return f
}

func checkShellSyntax(p *pass) {
	for _, s := range p.scripts {
		var parse syntax.ParseError
		var lang syntax.LangError
		var f Finding
		switch {
		case errors.As(s.err, &parse):
			f = s.position(parse.Pos)
			f.Message = "the shell cannot parse this: " + parse.Text
		case errors.As(s.err, &lang):
			f = s.position(lang.Pos)
			f.Message = "the shell cannot parse this: " + lang.Error()
		default:
			continue
		}
		f.Hint = "all items of the list are one script for bash; quote what YAML or the shell must not read"
		p.report(f)
	}
}

const secretWords = `(TOKEN|PASSWORD|PASSWD|SECRET|PRIVATE_?KEY|API_?KEY|CREDENTIALS?)`

var (
	secretName = lazyregexp.New(`(?i)` + secretWords + `(_|$)`)
	secretUse  = lazyregexp.New(`(?i)\$\{?\w*` + secretWords + `(_|\b)`)
)

func checkSecretEchoed(p *pass) {
	for _, s := range p.scripts {
		for _, c := range s.calls {
			if !c.shown || len(c.words) == 0 {
				continue
			}
			switch c.words[0] {
			case "echo", "printf":
				for _, arg := range c.Args[1:] {
					if name := secretIn(arg); name != "" {
						f := s.position(arg.Pos())
						f.Message = fmt.Sprintf("$%s is written to the log", name)
						f.Hint = "masking fails for short, multi-line and transformed values: do not print it; pipe or redirect it to what needs it"
						p.report(f)
					}
				}
			case "env", "printenv":
				if len(c.words) == 1 {
					f := s.position(c.Pos())
					f.Message = c.words[0] + " writes all variables to the log, secrets included"
					f.Hint = "print the variables that are needed by name"
					p.report(f)
				}
			case "set":
				if traces(c.words[1:]) && p.usesSecret(s.job) {
					f := s.position(c.Pos())
					f.Message = "tracing writes every expanded command to the log, secrets included"
					f.Hint = "trace on the developer's machine, or in a job that has no secrets"
					p.report(f)
				}
			}
		}
	}
}

var tracing = lazyregexp.New(`^-[a-zA-Z]*x|^xtrace$`)

// traces reports whether the words after `set` switch tracing on. What follows -- are positional parameters.
func traces(words []string) bool {
	if end := slices.Index(words, "--"); end >= 0 {
		words = words[:end]
	}
	return slices.ContainsFunc(words, tracing().MatchString)
}

// usesSecret reports whether a script of a job holds a variable that sounds like a secret.
func (p *pass) usesSecret(job sourceJob) bool {
	return slices.ContainsFunc(p.scripts, func(s *script) bool {
		return s.job.key == job.key && secretUse().MatchString(s.text)
	})
}

// secretIn is the name of a variable that sounds like a secret and whose value the word holds.
func secretIn(word *syntax.Word) (name string) {
	syntax.Walk(word, func(node syntax.Node) bool {
		switch n := node.(type) {
		case *syntax.CmdSubst:
			return false
		case *syntax.ParamExp:
			// ${#X}, ${X:+set} and ${X+set} tell of the value, they do not show it.
			if n.Length || n.Exp != nil && (n.Exp.Op == syntax.AlternateUnset || n.Exp.Op == syntax.AlternateUnsetOrNull) {
				return false
			}
			if n.Param != nil && secretName().MatchString(n.Param.Value) {
				name = n.Param.Value
			}
		}
		return name == ""
	})
	return name
}

func findCalls(file *syntax.File) []call {
	var calls []call
	hidden := map[syntax.Node]bool{}
	syntax.Walk(file, func(node syntax.Node) bool {
		switch n := node.(type) {
		case *syntax.CmdSubst, *syntax.ProcSubst:
			hideBelow(n, hidden)
		case *syntax.BinaryCmd:
			if n.Op == syntax.Pipe || n.Op == syntax.PipeAll {
				hidden[n.X] = true
			}
		case *syntax.Stmt:
			expression, ok := n.Cmd.(*syntax.CallExpr)
			if !ok {
				// What a block prints goes where the block is redirected to.
				if hidden[n] || redirected(n) {
					hideBelow(n, hidden)
				}
				return true
			}
			words := make([]string, len(expression.Args))
			for i, arg := range expression.Args {
				words[i] = arg.Lit()
			}
			calls = append(calls, call{expression, words, !hidden[n] && !redirected(n)})
		}
		return true
	})
	return calls
}

func hideBelow(node syntax.Node, hidden map[syntax.Node]bool) {
	syntax.Walk(node, func(inner syntax.Node) bool {
		if stmt, ok := inner.(*syntax.Stmt); ok {
			hidden[stmt] = true
		}
		return true
	})
}

// redirected reports whether standard output goes elsewhere than to the log.
func redirected(stmt *syntax.Stmt) bool {
	return slices.ContainsFunc(stmt.Redirs, func(r *syntax.Redirect) bool {
		switch r.Op {
		case syntax.RdrOut, syntax.AppOut, syntax.RdrAll, syntax.AppAll, syntax.RdrClob:
			return r.N == nil || r.N.Value == "1"
		case syntax.DplOut:
			return (r.N == nil || r.N.Value == "1") && r.Word.Lit() != "2"
		default:
			return false
		}
	})
}
