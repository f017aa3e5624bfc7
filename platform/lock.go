package platform

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
)

// lock lets one command at a time change the platform; others print the process that they wait for.
func (p *Platform) lock(ctx context.Context) (unlock func(), err error) {
	// All users may enter, since PostgreSQL's user has its folder here; secrets are in folders of mode 0700.
	if err := os.MkdirAll(p.Config.State, 0o755); err != nil {
		return nil, fmt.Errorf("%w; SLIPWAY_STATE sets another folder", err)
	}
	f, err := os.OpenFile(p.path("lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for told := false; ; told = true {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			break
		}
		if !told {
			pid, _ := os.ReadFile(p.path("lock"))
			fmt.Fprintf(p.Out, "waiting for another platform command (pid %s)\n", strings.TrimSpace(string(pid)))
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		case <-time.After(100 * time.Millisecond):
		}
	}
	if err := errors.Join(f.Truncate(0), writeAt(f, fmt.Sprintln(os.Getpid()))); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil
}

func writeAt(f *os.File, text string) error {
	_, err := f.WriteAt([]byte(text), 0)
	return err
}
