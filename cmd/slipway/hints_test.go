package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestTheLibraryNamesNoFlags looks for flags of the command in the messages of the packages below pipeline.
func TestTheLibraryNamesNoFlags(t *testing.T) {
	t.Parallel()
	flags := map[string]bool{}
	var collect func(*cobra.Command)
	collect = func(c *cobra.Command) {
		for _, set := range []*pflag.FlagSet{c.Flags(), c.PersistentFlags()} {
			set.VisitAll(func(f *pflag.Flag) {
				flags["--"+f.Name] = true
				flags["-"+f.Shorthand] = f.Shorthand == "C" // the others are options of a shell, too
			})
		}
		for _, sub := range c.Commands() {
			collect(sub)
		}
	}
	collect(newRoot(""))
	if !flags["--skip-missing"] || !flags["-C"] {
		t.Fatalf("the flags of the command were not found: %v", flags)
	}
	// In a sentence a flag stands behind a word; arguments of programs stand alone in their string.
	inSentence := regexp.MustCompile("[\\s(`](--?[A-Za-z][a-z-]*)")
	files, literals := 0, 0
	err := filepath.WalkDir(filepath.Join("..", "..", "pipeline"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() && entry.Name() == "testdata" {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		files++
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			literal, ok := n.(*ast.BasicLit)
			if !ok || literal.Kind != token.STRING {
				return true
			}
			literals++
			text, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Errorf("%s: %v", set.Position(literal.Pos()), err)
			}
			for _, found := range inSentence.FindAllStringSubmatch(text, -1) {
				if flags[found[1]] {
					t.Errorf("%s: %q names the flag %s: give the error a code or a sentinel, and the hint to the command", set.Position(literal.Pos()), text, found[1])
				}
			}
			return true
		})
		return nil
	})
	if err != nil || files < 100 || literals < 1000 {
		t.Fatalf("%d strings in %d files, %v", literals, files, err)
	}
}

// TestHintsOfUnavailableIncludes wants each command to print the flag that helps with an include that is unavailable.
func TestHintsOfUnavailableIncludes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ".gitlab-ci.yml"), []byte("include: [{template: None.gitlab-ci.yml}]\na: {script: x}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"plan"}, {"compile"}, {"lint"}, {"matrix"}, {"plan", "--format", "json"}, {"lint", "--format", "json"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			run(t.Context(), append(args, "--directory", dir, "--offline"), strings.NewReader(""), &out, &out)
			if !strings.Contains(out.String(), "--skip-missing skips it") {
				t.Errorf("want the flag that leaves the include out:\n%s", out.String())
			}
		})
	}
}

// TestErrorHints wants each hint for the error that it helps with, however deep that is.
func TestErrorHints(t *testing.T) {
	t.Parallel()
	for _, h := range errorHints {
		t.Run(h.hint, func(t *testing.T) {
			t.Parallel()
			if got := errorHint(fmt.Errorf("a: %w", fmt.Errorf("b: %w", h.err))); got != h.hint {
				t.Errorf("got %q, want %q", got, h.hint)
			}
		})
	}
	if got := errorHint(fs.ErrNotExist); got != "" {
		t.Errorf("an unrelated error has the hint %q", got)
	}
}
