package consumers

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"gitlab.com/slipway-ci/slipway/test/outside"
)

// A sigstore is an instance of Sigstore on loopback: Fulcio, which certifies the identities in jobs' tokens, with its log of certificates
// (TesseraCT), Rekor, which logs signatures, and the authority that dates them.
type sigstore struct {
	t   *testing.T
	dir string
	// trustedRoot and signingConfig are the files from which cosign knows whom to trust and where to sign.
	trustedRoot, signingConfig string
}

// startSigstore starts the programs of tools/sigstore until the test ends; Fulcio accepts the tokens of the issuers as those of GitLab. The timestamp
// authority serves its metrics on port 2112, which it does not let anybody choose: only one test can start a Sigstore.
func startSigstore(t *testing.T, issuers ...*outside.Issuer) *sigstore {
	t.Helper()
	const fix = "make test-stages compiles it"
	outside.Program(t, "cosign", "COSIGN", fix)
	programs := map[string]string{}
	for _, name := range []string{"fulcio", "tesseract", "rekor-server", "timestamp-server"} {
		programs[name] = outside.Program(t, name, "SIGSTORE", fix)
	}
	s := &sigstore{t: t, dir: t.TempDir()}
	authority, certificates, log, clock := outside.FreeAddress(t), outside.FreeAddress(t), outside.FreeAddress(t), outside.FreeAddress(t)

	host, port, _ := net.SplitHostPort(authority)
	_, grpc, _ := net.SplitHostPort(outside.FreeAddress(t))
	s.start(programs["fulcio"], "serve", "--ca", "ephemeralca", "--config-path", s.issuers(issuers), "--ct-log-url", "http://"+certificates,
		"--host", host, "--port", port, "--grpc-host", host, "--grpc-port", grpc, "--legacy-unix-domain-socket", "@slipway-fulcio-"+port, "--metrics-port", "0")
	s.write("fulcio.pem", get(t, "http://"+authority+"/api/v1/rootCert"))
	s.start(programs["tesseract"], "--private_key", s.key("tesseract"), "--origin", host, "--storage_dir", filepath.Join(s.dir, "certificates"),
		"--roots_pem_file", s.path("fulcio.pem"), "--ext_key_usages", "CodeSigning", "--http_endpoint", certificates, "--batch_max_age", "50ms", "--checkpoint_interval", "200ms")
	get(t, "http://"+certificates+"/ct/v1/get-roots")

	// cosign takes the host of the URL for the origin of the log's checkpoints.
	host, port, _ = net.SplitHostPort(log)
	_, grpc, _ = net.SplitHostPort(outside.FreeAddress(t))
	_, metrics, _ := net.SplitHostPort(outside.FreeAddress(t))
	s.start(programs["rekor-server"], "serve", "--storage-dir", s.path("log"), "--signer-filepath", s.key("rekor"), "--hostname", host,
		"--http-address", host, "--http-port", port, "--grpc-address", host, "--grpc-port", grpc, "--http-metrics-port", metrics, "--batch-max-age", "50ms", "--checkpoint-interval", "200ms")
	get(t, "http://"+log+"/healthz")

	host, port, _ = net.SplitHostPort(clock)
	s.start(programs["timestamp-server"], "serve", "--host", host, "--port", port, "--timestamp-signer", "memory", "--disable-ntp-monitoring")
	s.write("clock.pem", get(t, "http://"+clock+"/api/v1/timestamp/certchain"))

	s.trustedRoot, s.signingConfig = s.path("trusted-root.json"), s.path("signing-config.json")
	outside.Command(t, s.dir, "cosign", "trusted-root", "create", "--out", s.trustedRoot,
		"--fulcio", "url=http://"+authority+",certificate-chain=fulcio.pem",
		"--ctfe", "url=http://"+certificates+",public-key=tesseract.pub,start-time=2026-01-01T00:00:00Z",
		"--rekor", "url=http://"+log+",public-key=rekor.pub,start-time=2026-01-01T00:00:00Z,origin="+host,
		"--tsa", "url=http://"+clock+"/api/v1/timestamp,certificate-chain=clock.pem")
	const service = ",start-time=2026-01-01T00:00:00Z,operator=example.com"
	outside.Command(t, s.dir, "cosign", "signing-config", "create", "--out", s.signingConfig,
		"--fulcio", "url=http://"+authority+",api-version=1"+service,
		"--rekor", "url=http://"+log+",api-version=2"+service, "--rekor-config", "ANY",
		"--tsa", "url=http://"+clock+"/api/v1/timestamp,api-version=1"+service, "--tsa-config", "ANY")
	return s
}

// ofMergeRequests marks the identities of merge requests in Fulcio's template, as docs/stages/sign.md advises.
const ofMergeRequests = `{{ if eq .pipeline_source "merge_request_event" }}#merge-request{{ end }}`

// issuers writes Fulcio's configuration: for each issuer an entry like those of the public Fulcio for instances of GitLab, with the template of
// the certificates that comes with Fulcio, the URL in it, and ofMergeRequests.
func (s *sigstore) issuers(issuers []*outside.Issuer) string {
	s.t.Helper()
	module := outside.Command(s.t, filepath.Join(root, "tools", "sigstore"), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/sigstore/fulcio")
	text, err := os.ReadFile(filepath.Join(module, "config", "identity", "config.yaml")) // #nosec G304 -- Fulcio's own file
	if err != nil {
		s.t.Fatal(err)
	}
	entries, templates := map[string]any{}, map[string]map[string]any{}
	for i, issuer := range issuers {
		var public struct {
			Templates map[string]map[string]any `yaml:"ci-issuer-metadata"`
		}
		if err := yaml.Unmarshal([]byte(strings.ReplaceAll(string(text), "https://gitlab.com", issuer.Server.URL)), &public); err != nil {
			s.t.Fatal(err)
		}
		name := fmt.Sprintf("gitlab-%d", i)
		templates[name] = public.Templates["gitlab-pipeline"]
		const subject = "subject-alternative-name-template"
		templates[name][subject] = fmt.Sprint(templates[name][subject], ofMergeRequests)
		entries[issuer.Server.URL] = map[string]any{"issuer-url": issuer.Server.URL, "client-id": "sigstore", "type": "ci-provider", "ci-provider": name}
	}
	config, err := yaml.Marshal(map[string]any{"oidc-issuers": entries, "ci-issuer-metadata": templates})
	if err != nil {
		s.t.Fatal(err)
	}
	return s.write("fulcio.yaml", string(config))
}

// entries returns the number of entries in Rekor's log: the second line of its checkpoint.
func (s *sigstore) entries() int {
	s.t.Helper()
	text, err := os.ReadFile(s.path("log/checkpoint"))
	if err != nil {
		s.t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	n, err := strconv.Atoi(lines[1])
	if err != nil {
		s.t.Fatalf("%v in the checkpoint\n%s", err, text)
	}
	return n
}

func (s *sigstore) path(name string) string { return filepath.Join(s.dir, name) }

func (s *sigstore) write(name, content string) string {
	s.t.Helper()
	if err := os.WriteFile(s.path(name), []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return s.path(name)
}

// key creates the pair of keys of a log, NAME.key and NAME.pub, and returns the path of the private one.
func (s *sigstore) key(name string) string {
	s.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		s.t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		s.t.Fatal(err)
	}
	s.write(name+".pub", string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})))
	return s.write(name+".key", string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private})))
}

// start runs a program until the test ends; if the test fails, its log is shown.
func (s *sigstore) start(program string, args ...string) {
	s.t.Helper()
	log, err := os.Create(s.path(filepath.Base(program) + ".log"))
	if err != nil {
		s.t.Fatal(err)
	}
	command := exec.CommandContext(s.t.Context(), program, args...) // #nosec G204 -- the programs of tools/sigstore
	command.Dir, command.Stdout, command.Stderr = s.dir, log, log
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = 5 * time.Second
	if err := command.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		_ = command.Wait()
		_ = log.Close()
		if s.t.Failed() {
			text, _ := os.ReadFile(log.Name())
			s.t.Logf("%s:\n%s", filepath.Base(program), tail(string(text)))
		}
	})
}

// get returns what a server that has just been started answers.
func get(t testing.TB, url string) string {
	t.Helper()
	for range 200 {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if response, err := http.DefaultClient.Do(request); err == nil {
			body, err := io.ReadAll(response.Body)
			_ = response.Body.Close()
			if err == nil && response.StatusCode == http.StatusOK {
				return string(body)
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("nothing answers at %s", url)
	return ""
}
