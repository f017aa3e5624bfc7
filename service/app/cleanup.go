package app

import (
	"context"
	"errors"
	"fmt"
)

// cleanups is what has to be undone, last in, first out.
type cleanups []cleanup

type cleanup struct {
	name string
	undo func(context.Context) error
}

func (c *cleanups) push(name string, undo func(context.Context) error) {
	*c = append(*c, cleanup{name, undo})
}

// run undoes everything, even when a part of it fails, and returns what failed.
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
