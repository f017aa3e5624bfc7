package rollout

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// patience is how long an API server that does not answer is waited for: it may be restarted during a rollout.
const patience = time.Minute

// read returns what a kubectl command prints.
func (s *Service) read(ctx context.Context, args ...string) ([]byte, error) {
	var out bytes.Buffer
	err := s.kubectl(ctx, nil, &out, args...)
	return out.Bytes(), err
}

// run prints a kubectl command and what it prints.
func (s *Service) run(ctx context.Context, args ...string) error {
	fmt.Fprintln(s.Out, "$ kubectl "+strings.Join(args, " "))
	return s.kubectl(ctx, nil, s.Out, args...)
}

// patch merges a patch into the Rollout; with --subresource status into its status.
func (s *Service) patch(ctx context.Context, patch string, args ...string) error {
	return s.run(ctx, append([]string{"patch", kindRollout.resource() + "/" + s.Name, "--type", "merge", "--patch", patch}, args...)...)
}

// apply applies objects.
func (s *Service) apply(ctx context.Context, text []byte, args ...string) error {
	return s.kubectl(ctx, text, s.Out, append([]string{"apply", "--filename", "-"}, args...)...)
}

// kubectl runs one command, again if the API server did not answer. Every command here can be repeated.
func (s *Service) kubectl(ctx context.Context, input []byte, out io.Writer, args ...string) error {
	deadline := time.Now().Add(patience)
	for {
		err := s.once(ctx, input, out, args...)
		if err == nil || !unreachable(err) || time.Now().After(deadline) {
			return err
		}
		fmt.Fprintf(s.Out, "(the API server does not answer: %v)\n", err)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(2 * time.Second):
		}
	}
}

func (s *Service) once(ctx context.Context, input []byte, out io.Writer, args ...string) error {
	c := exec.CommandContext(ctx, "kubectl", append([]string{"--namespace", s.Namespace}, args...)...) // #nosec G204 -- our own arguments
	var stderr bytes.Buffer
	c.Stdout, c.Stderr = out, &stderr
	if input != nil {
		c.Stdin = bytes.NewReader(input)
	}
	err := c.Run()
	if err == nil {
		_, _ = s.Out.Write(stderr.Bytes()) // warnings
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if _, ok := errors.AsType[*exec.ExitError](err); ok {
		return &commandError{args[0], strings.TrimSpace(stderr.String())}
	}
	return fmt.Errorf("kubectl: %w", err)
}

// A commandError is what kubectl said when it failed.
type commandError struct{ command, stderr string }

func (e *commandError) Error() string { return "kubectl " + e.command + ": " + e.stderr }

// says reports whether an error of kubectl contains one of the texts.
func says(err error, texts ...string) bool {
	e, ok := errors.AsType[*commandError](err)
	for _, text := range texts {
		if ok && strings.Contains(e.stderr, text) {
			return true
		}
	}
	return false
}

// unreachable reports whether the API server, or its etcd, was not there.
func unreachable(err error) bool {
	return says(err, "connection refused", "connection reset", "unexpected EOF", ": EOF", "TLS handshake timeout", "i/o timeout", "connection lost",
		"etcdserver:", "apiserver not ready", "the server is currently unable to handle the request", "ServiceUnavailable")
}

// impossible reports whether there can be no such object of ours: the cluster does not know the kind, or the account has no right to it.
func impossible(err error) bool {
	return says(err, "the server doesn't have a resource type", "(Forbidden)")
}
