package rollout

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// The lock is a Lease (coordination.k8s.io) that its holder renews. Every change of it names the resource version that was seen, so of
// two that try, one is refused by the API server. Clocks are not compared: a holder is alive if the lease changes while one looks.

type lease struct {
	APIVersion string    `json:"apiVersion"`
	Kind       string    `json:"kind"`
	Metadata   meta      `json:"metadata"`
	Spec       leaseSpec `json:"spec"`
}

type leaseSpec struct {
	HolderIdentity       string `json:"holderIdentity"`
	LeaseDurationSeconds int    `json:"leaseDurationSeconds,omitempty"`
	RenewTime            string `json:"renewTime,omitempty"`
}

// errLost is why the work ends when another job has taken the lock: this one did not renew it in time.
var errLost = errors.New("another job has taken the lock, since this one did not renew it in time; it is left to that one what is deployed")

func (s *Service) leaseName() string { return s.Name + "-deploy" }

func (s *Service) leaseTime() time.Duration {
	if s.Lease > 0 {
		return s.Lease
	}
	return 15 * time.Second
}

// locked does the work while it holds the lock.
func (s *Service) locked(ctx context.Context, work func(context.Context) error) error {
	// The same job, run again, is another holder.
	s.holder = s.Holder + " (" + rand.Text()[:8] + ")"
	if err := s.acquire(ctx); err != nil {
		return err
	}
	working, lost := context.WithCancelCause(ctx)
	renewed := make(chan struct{})
	go func() {
		defer close(renewed)
		s.renew(working, lost)
	}()
	err := work(working)
	lost(nil)
	<-renewed
	// A job that was cancelled gives the lock back, too.
	final, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if held, ok, err := s.mine(final); err == nil && ok {
		held.Spec.HolderIdentity, held.Spec.RenewTime = "", ""
		_ = s.replace(final, held)
	}
	return err
}

// acquire takes the lock, or returns a *Refusal that names who has it.
func (s *Service) acquire(ctx context.Context) error {
	err := s.quiet(ctx, "create", s.newLease())
	if err == nil {
		return nil
	}
	if !says(err, "AlreadyExists", "already exists") {
		return fmt.Errorf("take the lock: %w", err)
	}
	var since time.Time
	seen := ""
	for {
		held, err := s.lease(ctx)
		if err != nil {
			return fmt.Errorf("take the lock: %w", err)
		}
		holder := held.Spec.HolderIdentity
		switch {
		case holder == s.holder: // our own create, whose answer was lost
			return nil
		case seen != "" && held.Metadata.ResourceVersion != seen && holder != "":
			return &Refusal{What: fmt.Sprintf("Another job deploys %s to %s at this moment: %s", s.Name, s.Namespace, holder), Fix: "run this job again when that one has ended"}
		case holder == "" || seen != "" && time.Since(since) > s.leaseTime():
			if holder != "" {
				fmt.Fprintf(s.Out, "The job that held the lock is gone: %s. Going on in its place.\n", holder)
			}
			next := s.newLease()
			next.Metadata.ResourceVersion = held.Metadata.ResourceVersion
			if err := s.replace(ctx, next); err == nil {
				return nil
			} else if !says(err, "Conflict", "has been modified") {
				return fmt.Errorf("take the lock: %w", err)
			}
			seen = held.Metadata.ResourceVersion // somebody was faster
		case seen == "":
			seen, since = held.Metadata.ResourceVersion, time.Now()
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(s.leaseTime() / 15):
		}
	}
}

// renew keeps the lock until ctx ends. An API server that does not answer takes the lock from nobody.
func (s *Service) renew(ctx context.Context, lost context.CancelCauseFunc) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(s.leaseTime() / 4):
		}
		held, ok, err := s.mine(ctx)
		if err != nil {
			continue
		}
		if !ok {
			lost(errLost)
			return
		}
		held.Spec.RenewTime = now()
		_ = s.replace(ctx, held)
	}
}

// mine reads the lock; ok is false if another holds it.
func (s *Service) mine(ctx context.Context) (held lease, ok bool, err error) {
	held, err = s.lease(ctx)
	return held, err == nil && held.Spec.HolderIdentity == s.holder, err
}

func (s *Service) newLease() lease {
	return lease{"coordination.k8s.io/v1", "Lease", meta{Name: s.leaseName(), Labels: map[string]string{instanceLabel: s.Name}},
		leaseSpec{s.holder, int(max(time.Second, s.leaseTime()).Seconds()), now()}}
}

// now is as metav1.MicroTime has it.
func now() string { return time.Now().UTC().Format("2006-01-02T15:04:05.000000Z") }

func (s *Service) lease(ctx context.Context) (l lease, err error) {
	out, err := s.read(ctx, "get", "leases.coordination.k8s.io/"+s.leaseName(), "--output", "json")
	if err != nil {
		return l, err
	}
	return l, json.Unmarshal(out, &l)
}

func (s *Service) replace(ctx context.Context, l lease) error { return s.quiet(ctx, "replace", l) }

// quiet runs a command on an object and prints nothing.
func (s *Service) quiet(ctx context.Context, command string, o any) error {
	text, err := json.Marshal(o)
	if err != nil {
		return err
	}
	return s.kubectl(ctx, text, io.Discard, command, "--filename", "-")
}
