package expression

import (
	"errors"
	"testing"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// FuzzExpression parses and evaluates any text.
func FuzzExpression(f *testing.F) {
	for _, seed := range []string{
		`$A == "x"`, `$A =~ /^v\d+/i && !($B || $C)`, `$A != null`, `$A =~ $B`, `"a" == 'a'`, `$[[ inputs.x ]] == true`, `((($A)))`,
		`$A == $B == $C`, `!!$A`, `/a\/b/ =~ $A`, `$A !~ /x(/`, `&& ||`, `)(`, `$A $B ==`, `$`, `"`, `/`, `null nullnull`,
	} {
		f.Add(seed, "/x/")
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		e, err := Parse(text)
		if err != nil {
			var syntax *SyntaxError
			if !errors.As(err, &syntax) || syntax.Offset < 0 || syntax.Offset > len(text) {
				t.Fatalf("%#v", err)
			}
			return
		}
		e.True(Scope{})
		e.True(Scope{
			Variable: func(string) (string, bool) { return value, true },
			Input:    func(string) *yamltree.Node { return yamltree.NewString(value, yamltree.Position{}) },
		})
		e.Variables()
	})
}
