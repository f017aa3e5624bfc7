package pipeline

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// A sample is a use of a keyword: a value with GitLab's form of it, and a value that is invalid.
type sample struct {
	value, stored, invalid string
	// job are the other keys of the job, if they are not only its script or trigger.
	job string
}

// samples has an entry for each keyword of the table.
var samples = map[string]sample{
	"after_script":        {value: `[a]`, stored: `["a"]`, invalid: `{}`},
	"allow_failure":       {value: `true`, stored: `true`, invalid: `1`},
	"artifacts":           {value: `{paths: [a]}`, stored: `{"paths":["a"]}`, invalid: `a`},
	"before_script":       {value: `[a]`, stored: `["a"]`, invalid: `{}`},
	"cache":               {value: `{paths: [a]}`, stored: `[{"paths":["a"]}]`, invalid: `a`},
	"coverage":            {value: `/a/`, stored: `"a"`, invalid: `a`},
	"dast_configuration":  {value: `{site_profile: a}`, invalid: `a`},
	"dependencies":        {value: `[]`, stored: `[]`, invalid: `a`},
	"environment":         {value: `a`, stored: `{"name":"a"}`, invalid: `[]`},
	"except":              {value: `[a]`, invalid: `a`},
	"extends":             {value: `.template`, invalid: `{}`},
	"hooks":               {value: `{pre_get_sources_script: a}`, stored: `{"pre_get_sources_script":["a"]}`, invalid: `a`},
	"id_tokens":           {value: `{A: {aud: a}}`, stored: `{"A":{"aud":"a"}}`, invalid: `a`},
	"identity":            {value: `google_cloud`, stored: `"google_cloud"`, invalid: `a`},
	"image":               {value: `{name: a, pull_policy: always}`, stored: `{"name":"a","pull_policy":["always"]}`, invalid: `[]`},
	"inherit":             {value: `{default: [image]}`, invalid: `{default: [script]}`},
	"inputs":              {value: `{a: {default: b}}`, invalid: `{a: {}}`},
	"interruptible":       {value: `true`, stored: `true`, invalid: `a`},
	"manual_confirmation": {value: `a`, stored: `"a"`, invalid: `1`},
	"needs":               {value: `[{job: other, artifacts: false}]`, stored: `[{"artifacts":false,"job":"other"}]`, invalid: `1`},
	"only":                {value: `[main]`, invalid: `a`},
	"pages":               {value: `true`, stored: `true`, invalid: `[]`},
	"parallel":            {value: `{matrix: [{A: [b]}]}`, stored: `1`, invalid: `a`},
	"publish":             {value: `a`, invalid: `[]`, job: `script: a, pages: true`},
	"release":             {value: `{tag_name: a, description: b}`, stored: `{"description":"b","tag_name":"a"}`, invalid: `a`},
	"resource_group":      {value: `a`, stored: `"a"`, invalid: `1`},
	"retry":               {value: `{max: 1}`, stored: `1`, invalid: `3`},
	"rules":               {value: `[{when: always}]`, invalid: `a`},
	"run":                 {value: `[{name: a, script: b}]`, stored: `[{"name":"a","script":"b"}]`, invalid: `a`, job: `stage: test`},
	"script":              {value: `[a]`, stored: `["a"]`, invalid: `{}`, job: `stage: test`},
	"secrets":             {value: `{A: {vault: b/c}}`, stored: `{"A":{"vault":{"engine":{"name":"kv-v2","path":"kv-v2"},"field":"c","path":"b"}}}`, invalid: `a`},
	"services":            {value: `[a]`, stored: `["a"]`, invalid: `a`},
	"stage":               {value: `deploy`, stored: `"deploy"`, invalid: `[]`},
	"start_in":            {value: `1 hour`, stored: `"1 hour"`, invalid: `soon`, job: `script: a, when: delayed`},
	"tags":                {value: `[a]`, stored: `["a"]`, invalid: `a`},
	"timeout":             {value: `1 hour`, stored: `3600`, invalid: `soon`},
	"trigger":             {value: `{project: a/b}`, stored: `{"project":"a/b"}`, invalid: `{}`, job: `stage: test`},
	"variables":           {value: `{A: b}`, stored: `{"A":"b"}`, invalid: `a`},
	"when":                {value: `always`, stored: `"always"`, invalid: `a`},
}

// others are jobs and templates that samples name.
const others = `
stages: [build, test, deploy]
.template: {variables: {A: a}}
other: {stage: build, script: a}
`

// TestKeywords uses each keyword of the table in each place: whether it is allowed, inherited and stored is as the table says.
func TestKeywords(t *testing.T) {
	t.Parallel()
	if len(samples) != len(jobKeywords) {
		t.Errorf("%d samples for %d keywords", len(samples), len(jobKeywords))
	}
	for _, k := range jobKeywords {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			s, ok := samples[k.name]
			if !ok {
				t.Fatal("no sample: add one")
			}
			if k.value.read == nil && k.check == nil && k.shape == nil {
				t.Error("nothing reads the keyword")
			}
			if (k.value.stored != nil) != (s.stored != "") {
				t.Errorf("stored: the sample says %q", s.stored)
			}
			for place, action := range map[places]string{inJob: "script: a", inBridge: "trigger: a/b"} {
				k.testInJob(t, s, place, action)
			}
			k.testGlobal(t, s, inDefault, "default: {"+k.name+": "+s.value+"}\n")
			if !slices.Contains(rootKeys, k.name) || k.in&atTop != 0 {
				k.testGlobal(t, s, atTop, k.name+": "+s.value+"\n")
			}
		})
	}
}

// testInJob uses the keyword in a job that has an action.
func (k keyword) testInJob(t *testing.T, s sample, place places, action string) {
	if k.in&place == 0 {
		if _, config, err := planJob(action, k.name+": "+s.value); err == nil {
			t.Errorf("accepted:\n%s", config)
		}
		return
	}
	action = cmp.Or(s.job, action)
	job, config, err := planJob(action, k.name+": "+s.value)
	if err != nil {
		t.Errorf("refused: %v\n%s", err, config)
		return
	}
	k.compare(t, job, s.stored, config)
	var errs Errors
	if _, config, err = planJob(action, k.name+": "+s.invalid); !errors.As(err, &errs) {
		t.Errorf("%v:\n%s", err, config)
	}
}

// testGlobal uses the keyword among the global keywords, with a job that does not have it.
func (k keyword) testGlobal(t *testing.T, s sample, place places, global string) {
	action := cmp.Or(s.job, "script: a")
	job, config, err := planJob(action, "", global)
	switch {
	case k.in&place == 0 && err == nil:
		t.Errorf("accepted:\n%s", config)
		return
	case k.in&place == 0:
		return
	case err != nil:
		t.Errorf("refused: %v\n%s", err, config)
		return
	}
	want := s.stored
	if k.value.inherit == nil {
		want = ""
	}
	k.compare(t, job, want, config)
	job, config, err = planJob(action, "inherit: {default: false}", global)
	if err != nil {
		t.Errorf("refused: %v\n%s", err, config)
		return
	}
	k.compare(t, job, "", config)
}

func (k keyword) compare(t *testing.T, job *Job, want, config string) {
	t.Helper()
	got := ""
	if v, ok := job.GitLab()[k.name]; ok {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		got = string(text)
	}
	if got != want {
		t.Errorf("stored as %q, want %q:\n%s", got, want, config)
	}
}

// planJob plans a job of some keys beside global keywords, and returns it with the configuration.
func planJob(action, key string, global ...string) (*Job, string, error) {
	config := others + strings.Join(global, "") + "job: {" + strings.TrimSuffix(action+", "+key, ", ") + "}\n"
	p, err := Load(fstest.MapFS{".gitlab-ci.yml": {Data: []byte(config)}}, Options{})
	if err != nil {
		return nil, config, err
	}
	plan, err := p.Plan(context.Background(), Event{Source: Push, Branch: "main"})
	if err != nil {
		return nil, config, err
	}
	i := slices.IndexFunc(plan.Jobs, func(j *Job) bool { return j.BaseName == "job" })
	if i < 0 {
		return nil, config, errors.New("the plan does not have the job")
	}
	return plan.Jobs[i], config, nil
}
