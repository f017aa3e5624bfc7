package consumers

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/pipelinetest"
	"gitlab.com/slipway-ci/slipway/test/outside"
)

// machines is the folder with the files that administrators install on machines.
var machines = filepath.Join(root, "machines")

// TestMachineScripts runs shellcheck on the programs of hosts and balancers.
func TestMachineScripts(t *testing.T) {
	t.Parallel()
	outside.Program(t, "shellcheck", "SHELLCHECK", "apt-get install shellcheck")
	for _, name := range []string{"host", "balancer", "setup"} {
		if out, err := exec.CommandContext(t.Context(), "shellcheck", "--shell=sh", "--format=gcc", filepath.Join(machines, name)).CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
}

// TestMachineUnit checks that systemd accepts every line of the unit, and how much of the machine the service is exposed to.
func TestMachineUnit(t *testing.T) {
	t.Parallel()
	outside.Program(t, "systemd-analyze", "SYSTEMD", "apt-get install systemd")
	unit, err := os.ReadFile(filepath.Join(machines, "orders.service"))
	if err != nil {
		t.Fatal(err)
	}
	// systemd-analyze checks that the binary exists.
	text := strings.Replace(string(unit), "ExecStart=/opt/orders/current/orders", "ExecStart=/bin/true", 1)
	analyze := func(text string, args ...string) (string, error) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "orders.service")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), "systemd-analyze", append(args, path)...).CombinedOutput()
		return string(out), err
	}
	if out, err := analyze(text, "verify"); err != nil || strings.TrimSpace(out) != "" {
		t.Errorf("verify: %v\n%s", err, out)
	}
	if out, _ := analyze(strings.Replace(text, "NoNewPrivileges=", "NoNewPrivilege=", 1), "verify"); !strings.Contains(out, "'NoNewPrivilege'") {
		t.Errorf("verify does not report a misspelt key:\n%s", out)
	}
	// The exposure level times ten, from 0 (best) to 100. Units without any sandboxing have 96.
	security := []string{"security", "--offline=true", "--threshold=15"}
	if out, err := analyze(text, security...); err != nil {
		t.Errorf("security: %v\n%s", err, out)
	}
	var bare []string
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "Restrict") && !strings.HasPrefix(line, "Protect") && !strings.HasPrefix(line, "SystemCall") {
			bare = append(bare, line)
		}
	}
	if out, err := analyze(strings.Join(bare, ""), security...); err == nil {
		t.Errorf("security accepts the unit without half of its sandbox:\n%s", out)
	}
}

// TestMachineChecks checks that deployments to machines and by commits have the same conditions as those to a cluster, and that each of them refuses.
func TestMachineChecks(t *testing.T) {
	t.Parallel()
	const checks = "four_eyes: approval, verify_key: cosign.pub"
	p := planned(t, with("deploy", "app: service, needs: [], review_needs: [], "+checks)+
		strings.TrimPrefix(with("deploy-machine", "app: service, needs: [], environment_prefix: machines-, "+checks), "include:\n")+
		strings.TrimPrefix(with("gitops", "app: service, needs: [], environment_prefix: commits-, "+checks), "include:\n"))
	main := p.On(pipelinetest.Push("main"))
	main.Job("machine-production").IsManual().Blocks().Needs("machine-staging").IsOneAtATimeIn("machines-service-production").DeploysTo("machines-production")
	main.Job("machine-rollback").IsManual().MayFail().StartsImmediately().IsOneAtATimeIn("machines-service-production")
	for _, e := range []pipelinetest.Event{pipelinetest.MergeRequest(), pipelinetest.Push("feature"), pipelinetest.Schedule("main")} {
		lacks(p.On(e), "machine-staging", "machine-production", "machine-rollback")
	}
	same := 0
	for _, item := range main.Plan().Job("deploy-production").BeforeScript {
		if !strings.Contains(item, "CI_DEPLOY_FREEZE") && !strings.Contains(item, "slipway four-eyes") && !strings.Contains(item, "slipway verify-image") {
			continue
		}
		same++
		for _, other := range []string{"machine-production", "gitops-production"} {
			if !slices.Contains(main.Plan().Job(other).BeforeScript, item) {
				t.Errorf("%s does not have this item of deploy-production:\n%s", other, item)
			}
		}
	}
	if same != 3 {
		t.Errorf("%d items of deploy-production are about permission, want 3", same)
	}

	job := func(inputs string, variables ...pipeline.Variable) *project {
		c := clone(t, "service")
		c.write(".gitlab-ci.yml", with("deploy-machine", "app: service, needs: []"+inputs))
		c.write("deployed.env", "IMAGE_DIGEST=sha256:"+strings.Repeat("a", 64)+"\n")
		c.commit("Deploy")
		c.alone = true
		c.variables = append(variables, pipeline.Variable{Key: "IMAGE_REPOSITORY", Value: "x"})
		return c
	}
	digest := func(letter string) pipeline.Variable {
		return pipeline.Variable{Key: "IMAGE_DIGEST", Value: "sha256:" + strings.Repeat(letter, 64)}
	}
	key := []pipeline.Variable{{Key: "MACHINE_SSH_KEY", Value: "x", File: true}, {Key: "MACHINE_KNOWN_HOSTS", Value: "x", File: true}}
	for _, c := range []struct {
		name, says string
		project    *project
	}{
		{"a freeze", "A deploy freeze is on; nothing has been touched", job("", digest("a"), pipeline.Variable{Key: "CI_DEPLOY_FREEZE", Value: "true"})},
		{"another digest", "Staging of this pipeline did not run sha256:bb", job("", digest("b"))},
		{"no key", "The private key is missing; nothing has been touched", job("", digest("a"))},
		{"no hosts", "There are no hosts for production", job("", append(key, digest("a"))...)},
		{"invalid hosts", "have characters that no name has", job("", append(key, digest("a"), pipeline.Variable{Key: "PRODUCTION_HOSTS", Value: "app1 $(id)", Raw: true})...)},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.project.run(nil, "machine-production").red("machine-production", 1, c.says)
		})
	}
}

// machinesOnDisk are hosts and a balancer whose programs run here, on folders of this test; nothing runs on them.
type machinesOnDisk struct {
	t     *testing.T
	state string
	// before and now are the digests of the two good releases of each host.
	before, now string
}

func newMachinesOnDisk(t *testing.T, hosts ...string) *machinesOnDisk {
	t.Helper()
	m := &machinesOnDisk{t: t, state: t.TempDir(), before: "sha256:" + strings.Repeat("a", 64), now: "sha256:" + strings.Repeat("b", 64)}
	commit := strings.Repeat("c", 40)
	var servers, upstream strings.Builder
	for i, host := range hosts {
		m.program(host, "host", "/opt/$name", filepath.Join(m.state, host))
		for _, digest := range []string{m.before, m.now} {
			release := host + "/releases/" + digest
			m.write(release+"/orders", digest)
			m.write(release+"/sha256", fmt.Sprintf("%x  orders\n", sha256.Sum256([]byte(digest))))
			m.write(release+"/commit", commit+"\n")
		}
		m.write(host+"/good", m.before+" "+commit+" 2026-01-01T00:00:00Z\n"+m.now+" "+commit+" 2026-01-02T00:00:00Z\n")
		if err := os.Symlink("releases/"+m.now, filepath.Join(m.state, host, "current")); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&servers, "%s 10.0.0.%d:8080\n", host, i+1)
		fmt.Fprintf(&upstream, "    server 10.0.0.%d:8080; # %s\n", i+1, host)
	}
	m.program("web", "balancer", "/etc/slipway", filepath.Join(m.state, "web"), "/etc/nginx/conf.d", filepath.Join(m.state, "web"), "/run/lock", filepath.Join(m.state, "web"))
	m.write("web/orders.servers", servers.String())
	m.write("web/orders-upstream.conf", "upstream orders {\n"+upstream.String()+"}\n")
	return m
}

// program writes the program of a machine, with other folders.
func (m *machinesOnDisk) program(machine, name string, folders ...string) {
	m.t.Helper()
	text, err := os.ReadFile(filepath.Join(machines, name))
	if err != nil {
		m.t.Fatal(err)
	}
	m.write(machine+"/program", strings.NewReplacer(folders...).Replace(string(text)))
}

func (m *machinesOnDisk) write(name, text string) {
	m.t.Helper()
	if err := os.MkdirAll(filepath.Dir(filepath.Join(m.state, name)), 0o750); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(m.state, name), []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machinesOnDisk) read(name string) string {
	m.t.Helper()
	text, err := os.ReadFile(filepath.Join(m.state, name)) //nolint:gosec // of this test
	if err != nil {
		m.t.Fatal(err)
	}
	return string(text)
}

// project returns a project that deploys to the machines, with these hosts in its configuration.
func (m *machinesOnDisk) project(hosts string) *project {
	m.t.Helper()
	programs := m.t.TempDir()
	for name, script := range map[string]string{
		// STAND-INS for sshd on the machines, for sudo and what it runs there, and for the service.
		"ssh": "#!/bin/sh\nwhile case $1 in *@*) false ;; esac; do shift; done\nmachine=${1#*@}\nshift\n" +
			"echo \"$machine $*\" >>\"$MACHINES/commands\"\nSSH_ORIGINAL_COMMAND=$* exec sh \"$MACHINES/$machine/program\" orders\n",
		"sudo": "#!/bin/sh\nexit 0\n", "systemctl": "#!/bin/sh\nexit 0\n", "nginx": "#!/bin/sh\nexit 0\n",
		"curl": "#!/bin/sh\necho " + strings.Repeat("c", 40) + "\n",
	} {
		outside.WriteProgram(m.t, filepath.Join(programs, name), script)
	}
	p := clone(m.t, "service")
	p.write(".gitlab-ci.yml", with("deploy-machine", "app: orders, needs: [], production_hosts: "+hosts+", production_balancers: web, drain_timeout: 0"))
	p.commit("Deploy to machines")
	p.alone = true
	p.variables = []pipeline.Variable{{Key: "MACHINE_SSH_KEY", Value: "x", File: true}, {Key: "MACHINE_KNOWN_HOSTS", Value: "x", File: true},
		{Key: "MACHINES", Value: m.state}, {Key: "PATH", Value: programs + ":" + os.Getenv("PATH")}}
	return p
}

// TestMachineDrained goes back after a deployment that was killed while the second host was out of the balancer: the first one, the only one that gets requests, cannot be drained
// before that.
func TestMachineDrained(t *testing.T) {
	t.Parallel()
	m := newMachinesOnDisk(t, "app1", "app2")
	m.write("web/orders-upstream.conf", strings.Replace(m.read("web/orders-upstream.conf"), "; # app2", " down; # app2", 1))
	m.project("app1 app2").run(nil, "machine-rollback").green("machine-rollback")
	for _, host := range []string{"app1", "app2"} {
		if runs, err := os.Readlink(filepath.Join(m.state, host, "current")); err != nil || runs != "releases/"+m.before {
			t.Errorf("%s runs %s (%v), want %s", host, runs, err, m.before)
		}
	}
	if upstream := m.read("web/orders-upstream.conf"); strings.Contains(upstream, " down") || strings.Count(upstream, "server ") != 2 {
		t.Errorf("not every host gets requests:\n%s", upstream)
	}
	if commands := m.read("commands"); strings.Index(commands, "app2 return") > strings.Index(commands, "web drain app1") {
		t.Errorf("the host that gets no requests is not the first one:\n%s", commands)
	}
}

// TestMachineUnlisted deploys to hosts that the balancer does not have, which must be found before anything is changed; what counts is its list, not the upstream that the last
// deployment has written.
func TestMachineUnlisted(t *testing.T) {
	t.Parallel()
	m := newMachinesOnDisk(t, "app1", "app2", "app3", "app4")
	listed := m.read("web/orders.servers")
	m.write("web/orders.servers", "app2 10.0.0.2:8080\napp3 10.0.0.3:8080\n")
	p := m.project("app1 app2 app3 app4")
	p.run(nil, "machine-rollback").red("machine-rollback", 1, "Hosts are not among the servers of their balancer: app1 (on web) app4 (on web); nothing has been touched", "add them to its list")
	for line := range strings.Lines(m.read("commands")) {
		if !strings.HasSuffix(line, " status\n") {
			t.Errorf("the job has run: %s", line)
		}
	}
	m.write("web/orders.servers", listed)
	m.write("web/orders-upstream.conf", "upstream orders {\n    server 10.0.0.2:8080; # app2\n}\n")
	p.run(nil, "machine-rollback").green("machine-rollback")
}
