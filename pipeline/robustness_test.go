package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

// TestPathological returns the compiler files that grow, loop or nest without end: each is an error, soon, in little memory.
func TestPathological(t *testing.T) {
	const job = "unit: {script: [x]}\n"
	tests := map[string]struct {
		main  string
		files map[string]string
		where string // empty: a plan is fine
	}{
		"deep nesting":      {main: "a: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000), where: "yaml"},
		"deep mapping":      {main: deepMapping(2000), where: "yaml"},
		"alias bomb":        {main: aliasBomb(30) + job, where: "yaml"},
		"alias in itself":   {main: "a: &a {b: *a}\n" + job, where: "yaml"},
		"big file":          {main: "a: \"" + strings.Repeat("x", 3<<20) + "\"\n" + job, where: "yaml"},
		"many values":       {main: "a: [" + strings.Repeat("1,", 150_000) + "]\n" + job, where: "yaml"},
		"include cycle":     {main: "include: [a.yml]\n" + job, files: map[string]string{"a.yml": "include: [b.yml]", "b.yml": "include: [a.yml]"}, where: "include"},
		"include twice":     {main: "include: [a.yml]\n" + job, files: map[string]string{"a.yml": "include: [a.yml, a.yml]"}, where: "include"},
		"include wildcard":  {main: "include: '**.yml'\n" + job, files: map[string]string{"a.yml": "include: '**.yml'\nb: {script: [x]}"}},
		"big matrix":        {main: "unit: {script: [x], parallel: {matrix: [{" + axes(60) + "}]}}", where: "jobs:unit:parallel:matrix"},
		"big number":        {main: "unit: {script: [x], parallel: 99999999999999999999999}", where: "jobs:unit:parallel"},
		"many matrices":     {main: manyMatrices(2000), where: "jobs"},
		"reference bomb":    {main: referenceBomb(40) + job, where: "reference"},
		"reference chain":   {main: referenceChain(5000) + job, where: "reference"},
		"reference cycle":   {main: ".a: {x: !reference [.b, x]}\n.b: {x: !reference [.a, x]}\n" + job, where: "reference"},
		"extends fan":       {main: extendsFan(200), where: ""},
		"extends copies":    {main: extendsCopies(3000, 3000), where: "extends"},
		"extends cycle":     {main: ".a: {extends: .b}\n.b: {extends: .a}\nunit: {extends: .a, script: [x]}", where: "jobs:.a:extends"},
		"needs chain":       {main: needsChain(5000), where: ""},
		"variable bomb":     {main: variableBomb(60) + "unit: {script: [x], environment: {name: $V0}}", where: "variables"},
		"variable cycle":    {main: "variables: {A: $B, B: $C, C: $A}\n" + job, where: "variables"},
		"interpolation":     {main: "include: [{local: a.yml, inputs: {a: \"" + strings.Repeat("x", 100_000) + "\"}}]\n" + job, files: map[string]string{"a.yml": "spec: {inputs: {a: {}}}\n---\nb: {script: [\"" + strings.Repeat("$[[ inputs.a ]]", 10_000) + "\"]}"}, where: "interpolation"},
		"open blocks":       {main: "include: [{local: a.yml}]\n" + job, files: map[string]string{"a.yml": "spec: {inputs: {a: {default: x}}}\n---\nb: {script: [\"" + strings.Repeat("$[[ a", 150_000) + "\\n]]\"]}"}, where: "interpolation"},
		"lines of blocks":   {main: "include: [{local: a.yml}]\n" + job, files: map[string]string{"a.yml": "spec: {inputs: {a: {default: x}}}\n---\nb: {script: [\"" + strings.Repeat("$[[ a", 150_000) + "\\nx ]]\"]}"}},
		"braces":            {main: "unit: {script: [x], rules: [{changes: [\"" + strings.Repeat("{a,b}", 800) + "\"]}]}\nother: {script: [x]}"},
		"stars":             {main: "unit: {script: [x], rules: [{changes: [\"" + strings.Repeat("**/*a", 500) + "\"]}]}\nother: {script: [x]}"},
		"expression":        {main: "unit: {script: [x], rules: [{if: '" + strings.Repeat("(", 90_000) + "'}]}", where: "jobs:unit:rules:if"},
		"pattern":           {main: "unit: {script: [x], rules: [{if: '$CI =~ /" + strings.Repeat("(a{1,1000})", 50) + "/'}]}\nother: {script: [x]}"},
		"input rules":       {main: "spec: {inputs: {a: {rules: [{if: '$[[ inputs.b ]] == \"x\"', default: x}]}, b: {rules: [{if: '$[[ inputs.a ]] == \"x\"', default: x}]}}}\n---\n" + job},
		"child of itself":   {main: "unit: {trigger: {include: [{local: .gitlab-ci.yml}]}}"},
		"nested rules":      {main: "unit: {script: [x], rules: " + strings.Repeat("[", 40) + "{if: $CI}" + strings.Repeat("]", 40) + "}", where: "jobs:unit:rules"},
		"no text but nulls": {main: "\x00\x00", where: "yaml"},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			files := fstest.MapFS{".gitlab-ci.yml": {Data: []byte(c.main)}}
			for path, text := range c.files {
				files[path] = &fstest.MapFile{Data: []byte(text)}
			}
			project, err := pipeline.Load(files, pipeline.Options{})
			if err != nil {
				t.Fatal(err)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			_, err = project.Plan(context.Background(), pipeline.Event{Source: pipeline.Push, Changed: []string{strings.Repeat("a/", 500) + "b"}})
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			if took > time.Minute { // milliseconds, but for the race detector on a busy machine
				t.Errorf("it took %s", took)
			}
			if mb := (after.TotalAlloc - before.TotalAlloc) >> 20; mb > 1500 {
				t.Errorf("it allocated %d MB", mb)
			}
			var wrong pipeline.Errors
			errors.As(err, &wrong)
			switch {
			case err != nil && len(err.Error()) > 10_000:
				t.Errorf("a message of %d bytes: %.300v", len(err.Error()), err)
			case c.where == "" && err != nil:
				t.Errorf("%.300v", err)
			case c.where != "" && (wrong == nil || !strings.HasPrefix(wrong[0].Path, c.where)):
				t.Errorf("want an error at %s, got %.300v", c.where, err)
			}
		})
	}
}

func deepMapping(levels int) string {
	var b strings.Builder
	for i := range levels {
		fmt.Fprintf(&b, "%sa:\n", strings.Repeat(" ", i))
	}
	return b.String()
}

func aliasBomb(levels int) string {
	var b strings.Builder
	b.WriteString(".a0: &a0 [x, x]\n")
	for i := 1; i < levels; i++ {
		fmt.Fprintf(&b, ".a%d: &a%d [*a%d, *a%d, *a%d]\n", i, i, i-1, i-1, i-1)
	}
	return b.String()
}

func axes(n int) string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("A%d: [a, b, c]", i)
	}
	return strings.Join(names, ", ")
}

func manyMatrices(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "j%d: {script: [x], parallel: 200, dependencies: [j%d]}\n", i, i)
	}
	return b.String()
}

func referenceBomb(levels int) string {
	var b strings.Builder
	b.WriteString(".r0: {x: [a, b]}\n")
	for i := 1; i < levels; i++ {
		fmt.Fprintf(&b, ".r%d: {x: [!reference [.r%d, x], !reference [.r%d, x]]}\n", i, i-1, i-1)
	}
	return b.String()
}

func referenceChain(levels int) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".r%d: {x: a}\n", levels)
	for i := range levels {
		fmt.Fprintf(&b, ".r%d: {x: !reference [.r%d, x]}\n", i, i+1)
	}
	return b.String()
}

func extendsFan(n int) string {
	var b strings.Builder
	names := make([]string, n)
	for i := range n {
		names[i] = fmt.Sprintf(".t%d", i)
		fmt.Fprintf(&b, ".t%d: {variables: {A%d: x}}\n", i, i)
	}
	list := strings.Join(names, ", ")
	fmt.Fprintf(&b, ".a: {extends: [%s]}\n.b: {extends: [.a, .a]}\n.c: {extends: [.b, .b]}\nunit: {extends: [.c, .c, .c], script: [x]}\n", list)
	return b.String()
}

func extendsCopies(keys, jobs int) string {
	var b strings.Builder
	b.WriteString(".base:\n  script: [x]\n  variables:\n")
	for i := range keys {
		fmt.Fprintf(&b, "    V%d: x\n", i)
	}
	for i := range jobs {
		fmt.Fprintf(&b, "j%d: {extends: .base}\n", i)
	}
	return b.String()
}

func needsChain(n int) string {
	var b strings.Builder
	b.WriteString("j0: {script: [x]}\n")
	for i := 1; i < n; i++ {
		fmt.Fprintf(&b, "j%d: {script: [x], needs: [j%d]}\n", i, i-1)
	}
	return b.String()
}

func variableBomb(levels int) string {
	var b strings.Builder
	b.WriteString("variables:\n")
	for i := range levels {
		fmt.Fprintf(&b, "  V%d: \"$V%d$V%d x\"\n", i, i+1, i+1)
	}
	return b.String()
}
