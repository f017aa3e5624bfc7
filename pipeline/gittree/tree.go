// Package gittree presents the tree of a git commit as an [fs.FS], read from the object database: nothing is checked out,
// and the work tree is neither read nor touched.
package gittree

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"gitlab.com/slipway-ci/slipway/internal/git"
)

// A Tree is the tree of one commit. It implements [fs.FS], [fs.ReadFileFS], [fs.ReadDirFS] and [fs.StatFS], and is safe
// for concurrent use. Symbolic links are files that hold their target, as GitLab reads them; submodules are left out.
type Tree struct {
	sha     string
	entries map[string]*entry

	mu    sync.Mutex
	blobs *blobReader
	start func() (*blobReader, error)
}

// Open lists the tree of ref (a branch, a tag, a SHA, "HEAD~2", ...) of the repository that holds dir. The error
// satisfies errors.Is(err, fs.ErrNotExist) if there is no such commit. Close the tree after use.
func Open(ctx context.Context, dir, ref string) (*Tree, error) {
	// --end-of-options keeps a ref that begins with a dash from being read as a flag.
	in := git.In(dir)
	sha, err := in.Text(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", ref+"^{commit}")
	if err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			return nil, err
		}
		if _, err := in.Text(ctx, "rev-parse", "--git-dir"); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("no commit %q in this repository: %w", ref, fs.ErrNotExist)
	}
	t := &Tree{sha: sha}
	listing, err := in.Output(ctx, "ls-tree", "-r", "-z", "--long", "--full-tree", t.sha)
	if err != nil {
		return nil, err
	}
	if t.entries, err = parseListing(listing); err != nil {
		return nil, err
	}
	t.start = func() (*blobReader, error) { return startBlobReader(ctx, dir) }
	return t, nil
}

// SHA is the commit's hash.
func (t *Tree) SHA() string { return t.sha }

// Close ends the process that reads the objects.
func (t *Tree) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.blobs == nil {
		return nil
	}
	t.blobs.close()
	t.blobs = nil
	return nil
}

// Open implements [fs.FS].
func (t *Tree) Open(name string) (fs.File, error) {
	e, err := t.find("open", name)
	if err != nil {
		return nil, err
	}
	if e.IsDir() {
		return &openDir{entry: e}, nil
	}
	data, err := t.read(e)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return &openFile{entry: e, Reader: bytes.NewReader(data)}, nil
}

// ReadFile implements [fs.ReadFileFS].
func (t *Tree) ReadFile(name string) ([]byte, error) {
	e, err := t.find("read", name)
	if err != nil {
		return nil, err
	}
	if e.IsDir() {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("is a directory")}
	}
	data, err := t.read(e)
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: err}
	}
	return data, nil
}

// ReadDir implements [fs.ReadDirFS].
func (t *Tree) ReadDir(name string) ([]fs.DirEntry, error) {
	e, err := t.find("readdir", name)
	if err != nil {
		return nil, err
	}
	if !e.IsDir() {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: errors.New("not a directory")}
	}
	return slices.Clone(e.children), nil
}

// Stat implements [fs.StatFS].
func (t *Tree) Stat(name string) (fs.FileInfo, error) {
	return t.find("stat", name)
}

func (t *Tree) find(op, name string) (*entry, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	e, ok := t.entries[name]
	if !ok {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
	}
	return e, nil
}

func (t *Tree) read(e *entry) ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.blobs == nil {
		var err error
		if t.blobs, err = t.start(); err != nil {
			return nil, err
		}
	}
	return t.blobs.read(e.object)
}

// parseListing reads `git ls-tree -r -z --long`: "MODE TYPE OBJECT SIZE\tPATH\0".
func parseListing(listing []byte) (map[string]*entry, error) {
	entries := map[string]*entry{".": {path: ".", mode: fs.ModeDir | 0o555}}
	for record := range bytes.SplitSeq(bytes.TrimSuffix(listing, []byte{0}), []byte{0}) {
		if len(record) == 0 {
			continue
		}
		meta, name, ok := strings.Cut(string(record), "\t")
		fields := strings.Fields(meta)
		if !ok || len(fields) != 4 {
			return nil, fmt.Errorf("git ls-tree printed %q", record)
		}
		if fields[1] != "blob" {
			continue
		}
		size, err := strconv.ParseInt(fields[3], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("git ls-tree printed %q", record)
		}
		add(entries, &entry{path: name, object: fields[2], size: size, mode: 0o444})
	}
	for _, e := range entries {
		slices.SortFunc(e.children, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	}
	return entries, nil
}

// add puts an entry into its folder, making the folders above it.
func add(entries map[string]*entry, e *entry) {
	entries[e.path] = e
	parent := path.Dir(e.path)
	if _, ok := entries[parent]; !ok {
		add(entries, &entry{path: parent, mode: fs.ModeDir | 0o555})
	}
	entries[parent].children = append(entries[parent].children, e)
}

// A blobReader is a `git cat-file --batch` that answers one question at a time.
type blobReader struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
}

func startBlobReader(ctx context.Context, dir string) (*blobReader, error) {
	cmd := git.In(dir).Process(ctx, "cat-file", "--batch")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &blobReader{cmd: cmd, stdin: stdin, stdout: bufio.NewReader(stdout)}, nil
}

func (r *blobReader) read(object string) ([]byte, error) {
	if _, err := fmt.Fprintln(r.stdin, object); err != nil {
		return nil, fmt.Errorf("git cat-file: %w", err)
	}
	head, err := r.stdout.ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("git cat-file: %w", err)
	}
	var name, kind string
	var size int64
	if _, err := fmt.Sscan(head, &name, &kind, &size); err != nil {
		// "OBJECT missing": the object is not in a partial or damaged clone.
		return nil, fmt.Errorf("git cat-file: %s", strings.TrimSpace(head))
	}
	data := make([]byte, size+1) // the object and a line feed
	if _, err := io.ReadFull(r.stdout, data); err != nil {
		return nil, fmt.Errorf("git cat-file: %w", err)
	}
	return data[:size], nil
}

// close ends the process. How it ended says nothing: every object that was asked for has been read, or its error told.
func (r *blobReader) close() {
	r.stdin.Close()
	_ = r.cmd.Wait()
}

// An entry is a file or a folder; it is its own fs.FileInfo and fs.DirEntry.
type entry struct {
	path     string
	object   string
	size     int64
	mode     fs.FileMode
	children []fs.DirEntry
}

func (e *entry) Name() string               { return path.Base(e.path) }
func (e *entry) Size() int64                { return e.size }
func (e *entry) Mode() fs.FileMode          { return e.mode }
func (e *entry) Type() fs.FileMode          { return e.mode.Type() }
func (e *entry) ModTime() time.Time         { return time.Time{} }
func (e *entry) IsDir() bool                { return e.mode.IsDir() }
func (e *entry) Sys() any                   { return nil }
func (e *entry) Info() (fs.FileInfo, error) { return e, nil }

type openFile struct {
	entry *entry
	*bytes.Reader
}

func (f *openFile) Stat() (fs.FileInfo, error) { return f.entry, nil }
func (f *openFile) Close() error               { return nil }

type openDir struct {
	entry *entry
	read  int
}

func (d *openDir) Stat() (fs.FileInfo, error) { return d.entry, nil }
func (d *openDir) Close() error               { return nil }
func (d *openDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.entry.path, Err: errors.New("is a directory")}
}

// ReadDir implements [fs.ReadDirFile].
func (d *openDir) ReadDir(n int) ([]fs.DirEntry, error) {
	rest := d.entry.children[d.read:]
	if n > 0 {
		if len(rest) == 0 {
			return nil, io.EOF
		}
		rest = rest[:min(n, len(rest))]
	}
	d.read += len(rest)
	return slices.Clone(rest), nil
}
