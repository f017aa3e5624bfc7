// Package netns creates a network namespace, and starts processes, dials and listens in it, without changes to the
// host's network.
package netns

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// nsfs is the magic number of the file system of namespace files (NSFS_MAGIC).
const nsfs = 0x6e736673

// Exists reports whether path is a network namespace; after a reboot it is a plain file.
func Exists(path string) bool {
	var s unix.Statfs_t
	return unix.Statfs(path, &s) == nil && s.Type == nsfs
}

// Create creates a network namespace that exists as long as it is mounted at path.
func Create(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return err
	}
	done := make(chan error)
	go func() {
		// The thread stays locked, so it ends with the goroutine, and no other goroutine gets the new namespace.
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("make a network namespace: %w", err)
			return
		}
		if err := unix.Mount("/proc/thread-self/ns/net", path, "", unix.MS_BIND, ""); err != nil {
			done <- fmt.Errorf("keep the network namespace at %s: %w", path, err)
			return
		}
		done <- nil
	}()
	return <-done
}

// Delete removes the namespace; one that does not exist is not an error.
func Delete(path string) error {
	for Exists(path) {
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("remove the network namespace %s: %w", path, err)
		}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Do runs fn on a thread that is in the namespace. Sockets that fn opens and processes that it starts stay there; fn must
// not hand the work to another goroutine.
func Do(path string, fn func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			done <- err
			return
		}
		defer home.Close()
		inside, err := os.Open(path)
		if err != nil {
			done <- fmt.Errorf("enter the network namespace: %w", err)
			return
		}
		defer inside.Close()
		if err := unix.Setns(int(inside.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("enter the network namespace %s: %w", path, err)
			return
		}
		err = fn()
		// A thread that cannot return to its namespace stays locked and is discarded.
		if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}

// Dialer dials from inside of the namespace. Addresses are numeric: names would be resolved on other threads.
func Dialer(path string) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (conn net.Conn, err error) {
		err = Do(path, func() (err error) {
			conn, err = (&net.Dialer{}).DialContext(ctx, network, address)
			return err
		})
		return conn, err
	}
}

// Listen listens inside of the namespace.
func Listen(ctx context.Context, path, address string) (l net.Listener, err error) {
	err = Do(path, func() (err error) {
		l, err = (&net.ListenConfig{}).Listen(ctx, "tcp", address)
		return err
	})
	return l, err
}
