package expression

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

func TestTrue(t *testing.T) {
	t.Parallel()
	variables := map[string]string{"FULL": "my variable", "EMPTY": "", "BLANK": " ", "BRANCH": "feature/login", "P": "/^feature/", "BARE": "a feature/login b"}
	tests := map[string]bool{
		`$FULL`: true, `$EMPTY`: false, `$BLANK`: false, `$UNSET`: false, `"x"`: true, `""`: false, `null`: false, `true`: true, `false`: false,
		`$EMPTY && $FULL`: true, `$FULL && $EMPTY`: false, `$EMPTY || $FULL`: false, `$UNSET || $FULL`: true, // an empty string is true as a side
		`$UNSET == null`: true, `$EMPTY == null`: false, `$EMPTY == ""`: true, `$FULL == 'my variable'`: true, `$FULL == "my" || $FULL =~ /^my/`: true,
		`"true" == true`: true, `$FULL == true`: false, `null == false`: false,
		`$BRANCH =~ /^feature\/.*$/`: true, `$BRANCH =~ /FEATURE/`: false, `$BRANCH =~ /FEATURE/i`: true, `$BRANCH !~ /main/`: true, `$UNSET !~ /main/`: true,
		`$UNSET =~ /.*/`: true, `$BRANCH =~ $P`: true, `$BRANCH =~ "/^feature/"`: true, `$BRANCH =~ $BARE`: true, `$BRANCH =~ $FULL`: false, `$BRANCH =~ $UNSET`: false,
		`$BRANCH !~ $UNSET`: true, `/main/ =~ $BRANCH`: false, `$BRANCH == /main/`: false,
		`!$UNSET`: true, `!!$FULL`: true, `!$UNSET && $FULL`: true, `!$FULL == "x"`: false, `!($FULL == "x")`: true,
		`$UNSET && $UNSET || $FULL`: true, `$UNSET && ($UNSET || $FULL)`: false, `$FULL || $UNSET && $UNSET`: true, `($FULL)`: true,
		`$[[ inputs.name ]] == "zed"`: true, `$[[ inputs.flag ]] == "true"`: true, `$[[ inputs.number ]] == "3"`: false, `$[[ inputs.gone ]] == null`: true,
	}
	inputs := map[string]*yamltree.Node{
		"name": yamltree.NewString("zed", yamltree.Position{}), "flag": yamltree.NewScalar(yamltree.Bool, "true", yamltree.Position{}),
		"number": yamltree.NewScalar(yamltree.Int, "3", yamltree.Position{}),
	}
	scope := Scope{
		Variable: func(name string) (string, bool) { v, ok := variables[name]; return v, ok },
		Input:    func(name string) *yamltree.Node { return inputs[name] },
	}
	for text, want := range tests {
		t.Run(text, func(t *testing.T) {
			e, err := Parse(text)
			if err != nil {
				t.Errorf("%s: %v", text, err)
				return
			}
			if got := e.True(scope); got != want {
				t.Errorf("%s is %t", text, got)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "empty", "  ": "empty", "$A = 1": "a single =", "$A & $B": "a single &", "$A and $B": "write &&", "$A == 1": "neither", "$A == main": "neither",
		"$A $B": "an operator is missing", "($A": "opening", "$A)": "closing", "$A &&": "lacks a value", "!": "lacks a value", "&& $A": "lacks a value",
		"$A =~ /x/y": "", "$A =~ /x(/": "RE2", "$A =~ /a/": "two characters", "'a": "closing quote", "\"a\nb\"": "closing quote", "$": "name", "%A%": "not part",
		strings.Repeat("!", 99) + "$A": "more than 99", "$[[ matrix.A ]]": "inputs.name",
	} {
		t.Run(text, func(t *testing.T) {
			_, err := Parse(text)
			var syntax *SyntaxError
			if !errors.As(err, &syntax) || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %v, want %q", text, err, want)
			}
		})
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	e, err := Parse(`!($A == "x" && $[[ inputs.b ]]) || $A =~ $C || $[[ inputs.b ]] == $[[inputs.c-d]]`)
	if err != nil {
		t.Fatal(err)
	}
	if got := e.Variables(); !slices.Equal(got, []string{"A", "C"}) {
		t.Error(got)
	}
}
