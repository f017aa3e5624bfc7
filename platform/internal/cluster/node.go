package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"gitlab.com/slipway-ci/slipway/platform/internal/kube"
)

// node starts the kubelet and kube-proxy, and waits until the node is ready.
func (c *Cluster) node(ctx context.Context, step Step) error {
	if err := step("cgroups", c.makeCgroups); err != nil {
		return err
	}
	if _, err := update(c.path("kubelet.yaml"), encode(c.kubeletConfig())); err != nil {
		return err
	}
	if _, err := update(c.path("kube-proxy.yaml"), encode(c.proxyConfig())); err != nil {
		return err
	}
	kubelet := c.component("kubelet",
		[]string{c.path("kubelet.yaml"), c.path("kubelet.kubeconfig"), c.path("pki", "kubelet-server.crt"), c.path("pki", "ca.crt")},
		"--config="+c.path("kubelet.yaml"), "--kubeconfig="+c.path("kubelet.kubeconfig"), "--hostname-override="+node,
		"--node-ip="+NodeAddress, "--root-dir="+c.path("kubelet"), "--cert-dir="+c.path("pki"))
	proxy := c.component("kube-proxy", []string{c.path("kube-proxy.yaml"), c.path("kube-proxy.kubeconfig")},
		"--config="+c.path("kube-proxy.yaml"))
	return parallel(
		func() error { return c.names(ctx, step) },
		func() error {
			return step("kubelet and node", func() (bool, error) {
				return c.sparingSysctls(func() (bool, error) { return c.Table.Up(ctx, kubelet, 60*time.Second, c.nodeReady) })
			})
		},
		func() error {
			return step("kube-proxy", func() (bool, error) {
				return c.Table.Up(ctx, proxy, 30*time.Second, c.Probe("http://127.0.0.1:10256/healthz"))
			})
		},
	)
}

// nodeReady returns an error unless the node is ready by a condition that this kubelet, not the one before it, has reported.
func (c *Cluster) nodeReady(ctx context.Context) error {
	kubelet, ok := c.Table.Lookup("kubelet")
	if !ok {
		return errors.New("the kubelet does not run")
	}
	client, err := c.Client("admin")
	if err != nil {
		return err
	}
	defer client.Close()
	var n struct {
		Status struct {
			Conditions []struct {
				Type, Status, Message string
				LastHeartbeatTime     time.Time
			}
		}
	}
	if err := client.Get(ctx, "/api/v1/nodes/"+node, &n); err != nil {
		return err
	}
	for _, condition := range n.Status.Conditions {
		if condition.Type != "Ready" {
			continue
		}
		if condition.Status != "True" {
			return fmt.Errorf("node not ready: %s", condition.Message)
		}
		if condition.LastHeartbeatTime.Before(kubelet.Started.Truncate(time.Second)) {
			return errors.New("the kubelet has not reported yet")
		}
		return nil
	}
	return errors.New("the kubelet has not reported yet")
}

func (c *Cluster) kubeletConfig() kube.Object {
	return kube.Object{
		"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
		"failCgroupV1": false, "failSwapOn": false,
		"cgroupDriver": "cgroupfs", "cgroupRoot": "/" + c.Name,
		"containerRuntimeEndpoint": "unix://" + c.socket(),
		"address":                  NodeAddress,
		"authentication": kube.Object{"anonymous": kube.Object{"enabled": false}, "webhook": kube.Object{"enabled": true},
			"x509": kube.Object{"clientCAFile": c.path("pki", "ca.crt")}},
		"authorization": kube.Object{"mode": "Webhook"},
		"tlsCertFile":   c.path("pki", "kubelet-server.crt"), "tlsPrivateKeyFile": c.path("pki", "kubelet-server.key"),
		"podLogsDir": c.path("podlogs"), "volumePluginDir": c.path("volumeplugins"),
		"resolvConf": "", "clusterDomain": domain, "clusterDNS": []string{NodeAddress},
		"nodeStatusUpdateFrequency": "5s", "syncFrequency": "10s",
		"serializeImagePulls": false,
		// 100 means never. On a disk that is 85 % full, the kubelet would delete every image that no pod uses at
		// the moment, including the one that every pod needs to start.
		"imageGCHighThresholdPercent": 100,
		"containerLogMaxSize":         "10Mi",
		"containerLogMaxFiles":        2,
		"evictionHard":                kube.Object{"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
		"seccompDefault":              true,
		"enableDebuggingHandlers":     true,
	}
}

func (c *Cluster) proxyConfig() kube.Object {
	return kube.Object{
		"apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
		"mode":             "nftables",
		"clientConnection": kube.Object{"kubeconfig": c.path("kube-proxy.kubeconfig")},
		"clusterCIDR":      pods, "hostnameOverride": node, "bindAddress": NodeAddress,
		"metricsBindAddress": "127.0.0.1:10249", "healthzBindAddress": "127.0.0.1:10256",
		// Zero leaves the machine's conntrack settings unchanged.
		"conntrack": kube.Object{"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
	}
}

// encode writes JSON, which is YAML.
func encode(o kube.Object) []byte {
	b, err := json.MarshalIndent(o, "", "  ")
	if err != nil {
		panic(err) // strings and numbers: cannot fail
	}
	return b
}
