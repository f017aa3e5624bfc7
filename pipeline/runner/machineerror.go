package runner

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
)

// isMachineError reports whether an error means that no job can run on this machine any more (disk full, quota, read-only).
func isMachineError(err error) bool {
	return err != nil && (errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EROFS) ||
		// git only has a text.
		strings.Contains(err.Error(), "No space left on device"))
}

// explain returns one clear message for an error of the machine.
func explain(err error, cacheDir string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC), strings.Contains(err.Error(), "No space left on device"):
		return fmt.Errorf("the disk is full: free space, for instance by removing %s, and run again (%w)", cacheDir, err)
	case errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("the disk quota is used up: free space, for instance by removing %s, and run again (%w)", cacheDir, err)
	case errors.Is(err, syscall.EROFS), errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%w: %w: make that folder writable", ErrCacheFolder, err)
	}
	return err
}
