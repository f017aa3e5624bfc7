package filetree

import (
	"os"

	"golang.org/x/sys/unix"
)

// clone makes out share the blocks of in (btrfs, xfs); it reports false if the file system cannot.
func clone(out, in *os.File) bool {
	return unix.IoctlFileClone(int(out.Fd()), int(in.Fd())) == nil
}
