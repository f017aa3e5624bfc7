package filelock

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// Locks of Windows keep others from reading what they cover, so they cover a byte far behind the text about the holder.
var lockedByte = windows.Overlapped{OffsetHigh: 1 << 30}

func tryLock(file *os.File, exclusive bool) error {
	flags := uint32(windows.LOCKFILE_FAIL_IMMEDIATELY)
	if exclusive {
		flags |= windows.LOCKFILE_EXCLUSIVE_LOCK
	}
	position := lockedByte
	err := windows.LockFileEx(windows.Handle(file.Fd()), flags, 0, 1, 0, &position)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return errHeld
	}
	return err
}

func unlock(file *os.File) error {
	position := lockedByte
	return windows.UnlockFileEx(windows.Handle(file.Fd()), 0, 1, 0, &position)
}
