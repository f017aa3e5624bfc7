package runner

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

func cache(c ...pipeline.Cache) func(*pipeline.Job) {
	return func(j *pipeline.Job) { j.Cache = c }
}

// count is a script that counts in a cached file how often it ran.
const count = `mkdir -p .cache; echo x >>.cache/runs; echo "ran $(wc -l <.cache/runs)"`

func TestCache(t *testing.T) {
	t.Parallel()
	paths := []string{".cache/"}
	for _, tt := range []struct {
		name          string
		first, second pipeline.Cache
		script        string
		change        map[string]string
		want          string
	}{
		{"kept for the next run", pipeline.Cache{Paths: paths}, pipeline.Cache{Paths: paths}, count, nil, "ran 2"},
		{"by key", pipeline.Cache{Key: "a-$CI_COMMIT_REF_SLUG", Paths: paths}, pipeline.Cache{Key: "b", Paths: paths}, count, nil, "ran 1"},
		{"the key has variables", pipeline.Cache{Key: "$NAME", Paths: paths}, pipeline.Cache{Key: "n", Paths: paths}, count, nil, "ran 2"},
		{"by the content of files", pipeline.Cache{KeyFiles: []string{"go.sum"}, Paths: paths}, pipeline.Cache{KeyFiles: []string{"go.sum"}, Paths: paths}, count, nil, "ran 2"},
		{"whose change is another key", pipeline.Cache{KeyFiles: []string{"go.sum"}, Paths: paths}, pipeline.Cache{KeyFiles: []string{"go.sum"}, Paths: paths}, count,
			map[string]string{"go.sum": "changed"}, "ran 1"},
		{"by files that GitLab does not find", pipeline.Cache{KeyFiles: []string{"./go.sum"}, Paths: paths}, pipeline.Cache{KeyFiles: []string{"./go.sum"}, Paths: paths}, count,
			map[string]string{"go.sum": "changed"}, "ran 2"},
		{"with a prefix", pipeline.Cache{KeyFiles: []string{"go.sum"}, KeyPrefix: "p", Paths: paths}, pipeline.Cache{KeyFiles: []string{"go.sum"}, Paths: paths}, count, nil, "ran 1"},
		{"by the commit of files", pipeline.Cache{KeyFilesCommits: []string{"go.sum"}, Paths: paths}, pipeline.Cache{KeyFilesCommits: []string{"go.sum"}, Paths: paths}, count, nil, "ran 2"},
		{"a key to fall back to", pipeline.Cache{Key: "a", Paths: paths}, pipeline.Cache{Key: "b", FallbackKeys: []string{"no", "a"}, Paths: paths}, count, nil, "ran 2"},
		{"pull only", pipeline.Cache{Policy: "pull", Paths: paths}, pipeline.Cache{Paths: paths}, count, nil, "ran 1"},
		{"push only", pipeline.Cache{Paths: paths}, pipeline.Cache{Policy: "push", Paths: paths}, count, nil, "ran 1"},
		{"the policy is a variable", pipeline.Cache{Policy: "$POLICY", Paths: paths}, pipeline.Cache{Paths: paths}, count, nil, "ran 1"},
		{"not of a failed job", pipeline.Cache{Paths: paths}, pipeline.Cache{Paths: paths}, count + `; [ -n "$SECOND" ]`, nil, "ran 1"},
		{"of a failed job", pipeline.Cache{Paths: paths, When: "always"}, pipeline.Cache{Paths: paths}, count + `; [ -n "$SECOND" ]`, nil, "ran 2"},
		{"untracked files", pipeline.Cache{Untracked: true}, pipeline.Cache{Untracked: true}, count, nil, "ran 2"},
		{"a glob", pipeline.Cache{Paths: []string{".cache/*"}}, pipeline.Cache{Paths: []string{".cache/*"}}, count, nil, "ran 2"},
		{"read-only folders, as Go's module cache", pipeline.Cache{Paths: paths}, pipeline.Cache{Paths: paths},
			`mkdir -p .cache/mod; [ -e .cache/mod/f ] && echo again || { echo x >.cache/mod/f; chmod 444 .cache/mod/f; chmod 555 .cache/mod; }`, nil, "again"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t, map[string]string{"go.sum": "one"})
			shared := variables("NAME=n", "POLICY=pull")
			p.run(job("first", tt.script, cache(tt.first), shared))
			for name, content := range tt.change {
				p.write(name, content)
			}
			r := p.run(job("second", tt.script, cache(tt.second), variables("SECOND=yes"), shared))
			p.wantLog(r, "second", tt.want)
		})
	}
}

func TestCacheOfProtectedRefs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		unprotect bool
		want      string
	}{{"apart", false, "ran 1"}, {"together if wished", true, "ran 2"}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t, nil)
			c := cache(pipeline.Cache{Paths: []string{".cache"}, Unprotect: tt.unprotect})
			p.run(job("first", count, c))
			plan := planOf(job("second", count, c))
			plan.Event.RefProtected = true
			p.wantLog(p.runPlan(plan), "second", tt.want)
		})
	}
}

func TestSeveralCaches(t *testing.T) {
	t.Parallel()
	p := newProject(t, nil)
	c := cache(pipeline.Cache{Key: "a", Paths: []string{"one", "both"}}, pipeline.Cache{Key: "b", Paths: []string{"two", "both"}})
	p.run(job("first", "mkdir one two both; touch one/f two/f both/f", c))
	p.wantLog(p.run(job("second", "ls one/f two/f both/f", c)), "second", "both/f", "one/f", "two/f")
}

// A job that changes what it restored must not change the cache of others.
func TestCacheIsACopy(t *testing.T) {
	t.Parallel()
	p := newProject(t, nil)
	push, pull := cache(pipeline.Cache{Paths: []string{".cache"}}), cache(pipeline.Cache{Paths: []string{".cache"}, Policy: "pull"})
	p.run(job("first", count, push))
	p.run(job("vandal", "echo broken >.cache/runs", pull))
	p.wantLog(p.run(job("third", count, pull)), "third", "ran 2")
}

func TestWithoutNested(t *testing.T) {
	t.Parallel()
	got := withoutNested([]string{"b/c", "a/x/y", "a", "b/c", "b/d/e", "a/z", "ab"})
	if diff := cmp.Diff("a ab b/c b/d/e", strings.Join(got, " ")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestCacheKeysAreCleaned has the results of cachekey.Sanitize of GitLab's runner.
func TestCacheKeysAreCleaned(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]string{
		"": "", "plain": "plain", "a b  c": "a b  c", "grün ✓": "grün ✓", "a/b": "a/b", "p%x": "p%x",
		"/a//b/": "a/b", "a/../b": "b", "../../a": "a", "a%2Fb": "a/b", "a%2f%2e%2E/b": "b", `a\b`: "a/b", "a/./b": "a/b",
		"a  ": "a", "a/ / ": "a", " a": " a", "..": "", " ": "", "/": "",
	} {
		log := new(maskedText)
		a := &attempt{out: newMaskingWriter(log, nil)}
		if got := a.cleanKey(key); got != want {
			t.Errorf("%q: %q, want %q", key, got, want)
		}
		if warned := strings.Contains(string(*log), "WARNING"); warned != (key != want) {
			t.Errorf("%q: the log says %q", key, *log)
		}
		a.env.variables = map[string]string{"FF_HASH_CACHE_KEYS": "true"}
		if got := a.cleanKey(key); got != key {
			t.Errorf("%q with hashed keys: %q", key, got)
		}
	}
}
