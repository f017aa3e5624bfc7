module gitlab.com/slipway-ci/slipway/test

go 1.27.0

toolchain go1.27.4

replace (
	gitlab.com/slipway-ci/slipway => ../
	gitlab.com/slipway-ci/slipway/service => ../service
)

require (
	github.com/go-jose/go-jose/v4 v4.1.9
	gitlab.com/slipway-ci/slipway v0.0.0
	gitlab.com/slipway-ci/slipway/service v0.0.0
	go.yaml.in/yaml/v4 v4.0.0
	golang.org/x/mod v0.42.0
)

require (
	github.com/bmatcuk/doublestar/v4 v4.10.4 // indirect
	github.com/jackc/pgpassfile v1.0.0 // indirect
	github.com/jackc/pgservicefile v0.0.0-20240606120523-5a60cdf6a761 // indirect
	github.com/jackc/pgx/v5 v5.12.0 // indirect
	go.uber.org/goleak v1.3.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.43.0 // indirect
)
