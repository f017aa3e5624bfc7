// Package config loads the settings of the service from flags, environment variables, a file and defaults, in this order of
// precedence.
package config

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"gitlab.com/slipway-ci/slipway/service/auth"
)

// Secret is a string that is never printed.
type Secret string

const masked = "[set]"

// String implements [fmt.Stringer]; it returns a mask.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return masked
}

// Config is the whole configuration. The tag `key` names a setting in the file, as --key on the command line and, in
// capitals with underscores, in the environment (ORDERS_HTTP_ADDR); a setting tagged `reload` may change while the
// service runs. A Secret can also be the content of a file: ORDERS_DATABASE_URL_FILE, --database.url_file.
type Config struct {
	HTTP     HTTP     `key:"http"`
	Admin    Admin    `key:"admin"`
	Auth     Auth     `key:"auth"`
	APIKeys  Secret   `key:"api_keys" reload:"true" help:"one client per line: name, key of at least 16 characters, scopes (orders:read,orders:write,orders:pay)"`
	Rate     Rate     `key:"rate"`
	Database Database `key:"database"`
	Payments Payments `key:"payments"`
	Log      Log      `key:"log"`
	Trace    Trace    `key:"trace"`
	Shutdown Shutdown `key:"shutdown"`
}

// HTTP configures the public listener.
type HTTP struct {
	Addr        string        `key:"addr" default:"127.0.0.1:8080" help:"address of the public listener"`
	TLSCert     string        `key:"tls_cert" help:"file with the certificate chain (PEM); read again when it changes"`
	TLSKey      string        `key:"tls_key" help:"file with the certificate's key (PEM)"`
	H2C         bool          `key:"h2c" default:"false" help:"also speak HTTP/2 without TLS"`
	MaxBody     int           `key:"max_body" default:"65536" help:"largest request body in bytes"`
	MaxInFlight int           `key:"max_in_flight" default:"256" reload:"true" help:"concurrent requests; more get 503"`
	MaxConns    int           `key:"max_connections" default:"1024" help:"concurrent connections, of about 32 KiB each; beyond it the longest idle one is closed"`
	Timeout     time.Duration `key:"timeout" default:"5s" help:"timeout of a request"`
	PayTimeout  time.Duration `key:"pay_timeout" default:"15s" help:"timeout of a payment request"`
	CORSOrigins []string      `key:"cors_origins" reload:"true" help:"origins allowed to call from a browser, separated by commas"`
	Proxies     []string      `key:"trusted_proxies" reload:"true" help:"networks (CIDR) of proxies whose X-Forwarded-For or Forwarded names the client, separated by commas"`
}

// Admin configures the listener for operators.
type Admin struct {
	Addr string `key:"addr" default:"127.0.0.1:8081" help:"address of the admin listener: probes, metrics, profiles"`
}

// Auth configures authentication.
type Auth struct {
	Mode     string `key:"mode" default:"auto" help:"auto: API keys and tokens, loopback only if neither is configured; none: no authentication"`
	JWKSURL  string `key:"jwks_url" help:"where the keys of bearer tokens are published"`
	Issuer   string `key:"issuer" help:"required issuer of bearer tokens"`
	Audience string `key:"audience" help:"required audience of bearer tokens"`
}

// Rate limits each client.
type Rate struct {
	Limit float64 `key:"limit" default:"100" reload:"true" help:"requests per second and client; 0 is no limit"`
	Burst int     `key:"burst" default:"200" reload:"true" help:"requests that a client may make in a burst"`
}

// Database configures the store.
type Database struct {
	URL      Secret `key:"url" default:"sqlite:orders.db" help:"sqlite:PATH or postgres://user:password@host:port/database"`
	MaxConns int    `key:"max_conns" default:"10" help:"connections to PostgreSQL"`
	Migrate  bool   `key:"migrate" default:"true" help:"apply migrations at start; false: wait until orders migrate has applied them"`

	MigrateTimeout time.Duration `key:"migrate_timeout" default:"1m" help:"time for migrations, including the wait for the database"`
}

// Payments configures the payment provider.
type Payments struct {
	URL     string        `key:"url" help:"the provider's charges endpoint; empty simulates payments"`
	Token   Secret        `key:"token" help:"the bearer token for the provider"`
	Timeout time.Duration `key:"timeout" default:"3s" help:"timeout of a call"`
	Retries int           `key:"retries" default:"2" help:"retries of a failed call"`
}

// Log configures the log.
type Log struct {
	Level  string `key:"level" default:"info" reload:"true" help:"debug, info, warn or error"`
	Format string `key:"format" default:"json" help:"json or console"`
}

// Trace configures tracing.
type Trace struct {
	Endpoint string  `key:"endpoint" help:"OTLP endpoint, as http://collector:4318, unless OTEL_EXPORTER_OTLP_ENDPOINT names it; without either nothing is traced"`
	Protocol string  `key:"protocol" help:"http/protobuf or grpc, unless OTEL_EXPORTER_OTLP_PROTOCOL names it; http/protobuf without either"`
	Ratio    float64 `key:"ratio" default:"0.1" help:"share of the traces that begin here which are recorded, unless OTEL_TRACES_SAMPLER decides"`
}

// Shutdown configures the time between SIGTERM and exit; the sum must be less than the grace period of Kubernetes.
type Shutdown struct {
	Drain   time.Duration `key:"drain" default:"5s" help:"time to keep serving while not ready, until load balancers have noticed"`
	Timeout time.Duration `key:"timeout" default:"20s" help:"time to finish running requests after that"`
}

// Path returns the SQLite file, "" for PostgreSQL.
func (d Database) Path() string {
	path, _ := strings.CutPrefix(string(d.URL), "sqlite:")
	if path == string(d.URL) {
		return ""
	}
	return path
}

// Open reports whether clients need no credentials: none are configured, or auth.mode is none.
func (c *Config) Open() bool { return c.Auth.Mode == "none" || c.APIKeys == "" && c.Auth.JWKSURL == "" }

// Validate returns all problems, joined.
func (c *Config) Validate() error {
	var errs []error
	check := func(ok bool, key, message string) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s: %s", key, message))
		}
	}
	check(hostPort(c.HTTP.Addr), "http.addr", "must be host:port, as 127.0.0.1:8080")
	check(hostPort(c.Admin.Addr), "admin.addr", "must be host:port, as 127.0.0.1:8081")
	check((c.HTTP.TLSCert == "") == (c.HTTP.TLSKey == ""), "http.tls_cert", "must be set together with http.tls_key")
	if c.HTTP.TLSCert != "" && c.HTTP.TLSKey != "" {
		_, err := tls.LoadX509KeyPair(c.HTTP.TLSCert, c.HTTP.TLSKey)
		check(err == nil, "http.tls_cert", fmt.Sprint(err))
	}
	check(c.HTTP.MaxBody >= 1024, "http.max_body", "must be at least 1024")
	check(c.HTTP.MaxInFlight > 0, "http.max_in_flight", "must be positive")
	check(c.HTTP.MaxConns >= 16, "http.max_connections", "must be at least 16")
	for _, network := range c.HTTP.Proxies {
		_, err := netip.ParsePrefix(network)
		check(err == nil, "http.trusted_proxies", fmt.Sprintf("%q is not a network, as 10.0.0.0/8", network))
	}
	check(c.HTTP.Timeout > 0, "http.timeout", "must be positive")
	check(c.HTTP.PayTimeout > 0, "http.pay_timeout", "must be positive")
	for _, origin := range c.HTTP.CORSOrigins {
		err := http.NewCrossOriginProtection().AddTrustedOrigin(origin) // httpapi trusts them that way
		check(err == nil, "http.cors_origins", fmt.Sprintf("%q is not an origin, as https://shop.example", origin))
	}
	if _, err := auth.ParseKeys(string(c.APIKeys)); err != nil {
		errs = append(errs, err)
	}
	check(c.Auth.Mode == "auto" || c.Auth.Mode == "none", "auth.mode", "must be auto or none")
	check(c.Auth.Mode == "auto" || c.APIKeys == "" && c.Auth.JWKSURL == "", "auth.mode", "is none, but credentials are configured: remove either")
	check(c.Auth.JWKSURL == "" || httpURL(c.Auth.JWKSURL), "auth.jwks_url", "must be an http or https URL")
	check(c.Auth.JWKSURL == "" || c.Auth.Issuer != "" && c.Auth.Audience != "", "auth.jwks_url", "needs auth.issuer and auth.audience")
	check(c.Auth.Mode == "none" || !c.Open() || loopback(c.HTTP.Addr), "http.addr", c.HTTP.Addr+" is reachable from other machines, but no credentials are configured:"+
		" set api_keys (ORDERS_API_KEYS_FILE) or auth.jwks_url, listen on 127.0.0.1, or set auth.mode=none to allow anyone")
	check(c.Rate.Limit >= 0, "rate.limit", "must not be negative")
	check(c.Rate.Burst > 0, "rate.burst", "must be positive")
	check(c.Database.Path() != "" || postgresURL(string(c.Database.URL)), "database.url", "must be sqlite:PATH or postgres://user:password@host:port/database")
	check(c.Database.MaxConns >= 1 && c.Database.MaxConns <= 1000, "database.max_conns", "must be between 1 and 1000")
	check(c.Database.MigrateTimeout > 0, "database.migrate_timeout", "must be positive")
	check(c.Payments.URL == "" || httpURL(c.Payments.URL), "payments.url", "must be an http or https URL")
	check(c.Payments.Timeout > 0, "payments.timeout", "must be positive")
	check(c.Payments.Retries >= 0 && c.Payments.Retries <= 10, "payments.retries", "must be between 0 and 10")
	check(slices.Contains([]string{"debug", "info", "warn", "error"}, c.Log.Level), "log.level", "must be debug, info, warn or error")
	check(c.Log.Format == "json" || c.Log.Format == "console", "log.format", "must be json or console")
	check(c.Trace.Endpoint == "" || httpURL(c.Trace.Endpoint), "trace.endpoint", "must be an http or https URL")
	check(slices.Contains([]string{"", "http/protobuf", "grpc"}, c.Trace.Protocol), "trace.protocol", "must be http/protobuf or grpc")
	check(c.Trace.Ratio >= 0 && c.Trace.Ratio <= 1, "trace.ratio", "must be between 0 and 1")
	check(c.Shutdown.Drain >= 0, "shutdown.drain", "must not be negative")
	check(c.Shutdown.Timeout > 0, "shutdown.timeout", "must be positive")
	return errors.Join(errs...)
}

// TrustedProxies returns the parsed networks of trusted_proxies.
func (h HTTP) TrustedProxies() []netip.Prefix {
	networks := make([]netip.Prefix, len(h.Proxies))
	for i, network := range h.Proxies {
		networks[i] = netip.MustParsePrefix(network).Masked() // Validate has seen it
	}
	return networks
}

func hostPort(s string) bool {
	_, port, err := net.SplitHostPort(s)
	if err != nil || port == "" {
		return false
	}
	_, err = net.DefaultResolver.LookupPort(context.Background(), "tcp", port)
	return err == nil
}

func loopback(addr string) bool {
	host, _, _ := net.SplitHostPort(addr)
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func httpURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

func postgresURL(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return false
	}
	_, err = pgxpool.ParseConfig(s)
	return err == nil
}
