package rollout

import (
	"bytes"
	"cmp"
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
	// namespace is the workload's; empty if the manifests name none.
	namespace string
	// jobs are the names of the Jobs that run before the workload is replaced.
	jobs []string
}

// runAnnotation is what such a Job has, with the value beforeRollout.
const (
	runAnnotation = "slipway.dev/run"
	beforeRollout = "before-rollout"
)

func (m manifests) strategy() string {
	if m.kind == kindRollout {
		return "canary"
	}
	return "rolling"
}

// Namespace returns the namespace of the Deployment or Rollout in the manifests.
func Namespace(text []byte, name string) (string, error) {
	m, err := parse(text, name)
	if err != nil {
		return "", err
	}
	if m.namespace == "" {
		return "", fmt.Errorf("the %s %s has no namespace: set `namespace` in the overlay's kustomization", m.kind, name)
	}
	return m.namespace, nil
}

// parse finds the workload and the Jobs before it among the objects. Secrets are applied, but not recorded: withoutSecrets leaves them out.
func parse(text []byte, name string) (manifests, error) {
	m := manifests{text: text}
	err := each(text, func(o object, _ *yaml.Node) error {
		if o.runsBefore() {
			m.jobs = append(m.jobs, o.Metadata.Name)
		}
		k := kind(o.Kind)
		if k != kindDeployment && k != kindRollout {
			return nil
		}
		var spec workloadSpec
		if err := o.Spec.Decode(&spec); err != nil {
			return fmt.Errorf("manifests: %s %s: %w", o.Kind, o.Metadata.Name, err)
		}
		if o.Metadata.Name != name {
			return nil
		}
		if m.kind != "" {
			return fmt.Errorf("the manifests have two workloads %s", name)
		}
		m.kind, m.selector, m.namespace = k, spec.selector(), o.Metadata.Namespace
		return nil
	})
	if err != nil {
		return m, err
	}
	if m.kind == "" {
		return m, fmt.Errorf("the manifests have neither a Deployment nor a Rollout %s", name)
	}
	return m, nil
}

// An object is what is read of a manifest; kinds differ in the form of their spec.
type object struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string
	Metadata   struct {
		Name, Namespace string
		Annotations     map[string]string
	}
	Spec yaml.Node
}

// identity is the object's group, kind, namespace (the given one if it names none) and name. The version is not part of it: a newer one of the
// same group is the same object.
func (o object) identity(namespace string) string {
	group, _, _ := strings.Cut(o.APIVersion, "/")
	return strings.Join([]string{group, o.Kind, cmp.Or(o.Metadata.Namespace, namespace), o.Metadata.Name}, " ")
}

// runsBefore reports whether the object is a Job that runs before the workload is replaced.
func (o object) runsBefore() bool {
	return o.Kind == "Job" && o.Metadata.Annotations[runAnnotation] == beforeRollout
}

// A workloadSpec is what is read of a Deployment's or a Rollout's.
type workloadSpec struct {
	Selector struct {
		MatchLabels map[string]string `yaml:"matchLabels"`
	}
}

// selector is the spec's as kubectl writes it.
func (s workloadSpec) selector() string {
	var pairs []string
	for _, key := range slices.Sorted(maps.Keys(s.Selector.MatchLabels)) {
		pairs = append(pairs, key+"="+s.Selector.MatchLabels[key])
	}
	return strings.Join(pairs, ",")
}

// beforeWorkload is what the Jobs may need: everything but the workload.
func (m manifests) beforeWorkload() ([]byte, error) {
	return filter(m.text, func(o object) bool { return kind(o.Kind) != m.kind })
}

// withoutJobs is what is applied when the Jobs are done, or have been done before.
func (m manifests) withoutJobs() ([]byte, error) {
	if len(m.jobs) == 0 {
		return m.text, nil
	}
	return filter(m.text, func(o object) bool { return !o.runsBefore() })
}

// each visits the objects of the manifests, with the documents that they are read of.
func each(text []byte, visit func(object, *yaml.Node) error) error {
	for d := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var node yaml.Node
		if err := d.Decode(&node); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("manifests: %w", err)
		}
		var o object
		if err := node.Decode(&o); err != nil {
			return fmt.Errorf("manifests: %w", err)
		}
		if err := visit(o, &node); err != nil {
			return err
		}
	}
}

// filter returns the objects to keep.
func filter(text []byte, keep func(object) bool) ([]byte, error) {
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	err := each(text, func(o object, node *yaml.Node) error {
		if !keep(o) {
			return nil
		}
		return encoder.Encode(node)
	})
	if err != nil || out.Len() == 0 {
		return nil, err // an encoder without a document cannot be closed
	}
	return out.Bytes(), encoder.Close()
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
