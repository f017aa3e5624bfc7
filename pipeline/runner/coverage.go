package runner

import (
	"bufio"
	"fmt"
	"io"
	"regexp"

	"gitlab.com/slipway-ci/slipway/internal/lazyregexp"
)

var (
	ansiSequence = lazyregexp.New("\x1b\\[[0-9;?]*[A-Za-z]")
	percentage   = lazyregexp.New(`\d+(?:\.\d+)?`)
)

// coverageOf returns the coverage in a log as GitLab reads it: the last line that the pattern matches, its last match (or, if the
// pattern has a group, the last group), the first number in it. It is empty if nothing matches.
func coverageOf(log io.Reader, pattern string) (string, error) {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return "", fmt.Errorf("coverage: %w", err)
	}
	found := ""
	lines := bufio.NewReader(log)
	for {
		line, err := lines.ReadString('\n')
		for _, match := range re.FindAllStringSubmatch(ansiSequence().ReplaceAllString(line, ""), -1) {
			if number := percentage().FindString(match[len(match)-1]); number != "" {
				found = number
			}
		}
		if err == io.EOF {
			return found, nil
		}
		if err != nil {
			return "", err
		}
	}
}
