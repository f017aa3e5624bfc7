package runner

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
)

// isMachineError reports whether an error is that of a machine on which nothing can run any more (disk full, quota, read-only), not of a
// job.
func isMachineError(err error) bool {
	return err != nil && (errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EROFS) ||
		// git says it in words.
		strings.Contains(err.Error(), "No space left on device"))
}

// explain makes one clear message of an error of the machine.
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
