package rollout

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// A Version is what can be deployed.
type Version struct {
	// Image is repository@digest.
	Image  string
	Commit string
	// By says which job deploys it: its address, if there is one. Pipeline is the address of the job's pipeline.
	By, Pipeline string
}

func (v Version) String() string { return fmt.Sprintf("commit %s, %s", short(v.Commit), v.Image) }

func short(commit string) string { return commit[:min(len(commit), 8)] }

// A State is what became of a release.
type State string

// Rolling was begun, and not ended if its job is gone. Good served. Failed did not. Withdrawn served, until somebody went back.
const (
	Rolling   State = "rolling"
	Good      State = "good"
	Failed    State = "failed"
	Withdrawn State = "withdrawn"
)

// A Release is one entry of the record: a ConfigMap of the namespace that holds the manifests.
type Release struct {
	Version
	Number  int
	State   State
	Started time.Time

	manifests manifests
}

// The labels and annotations of the record.
const (
	releaseLabel     = "slipway.dev/releases"
	stateLabel       = "slipway.dev/state"
	instanceLabel    = "app.kubernetes.io/instance"
	commitAnnotation = "slipway.dev/commit"
	imageAnnotation  = "slipway.dev/image"
	byAnnotation     = "slipway.dev/by"
	// pipelineAnnotation is only in releases that name a pipeline.
	pipelineAnnotation = "slipway.dev/pipeline"
	startedAnnotation  = "slipway.dev/started"
	manifestsKey       = "manifests.yaml"
)

func (s *Service) recordName(number int) string { return s.Name + "-release-" + strconv.Itoa(number) }

// A configMap is what is read and written of one.
type configMap struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Metadata   meta              `json:"metadata"`
	Data       map[string]string `json:"data"`
}

type meta struct {
	Name            string            `json:"name"`
	UID             string            `json:"uid,omitempty"`
	Generation      int64             `json:"generation,omitempty"`
	ResourceVersion string            `json:"resourceVersion,omitempty"`
	Labels          map[string]string `json:"labels,omitempty"`
	Annotations     map[string]string `json:"annotations,omitempty"`
	OwnerReferences []owner           `json:"ownerReferences,omitempty"`
}

type owner struct {
	UID string `json:"uid"`
}

// record writes a release.
func (s *Service) record(ctx context.Context, r Release) error {
	annotations := map[string]string{commitAnnotation: r.Commit, imageAnnotation: r.Image, byAnnotation: r.By, startedAnnotation: r.Started.Format(time.RFC3339)}
	if r.Pipeline != "" {
		annotations[pipelineAnnotation] = r.Pipeline
	}
	text, err := json.Marshal(configMap{
		APIVersion: "v1", Kind: "ConfigMap",
		Metadata: meta{
			Name:        s.recordName(r.Number),
			Labels:      map[string]string{releaseLabel: s.Name, stateLabel: string(r.State), instanceLabel: s.Name},
			Annotations: annotations,
		},
		Data: map[string]string{manifestsKey: string(withoutSecrets(r.manifests.text))},
	})
	if err != nil {
		return err
	}
	return s.apply(ctx, text, "--server-side")
}

func (s *Service) setState(ctx context.Context, r Release, state State) error {
	return s.run(ctx, "label", "--overwrite", "configmap/"+s.recordName(r.Number), stateLabel+"="+string(state))
}

// releases reads the record, the oldest release first.
func (s *Service) releases(ctx context.Context) ([]Release, error) {
	out, err := s.read(ctx, "get", "configmaps", "--selector", releaseLabel+"="+s.Name, "--output", "json")
	if err != nil {
		return nil, err
	}
	var list struct{ Items []configMap }
	if err := json.Unmarshal(out, &list); err != nil {
		return nil, fmt.Errorf("the record: %w", err)
	}
	var releases []Release
	for _, c := range list.Items {
		number, err := strconv.Atoi(c.Metadata.Name[min(len(s.recordName(0))-1, len(c.Metadata.Name)):])
		if err != nil || c.Metadata.Name != s.recordName(number) {
			continue // not ours
		}
		m, err := parse([]byte(c.Data[manifestsKey]), s.Name)
		if err != nil {
			return nil, fmt.Errorf("the record's %s: %w", c.Metadata.Name, err)
		}
		a := c.Metadata.Annotations
		started, _ := time.Parse(time.RFC3339, a[startedAnnotation])
		releases = append(releases, Release{Number: number, State: State(c.Metadata.Labels[stateLabel]), Started: started, manifests: m,
			Version: Version{Image: a[imageAnnotation], Commit: a[commitAnnotation], By: a[byAnnotation], Pipeline: a[pipelineAnnotation]}})
	}
	slices.SortFunc(releases, func(a, b Release) int { return cmp.Compare(a.Number, b.Number) })
	return releases, nil
}

func nextNumber(releases []Release) int {
	if len(releases) == 0 {
		return 1
	}
	return releases[len(releases)-1].Number + 1
}

// prune deletes the oldest entries beyond Keep.
func (s *Service) prune(ctx context.Context, releases []Release) error {
	for _, r := range releases[:max(0, len(releases)-s.Keep)] {
		if err := s.run(ctx, "delete", "configmap/"+s.recordName(r.Number), "--ignore-not-found"); err != nil {
			return err
		}
	}
	return nil
}
