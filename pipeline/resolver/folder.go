package resolver

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"io/fs"
	"path"
	"strings"
)

// A Folder has projects as folders: "group/project@v1" is a project at a ref, "group/project" one at any ref that has no
// folder of its own. It suits tests and vendored includes.
type Folder struct {
	None
	Files fs.FS
}

// Project implements [pipeline.Resolver]. The SHA is made of the folder's name.
func (f Folder) Project(_ context.Context, name, ref string) (fs.FS, string, error) {
	candidates := []string{name}
	if ref != "" {
		candidates = []string{name + "@" + ref, name}
	}
	for _, dir := range candidates {
		if !fs.ValidPath(dir) {
			continue
		}
		if info, err := fs.Stat(f.Files, dir); err != nil || !info.IsDir() {
			continue
		}
		// A clone has refs: one that it does not have is missing, and never the work tree.
		if isClone(f.Files, dir) {
			continue
		}
		tree, err := fs.Sub(f.Files, dir)
		sum := sha1.Sum([]byte(dir))
		return tree, hex.EncodeToString(sum[:]), err
	}
	return nil, "", missing("project", name)
}

func isClone(files fs.FS, dir string) bool {
	_, err := fs.Stat(files, path.Join(dir, ".git"))
	return err == nil
}

// Tags implements [pipeline.Resolver]: every folder with a ref counts.
func (f Folder) Tags(_ context.Context, name string) ([]string, error) {
	group, project := path.Split(name)
	entries, err := fs.ReadDir(f.Files, path.Clean(group))
	if err != nil {
		return nil, missing("project", name)
	}
	var tags []string
	found := false
	for _, e := range entries {
		found = found || e.Name() == project
		if tag, ok := strings.CutPrefix(e.Name(), project+"@"); ok {
			tags = append(tags, tag)
		}
	}
	if !found && tags == nil {
		return nil, missing("project", name)
	}
	return tags, nil
}

// Templates has GitLab's templates in a folder, such as lib/gitlab/ci/templates of GitLab's source.
type Templates struct {
	None
	Files fs.FS
}

// Template implements [pipeline.Resolver].
func (t Templates) Template(_ context.Context, name string) ([]byte, error) {
	if !fs.ValidPath(name) {
		return nil, missing("template", name)
	}
	return fs.ReadFile(t.Files, name)
}
