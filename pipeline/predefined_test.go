package pipeline

import (
	"strings"
	"testing"
)

func TestSplitCommitMessage(t *testing.T) {
	long := strings.Repeat("ä", 100)
	for _, test := range []struct{ message, title, description string }{
		{"fix", "fix", ""},
		{"fix\n", "fix", ""},
		{"fix\nit", "fix", "it"},
		{"fix\n\nit\n", "fix", "\nit"},
		{"fix\r\nit\r\n", "fix", "it"},
		{long + "\nit", long, long + "\nit"},
		{long[2:] + "\nit", long[2:], "it"},
	} {
		t.Run(test.message, func(t *testing.T) {
			if title, description := splitCommitMessage(test.message); title != test.title || description != test.description {
				t.Errorf("%q: title %q, description %q; want %q, %q", test.message, title, description, test.title, test.description)
			}
		})
	}
}
