package outside

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// A Signer signs images with a key pair of its own, as the sign stage does.
type Signer struct {
	t *testing.T
	// Dir has the keys, cosign.key and cosign.pub.
	Dir string
}

// NewSigner creates a pair of keys. Without cosign in PATH the test is skipped, or fails if SLIPWAY_REQUIRE_COSIGN is 1.
func NewSigner(t *testing.T) Signer {
	t.Helper()
	Program(t, "cosign", "COSIGN", "make test-stages and make e2e-delivery compile it")
	s := Signer{t, t.TempDir()}
	s.Cosign("generate-key-pair")
	s.Cosign("signing-config", "create", "--out", "signing-config.json")
	const provenance = `{"buildDefinition": {"buildType": "https://example.com/build/v1", "externalParameters": {}}, "runDetails": {"builder": {"id": "https://example.com"}}}`
	if err := os.WriteFile(filepath.Join(s.Dir, "provenance.json"), []byte(provenance), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// Cosign runs cosign in the folder of the keys.
func (s Signer) Cosign(args ...string) {
	s.t.Helper()
	c := exec.CommandContext(s.t.Context(), "cosign", args...)
	c.Dir, c.Env = s.Dir, append(os.Environ(), "COSIGN_YES=true", "COSIGN_PASSWORD=secret")
	if out, err := c.CombinedOutput(); err != nil {
		s.t.Fatalf("cosign %v: %v\n%s", args, err, out)
	}
}

// Sign signs an image.
func (s Signer) Sign(image string) {
	s.t.Helper()
	s.Cosign("sign", "--key", "cosign.key", "--signing-config", "signing-config.json", "--allow-insecure-registry", image)
}

// Attest signs a provenance document about the image as an attestation of the given type.
func (s Signer) Attest(image, predicateType string) {
	s.t.Helper()
	s.Cosign("attest", "--type", predicateType, "--predicate", "provenance.json", "--key", "cosign.key", "--signing-config", "signing-config.json", "--allow-insecure-registry", image)
}

// Public returns the public key.
func (s Signer) Public() string {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.Dir, "cosign.pub"))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}
