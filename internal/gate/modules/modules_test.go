package modules

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFindAndLocate(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for name, content := range map[string]string{
		"go.mod":                    "module example.com/shop\n\nfuture directive\n",
		"services/orders/go.mod":    "module example.com/shop/services/orders\n\ngo 1.26\n\nreplace example.com/shop => ../..\n",
		"testdata/skipped/go.mod":   "module example.com/skipped\n",
		".cache/mod/x@v1/go.mod":    "module example.com/cached\n",
		"vendor/example.com/go.mod": "module example.com/vendored\n",
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(root, filepath.FromSlash(name))
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		})
	}
	list, err := Find(root)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range list {
		got = append(got, m.Dir+" "+m.Path)
	}
	if diff := cmp.Diff([]string{". example.com/shop", "services/orders example.com/shop/services/orders"}, got); diff != "" {
		t.Errorf("modules (-want +got):\n%s", diff)
	}
	if len(list[1].File.Replace) != 1 {
		t.Error("the replace directive is not read")
	}
	for name, want := range map[string]string{
		"example.com/shop": ".", "example.com/shop/a/b.go": "a/b.go", "example.com/shop/services/orders/x.go": "services/orders/x.go", "example.com/shopping/x.go": "",
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Locate(list, name)
			if got != want || (want == "") != errors.Is(err, ErrForeign) {
				t.Errorf("%s is at %q, %v; want %q", name, got, err, want)
			}
		})
	}
	if err := os.WriteFile(filepath.Join(root, "go.mod"), []byte("go 1.26\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Find(root); err == nil || !strings.Contains(err.Error(), "names no module") {
		t.Errorf("a go.mod without a module: %v", err)
	}
}
