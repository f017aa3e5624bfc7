package consumers

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/test/outside"
)

// The Dockerfiles read two secrets: one keeps only their checksums, and the other shows that the test finds a secret in an image.
const (
	readSecrets = `ARG GO_IMAGE
FROM ${GO_IMAGE} AS build
WORKDIR /out
RUN --mount=type=secret,id=NETRC --mount=type=secret,id=TOKEN,target=/etc/token cat /run/secrets/NETRC /etc/token | sha256sum >sum
FROM scratch
COPY --from=build /out/ /
USER 65532
`
	keepSecrets = `ARG GO_IMAGE
FROM ${GO_IMAGE} AS build
WORKDIR /out
RUN --mount=type=secret,id=NETRC --mount=type=secret,id=TOKEN cat /run/secrets/NETRC /run/secrets/TOKEN >leak
FROM scratch
COPY --from=build /out/ /
USER 65532
`
)

// buildsWithSecrets builds images of the project with build secrets, and searches all that the builds have stored in the registry, whose data is
// in the given folder. The registry must be empty but for base images.
func buildsWithSecrets(t *testing.T, p *project, host, data string, variables ...pipeline.Variable) {
	t.Helper()
	const netrc, token = "machine gitlab.example.com login ada password correct-horse\n", "battery-staple\n"
	p.write(".gitlab-ci.yml", with("image", "layer_cache: true, build_secrets: NETRC TOKEN"))
	p.variables = append(variables, pipeline.Variable{Key: "CI_REGISTRY", Value: host}, pipeline.Variable{Key: "CI_REGISTRY_IMAGE", Value: host + "/acme/secrets"},
		pipeline.Variable{Key: "NETRC", Value: netrc, File: true})
	p.write("Dockerfile", readSecrets)
	p.commit("Read the secrets")
	p.run(nil, "build-image").red("build-image", 1, "TOKEN, which build_secrets names, is not a variable of type File in this pipeline", "How to fix")

	p.variables = append(p.variables, pipeline.Variable{Key: "TOKEN", Value: token, File: true})
	o := p.run(nil, "build-image")
	o.green("build-image")
	sum := sha256.Sum256([]byte(netrc + token))
	if want := hex.EncodeToString(sum[:]); len(filesWith(t, data, want)) == 0 {
		t.Errorf("no layer contains the checksum of the secrets, %s: the Dockerfile did not read them:\n%s", want, tail(o.log("build-image")))
	}
	secrets := []string{"correct-horse", "battery-staple"}
	for _, secret := range secrets {
		if strings.Contains(o.log("build-image"), secret) {
			t.Errorf("the log contains %s", secret)
		}
		for _, text := range []string{secret, base64.StdEncoding.EncodeToString([]byte(netrc)), base64.StdEncoding.EncodeToString([]byte(token))} {
			if found := filesWith(t, data, text); len(found) > 0 {
				t.Errorf("the registry has %q in %v", text, found)
			}
		}
	}

	p.write("Dockerfile", keepSecrets)
	p.commit("Keep the secrets")
	p.run(nil, "build-image").green("build-image")
	for _, secret := range secrets {
		if len(filesWith(t, data, secret)) == 0 {
			t.Errorf("an image with %s is in the registry, and the search does not find it", secret)
		}
	}
}

// filesWith returns the files below a folder that contain the text, compressed with gzip or not.
func filesWith(t *testing.T, dir, text string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		contains, err := fileContains(path, []byte(text))
		if contains {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func fileContains(path string, text []byte) (bool, error) {
	file, err := os.Open(path) //nolint:gosec // a file of the test
	if err != nil {
		return false, err
	}
	defer file.Close() //nolint:errcheck // only read
	var content io.Reader = file
	if unpacked, err := gzip.NewReader(file); err == nil {
		content = unpacked
	} else if _, err := file.Seek(0, io.SeekStart); err != nil {
		return false, err
	}
	var window []byte
	buffer := make([]byte, 1<<20)
	for {
		n, err := content.Read(buffer)
		// The end of the previous part may begin the text.
		window = append(window[max(0, len(window)-len(text)+1):], buffer[:n]...)
		if bytes.Contains(window, text) {
			return true, nil
		}
		if err == io.EOF {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("%s: %w", path, err)
		}
	}
}

// TestBuildSecrets builds with secrets with each builder of this machine. TestSupplyChainSecrets does so with BuildKit.
func TestBuildSecrets(t *testing.T) {
	t.Parallel()
	for builder, other := range map[string]string{"buildah": "podman", "podman": "buildah"} {
		t.Run(builder, func(t *testing.T) {
			outside.Program(t, builder, strings.ToUpper(builder), "apt-get install "+builder)
			host, data := distribution(t)
			base := shellImage(t, host)
			t.Cleanup(func() { outside.Command(t, "", builder, "rmi", base) }) // the builds have pulled it into this user's images
			registries := filepath.Join(t.TempDir(), "registries.conf")
			if err := os.WriteFile(registries, []byte("[[registry]]\nlocation = \""+host+"\"\ninsecure = true\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			p := clone(t, "service")
			p.env = []string{"PATH=" + pathWithout(t, other)}
			buildsWithSecrets(t, p, host, data, pipeline.Variable{Key: "SLIPWAY_GO_IMAGE", Value: base}, pipeline.Variable{Key: "CONTAINERS_REGISTRIES_CONF", Value: registries})
		})
	}
}

// pathWithout returns a PATH with the programs of this process's, except for one.
func pathWithout(t *testing.T, program string) string {
	t.Helper()
	farm := t.TempDir()
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue // a folder of PATH may be absent
		}
		for _, entry := range entries {
			if entry.Name() == program {
				continue
			}
			if err := os.Symlink(filepath.Join(dir, entry.Name()), filepath.Join(farm, entry.Name())); err != nil && !os.IsExist(err) {
				t.Fatal(err)
			}
		}
	}
	return farm
}

// shellImage pushes an image that has a shell and the commands of the Dockerfiles above, and returns its name.
func shellImage(t *testing.T, host string) string {
	t.Helper()
	program, err := os.ReadFile(outside.Program(t, "busybox", "BUSYBOX", "apt-get install busybox-static"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	bin := filepath.Join(dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil { //nolint:gosec // a folder of the image
		t.Fatal(err)
	}
	outside.WriteProgram(t, filepath.Join(bin, "busybox"), string(program))
	for _, name := range []string{"sh", "cat", "sha256sum"} {
		if err := os.Symlink("busybox", filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	archive := filepath.Join(t.TempDir(), "layer.tar")
	outside.Command(t, dir, "tar", "-cf", archive, "bin")
	name := host + "/library/busybox:1"
	outside.Command(t, "", filepath.Join(commands(t), "crane"), "append", "--oci-empty-base", "--platform", "linux/amd64", "--new_tag", name, "--new_layer", archive)
	return name
}
