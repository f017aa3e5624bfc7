// Package attack attacks whole instances of the service, bounded in count and time: make attack.
package attack

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"gitlab.com/slipway-ci/slipway/service/app"
	"gitlab.com/slipway-ci/slipway/service/config"
	"gitlab.com/slipway-ci/slipway/service/pgtest"
	"gitlab.com/slipway-ci/slipway/service/telemetry"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// variable says that the attacks are wanted: they take a minute, and most of the machine.
const variable = "SLIPWAY_ATTACK"

// patience is the most that a request may take that is made during an attack.
const patience = 5 * time.Second

const basket = `{"customer":"ann","currency":"EUR","items":[{"sku":"a","quantity":1,"unit_price":100}]}`

// victim is an instance that is attacked.
type victim struct {
	*app.App
	client *http.Client
}

func start(t *testing.T, settings ...string) *victim {
	t.Helper()
	if os.Getenv(variable) != "1" {
		t.Skipf("set %s=1, or run make attack", variable)
	}
	environ := append([]string{"ORDERS_HTTP_ADDR=127.0.0.1:0", "ORDERS_ADMIN_ADDR=127.0.0.1:0", "ORDERS_SHUTDOWN_DRAIN=0s", "ORDERS_SHUTDOWN_TIMEOUT=2s",
		"ORDERS_LOG_LEVEL=error", "ORDERS_DATABASE_URL=sqlite:" + filepath.Join(t.TempDir(), "orders.db")}, settings...)
	a, err := app.New(config.Source{Environ: environ}, telemetry.Build{}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	v := &victim{a, &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 10}}}
	t.Cleanup(func() {
		v.client.CloseIdleConnections()
		_ = a.Stop(context.Background()) // attackers may still hold connections
	})
	return v
}

// call makes a request and returns the status, 0 for none; headers are names and values in turn.
func (v *victim) call(t *testing.T, method, target, body string, headers ...string) (status int, answer string) {
	t.Helper()
	if strings.HasPrefix(target, "/") {
		target = "http://" + v.Addr().String() + target
	}
	r, err := http.NewRequestWithContext(context.Background(), method, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := v.client.Do(r)
	if err != nil {
		t.Log(err)
		return 0, ""
	}
	defer response.Body.Close() //nolint:errcheck // only read
	b, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(b)
}

// serves fails the test unless the instance takes an order, lists, and is ready.
func (v *victim) serves(t *testing.T) {
	t.Helper()
	if got, answer := v.call(t, http.MethodPost, "/v1/orders", basket); got != http.StatusCreated {
		t.Errorf("placing an order: %d %s", got, answer)
	}
	if got, answer := v.call(t, http.MethodGet, "/v1/orders?limit=1", ""); got != http.StatusOK {
		t.Errorf("listing: %d %s", got, answer)
	}
	if got, answer := v.call(t, http.MethodGet, "http://"+v.AdminAddr().String()+"/readyz", ""); got != http.StatusOK {
		t.Errorf("readiness: %d %s", got, answer)
	}
}

// hold opens connections, writes the beginning of something on each, and holds them until the test ends.
func (v *victim) hold(t *testing.T, count int, beginning string) {
	t.Helper()
	for range count {
		conn, err := net.DialTimeout("tcp", v.Addr().String(), patience)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_, _ = io.WriteString(conn, beginning) // it may have been closed to make room
	}
}

func TestAttackSlowBodies(t *testing.T) {
	v := start(t)
	v.hold(t, 256, "POST /v1/orders HTTP/1.1\r\nHost: orders\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
	for range 5 {
		v.serves(t)
	}
}

func TestAttackIdleConnections(t *testing.T) {
	v := start(t, "ORDERS_HTTP_MAX_CONNECTIONS=500", "ORDERS_RATE_LIMIT=0")
	v.hold(t, 2000, "GET /v1/orders HTTP/1.1\r\nHost: orders\r\n\r\n")
	v.serves(t)
	_, metrics := v.call(t, http.MethodGet, "http://"+v.AdminAddr().String()+"/metrics", "")
	var connections float64
	for line := range strings.Lines(metrics) {
		if _, err := fmt.Sscanf(line, "http_connections %g", &connections); err == nil {
			break
		}
	}
	if connections == 0 || connections > 500 {
		t.Errorf("%g connections, want 500 at most", connections)
	}
}

func TestAttackForwardedAddresses(t *testing.T) {
	v := start(t, "ORDERS_HTTP_TRUSTED_PROXIES=127.0.0.0/8", "ORDERS_RATE_LIMIT=0.001", "ORDERS_RATE_BURST=3")
	refused := 0
	for i := range 10 { // an attacker forges another address each time; the proxy appends the real one
		if got, _ := v.call(t, http.MethodGet, "/v1/orders", "", "X-Forwarded-For", fmt.Sprintf("203.0.113.%d, 198.51.100.1", i)); got == http.StatusTooManyRequests {
			refused++
		}
	}
	if refused != 7 {
		t.Errorf("of 10 requests of an attacker 7 must be refused, not %d", refused)
	}
	if got, _ := v.call(t, http.MethodGet, "/v1/orders", "", "X-Forwarded-For", "198.51.100.2"); got != http.StatusOK {
		t.Errorf("another client behind the proxy is answered %d", got)
	}
}

func TestAttackPoisonCharges(t *testing.T) {
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		if strings.Contains(string(b), `"poison"`) {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		_, _ = io.WriteString(w, `{"id":"p"}`)
	}))
	t.Cleanup(provider.Close)
	v := start(t, "ORDERS_PAYMENTS_URL="+provider.URL)
	pay := func(body string) (status int, id string) {
		_, answer := v.call(t, http.MethodPost, "/v1/orders", body)
		_, rest, _ := strings.Cut(answer, `"id":"`)
		id, _, _ = strings.Cut(rest, `"`)
		status, _ = v.call(t, http.MethodPost, "/v1/orders/"+id+"/pay", "")
		return status, id
	}
	for range 20 {
		status, id := pay(strings.Replace(basket, "ann", "poison", 1))
		if status != http.StatusUnprocessableEntity {
			t.Fatalf("a charge that the provider rejects is answered %d", status)
		}
		if got, answer := v.call(t, http.MethodPost, "/v1/orders/"+id+"/cancel", ""); got != http.StatusOK {
			t.Fatalf("cancelling it: %d %s", got, answer)
		}
	}
	if status, _ := pay(basket); status != http.StatusOK {
		t.Errorf("a good order after 20 poison ones is answered %d", status)
	}
}

func TestAttackHangingIssuer(t *testing.T) {
	release := make(chan struct{})
	issuer := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(issuer.Close)
	t.Cleanup(func() { close(release) })
	const key = "key-of-the-shop-1"
	v := start(t, "ORDERS_AUTH_JWKS_URL="+issuer.URL, "ORDERS_AUTH_ISSUER=i", "ORDERS_AUTH_AUDIENCE=orders", "ORDERS_API_KEYS=shop "+key+" orders:read")
	const madeUp = "eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ.e30.AAAA" // {"alg":"RS256","kid":"x"}
	var attackers sync.WaitGroup
	defer attackers.Wait()
	for range 100 {
		attackers.Go(func() { v.call(t, http.MethodGet, "/v1/orders", "", "Authorization", "Bearer "+madeUp) })
	}
	for range 20 {
		if got, answer := v.call(t, http.MethodGet, "/v1/orders", "", "X-API-Key", key); got != http.StatusOK {
			t.Fatalf("a client with a key is answered %d %s", got, answer)
		}
	}
}

func TestAttackMillionRows(t *testing.T) {
	if os.Getenv(variable) != "1" {
		t.Skipf("set %s=1, or run make attack", variable)
	}
	url := pgtest.Database(t)
	v := start(t, "ORDERS_DATABASE_URL="+url, "ORDERS_RATE_LIMIT=0")
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background()) //nolint:errcheck // the test is over
	if _, err := conn.Exec(t.Context(), `INSERT INTO orders SELECT gen_random_uuid(), 'c' || n % 1000, 'EUR', '', '[]', 1, 'pending', '', 0, 1,
		now() - n * interval '1 second', now() FROM generate_series(1, 1000000) n; `); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "ANALYZE orders"); err != nil {
		t.Fatal(err)
	}
	end := time.Now().Add(10 * time.Second)
	var clients sync.WaitGroup
	defer clients.Wait()
	for i := range 40 {
		clients.Go(func() {
			target := []string{"/v1/orders?created_before=2001-01-01T00:00:00Z", "/v1/orders?status=pending&created_before=2021-01-01T00:00:00Z",
				"/v1/orders?customer=c7&status=paid", "/v1/orders?customer=c7&created_from=2021-01-01T00:00:00Z"}[i%4]
			for time.Now().Before(end) {
				if got, answer := v.call(t, http.MethodGet, target, ""); got != http.StatusOK {
					t.Errorf("%s: %d %s", target, got, answer)
					return
				}
			}
		})
	}
	for time.Now().Before(end) {
		v.serves(t)
		time.Sleep(200 * time.Millisecond)
	}
}
