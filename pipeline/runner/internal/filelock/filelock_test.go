package filelock

import (
	"context"
	"path/filepath"
	"testing"
	"time"
)

func TestLock(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "deep", "lock")
	first, err := Try(path, true)
	if err != nil || first == nil {
		t.Fatalf("first: %v, %v", first, err)
	}
	if err := first.Write("a long holder"); err != nil {
		t.Fatal(err)
	}
	if err := first.Write("holder"); err != nil {
		t.Fatal(err)
	}
	if holder, err := first.Holder(); holder != "holder" || err != nil {
		t.Errorf("holder %q, %v", holder, err)
	}
	for _, exclusive := range []bool{true, false} {
		if second, err := Try(path, exclusive); second != nil || err != nil {
			t.Errorf("a second one (exclusive %v) got it: %v, %v", exclusive, second, err)
		}
	}
	busy := make(chan struct{})
	got := make(chan error)
	go func() {
		l, err := Wait(context.Background(), path, true, func() { close(busy) })
		l.Unlock()
		got <- err
	}()
	<-busy
	first.Unlock()
	if err := <-got; err != nil {
		t.Error(err)
	}
}

func TestShared(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	first, err := Try(path, false)
	if err != nil || first == nil {
		t.Fatal(err)
	}
	defer first.Unlock()
	second, err := Try(path, false)
	if err != nil || second == nil {
		t.Fatal("readers exclude each other")
	}
	defer second.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if l, err := Wait(ctx, path, true, nil); l != nil || err == nil {
		t.Errorf("a writer came in: %v, %v", l, err)
	}
}

func TestNil(t *testing.T) {
	t.Parallel()
	var none *Lock
	none.Unlock()
}
