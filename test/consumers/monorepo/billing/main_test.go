package main

import (
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	for _, args := range [][]string{nil, {"billing"}} {
		var out strings.Builder
		if err := run(&out, args); err != nil || out.String() != "Hello, billing!\n" {
			t.Errorf("%q, %v", out.String(), err)
		}
	}
}
