package main

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// A report collects the checks and prints each when it is done.
type report struct {
	out    io.Writer
	checks []check
}

type check struct {
	name    string
	took    time.Duration
	err     error
	skipped string
}

func (r *report) measure(name string, do func() error) {
	start := time.Now()
	err := do()
	r.add(name, time.Since(start), err)
}

func (r *report) add(name string, took time.Duration, err error) {
	r.checks = append(r.checks, check{name: name, took: took, err: err})
	if err != nil {
		fmt.Fprintf(r.out, "✘ %s: %v\n", name, err)
		return
	}
	fmt.Fprintf(r.out, "✔ %s (%s)\n", name, took.Round(time.Millisecond))
}

func (r *report) skip(name, reason string) {
	r.checks = append(r.checks, check{name: name, skipped: reason})
	fmt.Fprintf(r.out, "– %s: %s\n", name, reason)
}

func (r *report) failed() (n int) {
	for _, c := range r.checks {
		if c.err != nil {
			n++
		}
	}
	return n
}

func (r *report) skipped() (n int) {
	for _, c := range r.checks {
		if c.skipped != "" {
			n++
		}
	}
	return n
}

// writeJUnit writes the report that GitLab shows in merge requests and pipelines.
func (r *report) writeJUnit(file string) error {
	type message struct {
		Text string `xml:"message,attr"`
	}
	type testCase struct {
		Class   string   `xml:"classname,attr"`
		Name    string   `xml:"name,attr"`
		Seconds float64  `xml:"time,attr"`
		Failure *message `xml:"failure"`
		Skipped *message `xml:"skipped"`
	}
	suite := struct {
		XMLName xml.Name   `xml:"testsuite"`
		Name    string     `xml:"name,attr"`
		Tests   int        `xml:"tests,attr"`
		Failed  int        `xml:"failures,attr"`
		Cases   []testCase `xml:"testcase"`
	}{Name: "acceptance", Tests: len(r.checks), Failed: r.failed()}
	for _, c := range r.checks {
		tc := testCase{Class: "acceptance", Name: c.name, Seconds: c.took.Seconds()}
		if c.err != nil {
			tc.Failure = &message{c.err.Error()}
		}
		if c.skipped != "" {
			tc.Skipped = &message{c.skipped}
		}
		suite.Cases = append(suite.Cases, tc)
	}
	text, err := xml.MarshalIndent(suite, "", "  ")
	if err != nil {
		return err
	}
	return errors.Join(os.MkdirAll(filepath.Dir(file), 0o750), os.WriteFile(file, text, 0o600))
}
