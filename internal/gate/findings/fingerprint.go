package findings

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
)

// Fingerprint sets the fingerprint of every finding: the tool, the rule, the file and the text of the source, but not the
// line, so that a finding stays the same one when code above it comes or goes. Findings that are equal in all of that
// are counted from the top of the file.
func (r *Report) Fingerprint() {
	seen := map[string]int{}
	for i := range r.Findings {
		f := &r.Findings[i]
		parts := []string{r.Tool.ID, f.Rule, f.Location.File, squeeze(f.Snippet)}
		switch {
		case f.Dependency != nil:
			parts = append(parts, f.Dependency.Package)
		case f.Snippet == "":
			parts = append(parts, f.Message)
		}
		if f.Commit != nil {
			parts = append(parts, f.Commit.SHA, strconv.Itoa(f.Location.Line))
		}
		key := strings.Join(parts, "\x00")
		n := seen[key]
		seen[key]++
		sum := sha256.Sum256([]byte(key + "\x00" + strconv.Itoa(n)))
		f.Fingerprint = hex.EncodeToString(sum[:16])
	}
}

// squeeze normalizes white space.
func squeeze(text string) string { return strings.Join(strings.Fields(text), " ") }
