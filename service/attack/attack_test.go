// Package attack attacks whole instances of the service, bounded in count and time: make attack.
package attack

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/jackc/pgx/v5"

	"gitlab.com/slipway-ci/slipway/service/pgtest"
)

// variable enables the attacks, which take a minute and most of the machine.
const variable = "SLIPWAY_ATTACK"

// patience is the most that a request may take that is made during an attack.
const patience = 5 * time.Second

const basket = `{"customer":"ann","currency":"EUR","items":[{"sku":"a","quantity":1,"unit_price":100}]}`

// memoryLimit is that of the container in k8s/base, in bytes.
const memoryLimit = 96 << 20

// program is the service, built once.
var program string

func TestMain(m *testing.M) { pgtest.Main(withProgram{m}) }

type withProgram struct{ m *testing.M }

// Run implements the interface of [pgtest.Main].
func (p withProgram) Run() int {
	if os.Getenv(variable) != "1" {
		return p.m.Run()
	}
	folder, err := os.MkdirTemp("", "attack")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(folder) //nolint:errcheck // a temporary folder
	program = filepath.Join(folder, "orders")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, "../cmd/orders") // #nosec G204 -- our own arguments
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
		return 1
	}
	return p.m.Run()
}

// victim is the program, attacked.
type victim struct {
	process       *exec.Cmd
	limited       bool   // to the memory of its container
	public, admin string // URLs
	client        *http.Client
	mu            sync.Mutex
	slowest       time.Duration // of the requests that were made during the attack
}

var addresses = regexp.MustCompile(`"http":"([^"]+)","admin":"([^"]+)"`)

// start starts the program within the memory limit of its container, if this machine allows it.
func start(t *testing.T, settings ...string) *victim {
	t.Helper()
	if os.Getenv(variable) != "1" {
		t.Skipf("set %s=1, or run make attack", variable)
	}
	group := cgroup(t)
	command := exec.Command("sh", "-c", `[ -z "$CGROUP" ] || echo $$ >"$CGROUP/cgroup.procs"; exec "$0"`, program) // #nosec G204 -- our own program
	command.Env = append([]string{"CGROUP=" + group, "ORDERS_HTTP_ADDR=127.0.0.1:0", "ORDERS_ADMIN_ADDR=127.0.0.1:0", "ORDERS_SHUTDOWN_DRAIN=0s",
		"ORDERS_DATABASE_URL=sqlite:" + filepath.Join(t.TempDir(), "orders.db")}, settings...)
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	command.Stderr = os.Stderr
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	v := &victim{process: command, limited: group != "", client: &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 10}}}
	t.Cleanup(func() {
		v.client.CloseIdleConnections()
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if m := addresses.FindStringSubmatch(lines.Text()); m != nil {
			v.public, v.admin = "http://"+m[1], "http://"+m[2]
			go func() { _, _ = io.Copy(io.Discard, stdout) }() // it must not wait for a reader
			return v
		}
	}
	t.Fatal("it does not serve")
	return nil
}

// cgroup returns a control group with the memory limit, version 2 or 1; "" if this process may not create one.
func cgroup(t *testing.T) string {
	t.Helper()
	for _, version := range []struct{ root, limit string }{{"/sys/fs/cgroup", "memory.max"}, {"/sys/fs/cgroup/memory", "memory.limit_in_bytes"}} {
		folder := filepath.Join(version.root, fmt.Sprintf("slipway-attack-%d-%s", os.Getpid(), strings.ToLower(t.Name())))
		if os.Mkdir(folder, 0o755) != nil { // #nosec G301 -- not a folder on a disk
			continue
		}
		// The cleanups run in reverse: the program has ended by then.
		t.Cleanup(func() { _ = os.Remove(folder) })
		if os.WriteFile(filepath.Join(folder, version.limit), []byte(strconv.Itoa(memoryLimit)), 0o600) == nil {
			return folder
		}
	}
	return ""
}

// withinMemory fails the test when the program has needed more memory than its container has, and logs the figures. Pages of
// files, as of the program itself, do not count: the kernel takes them back when memory is scarce.
func (v *victim) withinMemory(t *testing.T) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", v.process.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	var peak, files int // KiB
	for field, value := range map[string]*int{"VmHWM:": &peak, "RssFile:": &files} {
		_, rest, _ := strings.Cut(string(b), field)
		if _, err := fmt.Sscan(rest, value); err != nil {
			t.Fatal(err)
		}
	}
	limited := "no control group"
	if v.limited {
		limited = "a control group of 96 MiB"
	}
	t.Logf("in %s: peak memory %d MiB, and %d MiB of files; slowest request %v", limited, (peak-files)>>10, files>>10, v.slowest.Round(time.Millisecond))
	if (peak-files)<<10 > memoryLimit {
		t.Error("it has used more memory than its container has")
	}
}

// call makes a request and returns the status, 0 for none; headers are names and values in turn.
func (v *victim) call(t *testing.T, method, target, body string, headers ...string) (status int, answer string) {
	t.Helper()
	if strings.HasPrefix(target, "/") {
		target = v.public + target
	}
	r, err := http.NewRequestWithContext(context.Background(), method, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	begun := time.Now()
	response, err := v.client.Do(r)
	if err != nil {
		t.Log(err)
		return 0, ""
	}
	defer response.Body.Close() //nolint:errcheck // only read
	b, _ := io.ReadAll(response.Body)
	v.mu.Lock()
	v.slowest = max(v.slowest, time.Since(begun))
	v.mu.Unlock()
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
	if got, answer := v.call(t, http.MethodGet, v.admin+"/readyz", ""); got != http.StatusOK {
		t.Errorf("readiness: %d %s", got, answer)
	}
}

// hold opens connections, writes the beginning of something on each, waits for an answer to a whole request, and holds them
// until the test ends.
func (v *victim) hold(t *testing.T, count int, beginning string, whole bool) {
	t.Helper()
	for range count {
		conn, err := net.DialTimeout("tcp", strings.TrimPrefix(v.public, "http://"), patience)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_, _ = io.WriteString(conn, beginning) // it may have been closed to make room
		if whole {
			_, _ = conn.Read(make([]byte, 1<<12))
		}
	}
}

func TestAttackSlowBodies(t *testing.T) {
	v := start(t)
	v.hold(t, 256, "POST /v1/orders HTTP/1.1\r\nHost: orders\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", false)
	for range 5 {
		v.serves(t)
	}
	v.withinMemory(t)
}

func TestAttackIdleConnections(t *testing.T) {
	v := start(t, "ORDERS_RATE_LIMIT=0")
	const count = 10_000
	v.hold(t, count, "GET /v1/orders HTTP/1.1\r\nHost: orders\r\n\r\n", true)
	for range 5 {
		v.serves(t)
	}
	_, metrics := v.call(t, http.MethodGet, v.admin+"/metrics", "")
	var connections int
	for line := range strings.Lines(metrics) {
		if _, err := fmt.Sscanf(line, "http_connections %d", &connections); err == nil {
			break
		}
	}
	t.Logf("of %d connections %d are held", count, connections)
	if most := 1024; connections == 0 || connections > most {
		t.Errorf("%d connections, want %d at most", connections, most)
	}
	v.withinMemory(t)
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

// TestAttackHangingIssuer lets the issuer hang once its keys are known, and sends tokens with made-up keys, which only it could
// recognize: valid tokens do not wait.
func TestAttackHangingIssuer(t *testing.T) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: private.Public(), KeyID: "k", Use: "sig"}}})
	if err != nil {
		t.Fatal(err)
	}
	var hang atomic.Bool
	release := make(chan struct{})
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if hang.Load() {
			<-release
		}
		_, _ = w.Write(keys)
	}))
	t.Cleanup(issuer.Close)
	t.Cleanup(func() { close(release) })
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: private, KeyID: "k"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(map[string]any{"iss": "i", "aud": "orders", "sub": "ann", "scope": "orders:read",
		"exp": time.Now().Add(time.Hour).Unix()}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	const key, attackers = "key-of-the-shop-1", 100
	v := start(t, "ORDERS_AUTH_JWKS_URL="+issuer.URL, "ORDERS_AUTH_ISSUER=i", "ORDERS_AUTH_AUDIENCE=orders", "ORDERS_API_KEYS=shop "+key+" orders:read", "ORDERS_RATE_LIMIT=0")
	if got, answer := v.call(t, http.MethodGet, "/v1/orders", "", "Authorization", "Bearer "+token); got != http.StatusOK {
		t.Fatalf("a valid token: %d %s", got, answer)
	}
	hang.Store(true)
	const madeUp = "eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ.e30.AAAA" // {"alg":"RS256","kid":"x"}
	attack := &victim{public: v.public, client: &http.Client{Timeout: patience}}
	var all sync.WaitGroup
	var stop atomic.Bool
	defer all.Wait()
	defer stop.Store(true)
	for range attackers {
		all.Go(func() {
			for !stop.Load() {
				if got, _ := attack.call(t, http.MethodGet, "/v1/orders", "", "Authorization", "Bearer "+madeUp); got != http.StatusUnauthorized && got != http.StatusServiceUnavailable {
					t.Errorf("a made-up token is answered %d", got)
					return
				}
			}
		})
	}
	for range 100 {
		for _, header := range [][]string{{"X-API-Key", key}, {"Authorization", "Bearer " + token}} {
			if got, answer := v.call(t, http.MethodGet, "/v1/orders", "", header...); got != http.StatusOK {
				t.Fatalf("%s: %d %s", header[0], got, answer)
			}
		}
	}
	v.withinMemory(t)
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
	v.withinMemory(t)
}
