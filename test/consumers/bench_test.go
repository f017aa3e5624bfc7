package consumers

import (
	"fmt"
	"strings"
	"testing"
)

// BenchmarkCaches measures what Go's build cache is worth to the test jobs of the monorepo: without any, with that of the same
// commit, and with that of a commit of which one package has changed since.
//
//	go test ./test/consumers -run '^$' -bench Caches -benchtime 1x
func BenchmarkCaches(b *testing.B) {
	p := clone(b, "monorepo")
	commands(b) // built before the clock runs
	jobs := []string{"billing-test", "greeting-test"}
	caches := b.TempDir()
	for _, state := range []string{"cold", "warm", "one package changed"} {
		b.Run(state, func(b *testing.B) {
			for i := range b.N {
				switch {
				case state == "cold":
					p.env = []string{fmt.Sprintf("GOCACHE=%s/%d", caches, i)}
				case state != "warm":
					p.write("billing/main.go", strings.Replace(p.read("billing/main.go"), "func main()", fmt.Sprintf("// %d\nfunc main()", i), 1))
					p.commit("Change one package")
				}
				p.run(nil, jobs...).green(jobs...)
			}
		})
	}
}
