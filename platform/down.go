package platform

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"syscall"
	"time"
)

// Down stops all parts and removes everything except for the data: processes, mounts, the network namespace, cgroups. It works
// in every state of the platform. With purge it removes the data, too: images, databases, the cluster's objects.
func (p *Platform) Down(ctx context.Context, purge bool) error {
	if _, err := os.Stat(p.Config.State); errors.Is(err, os.ErrNotExist) {
		fmt.Fprintln(p.Out, "nothing to take down: there is no", p.Config.State)
		return nil
	}
	unlock, err := p.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	s := &steps{out: p.Out}
	begin := time.Now()
	var errs []error
	stop := func(names ...string) {
		for _, name := range names {
			if _, ok := p.table.Lookup(name); ok {
				errs = append(errs, s.end(name, func() error { return p.table.Stop(name) }))
			}
		}
	}
	stop(append([]string{"ingress", "gateway", "network-policy"}, slices.Sorted(maps.Keys(optionalProcesses))...)...)
	if _, err := os.Stat(p.path("cluster")); err == nil {
		errs = append(errs, s.end("kubernetes", p.cluster().Stop))
	}
	stop("registry", "postgres")
	for _, o := range p.table.Orphans() {
		errs = append(errs, o.Stop(syscall.SIGTERM, 2*time.Second))
	}
	if purge && errors.Join(errs...) == nil {
		errs = append(errs, s.end("data", func() error { return os.RemoveAll(p.Config.State) }))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%w; repeat `platform down`", err)
	}
	what := "the data stays in " + p.Config.State + " (`platform down --purge` deletes it)"
	if purge {
		what = "nothing is left but the compiled Kubernetes in " + p.Config.Cache
	}
	fmt.Fprintf(p.Out, "down in %.1f s; %s\n", time.Since(begin).Seconds(), what)
	return nil
}
