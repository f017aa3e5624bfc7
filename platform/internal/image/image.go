// Package image creates container images of one static binary, without a builder.
package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"runtime"
)

// A Blob is content with its media type.
type Blob struct {
	Type    string
	Content []byte
}

// Digest returns the blob's name: "sha256:" and the sum in hexadecimal.
func (b Blob) Digest() string {
	sum := sha256.Sum256(b.Content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func (b Blob) descriptor() object {
	return object{"mediaType": b.Type, "digest": b.Digest(), "size": len(b.Content)}
}

// An Image is an image of the OCI image specification (v1.1): a manifest with a configuration and layers.
type Image struct{ Manifest, Config, Layer Blob }

type object = map[string]any

// New returns an image for this machine's architecture that runs the binary as /NAME, as user and group 65535.
func New(name string, binary []byte, env ...string) Image {
	layer := Blob{"application/vnd.oci.image.layer.v1.tar", pack(func(w *tar.Writer) { add(w, name, 0o755, binary) })}
	config := Blob{"application/vnd.oci.image.config.v1+json", encode(object{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": object{"Entrypoint": []string{"/" + name}, "User": "65535:65535", "WorkingDir": "/", "Env": env},
		"rootfs": object{"type": "layers", "diff_ids": []string{layer.Digest()}},
	})}
	const manifestType = "application/vnd.oci.image.manifest.v1+json"
	return Image{Config: config, Layer: layer, Manifest: Blob{manifestType, encode(object{
		"schemaVersion": 2, "mediaType": manifestType, "config": config.descriptor(), "layers": []object{layer.descriptor()},
	})}}
}

// Archive returns the image as an OCI image layout in a tar, which containerd imports under the reference.
func (i Image) Archive(reference string) []byte {
	manifest := i.Manifest.descriptor()
	manifest["annotations"] = object{"io.containerd.image.name": reference}
	manifest["platform"] = object{"os": "linux", "architecture": runtime.GOARCH}
	return pack(func(w *tar.Writer) {
		for _, b := range []Blob{i.Layer, i.Config, i.Manifest} {
			add(w, "blobs/sha256/"+b.Digest()[len("sha256:"):], 0o644, b.Content)
		}
		add(w, "index.json", 0o644, encode(object{"schemaVersion": 2, "manifests": []object{manifest}}))
		add(w, "oci-layout", 0o644, []byte(`{"imageLayoutVersion":"1.0.0"}`))
	})
}

// pack returns a tar; writing to memory cannot fail.
func pack(fill func(*tar.Writer)) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	fill(w)
	_ = w.Close()
	return b.Bytes()
}

func add(w *tar.Writer, path string, mode int64, content []byte) {
	_ = w.WriteHeader(&tar.Header{Name: path, Mode: mode, Size: int64(len(content)), Typeflag: tar.TypeReg})
	_, _ = w.Write(content)
}

func encode(o object) []byte {
	b, err := json.Marshal(o)
	if err != nil {
		panic(err) // strings and numbers: cannot fail
	}
	return b
}
