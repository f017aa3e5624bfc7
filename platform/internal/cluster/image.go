package cluster

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"runtime"
)

// imageArchive is an OCI image layout (image-spec v1.1, image-layout.md) in a tar: one static binary on nothing, with the
// user nobody can be (65535 is what Kubernetes' own pause uses).
func imageArchive(reference, name string, binary []byte) []byte {
	type object = map[string]any
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	file := func(path string, content []byte) { writeFile(w, path, 0o644, content) }
	blob := func(kind string, content []byte) object {
		sum := sha256.Sum256(content)
		digest := hex.EncodeToString(sum[:])
		file("blobs/sha256/"+digest, content)
		return object{"mediaType": kind, "digest": "sha256:" + digest, "size": len(content)}
	}
	encode := func(o object) []byte {
		b, err := json.Marshal(o)
		if err != nil {
			panic(err) // strings and numbers: cannot fail
		}
		return b
	}

	var files bytes.Buffer
	layerWriter := tar.NewWriter(&files)
	writeFile(layerWriter, name, 0o755, binary)
	_ = layerWriter.Close() // to a buffer
	layer := blob("application/vnd.oci.image.layer.v1.tar", files.Bytes())
	config := blob("application/vnd.oci.image.config.v1+json", encode(object{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": object{"Entrypoint": []string{"/" + name}, "User": "65535:65535", "WorkingDir": "/"},
		"rootfs": object{"type": "layers", "diff_ids": []any{layer["digest"]}},
	}))
	manifest := blob("application/vnd.oci.image.manifest.v1+json", encode(object{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": config, "layers": []object{layer},
	}))
	// containerd takes the name from this annotation.
	manifest["annotations"] = object{"io.containerd.image.name": reference}
	manifest["platform"] = object{"os": "linux", "architecture": runtime.GOARCH}
	file("index.json", encode(object{"schemaVersion": 2, "manifests": []object{manifest}}))
	file("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`))
	_ = w.Close()
	return archive.Bytes()
}

// writeFile writes to a tar that is a buffer, which cannot fail.
func writeFile(w *tar.Writer, path string, mode int64, content []byte) {
	_ = w.WriteHeader(&tar.Header{Name: path, Mode: mode, Size: int64(len(content)), Typeflag: tar.TypeReg})
	_, _ = w.Write(content)
}
