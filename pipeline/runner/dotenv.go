package runner

import (
	"bytes"
	"fmt"
	"strings"

	"gitlab.com/slipway-ci/slipway/internal/lazyregexp"
	"gitlab.com/slipway-ci/slipway/pipeline"
)

// GitLab's limits of a dotenv report: 5 KB, and the number of variables of a self-managed instance by default, which is
// the lowest limit.
const (
	dotenvMaxBytes     = 5 * 1024
	dotenvMaxVariables = 20
)

var dotenvKey = lazyregexp.New(`^[a-zA-Z0-9_]+$`)

// parseDotenv reads a dotenv report as GitLab does: KEY=value in each line, no quoting, no comments, no empty lines.
func parseDotenv(name string, content []byte) ([]pipeline.Variable, error) {
	if len(content) >= dotenvMaxBytes {
		return nil, fmt.Errorf("%s: a dotenv report has less than %d bytes, this one has %d", name, dotenvMaxBytes, len(content))
	}
	content = bytes.TrimPrefix(content, []byte("\xef\xbb\xbf"))
	var variables []pipeline.Variable
	index := map[string]int{}
	number := 0
	for line := range strings.Lines(string(content)) {
		number++
		line = strings.TrimRight(line, "\r\n")
		key, value, found := strings.Cut(line, "=")
		key = strings.TrimSpace(key)
		switch {
		case strings.TrimSpace(line) == "":
			return nil, fmt.Errorf("%s:%d: GitLab refuses empty lines in a dotenv report", name, number)
		case strings.HasPrefix(key, "#"):
			return nil, fmt.Errorf("%s:%d: GitLab refuses comments in a dotenv report", name, number)
		case !found:
			return nil, fmt.Errorf("%s:%d: a line of a dotenv report is KEY=value, without line breaks in the value", name, number)
		case !dotenvKey().MatchString(key):
			return nil, fmt.Errorf("%s:%d: %q is not a variable's name: letters, digits and _ only", name, number, key)
		}
		v := pipeline.Variable{Key: key, Value: strings.TrimSpace(value)}
		if i, again := index[key]; again {
			variables[i] = v
			continue
		}
		index[key] = len(variables)
		variables = append(variables, v)
	}
	if len(variables) > dotenvMaxVariables {
		return nil, fmt.Errorf("%s: a dotenv report has at most %d variables, this one has %d", name, dotenvMaxVariables, len(variables))
	}
	return variables, nil
}
