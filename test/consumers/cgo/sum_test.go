package cgo

import "testing"

func TestAdd(t *testing.T) {
	if got := Double(Add(2, 3)); got != 10 {
		t.Errorf("Double(Add(2, 3)) = %d, want 10", got)
	}
}
