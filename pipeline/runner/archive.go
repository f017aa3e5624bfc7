package runner

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// writeArchive writes the artifacts in a job's folder as an archive, as GitLab stores them.
func writeArchive(job string, to io.Writer) error {
	modes, err := readFolderModes(job)
	if err != nil {
		return err
	}
	archive := zip.NewWriter(to)
	root := filepath.Join(job, artifactsFolder)
	err = filepath.WalkDir(root, func(file string, e fs.DirEntry, err error) error {
		if err != nil || file == root {
			return err
		}
		name, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		mode, listed := modes[name]
		if e.IsDir() && !listed {
			return nil
		}
		return addToArchive(archive, file, filepath.ToSlash(name), mode)
	})
	return errors.Join(err, archive.Close())
}

// addToArchive adds a file, a link, or a folder with a mode.
func addToArchive(archive *zip.Writer, file, name string, mode fs.FileMode) error {
	info, err := os.Lstat(file)
	if err != nil {
		return err
	}
	header, err := zip.FileInfoHeader(info)
	if err != nil {
		return err
	}
	header.Name = name
	if info.IsDir() {
		header.Name += "/"
		header.SetMode(fs.ModeDir | mode)
		_, err := archive.CreateHeader(header)
		return err
	}
	header.Method = zip.Deflate
	w, err := archive.CreateHeader(header)
	if err != nil {
		return err
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		target, err := os.Readlink(file)
		if err != nil {
			return err
		}
		_, err = io.WriteString(w, target)
		return err
	}
	content, err := os.Open(file)
	if err != nil {
		return err
	}
	defer content.Close()
	_, err = io.Copy(w, content)
	return err
}

// readArchive extracts an archive that a runner has uploaded into a job's folder.
func readArchive(file, job string) error {
	archive, err := zip.OpenReader(file)
	if err != nil {
		return fmt.Errorf("the archive of the artifacts: %w", err)
	}
	defer archive.Close()
	folder := filepath.Join(job, artifactsFolder)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	// Names and links in the archive cannot escape from the root.
	root, err := os.OpenRoot(folder)
	if err != nil {
		return err
	}
	defer root.Close()
	modes := map[string]fs.FileMode{}
	for _, f := range archive.File {
		name := strings.TrimSuffix(f.Name, "/")
		if !filepath.IsLocal(filepath.FromSlash(name)) {
			return fmt.Errorf("the archive of the artifacts has a file %q, which is outside of its folder", f.Name)
		}
		if f.Mode().IsDir() {
			modes[name] = f.Mode().Perm()
			if err := root.MkdirAll(name, 0o700); err != nil {
				return err
			}
			continue
		}
		if err := extract(root, name, f); err != nil {
			return err
		}
	}
	if len(modes) == 0 {
		return nil
	}
	return writeJSON(filepath.Join(job, foldersFile), modes)
}

// extract creates one file or link of an archive.
func extract(root *os.Root, name string, f *zip.File) error {
	if err := root.MkdirAll(path.Dir(name), 0o700); err != nil {
		return err
	}
	content, err := f.Open()
	if err != nil {
		return err
	}
	defer content.Close()
	if f.Mode()&fs.ModeSymlink != 0 {
		target, err := io.ReadAll(io.LimitReader(content, 4096))
		if err != nil {
			return err
		}
		return root.Symlink(string(target), name)
	}
	file, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content) //nolint:gosec // the user's own job made it
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	return root.Chmod(name, f.Mode().Perm())
}
