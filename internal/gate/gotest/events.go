// Package gotest reads what a run of Go tests leaves behind: how long packages take, to distribute them to jobs, and
// which tests passed only when they were run again.
package gotest

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// An event is a line of `go test -json`, which gotestsum's --jsonfile has, too.
type event struct {
	Action  string
	Package string
	Test    string
	Elapsed float64
	Output  string
}

// readEvents calls a function with each event. Lines that are not JSON, such as compiler errors, are skipped; a file
// without any event is an error.
func readEvents(r io.Reader, each func(event)) error {
	s := bufio.NewScanner(r)
	s.Buffer(nil, 16<<20)
	n := 0
	for s.Scan() {
		line := strings.TrimSpace(s.Text())
		if !strings.HasPrefix(line, "{") {
			continue
		}
		var e event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			return fmt.Errorf("event %d is truncated or not JSON: %w", n+1, err)
		}
		n++
		each(e)
	}
	if err := s.Err(); err != nil {
		return err
	}
	if n == 0 {
		return errors.New("there is no test event; write one with gotestsum --jsonfile or go test -json")
	}
	return nil
}
