package findings

import (
	"fmt"
	"testing"
)

func TestSeverities(t *testing.T) {
	t.Parallel()
	for s := Info; s <= Critical; s++ {
		for _, name := range []string{s.String(), s.Title()} {
			if got, err := ParseSeverity(name); err != nil || got != s {
				t.Errorf("%q is %v, %v", name, got, err)
			}
		}
		if s != Unknown && SeverityOfScore(s.Score()) != s {
			t.Errorf("the score of %s is of %s", s, SeverityOfScore(s.Score()))
		}
	}
	for name, want := range map[string]Severity{
		"ERROR": High, "warning": Medium, "note": Low, "none": Info, "Negligible": Info, "moderate": Medium, "BLOCKER": Critical, "": Unknown, "odd": Unknown,
	} {
		t.Run(name, func(t *testing.T) {
			if got := SeverityOf(name); got != want {
				t.Errorf("%q is %s, want %s", name, got, want)
			}
		})
	}
	// The borders of CVSS 3.1's bands.
	for score, want := range map[float64]Severity{0: Info, 0.1: Low, 3.9: Low, 4: Medium, 6.9: Medium, 7: High, 8.9: High, 9: Critical, 10: Critical} {
		t.Run(fmt.Sprint(score), func(t *testing.T) {
			if got := SeverityOfScore(score); got != want {
				t.Errorf("%v is %s, want %s", score, got, want)
			}
		})
	}
	if _, err := ParseSeverity("awful"); err == nil {
		t.Error("an unknown severity is no error")
	}
	if c, err := ParseConfidence("HIGH"); err != nil || c != HighConfidence {
		t.Errorf("%v, %v", c, err)
	}
	if _, err := ParseConfidence("sure"); err == nil {
		t.Error("an unknown confidence is no error")
	}
}
