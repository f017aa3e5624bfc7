package pipeline_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/render"
)

// TestConformance compares the verdict on every case with GitLab's. CONFORMANCE_DIR names another folder of cases.
func TestConformance(t *testing.T) {
	dir := os.Getenv("CONFORMANCE_DIR")
	own := dir == ""
	if own {
		dir = filepath.Join("testdata", "conformance")
	}
	var files []string
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".txtar") {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatalf("no cases in %s", dir)
	}
	disputed := disputedVerdicts(t)
	var cases, agree, places, placesAgree int
	for _, file := range files {
		name := filepath.ToSlash(strings.TrimSuffix(mustRel(t, dir, file), ".txtar"))
		t.Run(name, func(t *testing.T) {
			cases++
			c := readCase(t, file)
			got, where := c.verdict(t)
			if diff := cmp.Diff(c.comparable(t), got); diff != "" {
				if !own || !disputed[name] {
					t.Errorf("%s (-GitLab +slipway):\n%s\nwhere: %s", strings.TrimSpace(string(c.Comment)), diff, where)
				}
				return
			}
			agree++
			if want := c.where(t); want != "" {
				places++
				if strings.HasPrefix(want+":", where+":") || strings.HasPrefix(where+":", want+":") {
					placesAgree++
				} else {
					t.Logf("the error is at %q, GitLab reports %q", where, want)
				}
			}
		})
	}
	fmt.Printf("conformance: %d of %d agree\nplaces: %d of %d agree\n", agree, cases, placesAgree, places)
}

// TestConformanceWithCRLF holds that the verdict on every case is the same if its files have the line breaks of Windows.
func TestConformanceWithCRLF(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("testdata", "conformance", "*", "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases (%v)", err)
	}
	crlf := func(data []byte) []byte {
		return bytes.ReplaceAll(bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
	}
	for _, file := range files {
		c := readCase(t, file)
		want, place := c.verdict(t)
		for _, f := range c.files {
			f.Data = crlf(f.Data)
		}
		got, where := c.verdict(t)
		if diff := cmp.Diff(want, got); diff != "" || place != where {
			t.Errorf("%s: %s is at %s (-LF +CRLF):\n%s", file, place, where, diff)
		}
	}
}

// disputedVerdicts are the committed cases whose verdict contradicts GitLab's documentation.
func disputedVerdicts(t *testing.T) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "disputed.txt"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	names := make(map[string]bool)
	for line := range strings.Lines(string(text)) {
		if name, _, ok := strings.Cut(line, ":"); ok && !strings.HasPrefix(line, "#") {
			names[strings.TrimSpace(name)] = true
		}
	}
	return names
}

func mustRel(t *testing.T, base, path string) string {
	t.Helper()
	rel, err := filepath.Rel(base, path)
	if err != nil {
		t.Fatal(err)
	}
	return rel
}

// A conformanceCase is one file of the corpus.
type conformanceCase struct {
	*txtar.Archive
	event, want []byte
	files       fstest.MapFS
	projects    caseProjects
}

func readCase(t *testing.T, file string) *conformanceCase {
	t.Helper()
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c := &conformanceCase{Archive: archive, files: fstest.MapFS{}}
	for _, f := range archive.Files {
		switch {
		case f.Name == "event.json":
			c.event = f.Data
		case f.Name == "want.json":
			c.want = f.Data
		case strings.HasPrefix(f.Name, "project:"):
			c.projects.add(t, strings.TrimPrefix(f.Name, "project:"), f.Data)
		default:
			c.files[f.Name] = &fstest.MapFile{Data: f.Data}
		}
	}
	return c
}

// caseEvent is the form of event.json.
type caseEvent struct {
	Source            pipeline.Source
	Branch, Tag       string
	DefaultBranch     string              `json:"default_branch"`
	BeforeSHAZero     bool                `json:"before_sha_zero"`
	Changed           []string            `json:"changed"`
	CompareTo         map[string][]string `json:"compare_to_changed"`
	OpenMergeRequests []string            `json:"open_merge_requests"`
	RefProtected      bool                `json:"ref_protected"`
	Variables         map[string]string   `json:"variables"`
	ProjectVariables  map[string]string   `json:"project_variables"`
	Inputs            map[string]any      `json:"inputs"`
	CommitMessage     string              `json:"commit_message"`
	MergeRequest      *struct {
		IID          int
		SourceBranch string `json:"source_branch"`
		TargetBranch string `json:"target_branch"`
		Title        string
		Draft        bool
		Labels       []string
		Fork         bool
	} `json:"merge_request"`
}

func (c *conformanceCase) load(t *testing.T) (*pipeline.Project, pipeline.Event) {
	t.Helper()
	var e caseEvent
	decoder := json.NewDecoder(bytes.NewReader(c.event))
	decoder.UseNumber()
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&e); err != nil {
		t.Fatalf("event.json: %v", err)
	}
	event := pipeline.Event{
		Source: e.Source, Branch: e.Branch, Tag: e.Tag, NewBranch: e.BeforeSHAZero, Changed: e.Changed, CompareTo: e.CompareTo,
		OpenMergeRequests: e.OpenMergeRequests, RefProtected: e.RefProtected, Variables: variablesOf(e.Variables),
		Inputs: e.Inputs, CommitMessage: e.CommitMessage,
	}
	if pipeline.SkipMark(event) != "" {
		// The verdicts come from the engine behind GitLab's look at the message: it decides on the jobs all the same.
		title, description := pipeline.SplitCommitMessage(e.CommitMessage)
		event.Predefined = map[string]string{
			"CI_COMMIT_MESSAGE": e.CommitMessage, "CI_COMMIT_TITLE": title, "CI_COMMIT_DESCRIPTION": description,
		}
		event.CommitMessage = ""
	}
	if m := e.MergeRequest; m != nil {
		event.MergeRequestInfo = &pipeline.MergeRequestInfo{IID: m.IID, SourceBranch: m.SourceBranch, TargetBranch: m.TargetBranch,
			Title: m.Title, Draft: m.Draft, Labels: m.Labels, Fork: m.Fork}
	}
	project, err := pipeline.Load(c.files, pipeline.Options{DefaultBranch: e.DefaultBranch, Variables: variablesOf(e.ProjectVariables), Resolver: &c.projects})
	if err != nil {
		t.Fatal(err)
	}
	return project, event
}

func variablesOf(m map[string]string) []pipeline.Variable {
	var list []pipeline.Variable
	for _, key := range slices.Sorted(maps.Keys(m)) {
		list = append(list, pipeline.Variable{Key: key, Value: m[key]})
	}
	return list
}

// verdict returns ours in the form of want.json, without where, which it gives by itself.
func (c *conformanceCase) verdict(t *testing.T) (verdict any, where string) {
	t.Helper()
	project, event := c.load(t)
	plan, err := project.Plan(context.Background(), event)
	m := map[string]any{"valid": err == nil}
	var wrong pipeline.Errors
	switch {
	case errors.As(err, &wrong):
		where = wrong[0].Path
		if wrong[0].Create {
			m["phase"] = "create"
		}
	case err != nil:
		t.Fatal(err)
	case !plan.Created:
		m["created"], m["reason"] = false, plan.Reason
	default:
		m["created"], m["stages"], m["jobs"] = true, plan.Stages, render.GitLabJobs(plan.Jobs)
		if plan.Name != "" {
			m["name"] = plan.Name
		}
		if plan.AutoCancel != nil {
			m["auto_cancel"] = plan.AutoCancel
		}
	}
	return plain(t, m), where
}

func (c *conformanceCase) comparable(t *testing.T) any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(c.want, &m); err != nil {
		t.Fatalf("want.json: %v", err)
	}
	delete(m, "where")
	return m
}

func (c *conformanceCase) where(t *testing.T) string {
	t.Helper()
	var m struct{ Where string }
	if err := json.Unmarshal(c.want, &m); err != nil {
		t.Fatalf("want.json: %v", err)
	}
	return m.Where
}

func plain(t *testing.T, v any) any {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// caseProjects are the other projects of a case.
type caseProjects struct {
	refs  map[string][]string
	trees map[string]fstest.MapFS
}

// add takes a section "group/name@ref:path".
func (p *caseProjects) add(t *testing.T, section string, data []byte) {
	t.Helper()
	project, rest, ok := strings.Cut(section, "@")
	ref, path, ok2 := strings.Cut(rest, ":")
	if !ok || !ok2 {
		t.Fatalf("section %q", section)
	}
	if p.refs == nil {
		p.refs, p.trees = make(map[string][]string), make(map[string]fstest.MapFS)
	}
	key := project + "@" + ref
	if p.trees[key] == nil {
		p.trees[key] = fstest.MapFS{}
		p.refs[project] = append(p.refs[project], ref)
	}
	p.trees[key][path] = &fstest.MapFile{Data: data}
}

func (p *caseProjects) Project(_ context.Context, path, ref string) (fs.FS, string, error) {
	refs := p.refs[path]
	if len(refs) == 0 {
		return nil, "", fs.ErrNotExist
	}
	if ref == "" || ref == "HEAD" {
		ref = refs[0]
		if slices.Contains(refs, "main") {
			ref = "main"
		}
	}
	tree, ok := p.trees[path+"@"+ref]
	if !ok {
		return nil, "", fs.ErrNotExist
	}
	return tree, fmt.Sprintf("%040x", len(ref)), nil
}

func (p *caseProjects) Tags(_ context.Context, path string) ([]string, error) {
	return p.refs[path], nil
}

func (p *caseProjects) Remote(context.Context, string) ([]byte, error)   { return nil, fs.ErrNotExist }
func (p *caseProjects) Template(context.Context, string) ([]byte, error) { return nil, fs.ErrNotExist }
