package rollout

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// A kind is what runs the pods.
type kind string

const (
	kindDeployment kind = "Deployment"
	kindRollout    kind = "Rollout"
)

// resource is the kind's name for kubectl.
func (k kind) resource() string {
	if k == kindRollout {
		return "rollouts.argoproj.io"
	}
	return "deployments.apps"
}

// manifests are the objects of one version.
type manifests struct {
	text []byte
	kind kind
	// selector selects the pods, as kubectl writes it.
	selector string
}

func (m manifests) strategy() string {
	if m.kind == kindRollout {
		return "canary"
	}
	return "rolling"
}

// parse finds the workload among the objects. Secrets are applied, but not recorded: withoutSecrets leaves them out.
func parse(text []byte, name string) (manifests, error) {
	m := manifests{text: text}
	err := eachObject(text, func(o object) error {
		if k := kind(o.Kind); o.Metadata.Name == name && (k == kindDeployment || k == kindRollout) {
			if m.kind != "" {
				return fmt.Errorf("the manifests have two workloads %s", name)
			}
			m.kind = k
			var pairs []string
			for _, key := range slices.Sorted(maps.Keys(o.Spec.Selector.MatchLabels)) {
				pairs = append(pairs, key+"="+o.Spec.Selector.MatchLabels[key])
			}
			m.selector = strings.Join(pairs, ",")
		}
		return nil
	})
	if err == nil && m.kind == "" {
		err = fmt.Errorf("the manifests have neither a Deployment nor a Rollout %s", name)
	}
	return m, err
}

// An object is what is read of a manifest.
type object struct {
	Kind     string
	Metadata struct{ Name string }
	Spec     struct {
		Selector struct {
			MatchLabels map[string]string `yaml:"matchLabels"`
		}
	}
}

func eachObject(text []byte, visit func(object) error) error {
	d := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var node yaml.Node
		if err := d.Decode(&node); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("manifests: %w", err)
		}
		var o struct {
			Kind     string
			Metadata struct{ Name string }
			Spec     yaml.Node
		}
		if err := node.Decode(&o); err != nil {
			return fmt.Errorf("manifests: %w", err)
		}
		read := object{Kind: o.Kind, Metadata: o.Metadata}
		if k := kind(o.Kind); k == kindDeployment || k == kindRollout {
			// Other kinds have other selectors.
			if err := o.Spec.Decode(&read.Spec); err != nil {
				return fmt.Errorf("manifests: %s %s: %w", o.Kind, o.Metadata.Name, err)
			}
		}
		if err := visit(read); err != nil {
			return err
		}
	}
}

// withoutSecrets is what may be recorded. Documents are told apart as kustomize writes them: by lines of "---".
func withoutSecrets(text []byte) []byte {
	var kept [][]byte
	for document := range bytes.SplitSeq(text, []byte("\n---\n")) {
		var o struct{ Kind string }
		if err := yaml.Unmarshal(document, &o); err == nil && o.Kind == "Secret" {
			continue
		}
		kept = append(kept, document)
	}
	return bytes.Join(kept, []byte("\n---\n"))
}
