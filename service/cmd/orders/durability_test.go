package main_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gitlab.com/slipway-ci/slipway/service/api"
	"gitlab.com/slipway-ci/slipway/service/pgtest"
	"gitlab.com/slipway-ci/slipway/service/testlog"
)

// instance is the program, running.
type instance struct {
	command        *exec.Cmd
	url            string
	stdout, stderr testlog.Buffer
}

var address = regexp.MustCompile(`"http":"([^"]+)"`)

func start(t *testing.T, environ ...string) *instance {
	t.Helper()
	return launch(t, program, environ...)
}

// launch starts a version of the program.
func launch(t *testing.T, program string, environ ...string) *instance {
	t.Helper()
	i := &instance{command: exec.Command(program)} // #nosec G204 -- our own program
	i.command.Env = append([]string{"ORDERS_HTTP_ADDR=127.0.0.1:0", "ORDERS_ADMIN_ADDR=127.0.0.1:0", "ORDERS_RATE_LIMIT=0", "ORDERS_HTTP_TIMEOUT=1m",
		"ORDERS_SHUTDOWN_DRAIN=0s"}, environ...)
	i.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	i.command.Stdout, i.command.Stderr = &i.stdout, &i.stderr
	if err := i.command.Start(); err != nil {
		t.Fatal(err)
	}
	testlog.Eventually(t, "serving", func() bool {
		if m := address.FindStringSubmatch(i.stdout.String()); m != nil {
			i.url = "http://" + m[1]
		}
		return i.url != "" || i.stderr.String() != ""
	})
	if i.url == "" {
		t.Fatalf("it does not serve: %s", i.stderr.String())
	}
	return i
}

func (i *instance) kill(t *testing.T) {
	t.Helper()
	if err := i.command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = i.command.Wait() // says "killed"
}

// place asks for an order under a key and returns its id.
func (i *instance) place(client *http.Client, key string) (id string, err error) {
	body := fmt.Sprintf(`{"customer":"ann","currency":"EUR","note":%q,"items":[{"sku":"a","quantity":1,"unit_price":1}]}`, key)
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, i.url+"/v1/orders", strings.NewReader(body))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Idempotency-Key", key)
	response, err := client.Do(r)
	if err != nil {
		return "", err
	}
	defer response.Body.Close() //nolint:errcheck // it is read
	var o api.Order
	if err := json.NewDecoder(response.Body).Decode(&o); err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusCreated {
		return "", fmt.Errorf("status %s", response.Status)
	}
	return o.Id, nil
}

// orders returns the ids of all orders by their notes, which are the keys that they were placed with.
func (i *instance) orders(t *testing.T, client *http.Client) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	for target := i.url + "/v1/orders?limit=100"; target != ""; {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		var page api.OrderPage
		err = json.NewDecoder(response.Body).Decode(&page)
		_ = response.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Orders {
			found[o.Note] = append(found[o.Note], o.Id)
		}
		target = ""
		if page.Next != nil {
			target = i.url + "/v1/orders?limit=100&cursor=" + *page.Next
		}
	}
	return found
}

// TestKill kills the program under load, again and again. After a restart every acknowledged order
// exists exactly once, and the others can be requested again without being placed twice.
func TestKill(t *testing.T) {
	t.Parallel()
	for name, database := range map[string]func(*testing.T) string{
		"sqlite":   func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "orders.db") },
		"postgres": func(t *testing.T) string { return pgtest.Database(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			killUnderLoad(t, "ORDERS_DATABASE_URL="+database(t))
		})
	}
}

func killUnderLoad(t *testing.T, environ string) {
	const kills, clients, perRound = 4, 8, 25
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}, Timeout: testlog.Patience}
	defer client.CloseIdleConnections()
	acknowledged, open := map[string]string{}, map[string]bool{}
	for round := range kills {
		i := start(t, environ)
		var mu sync.Mutex
		var load sync.WaitGroup
		for c := range clients {
			load.Go(func() {
				for n := 0; ; n++ {
					key := fmt.Sprintf("%d-%d-%d", round, c, n)
					id, err := i.place(client, key)
					mu.Lock()
					if err != nil {
						open[key] = true
						mu.Unlock()
						return
					}
					acknowledged[key] = id
					mu.Unlock()
				}
			})
		}
		for begun := time.Now(); time.Since(begun) < testlog.Patience; time.Sleep(10 * time.Millisecond) {
			mu.Lock()
			enough := len(acknowledged) >= (round+1)*perRound
			mu.Unlock()
			if enough {
				break
			}
		}
		time.Sleep(rand.N(50 * time.Millisecond)) // anywhere between two orders
		i.kill(t)
		load.Wait()
	}
	if len(acknowledged) < kills*perRound {
		t.Fatalf("only %d orders were acknowledged: that is no load", len(acknowledged))
	}
	i := start(t, environ)
	defer i.kill(t)
	for key := range open {
		for range 2 {
			id, err := i.place(client, key)
			if err != nil {
				t.Fatal(err)
			}
			if earlier, ok := acknowledged[key]; ok && earlier != id {
				t.Errorf("the key %s names %s and %s", key, earlier, id)
			}
			acknowledged[key] = id
		}
	}
	found := i.orders(t, client)
	for key, id := range acknowledged {
		if ids := found[key]; len(ids) != 1 || ids[0] != id {
			t.Errorf("the order %s, acknowledged as %s, is there as %v", key, id, ids)
		}
	}
	if len(found) != len(acknowledged) {
		t.Errorf("%d orders are there, %d were acknowledged", len(found), len(acknowledged))
	}
	t.Logf("%d orders, %d of them not acknowledged before a kill", len(acknowledged), len(open))
}

// TestSignals ends the program with one signal, as Kubernetes does, and with two.
func TestSignals(t *testing.T) {
	t.Parallel()
	i := start(t, "ORDERS_DATABASE_URL=sqlite:"+filepath.Join(t.TempDir(), "orders.db"))
	if err := i.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := i.command.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
	i = start(t, "ORDERS_DATABASE_URL=sqlite:"+filepath.Join(t.TempDir(), "orders.db"), "ORDERS_SHUTDOWN_DRAIN=1m")
	for _, signal := range []os.Signal{syscall.SIGTERM, syscall.SIGHUP, os.Interrupt} { // a reload is no reason to exit
		if err := i.command.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		i.stdout.Wait(t, "draining")
	}
	if err := i.command.Wait(); err == nil || i.command.ProcessState.ExitCode() != 1 {
		t.Errorf("after a second signal: %v", err)
	}
	if !strings.Contains(i.stderr.String(), "a second signal") {
		t.Errorf("stderr: %s", i.stderr.String())
	}
}
