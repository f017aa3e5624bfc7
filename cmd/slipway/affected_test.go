package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAffected(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"go.mod":         "module example.com/m\n\ngo 1.26\n",
		"a/a.go":         "package a\n",
		"b/b.go":         "package b\n\nimport _ \"example.com/m/a\"\n",
		"b/b_test.go":    "package b\n",
		"cmd/c/main.go":  "package main\n\nimport _ \"example.com/m/b\"\n\nfunc main() {}\n",
		"other/other.go": "package other\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	initRepository(t, dir)
	if err := os.WriteFile(filepath.Join(dir, "a", "a.go"), []byte("package a\n\nvar X int\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for print, want := range map[string]string{
		"packages": "example.com/m/a example.com/m/b example.com/m/cmd/c", "tests": "example.com/m/b", "commands": "example.com/m/cmd/c",
		"modules": ".", "dirs": "./a ./b ./cmd/c",
	} {
		t.Run(print, func(t *testing.T) {
			code, output := slipway(t, "affected", "--root", dir, "--base", "HEAD", "--print", print)
			if got := strings.Join(strings.Fields(output), " "); code != 0 || got != want {
				t.Errorf("%s: exit code %d, %s, want %s", print, code, got, want)
			}
		})
	}
	code, output := slipway(t, "affected", "--root", dir, "--base", "HEAD", "--json")
	var got affectedJSON
	if err := json.Unmarshal([]byte(output), &got); err != nil || code != 0 || got.Packages[1].Because != "imports example.com/m/a" {
		t.Errorf("exit code %d, %v: %s", code, err, output)
	}
	if code, output := slipway(t, "affected", "--root", dir, "--base", "HEAD", "--module", "elsewhere"); code != 0 || output != "" {
		t.Errorf("another module: exit code %d, %s", code, output)
	}
	if code, output := slipway(t, "affected", "--root", dir, "--base", "HEAD", "--print", "files"); code != 2 || !strings.Contains(output, "not one of") {
		t.Errorf("unknown kind: exit code %d, %s", code, output)
	}
}
