package generated

import "testing"

func TestName(t *testing.T) {
	for n, want := range map[int]string{-1: "many", 0: "zero", 3: "three", 4: "many"} {
		if got := Name(n); got != want {
			t.Errorf("Name(%d) = %q, want %q", n, got, want)
		}
	}
}
