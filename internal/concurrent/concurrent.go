// Package concurrent spreads work over the processors.
package concurrent

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// Do calls work with 0 to n-1, in this goroutine and as many others as there are more processors, and returns when all is
// done. The goroutines are few and take one piece after another: their stacks grow once.
func Do(n int, work func(i int)) {
	var taken atomic.Int64
	all := func() {
		for i := int(taken.Add(1)) - 1; i < n; i = int(taken.Add(1)) - 1 {
			work(i)
		}
	}
	var others sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), n) - 1 {
		others.Go(all)
	}
	all()
	others.Wait()
}
