package permission

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"

	"gitlab.com/slipway-ci/slipway/internal/docs"
)

// An Image is an image, and whose signature it must have.
type Image struct {
	// Reference has a digest.
	Reference string
	// Key is a file with a public key, or what else cosign takes for one. If empty, the signature must be that of Pipeline.
	Key      string
	Pipeline Pipeline
	Registry Registry
}

// A Pipeline is a pipeline of a branch, whose jobs sign with GitLab's tokens.
type Pipeline struct {
	// Server is the URL of the GitLab instance, Host that URL without its protocol.
	Server, Host string
	// Project is the path of the project, Config that of its configuration.
	Project, Config, Branch string
	// TrustedRoot is the file of a Sigstore of one's own; if empty, the public one's is fetched.
	TrustedRoot string
}

// A Registry is how the image's registry is reached.
type Registry struct {
	// Without a password there is no login.
	Host, User, Password string
	// Insecure allows plain HTTP.
	Insecure bool
}

// Verify checks the signature of the image and that of its SLSA provenance with cosign, which writes to stderr. If one of them is
// missing, or somebody else's, the error is a [Refusal].
func (i Image) Verify(ctx context.Context, stderr io.Writer) error {
	environment := os.Environ()
	if i.Registry.Password != "" {
		config, err := os.MkdirTemp("", "slipway-registry-")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(config) }()
		environment = append(environment, "DOCKER_CONFIG="+config)
		login := cosign{environment, strings.NewReader(i.Registry.Password), stderr}
		if err := login.run(ctx, "login", i.Registry.Host, "--username", i.Registry.User, "--password-stdin"); err != nil {
			return fmt.Errorf("log in to the registry %s: %w", i.Registry.Host, err)
		}
	}
	whose, by := i.signer()
	for _, check := range []struct {
		what    string
		command []string
	}{
		{"signature", []string{"verify"}},
		{"provenance", []string{"verify-attestation", "--type", "slsaprovenance1"}},
	} {
		args := slices.Concat(check.command, whose, []string{fmt.Sprintf("--allow-insecure-registry=%t", i.Registry.Insecure), i.Reference})
		err := cosign{environment, nil, stderr}.run(ctx, args...)
		if _, failed := errors.AsType[*exec.ExitError](err); failed {
			return &Refusal{fmt.Sprintf("The image has no valid %s by the %s", check.what, by),
				"sign it (docs: " + docs.Page("stages/sign.md") + "); if it was signed, find out who pushed this image"}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// signer returns cosign's arguments for whoever must have signed the image, and who that is.
func (i Image) signer() (args []string, by string) {
	if i.Key != "" {
		// With a key nothing was sent to a public log.
		return []string{"--key", i.Key, "--insecure-ignore-tlog=true"}, "key " + i.Key
	}
	p := i.Pipeline
	if p.TrustedRoot != "" {
		args = []string{"--trusted-root", p.TrustedRoot}
	}
	// Fulcio writes https:// before GitLab's claim ci_config_ref_uri, whatever the protocol of the instance.
	identity := fmt.Sprintf("https://%s/%s//%s@refs/heads/%s", p.Host, p.Project, p.Config, p.Branch)
	return append(args, "--certificate-oidc-issuer", p.Server, "--certificate-identity", identity), "pipeline of " + p.Branch
}

// A cosign is how cosign is run. What it prints about a signature that is valid is of no use here.
type cosign struct {
	environment []string
	stdin       io.Reader
	stderr      io.Writer
}

func (c cosign) run(ctx context.Context, args ...string) error {
	command := exec.CommandContext(ctx, "cosign", args...) // #nosec G204 -- our own arguments
	command.Env, command.Stdin, command.Stderr = c.environment, c.stdin, c.stderr
	err := command.Run()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
