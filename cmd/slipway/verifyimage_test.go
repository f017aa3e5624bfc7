package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// standInCosign records how it was called, and fails if a line of its record contains FAIL.
const standInCosign = `#!/bin/sh
# STAND-IN for cosign and the registry. The tests in test/consumers have both.
echo "$*${DOCKER_CONFIG:+ in $DOCKER_CONFIG}" >>"$RECORD"
case "$*" in
login*) cat >"$DOCKER_CONFIG/config.json" ;;
*) [ -z "${DOCKER_CONFIG:-}" ] || echo "as $(cat "$DOCKER_CONFIG/config.json")" >>"$RECORD"; echo '[{"signed": true}]' ;;
esac
case "$*" in *"$FAIL"*) echo "cosign says why" >&2; exit 10 ;; esac
`

func TestVerifyImage(t *testing.T) {
	const image = "registry.example.com/orders@sha256:0123"
	registry := map[string]string{"SLIPWAY_REGISTRY": "registry.example.com", "SLIPWAY_REGISTRY_USER": "AWS", "SLIPWAY_REGISTRY_PASSWORD": "correct-horse"}
	pipeline := map[string]string{"CI_SERVER_URL": "http://gitlab.example.com", "CI_SERVER_FQDN": "gitlab.example.com", "CI_PROJECT_PATH": "acme/orders",
		"CI_CONFIG_PATH": ".gitlab-ci.yml", "CI_COMMIT_REF_NAME": "main"}
	const byKey = " --key cosign.pub --insecure-ignore-tlog=true --allow-insecure-registry=false " + image
	const byPipeline = " --certificate-oidc-issuer http://gitlab.example.com --certificate-identity https://gitlab.example.com/acme/orders//.gitlab-ci.yml@refs/heads/main" +
		" --allow-insecure-registry=true " + image
	for _, c := range []struct {
		name      string
		variables []map[string]string
		fail      string
		args      []string
		code      int
		says      string
		record    string
	}{
		{"with a key", nil, "none", []string{"--key", "cosign.pub"}, 0, "", "verify" + byKey + "\nverify-attestation --type slsaprovenance1" + byKey + "\n"},
		{"a key that a variable names", []map[string]string{{"SLIPWAY_KEY": "other.pub", "SLIPWAY_INSECURE_REGISTRY": "true"}}, "none",
			[]string{"--key", "cosign.pub", "--insecure-registry=false"}, 0, "", "verify" + byKey + "\nverify-attestation --type slsaprovenance1" + byKey + "\n"},
		{"without a signature", nil, "verify ", []string{"--key", "cosign.pub"}, 1,
			"cosign says why\nThe image has no valid signature by the key cosign.pub; nothing has been touched.\nHow to fix: sign it (docs: https://", "verify" + byKey + "\n"},
		{"without provenance", nil, "slsaprovenance1", []string{"--key", "cosign.pub"}, 1, "The image has no valid provenance by the key cosign.pub; nothing has been touched",
			"verify" + byKey + "\nverify-attestation --type slsaprovenance1" + byKey + "\n"},
		{"by a pipeline", []map[string]string{pipeline}, "none", []string{"--key", "keyless", "--insecure-registry"}, 0, "",
			"verify" + byPipeline + "\nverify-attestation --type slsaprovenance1" + byPipeline + "\n"},
		{"by another pipeline", []map[string]string{pipeline, {"SIGSTORE_TRUSTED_ROOT": "/root.json"}}, "verify ", []string{"--key", "keyless", "--insecure-registry"}, 1,
			"The image has no valid signature by the pipeline of main", "verify --trusted-root /root.json" + byPipeline + "\n"},
		{"without a pipeline", nil, "none", []string{"--key", "keyless"}, 2, "slipway: CI_COMMIT_REF_NAME is not set", ""},
		{"with a login", []map[string]string{registry}, "none", []string{"--key", "cosign.pub"}, 0, "",
			"login registry.example.com --username AWS --password-stdin in TEMP\nverify" + byKey + " in TEMP\nas correct-horse\nverify-attestation --type slsaprovenance1" + byKey + " in TEMP\nas correct-horse\n"},
		{"with a login that fails", []map[string]string{registry}, "login", []string{"--key", "cosign.pub"}, 2, "slipway: log in to the registry registry.example.com: exit status 10",
			"login registry.example.com --username AWS --password-stdin in TEMP\n"},
		{"without a key", nil, "none", []string{"--key", ""}, 2, "slipway: --key is missing", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, temp := t.TempDir(), t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "cosign"), []byte(standInCosign), 0o755); err != nil { //nolint:gosec // a program
				t.Fatal(err)
			}
			t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
			t.Setenv("TMPDIR", temp)
			t.Setenv("RECORD", filepath.Join(dir, "record"))
			t.Setenv("FAIL", c.fail)
			for _, name := range []string{"DOCKER_CONFIG", "SLIPWAY_REGISTRY_PASSWORD", "SIGSTORE_TRUSTED_ROOT", "CI_COMMIT_REF_NAME"} {
				t.Setenv(name, "")
			}
			for _, variables := range c.variables {
				for name, value := range variables {
					t.Setenv(name, value)
				}
			}
			code, stdout, stderr := command(t, append([]string{"verify-image", image}, c.args...)...)
			if code != c.code || !strings.Contains(stderr, c.says) || stdout != "" || strings.Contains(stderr, "correct-horse") {
				t.Errorf("%d\n%s%s\nwant %d, %s", code, stdout, stderr, c.code, c.says)
			}
			record, _ := os.ReadFile(filepath.Join(dir, "record")) //nolint:gosec // of this test
			left, err := os.ReadDir(temp)
			if err != nil || len(left) > 0 {
				t.Errorf("the credentials are still there: %v %v", left, err)
			}
			var got strings.Builder
			for line := range strings.Lines(string(record)) {
				before, after, in := strings.Cut(line, " in "+temp+"/slipway-registry-")
				if in && after != "\n" {
					before += " in TEMP\n"
				}
				got.WriteString(before)
			}
			if got.String() != c.record {
				t.Errorf("cosign was called with\n%s\nwant\n%s", got.String(), c.record)
			}
		})
	}
	if code, _, stderr := command(t, "verify-image", "--key", "cosign.pub", "registry.example.com/orders:1.0"); code != 2 || !strings.Contains(stderr, "want REPOSITORY@sha256:DIGEST") {
		t.Errorf("a tag: %d %s", code, stderr)
	}
	t.Setenv("PATH", t.TempDir())
	if code, _, stderr := command(t, "verify-image", "--key", "cosign.pub", image); code != 2 || !strings.Contains(stderr, `"cosign": executable file not found`) {
		t.Errorf("no cosign: %d %s", code, stderr)
	}
}
