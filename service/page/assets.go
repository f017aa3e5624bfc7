package page

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
)

//go:embed static
var static embed.FS

// Assets are the static files of the page. Their names hold a hash of their content, so that browsers may keep them for
// ever.
type Assets struct {
	files func() map[string]asset // by name with hash
}

type asset struct {
	original          string
	kind              string
	plain, compressed []byte
}

// NewAssets returns the embedded files; they are compressed when the first one is asked for.
func NewAssets() *Assets {
	return &Assets{files: sync.OnceValue(func() map[string]asset {
		files := map[string]asset{}
		entries, _ := fs.ReadDir(static, "static") // embedded: it is there
		for _, e := range entries {
			content, _ := static.ReadFile("static/" + e.Name())
			sum := sha256.Sum256(content)
			ext := path.Ext(e.Name())
			name := strings.TrimSuffix(e.Name(), ext) + "." + hex.EncodeToString(sum[:6]) + ext
			files[name] = asset{original: e.Name(), kind: mime.TypeByExtension(ext), plain: content, compressed: compress(content)}
		}
		return files
	})}
}

// URL is where the file of this name is served.
func (a *Assets) URL(original string) string {
	for name, file := range a.files() {
		if file.original == original {
			return "/static/" + name
		}
	}
	panic("there is no static file " + original)
}

// Serve answers with the file whose name with hash is in the path; ok is false when there is none.
func (a *Assets) Serve(w http.ResponseWriter, r *http.Request) (ok bool) {
	file, ok := a.files()[r.PathValue("file")]
	if !ok {
		return false
	}
	h := w.Header()
	h.Set("Content-Type", file.kind)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Add("Vary", "Accept-Encoding")
	body := file.plain
	if acceptsGzip(r) {
		h.Set("Content-Encoding", "gzip")
		body = file.compressed
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // the reader has gone: nobody to tell
	return true
}

// acceptsGzip reads Accept-Encoding (RFC 9110, 12.5.3) as far as gzip is concerned.
func acceptsGzip(r *http.Request) bool {
	for coding := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, parameters, _ := strings.Cut(coding, ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			q, found := strings.CutPrefix(strings.ReplaceAll(parameters, " ", ""), "q=")
			weight, err := strconv.ParseFloat(q, 64)
			return !found || err == nil && weight > 0
		}
	}
	return false
}

func compress(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(b) // a buffer does not fail
	_ = w.Close()
	return out.Bytes()
}
