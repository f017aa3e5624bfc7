package executor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// serviceTimeout is how long a service may take to listen: GitLab Runner's default for wait_for_services_timeout.
const serviceTimeout = 30 * time.Second

// startServices starts the job's services and waits until they listen.
func (s *containerSession) startServices(ctx context.Context) error {
	if s.ownNetwork() {
		if _, err := s.run(ctx, "network", "create", s.name("network")); err != nil {
			return fmt.Errorf("network for the services: %w", err)
		}
	}
	for i, service := range s.job.Services {
		if err := s.pull(ctx, service); err != nil {
			return err
		}
		if err := s.startService(ctx, i, service); err != nil {
			return fmt.Errorf("service %s: %w", service.Name, err)
		}
		s.job.Logf("Service %s", service.Name)
	}
	for i, service := range s.job.Services {
		if err := s.waitForService(ctx, i, service); err != nil {
			// As with GitLab's runner, the job runs anyway.
			s.job.Logf("WARNING: the service %s probably did not start properly: %v", service.Name, err)
			s.showLog(ctx, i)
		}
	}
	return ctx.Err()
}

func (s *containerSession) startService(ctx context.Context, i int, service Image) error {
	args := append([]string{"run", "--detach", "--name", s.service(i)}, s.settings()...)
	if s.network() != "host" {
		for _, alias := range aliases(service.Name, service.Alias) {
			args = append(args, "--network-alias", alias)
		}
	}
	file := filepath.Join(s.job.Scripts, fmt.Sprintf("service-%d.env", i))
	if err := os.WriteFile(file, []byte(environmentFile(s.serviceVariables(service))), 0o600); err != nil {
		return err
	}
	args = append(args, "--env-file", file)
	_, err := s.run(ctx, append(args, service.args(service.Command...)...)...)
	return err
}

func (s *containerSession) serviceVariables(service Image) map[string]string {
	variables := maps.Clone(s.job.Variables)
	maps.Copy(variables, service.Variables)
	return variables
}

// environmentFile is what --env-file reads; it has no form for values with line breaks.
func environmentFile(variables map[string]string) string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(variables)) {
		if !strings.ContainsAny(variables[key], "\r\n") {
			fmt.Fprintf(&b, "%s=%s\n", key, variables[key])
		}
	}
	return b.String()
}

// listens waits until a process in its network namespace listens on one of the ports in the arguments, four hexadecimal digits each;
// not only on the loopback interface, where other containers cannot reach it. It only needs a POSIX shell.
const listens = `while :; do
  for table in /proc/net/tcp /proc/net/tcp6; do
    [ -r $table ] || continue
    while read -r number address remote state rest; do
      [ "$state" = 0A ] || continue
      case $address in 0100007F:* | 00000000000000000000000001000000:*) continue ;; esac
      for port; do
        case $address in *:$port) exit 0 ;; esac
      done
    done <$table
  done
  sleep 0.1 2>/dev/null || sleep 1
done`

// waitForService waits until a service listens on the port in HEALTHCHECK_TCP_PORT, or else on the lowest port that its image exposes.
// It does not wait for services that expose none. The wait happens in a container of the job's image that shares the service's
// network, so it works wherever the engine runs its containers.
func (s *containerSession) waitForService(ctx context.Context, i int, service Image) error {
	port, err := s.port(ctx, service)
	if err != nil || port == 0 {
		return err
	}
	waiting, cancel := context.WithTimeout(ctx, serviceTimeout)
	defer cancel()
	args := []string{"run", "--rm", "--name", s.waiter(i), "--network", "container:" + s.service(i)}
	waiter := *s.job.Image
	waiter.Entrypoint = []string{"sh"}
	_, err = s.run(waiting, append(args, waiter.args("-c", listens, "listens", fmt.Sprintf("%04X", port))...)...)
	if ctx.Err() == nil && waiting.Err() != nil {
		s.remove(ctx, s.waiter(i))
		return fmt.Errorf("nothing listens on port %d after %s", port, serviceTimeout)
	}
	if err != nil {
		if running, inspectErr := s.run(ctx, "inspect", "--format", "{{.State.Running}}", s.service(i)); inspectErr == nil && running == "false" {
			return errors.New("it has ended")
		}
	}
	return err
}

func (s *containerSession) waiter(i int) string { return s.name(fmt.Sprintf("wait-%d", i)) }

// port returns the TCP port on which a service should listen; 0 if that is unknown.
func (s *containerSession) port(ctx context.Context, service Image) (int, error) {
	if given := s.serviceVariables(service)["HEALTHCHECK_TCP_PORT"]; given != "" {
		port, err := strconv.ParseUint(given, 10, 16)
		if err != nil {
			return 0, fmt.Errorf("HEALTHCHECK_TCP_PORT is %q, which is not a port", given)
		}
		return int(port), nil
	}
	text, err := s.run(ctx, "image", "inspect", "--format", "{{json .Config.ExposedPorts}}", service.Name)
	if err != nil {
		return 0, err
	}
	var exposed map[string]any
	if json.Unmarshal([]byte(text), &exposed) != nil {
		return 0, nil //nolint:nilerr // docker prints nothing, or null, for an image that exposes no port
	}
	lowest := 0
	for name := range exposed {
		number, protocol, _ := strings.Cut(name, "/")
		if port, err := strconv.Atoi(number); err == nil && (protocol == "" || protocol == "tcp") && (lowest == 0 || port < lowest) {
			lowest = port
		}
	}
	return lowest, nil
}

// showLog copies the end of a service's log to the job's.
func (s *containerSession) showLog(ctx context.Context, i int) {
	log, err := s.run(ctx, "logs", "--tail", "20", s.service(i))
	if err != nil {
		return
	}
	for line := range strings.Lines(log) {
		s.job.Logf("| %s", strings.TrimRight(line, "\r\n"))
	}
}

// aliases returns the host names of a service: of its image without tag, with / as "__" and as "-", and the given ones.
func aliases(name, given string) []string {
	name, _, _ = strings.Cut(name, "@")
	if colon := strings.LastIndexByte(name, ':'); colon > strings.LastIndexByte(name, '/') {
		name = name[:colon]
	}
	// A port in the registry's name cannot be in a host name.
	if host, rest, found := strings.Cut(name, "/"); found {
		host, _, _ = strings.Cut(host, ":")
		name = host + "/" + rest
	}
	all := []string{strings.ReplaceAll(name, "/", "__"), strings.ReplaceAll(name, "/", "-")}
	all = append(all, strings.FieldsFunc(given, func(r rune) bool { return r == ',' || r == ' ' })...)
	slices.Sort(all)
	return slices.Compact(all)
}
