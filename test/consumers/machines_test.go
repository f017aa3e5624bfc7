package consumers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/test/load"
)

// A lab is a network of machines that systemd-nspawn has booted: hosts of the orders service, and nginx as their load balancer.
type lab struct {
	t *testing.T
	// keys is the folder with the key pairs of the administrator, the pipeline and the machines.
	keys string
	// registry is the address of the registry.
	registry string
	// project includes the stage.
	project *project
}

var (
	appHosts = []string{"app1", "app2", "app3"}
	// addresses has the address of each machine in the lab's network.
	addresses = map[string]string{"app1": "10.77.0.11", "app2": "10.77.0.12", "app3": "10.77.0.13", "web": "10.77.0.10"}
)

// TestMachines deploys to machines with the stage deploy-machine, under load. systemd-nspawn boots the machines from a Debian system that
// debootstrap has created. The machines, the registry, the pipeline's jobs and the load run in separate namespaces, so that nothing is left even
// if the test is killed.
func TestMachines(t *testing.T) {
	switch os.Getenv("SLIPWAY_MACHINES") {
	case "":
		t.Skip("boots machines, as root: SLIPWAY_MACHINES=1 (make e2e-machines)")
	case "inside":
		testInLab(t)
		return
	}
	if os.Geteuid() != 0 {
		t.Fatal("systemd-nspawn needs root")
	}
	for _, program := range []string{"systemd-nspawn", "debootstrap", "unshare", "ssh", "ssh-keygen", "ip", "jq"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%s is not installed: make e2e-machines installs it", program)
		}
	}
	debian := debootstrap(t)
	// Downloads come first: there is no network inside.
	commands(t)
	buildOrders(t, "", "")
	inside := exec.CommandContext(t.Context(), "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
		os.Args[0], "-test.run="+flag.Lookup("test.run").Value.String(), "-test.v", "-test.timeout=25m")
	// A test that was killed leaves empty cgroups.
	for _, hierarchy := range hierarchies() {
		stale, _ := filepath.Glob(filepath.Join(hierarchy, "slipway-machines-*"))
		for _, group := range stale {
			removeGroups(group)
		}
	}
	groups := fmt.Sprintf("slipway-machines-%d", os.Getpid())
	inside.Env = append(os.Environ(), "SLIPWAY_MACHINES=inside", "SLIPWAY_MACHINES_DEBIAN="+debian, "SLIPWAY_MACHINES_CGROUP="+groups)
	// -run 'TestMachines$/killed' also selects a part inside.
	inside.Stdout, inside.Stderr = os.Stdout, os.Stderr
	err := inside.Run()
	for _, hierarchy := range hierarchies() {
		removeGroups(filepath.Join(hierarchy, groups))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// debootstrap returns the folder of a Debian system with the machines' packages, which it creates once.
func debootstrap(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(cache, "slipway", "machine-bookworm-1")
	if _, err := os.Stat(folder); err == nil {
		return folder
	}
	_ = os.RemoveAll(folder + ".new")
	if err := os.MkdirAll(filepath.Dir(folder), 0o755); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	out, err := exec.CommandContext(t.Context(), "debootstrap", "--variant=minbase",
		"--include=systemd,systemd-sysv,dbus,openssh-server,sudo,curl,nginx-light,iproute2", "bookworm", folder+".new").CombinedOutput()
	if err != nil {
		t.Fatalf("debootstrap: %v\n%s", err, tail(string(out)))
	}
	t.Logf("debootstrap took %s", time.Since(begin).Round(time.Second))
	if err := os.Rename(folder+".new", folder); err != nil {
		t.Fatal(err)
	}
	return folder
}

// hierarchies returns the mount points of the cgroup hierarchies that systemd uses: one if there is only version 2.
func hierarchies() []string {
	return slices.DeleteFunc([]string{"/sys/fs/cgroup", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified"}, func(folder string) bool {
		_, err := os.Stat(filepath.Join(folder, "cgroup.procs"))
		return err != nil
	})
}

// removeGroups removes a cgroup and those below it. They are empty as soon as the last process has ended, so that it retries.
func removeGroups(folder string) {
	for range 10 {
		var groups []string
		_ = filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				groups = append(groups, path)
			}
			return nil
		})
		slices.Reverse(groups)
		for _, group := range groups {
			_ = os.Remove(group)
		}
		if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// buildOrders compiles the orders service with the given commit and main.go, or its own if main is empty, and returns the path of the binary.
func buildOrders(t *testing.T, commit, main string) string {
	t.Helper()
	folder := t.TempDir()
	args := []string{"-C", filepath.Join(root, "service"), "build", "-ldflags", "-s -w -X main.commit=" + commit, "-o", filepath.Join(folder, "orders")}
	if main != "" {
		source, err := filepath.Abs(filepath.Join(root, "service", "cmd", "orders", "main.go"))
		if err != nil {
			t.Fatal(err)
		}
		replacement, overlay := filepath.Join(folder, "main.go"), filepath.Join(folder, "overlay.json")
		paths, err := json.Marshal(map[string]map[string]string{"Replace": {source: replacement}})
		if err == nil {
			err = errors.Join(os.WriteFile(replacement, []byte(main), 0o600), os.WriteFile(overlay, paths, 0o600))
		}
		if err != nil {
			t.Fatal(err)
		}
		args = append(args, "-overlay", overlay)
	}
	c := exec.CommandContext(t.Context(), "go", append(args, "./cmd/orders")...)
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return filepath.Join(folder, "orders")
}

// command runs a program that must succeed, and returns its output.
func (l *lab) command(name string, args ...string) string {
	l.t.Helper()
	out, err := exec.CommandContext(l.t.Context(), name, args...).CombinedOutput()
	if err != nil {
		l.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func (l *lab) write(path, content string) {
	l.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		l.t.Fatal(err)
	}
}

// ssh runs a command on a machine with a key: the administrator's gets a shell, the pipeline's only the deployment commands.
func (l *lab) ssh(key, machine, command string) (string, error) {
	user := map[string]string{"admin": "root", "pipeline": "deploy"}[key]
	out, err := exec.CommandContext(l.t.Context(), "ssh", "-F", "/dev/null", "-i", filepath.Join(l.keys, key), "-o", "BatchMode=yes", "-o", "ConnectTimeout=60",
		"-o", "StrictHostKeyChecking=yes", "-o", "UserKnownHostsFile="+filepath.Join(l.keys, "known_hosts"), user+"@"+machine, command).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// admin runs a command on a machine as its administrator; it must succeed.
func (l *lab) admin(machine, command string) string {
	l.t.Helper()
	out, err := l.ssh("admin", machine, command)
	if err != nil {
		l.t.Fatalf("%s: %s: %v\n%s", machine, command, err, out)
	}
	return out
}

// newLab creates the network, boots the machines and prepares them as docs/stages/deploy-machine.md describes.
func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{t: t, keys: t.TempDir()}
	for _, args := range []string{"link set lo up", "link add slipway0 type bridge", "addr add 10.77.0.1/24 dev slipway0", "link set slipway0 up"} {
		l.command("ip", strings.Fields(args)...)
	}
	for _, key := range append([]string{"admin", "pipeline", "web"}, appHosts...) {
		l.command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", key, "-f", filepath.Join(l.keys, key))
	}
	var hosts, known, servers strings.Builder
	hosts.WriteString("127.0.0.1 localhost\n")
	for _, name := range append([]string{"web"}, appHosts...) {
		public, err := os.ReadFile(filepath.Join(l.keys, name+".pub"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&hosts, "%s %s\n", addresses[name], name)
		fmt.Fprintf(&known, "%s %s", name, public)
	}
	for _, name := range appHosts {
		fmt.Fprintf(&servers, "%s %s:8080\n", name, addresses[name])
	}
	l.write(filepath.Join(l.keys, "hosts"), hosts.String())
	l.write(filepath.Join(l.keys, "known_hosts"), known.String())
	l.command("mount", "--bind", filepath.Join(l.keys, "hosts"), "/etc/hosts")
	begin := time.Now()
	for name := range addresses {
		l.boot(name, servers.String())
	}
	for _, name := range append([]string{"web"}, appHosts...) {
		l.prepare(name)
	}
	t.Logf("four machines with systemd are up after %s", time.Since(begin).Round(100*time.Millisecond))
	return l
}

// boot starts a machine with a name, an address and keys, on an overlay of the Debian system.
func (l *lab) boot(name, servers string) {
	l.t.Helper()
	folder := filepath.Join(l.t.TempDir(), name)
	disk, layers := filepath.Join(folder, "root"), filepath.Join(folder, "layers")
	for _, dir := range []string{disk, layers} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			l.t.Fatal(err)
		}
	}
	l.command("mount", "-t", "tmpfs", "tmpfs", layers)
	l.command("mkdir", filepath.Join(layers, "upper"), filepath.Join(layers, "work"))
	l.command("mount", "-t", "overlay", "overlay", "-o",
		fmt.Sprintf("lowerdir=%s,upperdir=%[2]s/upper,workdir=%[2]s/work", os.Getenv("SLIPWAY_MACHINES_DEBIAN"), layers), disk)
	hosts, err := os.ReadFile(filepath.Join(l.keys, "hosts"))
	if err == nil {
		err = os.CopyFS(filepath.Join(disk, "root", "machines"), os.DirFS(machines))
	}
	if err != nil {
		l.t.Fatal(err)
	}
	l.write(filepath.Join(disk, "etc/hosts"), string(hosts))
	l.write(filepath.Join(disk, "etc/hostname"), name+"\n")
	l.write(filepath.Join(disk, "root/servers"), servers)
	l.write(filepath.Join(disk, "etc/systemd/system/lab-network.service"), "[Unit]\nBefore=network.target network-online.target ssh.service\n"+
		"[Service]\nType=oneshot\nExecStart=/bin/ip addr add "+addresses[name]+"/24 dev host0\nExecStart=/bin/ip link set host0 up\n[Install]\nWantedBy=multi-user.target\n")
	l.command("chmod", "0644", filepath.Join(disk, "etc/hosts"), filepath.Join(disk, "etc/hostname"))
	l.command("systemctl", "--quiet", "--root="+disk, "enable", "lab-network.service")
	if name != "web" {
		l.command("systemctl", "--quiet", "--root="+disk, "disable", "nginx.service")
	}
	for from, to := range map[string]string{"admin.pub": "root/.ssh/authorized_keys", "pipeline.pub": "root/pipeline.pub", name: "etc/ssh/ssh_host_ed25519_key", name + ".pub": "etc/ssh/ssh_host_ed25519_key.pub"} {
		content, err := os.ReadFile(filepath.Join(l.keys, from))
		if err != nil {
			l.t.Fatal(err)
		}
		l.write(filepath.Join(disk, to), string(content))
	}
	// The machine's systemd manages the cgroups below its own.
	script := `for group in $GROUPS_OF_MACHINE; do mkdir -p "$group"; echo $$ >"$group/cgroup.procs"; done; exec "$@"`
	c := exec.CommandContext(l.t.Context(), "sh", "-c", script, "sh", "systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--boot", "--machine="+name,
		"--directory="+disk, "--network-bridge=slipway0", "--link-journal=no", "--resolv-conf=off", "--timezone=off", "--console=pipe")
	var groups []string
	for _, hierarchy := range hierarchies() {
		groups = append(groups, filepath.Join(hierarchy, os.Getenv("SLIPWAY_MACHINES_CGROUP"), name))
	}
	c.Env = append(os.Environ(), "GROUPS_OF_MACHINE="+strings.Join(groups, " "))
	console, err := os.Create(filepath.Join(folder, "console"))
	if err != nil {
		l.t.Fatal(err)
	}
	c.Stdout, c.Stderr = console, console
	if err := c.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
		_ = console.Close()
		if l.t.Failed() {
			text, _ := os.ReadFile(console.Name())
			l.t.Logf("the console of %s ends:\n%s", name, tail(string(text)))
			if errors, err := os.ReadFile(filepath.Join(disk, "var/log/nginx/error.log")); err == nil {
				l.t.Logf("nginx's errors on %s end:\n%s", name, tail(string(errors)))
			}
		}
		_ = exec.Command("umount", "--lazy", disk, layers).Run() //nolint:noctx // the context has ended
	})
}

// prepare waits until a machine is up, and sets it up as an administrator does.
func (l *lab) prepare(name string) {
	l.t.Helper()
	deadline := time.Now().Add(5 * time.Minute)
	for {
		out, err := l.ssh("admin", name, "systemctl is-system-running --wait")
		if err == nil || out == "degraded" {
			break
		}
		if time.Now().After(deadline) {
			l.t.Fatalf("%s is not up: %v\n%s", name, err, out)
		}
		time.Sleep(200 * time.Millisecond)
	}
	if name == "web" {
		l.admin(name, "rm -f /etc/nginx/sites-enabled/default; machines/setup balancer orders pipeline.pub servers")
		return
	}
	l.admin(name, "machines/setup host orders pipeline.pub")
}

// release creates a commit and its image, which the next runs deploy.
func (l *lab) release(message, main string) (commit, digest string) {
	l.t.Helper()
	p := l.project
	p.write("README.md", message+"\n")
	p.commit(message)
	commit = p.git("rev-parse", "HEAD")
	binary := buildOrders(l.t, commit, main)
	archive := binary + ".tar"
	l.command("tar", "-C", filepath.Dir(binary), "-cf", archive, "orders")
	crane := filepath.Join(commands(l.t), "crane")
	repository := l.registry + "/acme/orders"
	l.command(crane, "append", "--oci-empty-base", "--platform", "linux/amd64", "--new_tag", repository+":"+commit, "--new_layer", archive)
	l.command(crane, "mutate", repository+":"+commit, "--entrypoint", "/orders", "--user", "65532:65532", "--tag", repository+":"+commit)
	digest = l.command(crane, "digest", repository+":"+commit)
	l.setImage(digest)
	return commit, digest
}

// setImage sets the variables that the image job would pass on.
func (l *lab) setImage(digest string) {
	set := func(v pipeline.Variable) {
		l.project.variables = append(slices.DeleteFunc(l.project.variables, func(o pipeline.Variable) bool { return o.Key == v.Key }), v)
	}
	set(pipeline.Variable{Key: "IMAGE_REPOSITORY", Value: l.registry + "/acme/orders"})
	set(pipeline.Variable{Key: "IMAGE_DIGEST", Value: digest})
}

// checkRelease checks that every host runs the release and gets requests.
func (l *lab) checkRelease(commit, digest string) {
	l.t.Helper()
	for _, host := range appHosts {
		if out := l.admin(host, "curl --silent http://127.0.0.1:8081/version"); !strings.Contains(out, commit) {
			l.t.Errorf("%s answers %s, want commit %s", host, out, commit)
		}
		if out := l.admin(host, "readlink /opt/orders/current"); out != "releases/"+digest {
			l.t.Errorf("current of %s is %s, want %s", host, out, digest)
		}
	}
	if out := l.admin("web", "cat /etc/nginx/conf.d/orders-upstream.conf"); strings.Contains(out, " down") || strings.Count(out, "server ") != len(appHosts) {
		l.t.Errorf("not every host gets requests:\n%s", out)
	}
}

// underLoad calls do while clients send requests through nginx, none of which may fail.
func (l *lab) underLoad(what string, do func()) {
	l.t.Helper()
	l.underLoadOf(50, what, do)
}

// underLoadOf does the same with a rate, in requests per second.
func (l *lab) underLoadOf(rate int, what string, do func()) {
	l.t.Helper()
	ctx, cancel := context.WithCancel(l.t.Context())
	reports := make(chan load.Report)
	go func() {
		reports <- load.Run(ctx, load.Config{URL: "http://web", Host: "orders.example.com", Rate: rate, NewConnections: 10, Timeout: 10 * time.Second, Limit: 50_000})
	}()
	time.Sleep(time.Second)
	begin := time.Now()
	do()
	took := time.Since(begin)
	time.Sleep(time.Second)
	cancel()
	report := <-reports
	fmt.Printf("PROOF machines: %s: %s, in %s\n", what, report, took.Round(100*time.Millisecond))
	if report.Failed > 0 || report.Requests < 50 {
		l.t.Errorf("%s: %s", what, report)
	}
}

// testInLab is the part of TestMachines that runs in the namespaces.
func testInLab(t *testing.T) {
	l := newLab(t)
	l.registry = registry(t)
	l.project = clone(t, "service")
	l.project.alone = true
	key, err := os.ReadFile(filepath.Join(l.keys, "pipeline"))
	if err != nil {
		t.Fatal(err)
	}
	known, err := os.ReadFile(filepath.Join(l.keys, "known_hosts"))
	if err != nil {
		t.Fatal(err)
	}
	// GitLab's form trims pasted values, and text from Windows has CRLF.
	l.project.variables = []pipeline.Variable{
		{Key: "MACHINE_SSH_KEY", Value: string(bytes.TrimSpace(key)), File: true},
		{Key: "MACHINE_KNOWN_HOSTS", Value: strings.ReplaceAll(string(known), "\n", "\r\n"), File: true},
	}
	l.configure("round_robin", "")
	first, firstDigest := l.release("First", "")
	begin := time.Now()
	l.project.run(nil, "machine-staging").green("machine-staging")
	fmt.Printf("PROOF machines: first release on three hosts: %s\n", time.Since(begin).Round(100*time.Millisecond))
	l.checkRelease(first, firstDigest)
	if t.Failed() {
		return
	}
	t.Run("reloads of the balancer", l.sub(func(l *lab) { l.reloads() }))
	t.Run("a slow balancer", l.sub(func(l *lab) { l.slowBalancer() }))
	t.Run("rolling release", l.sub(func(l *lab) { l.rollingRelease() }))
	t.Run("refusals", l.sub(func(l *lab) { l.refusals(firstDigest) }))
	t.Run("a release that never becomes ready", l.sub(func(l *lab) { l.neverReady() }))
	t.Run("a job that is killed", l.sub(func(l *lab) { l.killed() }))
	t.Run("rollback", l.sub(func(l *lab) { l.rollback() }))
	t.Run("balancing", l.sub(func(l *lab) { l.balancing() }))
	if out := l.admin("web", "grep 'open socket' /var/log/nginx/error.log || true"); out != "" {
		t.Errorf("workers of nginx have ended with requests:\n%s", tail(out))
	}
}

// sub returns a subtest that runs a part of the test with its own *testing.T.
func (l *lab) sub(part func(*lab)) func(*testing.T) {
	return func(t *testing.T) {
		inner, p := *l, *l.project
		inner.t, p.t = t, t
		inner.project = &p
		part(&inner)
		l.project.variables = p.variables
	}
}

// configure writes a configuration that includes the stage.
func (l *lab) configure(balancing, more string) {
	hosts := strings.Join(appHosts, " ")
	l.project.write(".gitlab-ci.yml", with("deploy-machine", "app: orders, needs: [], staging_hosts: "+hosts+", production_hosts: "+hosts+
		", staging_balancers: web, production_balancers: web, ready_timeout: 15, releases: 3, balancing: "+balancing+more))
}

// reloads reloads nginx again and again, as releases do. nginx before 1.23.1 cuts off buffered answers then.
func (l *lab) reloads() {
	const count = 30
	l.underLoadOf(200, fmt.Sprintf("nginx reloaded %d times", count), func() {
		for i := range count {
			if out, err := l.ssh("pipeline", "web", "method "+[]string{"least_conn", "round_robin"}[i%2]); err != nil {
				l.t.Fatalf("%v\n%s", err, out)
			}
		}
	})
	site := "/etc/nginx/conf.d/orders.conf"
	warning := "cuts off answers when it is reloaded"
	if out := l.admin("web", "machines/setup balancer orders pipeline.pub servers 2>&1"); strings.Contains(out, warning) {
		l.t.Errorf("setup warns of its own site:\n%s", out)
	}
	if out := l.admin("web", "sed -i.own /proxy_buffering/d "+site+" && machines/setup balancer orders pipeline.pub servers 2>&1 && mv "+site+".own "+site); !strings.Contains(out, warning) {
		l.t.Errorf("setup does not warn of a site that buffers:\n%s", out)
	}
}

// slowBalancer stops nginx's master: as long as it has not read the configuration, its workers send requests to a host that is being drained.
func (l *lab) slowBalancer() {
	const upstream = "cat /etc/nginx/conf.d/orders-upstream.conf"
	before := l.admin("web", upstream)
	defer l.admin("web", "kill -CONT $(cat /run/nginx.pid)")
	stop := func() (drained chan string) {
		l.admin("web", "kill -STOP $(cat /run/nginx.pid)")
		drained = make(chan string, 1)
		go func() {
			out, err := l.ssh("pipeline", "web", "drain app1 1")
			drained <- fmt.Sprint(out, err)
		}()
		select {
		case out := <-drained:
			l.t.Fatalf("the host is drained before nginx knows of it: %s", out)
		case <-time.After(4 * time.Second):
		}
		return drained
	}
	drained := stop()
	l.admin("web", "kill -CONT $(cat /run/nginx.pid)")
	if out := <-drained; !strings.HasSuffix(out, "app1 is drained<nil>") {
		l.t.Errorf("the host is not drained after nginx knows of it: %s", out)
	}
	if out, err := l.ssh("pipeline", "web", "fill app1"); err != nil {
		l.t.Fatalf("%v\n%s", err, out)
	}
	if out := <-stop(); !strings.Contains(out, "nginx does not take the configuration, which is as before") {
		l.t.Errorf("nginx never reads the configuration, and the balancer says: %s", out)
	}
	if after := l.admin("web", upstream); after != before {
		l.t.Errorf("the upstream is another than before:\n%s", after)
	}
}

// rollingRelease replaces a release on three hosts, and deploys it again, which changes nothing.
func (l *lab) rollingRelease() {
	// The binary exists at any moment.
	l.admin("app1", "systemd-run --quiet --nice=19 --unit watch sh -c 'while :; do [ -x /opt/orders/current/orders ] || echo gone >>/run/gone; done'")
	commit, digest := l.release("Second", "")
	l.underLoad("rolling release to three hosts", func() {
		l.project.run(nil, "machine-staging").green("machine-staging")
	})
	l.checkRelease(commit, digest)
	if gone := l.admin("app1", "systemctl stop watch; cat /run/gone 2>/dev/null || true"); gone != "" {
		l.t.Error("app1 had no binary for a moment")
	}
	pids := func() (all string) {
		for _, host := range appHosts {
			all += l.admin(host, "systemctl show --property MainPID orders")
		}
		return all + l.admin("web", "cat /run/nginx.pid; pgrep -P $(cat /run/nginx.pid) 2>/dev/null || true")
	}
	before := pids()
	again := l.project.run(nil, "machine-staging", "machine-production")
	again.green("machine-staging", "machine-production")
	if log := again.log("machine-staging"); strings.Count(log, "runs "+digest+" already") != len(appHosts) {
		l.t.Errorf("the second run is not a no-op:\n%s", tail(log))
	}
	if after := pids(); after != before {
		l.t.Errorf("the second run has restarted something:\n%s\n%s", before, after)
	}
	// The service runs in its sandbox.
	if out := l.admin("app1", "systemctl show --property User,DynamicUser,NoNewPrivileges orders; ps -o user= -C orders 2>/dev/null || true; stat -c %U /opt/orders/current/orders"); !strings.Contains(out, "DynamicUser=yes") || !strings.HasSuffix(out, "deploy") {
		l.t.Errorf("the service runs as\n%s", out)
	}
}

// refusals tries what must be refused, and checks that nothing has changed.
func (l *lab) refusals(firstDigest string) {
	secondDigest := strings.TrimPrefix(l.admin("app1", "readlink /opt/orders/current"), "releases/")
	for _, c := range []struct{ machine, command, says string }{
		{"app1", "cat /etc/shadow", "no such command: 'cat'"},
		{"app1", "status; id", "has characters"},
		{"app1", "", "no such command"},
		{"app1", "activate ../../tmp 8081 readyz version 5", "is not a digest"},
		{"app1", "activate sha256:" + strings.Repeat("a", 64) + " 8081 readyz version 5", "does not have"},
		{"app1", "prune 0", "at least 2"},
		{"web", "drain app9 5", "'app9' is not in /etc/slipway/orders.servers"},
		{"web", "method random", "no such method"},
		{"web", "method ip_hash;}", "has characters"},
		{"web", "sh -c id", "no such command: 'sh'"},
	} {
		if out, err := l.ssh("pipeline", c.machine, c.command); err == nil || !strings.Contains(out, c.says) {
			l.t.Errorf("%s on %s: %v, %s; want %q", c.command, c.machine, err, out, c.says)
		}
	}
	out, err := exec.CommandContext(l.t.Context(), "ssh", "-F", "/dev/null", "-i", filepath.Join(l.keys, "pipeline"), "-o", "BatchMode=yes", "-o", "UserKnownHostsFile="+filepath.Join(l.keys, "known_hosts"),
		"-o", "ExitOnForwardFailure=yes", "-R", "127.0.0.1:9999:127.0.0.1:22", "deploy@app1", "status").CombinedOutput()
	if err == nil {
		l.t.Errorf("the pipeline's key can forward ports:\n%s", out)
	}
	for _, command := range []string{"sudo -n id", "sudo -n systemctl restart ssh.service", "sudo -n systemctl stop orders.service --now", "touch /etc/x", "touch /var/lib/private/orders/x"} {
		if out, err := l.ssh("admin", "app1", "runuser -u deploy -- "+command); err == nil {
			l.t.Errorf("the user deploy can run: %s\n%s", command, out)
		}
	}

	// A host with an unknown key is not deployed to.
	known := slices.IndexFunc(l.project.variables, func(v pipeline.Variable) bool { return v.Key == "MACHINE_KNOWN_HOSTS" })
	right := l.project.variables[known].Value
	other, err := os.ReadFile(filepath.Join(l.keys, "admin.pub"))
	if err != nil {
		l.t.Fatal(err)
	}
	l.project.variables[known].Value = strings.Replace(right, "app3 ", "app3 "+string(other)+"#", 1)
	l.release("Third", "")
	l.project.run(nil, "machine-staging").red("machine-staging", 1, "app3 does not answer to the pipeline's key; nothing has been touched", "Host key verification failed")
	l.project.variables[known].Value = right

	// An older commit does not replace a newer one.
	newest := l.project.git("rev-parse", "HEAD")
	l.project.git("checkout", "--quiet", "-B", "main", "HEAD~2")
	l.setImage(firstDigest)
	l.project.run(nil, "machine-staging").red("machine-staging", 1, "does not contain", "nothing has been touched", "start the rollback job")
	l.project.git("checkout", "--quiet", "-B", "main", newest)

	// An image without the binary.
	l.configure("round_robin", ", binary: /nothing")
	l.project.commit("Set a path that does not exist")
	l.project.run(nil, "machine-staging").red("machine-staging", 1, "The image has no file '/nothing'; nothing has been touched")
	l.configure("round_robin", "")
	l.project.commit("Use the entrypoint")
	if got := l.admin("app1", "readlink /opt/orders/current"); got != "releases/"+secondDigest {
		l.t.Errorf("app1 runs %s, want %s as before", got, secondDigest)
	}
}

// hangsOn is a main.go of the orders service that never becomes ready on one host.
const hangsOn = `package main

import (
	"os"
	"os/signal"
	"syscall"

	"gitlab.com/slipway-ci/slipway/service/command"
	"gitlab.com/slipway-ci/slipway/service/telemetry"
)

var version, commit string

func main() {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	if name, _ := os.Hostname(); name == "HOST" {
		os.Stdout.WriteString("waiting forever\n")
		<-signals
		return
	}
	p := command.Process{Args: os.Args[1:], Environ: os.Environ(), Stdout: os.Stdout, Stderr: os.Stderr, Signals: signals}
	os.Exit(command.Run(p, telemetry.NewBuild(version, commit)))
}
`

// current returns the commit and the digest that app1 runs.
func (l *lab) current() (commit, digest string) {
	l.t.Helper()
	digest = strings.TrimPrefix(l.admin("app1", "readlink /opt/orders/current"), "releases/")
	return l.admin("app1", "cat /opt/orders/current/commit"), digest
}

// neverReady deploys a release that hangs on the first host, and one that hangs on the last host, when the others run it already.
func (l *lab) neverReady() {
	commit, digest := l.current()
	for _, host := range []string{"app1", "app3"} {
		_, bad := l.release("Hangs on "+host, strings.Replace(hangsOn, "HOST", host, 1))
		l.underLoad("a release that never becomes ready on "+host, func() {
			l.project.run(nil, "machine-staging").red("machine-staging", 1, host+": "+bad+" is not ready after 15 s", "waiting forever", host+": runs "+digest+" again", host+" has failed")
		})
		l.checkRelease(commit, digest)
	}
}

// killed kills a job during the rollout, and deploys again.
func (l *lab) killed() {
	commit, digest := l.release("Killed", "")
	l.underLoad("a job killed in mid-rollout, and run again", func() {
		ctx, cancel := context.WithCancel(l.t.Context())
		defer cancel()
		go func() {
			for ctx.Err() == nil {
				if out, err := l.ssh("admin", "app2", "readlink /opt/orders/current"); err == nil && out == "releases/"+digest {
					cancel()
				}
				time.Sleep(50 * time.Millisecond)
			}
		}()
		l.project.runUntil(ctx, nil, "machine-staging")
		if upstream := l.admin("web", "cat /etc/nginx/conf.d/orders-upstream.conf"); !strings.Contains(upstream, " down;") {
			l.t.Logf("the job was killed after the rollout:\n%s", upstream)
		}
		l.project.run(nil, "machine-staging").green("machine-staging")
	})
	l.checkRelease(commit, digest)
}

// rollback rolls back release by release until there is no earlier one, and then forward to a given digest.
func (l *lab) rollback() {
	commit, digest := l.release("Last", "")
	l.project.run(nil, "machine-staging", "machine-production").green("machine-staging", "machine-production")
	l.checkRelease(commit, digest)
	// The oldest first; the input keeps 3 releases.
	good := strings.Split(l.admin("app1", "cat /opt/orders/good"), "\n")
	if disk := l.admin("app1", "ls -A /opt/orders/releases | wc -l"); len(good) < 2 || len(good) > 3 || disk != fmt.Sprint(len(good)) {
		l.t.Fatalf("app1 has %s releases on disk, and these on record:\n%s", disk, strings.Join(good, "\n"))
	}
	for _, line := range slices.Backward(good[:len(good)-1]) {
		l.underLoad("manual rollback", func() {
			l.project.run(nil, "machine-rollback").green("machine-rollback")
		})
		release := strings.Fields(line)
		l.checkRelease(release[1], release[0])
	}
	none := l.project.run(nil, "machine-rollback")
	none.red("machine-rollback", 1, "app1 has no release before the present one; nothing has been touched")
	// Releases that were rolled back are no longer on record, but can be given by digest as long as the hosts have them.
	l.project.retry(map[string]string{"digest": "sha256:" + strings.Repeat("0", 64)}, "machine-rollback").red("machine-rollback", 1, "app1 has no release sha256:00", "nothing has been touched")
	l.project.retry(map[string]string{"digest": digest}, "machine-rollback").green("machine-rollback")
	l.checkRelease(commit, digest)
}

// balancing changes the load-balancing method of nginx, with and without a new release.
func (l *lab) balancing() {
	l.configure("ip_hash", "")
	commit, digest := l.release("Balance by ip_hash", "")
	for i, method := range []string{"ip_hash", "least_conn", "round_robin"} {
		if i > 0 { // the first came with a release
			l.configure(method, "")
			l.project.commit("Balance by " + method)
		}
		l.underLoad("balancing by "+method, func() {
			l.project.run(nil, "machine-staging").green("machine-staging")
		})
		l.checkRelease(commit, digest)
		if upstream := l.admin("web", "cat /etc/nginx/conf.d/orders-upstream.conf"); strings.Contains(upstream, method+";") != (method != "round_robin") {
			l.t.Errorf("want %s:\n%s", method, upstream)
		}
	}
}
