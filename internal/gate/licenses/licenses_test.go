package licenses

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const isc = `Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted,
provided that the above copyright notice and this permission notice appear in all copies.

THE SOFTWARE IS PROVIDED "AS IS" AND THE AUTHOR DISCLAIMS ALL WARRANTIES WITH REGARD TO THIS SOFTWARE INCLUDING ALL IMPLIED
WARRANTIES OF MERCHANTABILITY AND FITNESS. IN NO EVENT SHALL THE AUTHOR BE LIABLE FOR ANY SPECIAL, DIRECT, INDIRECT, OR
CONSEQUENTIAL DAMAGES OR ANY DAMAGES WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS, WHETHER IN AN ACTION OF CONTRACT,
NEGLIGENCE OR OTHER TORTIOUS ACTION, ARISING OUT OF OR IN CONNECTION WITH THE USE OR PERFORMANCE OF THIS SOFTWARE.
`

func TestRead(t *testing.T) {
	t.Parallel()
	own, err := os.ReadFile("../../../LICENSE")
	if err != nil {
		t.Fatal(err)
	}
	mit := string(own)
	for _, c := range []struct {
		name  string
		files map[string]string
		want  []string
	}{
		{"one", map[string]string{"LICENSE": mit}, []string{"MIT"}},
		{"none", map[string]string{"README": mit}, nil},
		{"two", map[string]string{"LICENSE": mit, "LICENSE-ISC": isc}, []string{"ISC", "MIT"}},
		{"own words", map[string]string{"COPYING.md": "You may use this on Sundays."}, []string{"unknown"}},
		{"terms added", map[string]string{"LICENSE": mit + "\n" + strings.Repeat("The Software may not be used for commerce of any kind. ", 40)}, []string{"unknown"}},
		{"prose about parts", map[string]string{"LICENSE": mit, "LICENSE-3RD-PARTY.md": "Thanks to everybody."}, []string{"MIT"}},
		{"source of that name", map[string]string{"LICENSE": mit, "license.go": "package x"}, []string{"MIT"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for name, text := range c.files {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			got, _, err := read(dir)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestOf asks about the packages of this very module, whose dependencies are in the module cache.
func TestOf(t *testing.T) {
	t.Parallel()
	modules, err := Of(t.Context(), ".", []string{"."})
	if err != nil {
		t.Fatal(err)
	}
	if len(modules) != 1 || modules[0].Path != "github.com/google/licensecheck" || !modules[0].Allowed([]string{"BSD-3-Clause"}) ||
		modules[0].Allowed([]string{"MIT"}) {
		t.Errorf("%+v", modules)
	}
	if _, err := Of(t.Context(), ".", []string{"./nowhere"}); err == nil {
		t.Error("a package that does not exist is no error")
	}
}

// TestOfVendor reads the licences of a module with vendor/, where the go command does not say in which folder a module is.
func TestOfVendor(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":                                 "module example.com/app\n\ngo 1.27\n\nrequire example.com/lib v1.0.0\n",
		"main.go":                                "package main\n\nimport \"example.com/lib/deep\"\n\nfunc main() { deep.Do() }\n",
		"vendor/modules.txt":                     "# example.com/lib v1.0.0\n## explicit; go 1.27\nexample.com/lib/deep\n",
		"vendor/example.com/lib/LICENSE":         isc,
		"vendor/example.com/lib/deep/deep.go":    "package deep\n\nfunc Do() {}\n",
		"vendor/example.com/lib/deep/LICENSE.md": "",
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		})
	}
	for _, flags := range []string{"", "-mod=vendor"} {
		t.Run("GOFLAGS="+flags, func(t *testing.T) {
			t.Setenv("GOFLAGS", flags)
			modules, err := Of(t.Context(), dir, []string{"./..."})
			if err != nil {
				t.Fatalf("GOFLAGS=%s: %v", flags, err)
			}
			if len(modules) != 1 || modules[0].Path != "example.com/lib" || !modules[0].Allowed([]string{"ISC"}) {
				t.Errorf("GOFLAGS=%s: %+v", flags, modules)
			}
		})
	}
}

func TestExcepted(t *testing.T) {
	t.Parallel()
	list := []string{"example.com/one", "gitlab.example.com/acme/..."}
	for path, want := range map[string]bool{
		"example.com/one": true, "example.com/one/two": false, "gitlab.example.com/acme": true, "gitlab.example.com/acme/greet": true,
		"gitlab.example.com/acmeist": false, "gitlab.example.com/other": false,
	} {
		t.Run(path, func(t *testing.T) {
			if got := Excepted(path, list); got != want {
				t.Errorf("%s: %t", path, got)
			}
		})
	}
}
