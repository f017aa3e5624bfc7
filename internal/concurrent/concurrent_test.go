package concurrent_test

import (
	"runtime"
	"strconv"
	"sync"
	"testing"

	"gitlab.com/slipway-ci/slipway/internal/concurrent"
)

func TestDo(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 2, 3, 1000} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			done := make([]int, n)
			concurrent.Do(n, func(i int) { done[i]++ })
			for i, times := range done {
				if times != 1 {
					t.Fatalf("of %d pieces, %d was done %d times", n, i, times)
				}
			}
		})
	}
}

// TestDoAtOnce needs two pieces to wait for each other, which nobody can do one by one.
func TestDoAtOnce(t *testing.T) {
	t.Parallel()
	if runtime.GOMAXPROCS(0) < 2 {
		t.Skip("one processor works alone")
	}
	var both sync.WaitGroup
	both.Add(2)
	concurrent.Do(2, func(int) {
		both.Done()
		both.Wait()
	})
}
