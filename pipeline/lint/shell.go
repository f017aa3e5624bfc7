package lint

import (
	"errors"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
	"mvdan.cc/sh/v3/syntax"

	"gitlab.com/slipway-ci/slipway/internal/concurrent"
	"gitlab.com/slipway-ci/slipway/internal/lazyregexp"
	"gitlab.com/slipway-ci/slipway/pipeline"
)

// A script is a list of commands of a job, as one text: GitLab Runner feeds all items to one shell.
type script struct {
	job     sourceJob
	keyword string
	text    string
	// users are the compiled jobs that run it; none for a template that no event uses.
	users []*pipeline.Job
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
	// logged reports whether its output reaches the job's log.
	logged bool
}

// An origin is a line of an item of a script's list.
type origin struct {
	item *yaml.Node
	line int
}

var scriptKeywords = []string{"before_script", "script", "after_script"}

// parseScripts returns the scripts of every job and of `default`, except those for other shells.
func (p *pass) parseScripts() []*script {
	users := map[pipeline.Position][]*pipeline.Job{}
	for _, job := range p.distinct {
		for _, keyword := range scriptKeywords {
			at := job.Position(keyword)
			users[at] = append(users[at], job)
		}
	}
	foreignByDefault := slices.ContainsFunc(p.sources, func(s *source) bool {
		return isForeign(value(s.body, "default")) || namesForeign(value(s.body, "image"))
	})
	parsed := make([][]*script, len(p.sources))
	concurrent.Do(len(p.sources), func(i int) { parsed[i] = p.sources[i].parseScripts(users, foreignByDefault) })
	return slices.Concat(parsed...)
}

func (s *source) parseScripts(users map[pipeline.Position][]*pipeline.Job, foreignByDefault bool) []*script {
	owners := slices.Clone(s.jobs)
	if key, node := entry(s.body, "default"); node != nil && node.Kind == yaml.MappingNode {
		owners = append(owners, sourceJob{source: s, name: "default", key: key, node: node})
	}
	var scripts []*script
	parser := syntax.NewParser(syntax.Variant(syntax.LangBash))
	for _, job := range owners {
		for _, keyword := range scriptKeywords {
			key, node := entry(job.node, keyword)
			if node == nil {
				continue
			}
			users := users[s.at(key)]
			shell := job.shell(users, foreignByDefault)
			if shell == foreign {
				continue
			}
			parsed := parseScript(parser, job, keyword, node)
			if parsed.err != nil && (shell == perhapsForeign || foreignText().MatchString(parsed.text)) {
				continue
			}
			parsed.users = users
			scripts = append(scripts, parsed)
		}
	}
	return scripts
}

// foreignText matches what PowerShell and cmd have and bash has not.
var foreignText = lazyregexp.New(`(?im)\$env:|\$(LASTEXITCODE|ErrorActionPreference|ProgressPreference)\b|\$_\.|` +
	`\b(Add|ConvertFrom|ConvertTo|Copy|Expand|Export|ForEach|Get|Import|Install|Invoke|Join|Measure|Move|New|Out|Remove|Rename|Select|Set|Start|Stop|Test|Where|Write)-[A-Z]\w+|` +
	`%[A-Z_][A-Z0-9_]*%|%%[a-z]\b|^\s*@?(call\s|echo off|rmdir /s|if (not )?(exist|defined|errorlevel)\b)`)

// A shellKind reports whether a script is for a Unix shell.
type shellKind int

const (
	unix shellKind = iota
	// perhapsForeign are scripts that a job for PowerShell or cmd uses, too, or whose job is named like that.
	perhapsForeign
	foreign
)

// shell returns the kind of shell of a script, as far as the images, tags and names of the jobs that run it tell.
func (j sourceJob) shell(users []*pipeline.Job, foreignByDefault bool) shellKind {
	n := 0
	for _, user := range users {
		if runsForeign(user) {
			n++
		}
	}
	switch {
	case n > 0 && n == len(users):
		return foreign
	case n > 0 || namesForeignShell(j.name):
		return perhapsForeign
	case len(users) > 0:
		return unix
	case isForeign(j.node):
		return foreign
	case foreignByDefault && value(j.node, "image") == nil && value(j.node, "tags") == nil:
		return foreign
	}
	return unix
}

// runsForeign reports whether the image or the tags of a compiled job name another shell or its system.
func runsForeign(job *pipeline.Job) bool {
	return job.Image != nil && namesForeignShell(job.Image.Name) || slices.ContainsFunc(job.Tags, namesForeignShell)
}

// isForeign reports whether the image or the tags of a mapping name another shell or its system.
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

// neutral returns the text of an item as the shell would see it, with words of the same length for what GitLab interpolates.
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

// place returns where a line is in its file: below the `|` of its item, or, for other styles, where the item begins.
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

// position returns a finding at a place of the text.
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
			f.Message = "bash cannot parse this: " + parse.Text
		case errors.As(s.err, &lang):
			f = s.position(lang.Pos)
			f.Message = "bash cannot parse this: " + lang.Error()
		default:
			continue
		}
		f.Hint = "the items of the list are one script for bash; quote what YAML or the shell must not interpret"
		p.report(f)
	}
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

// redirected reports whether standard output does not go to the log.
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
