package pki

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestServerAndClientTrustEachOther(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []Request{
		{Name: "server", CommonName: "server", Hosts: []string{"127.0.0.1", "localhost"}},
		{Name: "client", CommonName: "admin", Organizations: []string{"system:masters"}},
	} {
		if err := ca.Issue(r); err != nil {
			t.Fatal(err)
		}
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.PEM)
	pair := func(name string) tls.Certificate {
		c, err := tls.LoadX509KeyPair(filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key"))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair("server")}, ClientCAs: roots,
		ClientAuth: tls.RequireAndVerifyClientCert})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	users := make(chan *x509.Certificate, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil || conn.(*tls.Conn).Handshake() != nil {
			close(users)
			return
		}
		users <- conn.(*tls.Conn).ConnectionState().PeerCertificates[0]
		conn.Close()
	}()
	conn, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair("client")}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if user := <-users; user == nil || user.Subject.CommonName != "admin" || user.Subject.Organization[0] != "system:masters" {
		t.Errorf("user %v", user)
	}
}

func TestIssueKeepsWhatIsGood(t *testing.T) {
	t.Parallel()
	request := Request{Name: "server", CommonName: "server", Hosts: []string{"127.0.0.1", "a.example"}}
	for _, test := range []struct {
		name   string
		change func(dir string, a *Authority, r *Request) *Authority
		renew  bool
	}{
		{"nothing changed", func(_ string, a *Authority, _ *Request) *Authority { return a }, false},
		{"hosts in another order", func(_ string, a *Authority, r *Request) *Authority {
			r.Hosts = []string{"a.example", "127.0.0.1"}
			return a
		}, false},
		{"another host", func(_ string, a *Authority, r *Request) *Authority { r.Hosts = []string{"b.example"}; return a }, true},
		{"another group", func(_ string, a *Authority, r *Request) *Authority { r.Organizations = []string{"x"}; return a }, true},
		{"eleven months later", func(_ string, a *Authority, _ *Request) *Authority {
			a.now = func() time.Time { return time.Now().Add(336 * 24 * time.Hour) }
			return a
		}, true},
		{"another authority", func(dir string, _ *Authority, _ *Request) *Authority {
			_ = os.Remove(filepath.Join(dir, "ca.crt"))
			a, err := Open(dir)
			if err != nil {
				panic(err)
			}
			return a
		}, true},
		{"a damaged file", func(dir string, a *Authority, _ *Request) *Authority {
			_ = os.WriteFile(filepath.Join(dir, "server.key"), []byte("x"), 0o600)
			return a
		}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			a, err := Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			r := request
			if err := a.Issue(r); err != nil {
				t.Fatal(err)
			}
			before, _ := os.ReadFile(filepath.Join(dir, "server.crt"))
			a = test.change(dir, a, &r)
			if err := a.Issue(r); err != nil {
				t.Fatal(err)
			}
			after, _ := os.ReadFile(filepath.Join(dir, "server.crt"))
			if renewed := string(before) != string(after); renewed != test.renew {
				t.Errorf("renewed %t, want %t", renewed, test.renew)
			}
		})
	}
}

func TestKeysArePrivate(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "pki")
	a, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.KeyPair("signer"); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, "ca.key"): 0o600, filepath.Join(dir, "signer.key"): 0o600} {
		t.Run(path, func(t *testing.T) {
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
				t.Errorf("%s: %v %v", path, info.Mode(), err)
			}
		})
	}
}
