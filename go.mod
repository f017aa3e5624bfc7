module gitlab.com/slipway-ci/slipway

go 1.27.0

toolchain go1.27.4
