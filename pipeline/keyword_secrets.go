package pipeline

import (
	"cmp"
	"slices"
	"strings"

	"gitlab.com/slipway-ci/slipway/internal/lazyregexp"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/check"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// The providers of secrets and their keys: https://docs.gitlab.com/ci/yaml/#secrets
var (
	secretProviders = []string{"vault", "azure_key_vault", "gcp_secret_manager", "akeyless", "gitlab_secrets_manager", "aws_secrets_manager"}
	secretKeys      = append([]string{"file", "token"}, secretProviders...)
	awsSecretKeys   = []string{"secret_id", "region", "version_id", "version_stage", "role_arn", "role_session_name", "field"}
	akeylessKeys    = []string{"name", "data_key", "cert_user_name", "public_key_data", "csr_data", "uid_token", "gcp_audience",
		"azure_object_id", "k8s_service_account_token", "k8s_auth_config_name", "gateway_ca_certificate"}
	secretSource = lazyregexp.New(`^(?:project|group/[a-zA-Z0-9_./-]+)$`)
)

// vaultEngine is the engine of Vault that a secret in short form is in.
const vaultEngine = "kv-v2"

// secrets validates the keyword `secrets` and writes short forms out.
func (c *checker) secrets(p *keyPath, n *node) any {
	if !c.Mapping(p, n) {
		return nil
	}
	stored := make(map[string]any, len(n.Pairs))
	for _, pair := range n.Pairs {
		if !pair.Value.IsNull() {
			stored[pair.Key.Text] = c.secret(p.Child(pair.Key.Text), pair.Value)
		}
	}
	return stored
}

func (c *checker) secret(p *keyPath, n *node) any {
	if !c.Mapping(p, n) {
		return nil
	}
	c.AllowedKeys(p, n, secretKeys...)
	var given []string
	for _, provider := range secretProviders {
		if n.Has(provider) {
			given = append(given, provider)
		}
	}
	if len(given) != 1 {
		c.Fail(p, n, "", "needs exactly one of %s", join(secretProviders))
	}
	c.OptionalString(p, n, "token")
	if !n.Get("gcp_secret_manager").IsBlank() && n.Get("token").IsBlank() {
		c.Fail(p.Child("token"), n, "name one of the id_tokens", "gcp_secret_manager needs a token")
	}
	c.OptionalBool(p, n, "file")
	stored := storedKeys(n)
	for _, provider := range given {
		if v := n.Get(provider); !v.IsNull() {
			stored[provider] = c.providerSecret(p.Child(provider), v, provider)
		}
	}
	return stored
}

// providerSecret validates the keys of one provider.
func (c *checker) providerSecret(p *keyPath, n *node, provider string) any {
	short := provider == "vault" || provider == "aws_secrets_manager"
	switch {
	case short && check.IsString(n):
		return c.shortSecret(p, n, provider)
	case short && !check.IsMapping(n):
		c.Fail(p, n, "", "should be a string or a hash, not %s", yamltree.Describe(n))
		return nil
	case !c.Mapping(p, n):
		return nil
	}
	stored := storedKeys(n)
	switch provider {
	case "vault":
		c.AllowedKeys(p, n, "engine", "path", "field")
		c.RequiredString(p, n, "path")
		c.RequiredString(p, n, "field")
		c.vaultEngine(p.Child("engine"), n, n.Get("engine"))
	case "aws_secrets_manager":
		c.strings(p, n, awsSecretKeys, "secret_id")
	case "azure_key_vault":
		c.strings(p, n, []string{"name", "version"}, "name")
	case "akeyless":
		c.strings(p, n, akeylessKeys)
	case "gitlab_secrets_manager":
		c.strings(p, n, []string{"name", "source"}, "name")
		if v := n.Get("source"); check.IsString(v) && !secretSource().MatchString(v.Text) {
			c.Fail(p.Child("source"), v, "write project, or group/ and the path of a group", "%q is not a valid source", yamltree.Shorten(v.Text))
		}
	case "gcp_secret_manager":
		c.AllowedKeys(p, n, "name", "version")
		c.RequiredString(p, n, "name")
		c.Optional(p, n, "version", check.IsTextOrInteger, "a string or an integer", "put it in quotes")
		stored["version"] = "latest"
		if v := n.Get("version"); !v.IsNull() {
			stored["version"] = v.RubyText()
		}
	}
	return stored
}

// strings allows some keys with strings, of which some must be there.
func (c *checker) strings(p *keyPath, n *node, keys []string, required ...string) {
	c.AllowedKeys(p, n, keys...)
	for _, key := range keys {
		if slices.Contains(required, key) {
			c.RequiredString(p, n, key)
		} else {
			c.OptionalString(p, n, key)
		}
	}
}

func (c *checker) vaultEngine(p *keyPath, parent, n *node) {
	switch {
	case n.IsBlank():
		c.Fail(p, cmp.Or(n, parent), "add name and path", "the engine is missing")
	case c.Mapping(p, n):
		c.strings(p, n, []string{"name", "path"}, "name", "path")
	}
}

// shortSecret writes "path/field@engine" of Vault and "id#field" of AWS out.
func (c *checker) shortSecret(p *keyPath, n *node, provider string) any {
	if n.IsBlank() {
		c.Fail(p, n, "", "the secret is missing")
		return nil
	}
	if provider == "vault" {
		secret, engine := n.Text, vaultEngine
		if i := strings.LastIndexByte(secret, '@'); i > 0 {
			secret, engine = secret[:i], secret[i+1:]
		}
		i := strings.LastIndexByte(secret, '/')
		return map[string]any{"engine": map[string]any{"name": vaultEngine, "path": engine}, "path": secret[:max(i, 0)], "field": secret[i+1:]}
	}
	id, field, hasField := strings.Cut(n.Text, "#")
	if strings.Contains(field, "#") {
		c.Fail(p, n, "write id#field", "has more than one #")
	}
	stored := map[string]any{"secret_id": id}
	if hasField {
		stored["field"] = field
	}
	return stored
}

// identity validates the keyword `identity`, of which GitLab knows one value.
func (c *checker) identity(p *keyPath, n *node) string {
	const known = "google_cloud"
	if !n.Is(yamltree.String) || n.Text != known {
		c.Fail(p, n, "write "+known, "%s is not an identity that GitLab supports", yamltree.Describe(n))
	}
	return n.RubyText()
}

// dastConfiguration validates the keyword `dast_configuration`.
func (c *checker) dastConfiguration(p *keyPath, n *node, _ *jobSpec) {
	if c.Mapping(p, n) {
		c.strings(p, n, []string{"site_profile", "scanner_profile"})
	}
}
