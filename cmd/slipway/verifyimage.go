package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"gitlab.com/slipway-ci/slipway/internal/permission"
)

// keyless is the --key of images that are signed with the identity of a pipeline.
const keyless = "keyless"

// newVerifyImageCommand is `slipway verify-image`: the signatures that production needs.
func newVerifyImageCommand() *cobra.Command {
	var image permission.Image
	command := &cobra.Command{
		Use:   "verify-image --key KEY REPOSITORY@DIGEST",
		Short: "Verify the signature and the provenance of an image",
		Long: `Verify the signature of an image and that of its SLSA provenance, made with a key or by this
branch's pipeline.

The work is cosign's, which must be in PATH. With the key "keyless" the signatures must have the
identity of this branch's pipeline, by the predefined variables CI_SERVER_URL, CI_SERVER_FQDN,
CI_PROJECT_PATH, CI_CONFIG_PATH and CI_COMMIT_REF_NAME. For a Sigstore of one's own
SIGSTORE_TRUSTED_ROOT is the file with its trusted root.

If the variable SLIPWAY_REGISTRY_PASSWORD is set, cosign logs in to the registry SLIPWAY_REGISTRY as
SLIPWAY_REGISTRY_USER, for this command alone.

Exit codes: 0 both are valid; 1 one of them is not, or is somebody else's; 2 cosign cannot be run.`,
		Example: `  slipway verify-image --key cosign.pub registry.example.com/orders@sha256:0123
  slipway verify-image --key keyless "$IMAGE_REPOSITORY@$IMAGE_DIGEST"`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := needed(cmd, "key"); err != nil {
				return err
			}
			image.Reference = args[0]
			if !strings.Contains(image.Reference, "@sha256:") {
				return fmt.Errorf("%s: want REPOSITORY@sha256:DIGEST, since a tag can change", image.Reference)
			}
			if image.Key == keyless {
				image.Key = ""
				p := &image.Pipeline
				p.TrustedRoot = os.Getenv("SIGSTORE_TRUSTED_ROOT")
				if err := predefined(map[string]*string{
					"CI_SERVER_URL": &p.Server, "CI_SERVER_FQDN": &p.Host, "CI_PROJECT_PATH": &p.Project, "CI_CONFIG_PATH": &p.Config, "CI_COMMIT_REF_NAME": &p.Branch,
				}); err != nil {
					return err
				}
			}
			r := &image.Registry
			r.Host, r.User, r.Password = os.Getenv("SLIPWAY_REGISTRY"), os.Getenv("SLIPWAY_REGISTRY_USER"), os.Getenv("SLIPWAY_REGISTRY_PASSWORD")
			return permissionResult(cmd, image.Verify(cmd.Context(), cmd.ErrOrStderr()))
		},
	}
	flags := command.Flags()
	flags.StringVar(&image.Key, "key", "", "`FILE` with the public key, another key reference of cosign's, or \"keyless\"")
	flags.BoolVar(&image.Registry.Insecure, "insecure-registry", false, "the registry speaks plain HTTP")
	return command
}
