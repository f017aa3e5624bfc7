package main

import (
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	for _, args := range [][]string{nil, {"catalog"}} {
		var out strings.Builder
		if err := run(&out, args); err != nil || out.String() != "Hello, catalog!\n" {
			t.Errorf("%q, %v", out.String(), err)
		}
	}
}
