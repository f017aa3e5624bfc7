package spelling

import (
	"strings"
	"testing"
)

func TestClosest(t *testing.T) {
	t.Parallel()
	words := []string{"script", "stage", "image", "needs", "when", "cache"}
	for _, c := range []struct{ name, word, want string }{
		{"the word itself", "stage", "stage"},
		{"a letter too many", "stagee", "stage"},
		{"two letters swapped", "sciprt", "script"},
		{"a letter missing", "imge", "image"},
		{"another word", "variables", ""},
		{"nothing", "", ""},
		{"nothing of a short word", "xy", ""},
		{"a novel", strings.Repeat("stage", 20), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := Closest(c.word, words); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
