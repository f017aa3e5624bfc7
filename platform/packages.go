package platform

import (
	"context"
	"fmt"
	"io"
	"strings"

	"gitlab.com/slipway-ci/slipway/platform/internal/packages"
)

// Install installs the missing packages of the needs and the extra packages if it can, and prints them.
func Install(ctx context.Context, needs []packages.Need, extra []string, out io.Writer) (bool, error) {
	missing := packages.Missing(ctx, needs, extra)
	if len(missing) == 0 {
		return false, nil
	}
	fmt.Fprintf(out, "  installing %s\n", strings.Join(missing, ", "))
	if err := packages.Install(ctx, missing, io.Discard); err != nil {
		return false, err
	}
	if still := packages.Missing(ctx, needs, extra); len(still) > 0 {
		return true, fmt.Errorf("apt-get installed %s, and yet their programs are not where they are looked for", strings.Join(still, ", "))
	}
	return true, nil
}

// InstallAll implements `platform deps`: it installs everything that the platform needs, and the extra packages.
func InstallAll(ctx context.Context, extra []string, out io.Writer) error {
	changed, err := Install(ctx, append(packages.Database(), packages.Cluster()...), extra, out)
	if err == nil && !changed {
		fmt.Fprintln(out, "all packages are installed")
	}
	return err
}
