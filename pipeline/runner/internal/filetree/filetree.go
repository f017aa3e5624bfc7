// Package filetree copies, moves and removes files and folders for artifacts and caches: cheaply, and regardless of
// their permissions.
package filetree

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Copy copies a file, a symbolic link or a whole folder to a path that must not exist (folders are merged into). It
// keeps permissions and modification times. If the file system supports it, files share their blocks until one is changed.
func Copy(from, to string) error { return walk(from, to, copyFile) }

// CopyCache copies like [Copy], but makes hard links of the files that tools replace rather than change: read-only
// files, such as those of Go's module cache, and the entries of Go's build cache.
func CopyCache(from, to string) error {
	return walk(from, to, func(from, to string, info fs.FileInfo) error {
		if info.Mode().Perm()&0o222 == 0 || isBuildCacheEntry(from) {
			if err := os.Link(from, to); err == nil || errors.Is(err, fs.ErrExist) {
				return nil
			}
		}
		return copyFile(from, to, info)
	})
}

// isBuildCacheEntry recognizes Go's build cache by its files' names: 64 hexadecimal digits and "-a" (action) or "-d" (data).
func isBuildCacheEntry(path string) bool {
	name := filepath.Base(path)
	return len(name) == 66 && (strings.HasSuffix(name, "-a") || strings.HasSuffix(name, "-d")) &&
		strings.Trim(name[:64], "0123456789abcdef") == "" && filepath.Base(filepath.Dir(path)) == name[:2]
}

// Move renames or, if that is impossible, copies and removes.
func Move(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o750); err != nil {
		return err
	}
	if err := os.Rename(from, to); err == nil {
		return nil
	}
	if err := Copy(from, to); err != nil {
		return err
	}
	return Remove(from)
}

// Remove removes a path with everything below it, also in read-only folders such as Go's module cache.
func Remove(path string) error {
	if err := os.RemoveAll(path); err == nil {
		return nil
	}
	_ = filepath.WalkDir(path, func(p string, e fs.DirEntry, err error) error {
		if e != nil && e.IsDir() {
			_ = os.Chmod(p, 0o700)
		}
		return nil
	})
	return os.RemoveAll(path)
}

func walk(from, to string, file func(from, to string, info fs.FileInfo) error) error {
	// Folders get their own permissions and times last: until then they must be writable.
	type folder struct {
		path string
		info fs.FileInfo
	}
	var folders []folder
	err := filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, relative)
		if path == from {
			if err := os.MkdirAll(filepath.Dir(target), 0o750); err != nil {
				return err
			}
		}
		switch {
		case e.IsDir():
			folders = append(folders, folder{target, info})
			if err := os.Mkdir(target, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
			return nil
		case info.Mode()&fs.ModeSymlink != 0:
			link, err := os.Readlink(path)
			if err != nil {
				return err
			}
			if err := replaceable(target); err != nil {
				return err
			}
			return os.Symlink(link, target)
		case info.Mode().IsRegular():
			if err := replaceable(target); err != nil {
				return err
			}
			return file(path, target, info)
		default:
			// Sockets, pipes and devices are useless in another place.
			return nil
		}
	})
	for i := len(folders) - 1; i >= 0; i-- {
		f := folders[i]
		err = errors.Join(err, os.Chmod(f.path, f.info.Mode().Perm()), os.Chtimes(f.path, f.info.ModTime(), f.info.ModTime()))
	}
	return err
}

// replaceable removes what a file would replace.
func replaceable(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func copyFile(from, to string, info fs.FileInfo) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	if info.Mode().Perm()&0o111 != 0 {
		// The process that another job starts now would hold the file open for writing until it has executed its own program, and this
		// job's script could not execute the file meanwhile ("text file busy"): https://go.dev/issue/22315.
		syscall.ForkLock.RLock()
		defer syscall.ForkLock.RUnlock()
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, info.Mode().Perm()|0o200)
	if err != nil {
		return err
	}
	if !clone(out, in) {
		_, err = io.Copy(out, in)
	}
	err = errors.Join(err, out.Close())
	if err != nil {
		return err
	}
	// Not affected by the umask, unlike the mode at creation.
	return errors.Join(os.Chmod(to, info.Mode().Perm()), os.Chtimes(to, info.ModTime(), info.ModTime()))
}
