package app

import (
	"context"
	"errors"
	"fmt"
)

// cleanups are run in reverse order.
type cleanups []cleanup

type cleanup struct {
	name string
	undo func(context.Context) error
}

func (c *cleanups) push(name string, undo func(context.Context) error) {
	*c = append(*c, cleanup{name, undo})
}

// run runs all cleanups, even if some fail, and returns their errors joined.
func (c *cleanups) run(ctx context.Context) error {
	var errs []error
	for i := len(*c) - 1; i >= 0; i-- {
		if err := (*c)[i].undo(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", (*c)[i].name, err))
		}
	}
	*c = nil
	return errors.Join(errs...)
}
