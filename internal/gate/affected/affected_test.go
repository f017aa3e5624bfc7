package affected

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/slipway-ci/slipway/internal/gate/gitdiff"
)

const libSum = "example.com/zlog v1.0.0 h1:AAAA=\nexample.com/zlog v1.0.0/go.mod h1:BBBB=\n"

// repository is a monorepo: lib, orders and billing share a workspace; legacy has lib by a replace directive; solo builds
// with the published lib.
var repository = map[string]string{
	"go.work":       "go 1.26\n\nuse (\n\t./lib\n\t./orders\n\t./billing\n)\n",
	"README.md":     "# Shop\n",
	"ci/deploy.yml": "x: y\n",

	"lib/go.mod":                    "module example.com/lib\n\ngo 1.26\n\nrequire example.com/zlog v1.0.0\n",
	"lib/go.sum":                    libSum,
	"lib/money/money.go":            "package money\n\nfunc Of() int { return 1 }\n",
	"lib/money/money_test.go":       "package money\n",
	"lib/money/testdata/golden.txt": "1\n",
	"lib/log/log.go":                "package log\n\nimport _ \"example.com/zlog\"\n",
	"lib/check/check.go":            "package check\n\nimport _ \"example.com/lib/money\"\n",
	"lib/page/page.go":              "package page\n\nimport _ \"embed\"\n\n//go:embed static \"with space.txt\"\nvar files string\n",
	"lib/page/static/a/style.css":   "a\n",
	"lib/page/with space.txt":       "a\n",
	"lib/page/page_linux.go":        "package page\n\nimport _ \"example.com/lib/onlylinux\"\n",
	"lib/onlylinux/o.go":            "package onlylinux\n",
	"lib/gen/gen.go":                "//go:build ignore\n\npackage main\n\nimport _ \"example.com/lib/money\"\n",
	"lib/fast/fast.go":              "package fast\n\nfunc Add()\n",
	"lib/fast/add_amd64.s":          "TEXT\n",

	"orders/go.mod":              "module example.com/orders\n\ngo 1.26\n\nrequire example.com/lib v0.1.0\n",
	"orders/cmd/orders/main.go":  "package main\n\nimport _ \"example.com/orders/store\"\n\nfunc main() {}\n",
	"orders/store/store.go":      "package store\n\nimport _ \"example.com/lib/money\"\n",
	"orders/store/store_test.go": "package store_test\n\nimport _ \"example.com/lib/check\"\n",
	"orders/web/web.go":          "package web\n\nimport _ \"example.com/lib/page\"\n",
	"billing/go.mod":             "module example.com/billing\n\ngo 1.26\n",
	"billing/billing.go":         "package billing\n\nimport _ \"example.com/lib/log\"\n",
	"billing/vat/vat.go":         "package vat\n",
	"legacy/go.mod":              "module example.com/legacy\n\ngo 1.26\n\nrequire example.com/lib v0.1.0\n\nreplace example.com/lib => ../lib\n",
	"legacy/legacy.go":           "package legacy\n\nimport _ \"example.com/lib/money\"\n",
	"solo/go.mod":                "module example.com/solo\n\ngo 1.26\n\nrequire example.com/lib v0.1.0\n",
	"solo/solo.go":               "package solo\n\nimport _ \"example.com/lib/money\"\n",
}

func put(t testing.TB, root, name, content string) {
	t.Helper()
	path := filepath.Join(root, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func git(t testing.TB, dir string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", append([]string{"-c", "user.name=Dev", "-c", "user.email=dev@example.com", "-c", "commit.gpgsign=false"}, args...)...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
}

func checkout(t testing.TB, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		put(t, root, name, content)
	}
	git(t, root, "init", "--quiet", "--initial-branch=main")
	git(t, root, "add", "--all")
	git(t, root, "commit", "--quiet", "--message=First")
	return root
}

func analyse(t testing.TB, root string, o Options) *Result {
	t.Helper()
	set, err := gitdiff.Since(t.Context(), root, "main")
	if err != nil {
		t.Fatal(err)
	}
	g, err := Load(root)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Of(t.Context(), g, set, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestOf(t *testing.T) {
	t.Parallel()
	const everything = "*"
	for _, test := range []struct {
		name string
		// edit maps a file to its new content; "" removes it.
		edit map[string]string
		all  []string
		// want has the directories of the affected packages; a trailing ? is for tests only.
		want    string
		unowned string
	}{
		{name: "nothing"},
		{name: "a leaf", edit: map[string]string{"billing/vat/vat.go": "package vat\n\nvar X int\n"}, want: "billing/vat"},
		{name: "a shared package, through workspace and replace", edit: map[string]string{"lib/money/money.go": "package money\n"},
			want: "legacy lib/check lib/money orders/cmd/orders orders/store"},
		{name: "a dependency of tests only", edit: map[string]string{"lib/check/check.go": "package check\n"}, want: "lib/check orders/store?"},
		{name: "a test", edit: map[string]string{"lib/money/money_test.go": "package money\n\nvar x int\n"}, want: "lib/money?"},
		{name: "testdata", edit: map[string]string{"lib/money/testdata/golden.txt": "2\n"}, want: "lib/money?"},
		{name: "an embedded file", edit: map[string]string{"lib/page/static/a/style.css": "b\n"}, want: "lib/page orders/web"},
		{name: "an embedded file with a space", edit: map[string]string{"lib/page/with space.txt": "b\n"}, want: "lib/page orders/web"},
		{name: "a new embedded file", edit: map[string]string{"lib/page/static/new.css": "b\n"}, want: "lib/page orders/web"},
		{name: "a removed embedded file", edit: map[string]string{"lib/page/static/a/style.css": ""}, want: "lib/page orders/web"},
		{name: "an import for one system only", edit: map[string]string{"lib/onlylinux/o.go": "package onlylinux\n\nvar X int\n"}, want: "lib/onlylinux lib/page orders/web"},
		{name: "assembly", edit: map[string]string{"lib/fast/add_amd64.s": "RET\n"}, want: "lib/fast"},
		{name: "a removed package", edit: map[string]string{"lib/log/log.go": ""}, want: "billing"},
		{name: "a renamed package", edit: map[string]string{"billing/vat/vat.go": "", "billing/tax/vat.go": "package vat\n"}, want: "billing/tax"},
		{name: "a text", edit: map[string]string{"README.md": "# Other\n", "ci/deploy.yml": "x: z\n"}, unowned: "README.md ci/deploy.yml"},
		{name: "a text for everybody", edit: map[string]string{"ci/deploy.yml": "x: z\n"}, all: []string{"ci/**"}, want: everything, unowned: "ci/deploy.yml"},
		{name: "a file beside the code", edit: map[string]string{"billing/rates.csv": "1\n"}, want: "billing?"},
		{name: "a script", edit: map[string]string{"lib/gen/gen.go": "//go:build ignore\n\npackage main\n"}},
		{name: "a dependency's version", edit: map[string]string{"lib/go.mod": "module example.com/lib\n\ngo 1.26\n\nrequire example.com/zlog v1.1.0\n"}, want: "billing lib/log"},
		{name: "a dependency's hash", edit: map[string]string{"lib/go.sum": "example.com/zlog v1.0.0 h1:CCCC=\n"}, want: "billing lib/log"},
		{name: "a new line in go.sum", edit: map[string]string{"lib/go.sum": libSum + "example.com/other v1.0.0 h1:CCCC=\n"}},
		{name: "the language", edit: map[string]string{"billing/go.mod": "module example.com/billing\n\ngo 1.27\n"}, want: "billing billing/vat"},
		{name: "a comment in go.mod", edit: map[string]string{"billing/go.mod": "// Billing.\nmodule example.com/billing\n\ngo 1.26\n"}},
		{name: "the workspace", edit: map[string]string{"go.work": "go 1.26\n\nuse (\n\t./lib\n\t./orders\n)\n"},
			want: "legacy lib/check lib/fast lib/log lib/money lib/onlylinux lib/page orders/cmd/orders orders/store orders/web"},
		{name: "a new module", edit: map[string]string{"fresh/go.mod": "module example.com/fresh\n", "fresh/f.go": "package fresh\n"}, want: "fresh"},
		{name: "code that does not parse", edit: map[string]string{"billing/vat/vat.go": "package vat\n\nfunc (\n"}, want: "billing/vat"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			root := checkout(t, repository)
			git(t, root, "checkout", "--quiet", "-b", "topic")
			for name, content := range test.edit {
				if content == "" {
					if err := os.Remove(filepath.Join(root, name)); err != nil {
						t.Fatal(err)
					}
					continue
				}
				put(t, root, name, content)
			}
			git(t, root, "add", "--all")
			git(t, root, "commit", "--quiet", "--allow-empty", "--message=Second")
			r := analyse(t, root, Options{All: test.all})
			var got []string
			for _, p := range r.Packages {
				if p.OnlyTests {
					p.Dir += "?"
				}
				got = append(got, p.Dir)
			}
			if test.want == everything {
				if len(got) != 13 {
					t.Errorf("%d packages, want all 13: %v", len(got), got)
				}
			} else if diff := cmp.Diff(test.want, strings.Join(got, " ")); diff != "" {
				t.Errorf("affected (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.unowned, strings.Join(r.Unowned, " ")); diff != "" && test.name != "a script" {
				t.Errorf("unowned (-want +got):\n%s", diff)
			}
		})
	}
}

// TestAgainstTheGoCommand: every import that `go list` sees within the repository is in the graph.
func TestAgainstTheGoCommand(t *testing.T) {
	t.Parallel()
	root := checkout(t, synthetic(3, 8))
	g, err := Load(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, module := range []string{"m0", "m1", "m2"} {
		t.Run(module, func(t *testing.T) {
			packages := list(t.Context(), filepath.Join(root, module))
			if len(packages) == 0 {
				t.Fatalf("go list in %s says nothing", module)
			}
			edges := 0
			for _, p := range packages {
				from, ok := g.resolve(module, p.ImportPath)
				if !ok || strings.Contains(p.ImportPath, " ") || strings.HasSuffix(p.ImportPath, ".test") {
					continue
				}
				for _, i := range p.Imports {
					if _, local := g.resolve(module, i); !local {
						continue
					}
					edges++
					if !g.packages[from].imports[i] {
						t.Errorf("%s imports %s, and the graph does not know", p.ImportPath, i)
					}
				}
			}
			if edges == 0 {
				t.Errorf("%s: no edge was compared", module)
			}
		})
	}
}

// synthetic is a workspace of modules whose packages import each other, downwards only.
func synthetic(modules, packages int) map[string]string {
	files := map[string]string{}
	work := "go 1.26\n\nuse (\n"
	for m := range modules {
		work += fmt.Sprintf("\t./m%d\n", m)
		files[fmt.Sprintf("m%d/go.mod", m)] = fmt.Sprintf("module example.com/m%d\n\ngo 1.26\n", m)
		for p := range packages {
			var imports strings.Builder
			for _, i := range []int{p - 1, p / 2, p - 7} {
				if i >= 0 && i < p {
					fmt.Fprintf(&imports, "import _ \"example.com/m%d/p%d\"\n", m, i)
				}
			}
			if m > 0 {
				fmt.Fprintf(&imports, "import _ \"example.com/m%d/p%d\"\n", m-1, p)
			}
			dir := fmt.Sprintf("m%d/p%d/", m, p)
			body := strings.Repeat("// F does something that takes some lines to say.\n// Some more of them.\n\n", 40)
			for f := range 5 {
				files[fmt.Sprintf("%sf%d.go", dir, f)] = fmt.Sprintf("package p%d\n\n%s\n%s", p, imports.String(), body)
			}
			files[dir+"p_test.go"] = fmt.Sprintf("package p%d\n\nimport \"testing\"\n\nfunc Test(t *testing.T) {}\n", p)
		}
	}
	files["go.work"] = work + ")\n"
	return files
}

// BenchmarkLoadAndAnalyse is a workspace of 200 packages in 4 modules, 1,200 files.
func BenchmarkLoadAndAnalyse(b *testing.B) {
	root := checkout(b, synthetic(4, 50))
	set := &gitdiff.Set{Root: root, Base: "HEAD", Files: []gitdiff.File{{Path: "m1/p10/f0.go", Old: "m1/p10/f0.go"}}}
	for b.Loop() {
		g, err := Load(root)
		if err != nil {
			b.Fatal(err)
		}
		r, err := Of(b.Context(), g, set, Options{})
		if err != nil {
			b.Fatal(err)
		}
		if len(r.Packages) == 0 || len(g.packages) != 200 {
			b.Fatalf("%d of %d packages", len(r.Packages), len(g.packages))
		}
	}
}

func TestEmbedPatterns(t *testing.T) {
	t.Parallel()
	source := "//go:embed a.txt  \"b c.txt\" `d e`\n\t//go:embed all:dir\n// go:embed no\n"
	got := embedPatterns([]byte(source))
	if diff := cmp.Diff([]string{"a.txt", "b c.txt", "d e", "all:dir"}, got); diff != "" {
		t.Errorf("patterns (-want +got):\n%s", diff)
	}
	for _, test := range []struct {
		pattern, file string
		want          bool
	}{
		{"a.txt", "a.txt", true}, {"*.txt", "b.txt", true}, {"*.txt", "sub/b.txt", false}, {"all:dir", "dir/x/y", true}, {"dir/*", "dir/x/y", true}, {".", "any/x", true},
	} {
		t.Run(test.pattern, func(t *testing.T) {
			if got := embedded([]string{test.pattern}, test.file); got != test.want {
				t.Errorf("%s embeds %s: %v", test.pattern, test.file, got)
			}
		})
	}
}

func TestVisible(t *testing.T) {
	t.Parallel()
	root := checkout(t, repository)
	g, err := Load(root)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for m, visible := range g.visible {
		var names []string
		for p := range visible {
			names = append(names, strings.TrimPrefix(p, "example.com/"))
		}
		sort.Strings(names)
		got[m] = strings.Join(names, " ")
	}
	want := map[string]string{"lib": "billing lib orders", "orders": "billing lib orders", "billing": "billing lib orders", "legacy": "legacy lib", "solo": "solo"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("visible (-want +got):\n%s", diff)
	}
}

// TestIndirectDependency: a version that changes behind a dependency concerns those who use that dependency, and no other.
// The vendor directory stands in for a filled module cache.
func TestIndirectDependency(t *testing.T) {
	t.Parallel()
	goMod := func(version string) string {
		return "module example.com/app\n\ngo 1.26\n\nrequire (\n\texample.com/alone v1.0.0\n\texample.com/multi " + version +
			" // indirect\n\texample.com/zlog v1.0.0\n)\n"
	}
	root := checkout(t, map[string]string{
		"go.mod":            goMod("v1.0.0"),
		"logs/logs.go":      "package logs\n\nimport _ \"example.com/zlog\"\n",
		"plain/plain.go":    "package plain\n\nimport _ \"example.com/alone\"\n",
		"nothing/none.go":   "package nothing\n\nimport _ \"fmt\"\n",
		"nothing/n_test.go": "package nothing\n\nimport _ \"example.com/zlog\"\n",
		"vendor/modules.txt": "# example.com/alone v1.0.0\n## explicit; go 1.20\nexample.com/alone\n# example.com/multi v1.1.0\n## explicit; go 1.20\n" +
			"example.com/multi\n# example.com/zlog v1.0.0\n## explicit; go 1.20\nexample.com/zlog\n",
		"vendor/example.com/alone/a.go": "package alone\n",
		"vendor/example.com/multi/m.go": "package multi\n",
		"vendor/example.com/zlog/z.go":  "package zlog\n\nimport _ \"example.com/multi\"\n",
	})
	put(t, root, "go.mod", goMod("v1.1.0"))
	var got []string
	for _, p := range analyse(t, root, Options{}).Packages {
		if p.OnlyTests {
			p.Dir += "?"
		}
		got = append(got, p.Dir)
	}
	if diff := cmp.Diff([]string{"logs", "nothing?"}, got); diff != "" {
		t.Errorf("affected (-want +got):\n%s", diff)
	}
}
