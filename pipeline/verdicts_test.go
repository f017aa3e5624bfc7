package pipeline_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/render"
)

// These verdicts follow from GitLab's code and documentation; the conformance cases have those of GitLab itself.

// verdictOn returns the key path of the first error, "none: <reason>" where there is no pipeline, else the jobs as JSON.
func verdictOn(t *testing.T, event pipeline.Event, files map[string]string) string {
	t.Helper()
	plan, err := load(t, pipeline.Options{}, files).Plan(t.Context(), event)
	var wrong pipeline.Errors
	switch {
	case errors.As(err, &wrong):
		if wrong[0].Create {
			return "create: " + wrong[0].Path
		}
		return wrong[0].Path
	case err != nil:
		t.Fatal(err)
	case !plan.Created:
		return "none: " + plan.Reason
	}
	text, err := json.Marshal(render.GitLabJobs(plan.Jobs))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestVerdictsOnRules(t *testing.T) {
	t.Parallel()
	main := pipeline.Event{Source: pipeline.Push, Branch: "main"}
	for name, test := range map[string]struct {
		event  pipeline.Event
		config string
		want   string
	}{
		"a workflow rule that cannot be decided says never": {main,
			"workflow: {rules: [{changes: {paths: [a], compare_to: gone}}, {when: always}]}\nunit: {script: [x]}\n", "none: workflow"},
		"tags do not see the variables of the rule": {main,
			`unit: {script: [x], variables: {B: job}, tags: ["$A-$B"], rules: [{if: $CI, variables: {A: one, B: rule}}]}`,
			`[{"name":"unit","script":["x"],"stage":"test","tags":["$A-job"],"variables":{"A":"one","B":"rule"}}]`},
		"a cycle through the variables of a rule is no error": {main,
			`unit: {script: [x], variables: {A: $B}, rules: [{if: $CI, variables: {B: $A}}]}`,
			`[{"name":"unit","script":["x"],"stage":"test","variables":{"A":"$B","B":"$A"}}]`},
		"a name that is too long with its variables": {main,
			"variables: {N: " + strings.Repeat("n", 256) + "}\nworkflow: {name: $N}\nunit: {script: [x], inherit: {variables: false}}\n", "create: workflow:name"},
		"a need with too long a name": {main,
			"build: {script: [x], parallel: {matrix: [{A: " + strings.Repeat("a", 250) + "}]}}\nunit: {script: [x], needs: [build]}\n", "jobs:unit:needs"},
		"a matrix without a value makes no job": {main, "unit: {script: [x], parallel: {matrix: }}\n", "none: no_jobs"},
		"needs of a rule are not asked for in the pipeline": {main,
			"a: {script: [x], rules: [{when: never}]}\nunit: {script: [x], rules: [{needs: [a]}]}\n",
			`[{"name":"unit","needs":["a"],"script":["x"],"stage":"test"}]`},
		"needs of the job are, even if a rule has others": {main,
			"a: {script: [x], rules: [{when: never}]}\nb: {script: [x]}\nunit: {script: [x], needs: [a], rules: [{needs: [b]}]}\n", "create: jobs:unit:needs"},
		"a default identity": {main, "default: {identity: google_cloud}\na: {script: [x]}\nb: {script: [x], inherit: {default: false}}\n",
			`[{"identity":"google_cloud","name":"a","script":["x"],"stage":"test"},{"name":"b","script":["x"],"stage":"test"}]`},
		"only with keys without values": {main,
			"a: {script: [x], only: {refs: , changes: [b]}}\nb: {script: [x], only: {variables: }}\nc: {script: [x], except: {refs: }}\n",
			`[{"name":"c","script":["x"],"stage":"test"}]`},
		"a matrix expression in the needs of a job without a matrix stays as it is": {main,
			`a: {script: [x]}` + "\n" + `unit: {script: [x], needs: [a, {job: "a: [$[[ matrix.A ]]]", optional: true}]}`,
			`[{"name":"a","script":["x"],"stage":"test"},` +
				`{"name":"unit","needs":["a",{"job":"a: [$[[ matrix.A ]]]","optional":true}],"script":["x"],"stage":"test"}]`},
		"a matrix expression in the needs of a job with parallel as well": {main,
			`unit: {script: [x], parallel: 1, needs: ["a-$[[ matrix.A ]]"]}`, "jobs:unit:needs"},
		"a matrix expression in a need of another pipeline": {main, `unit: {script: [x], parallel: {matrix: [{A: b}]}, needs: [{pipeline: $P, job: "a: [$[[ matrix.A ]]]"}]}`,
			`[{"instance":1,"name":"unit: [b]","needs":[{"job":"a: [b]","pipeline":"$P"}],"parallel":1,"script":["x"],"stage":"test","variables":{"A":"b"}}]`},
		"a matrix expression in a need of another project": {main,
			`unit: {script: [x], parallel: {matrix: [{A: b}]}, needs: [{project: "g/$[[ matrix.A ]]", ref: "$[[ matrix.A ]]", job: c}]}`,
			`[{"instance":1,"name":"unit: [b]","needs":[{"job":"c","project":"g/b","ref":"b"}],"parallel":1,"script":["x"],"stage":"test","variables":{"A":"b"}}]`},
		"a matrix expression drops a group in the value, as gsub does": {main,
			`ab: {script: [x]}` + "\n" + `unit: {script: [x], parallel: {matrix: [{A: 'a\1b'}]}, needs: ["$[[ matrix.A ]]"]}`,
			`[{"name":"ab","script":["x"],"stage":"test"},` +
				`{"instance":1,"name":"unit: [a\\1b]","needs":["ab"],"parallel":1,"script":["x"],"stage":"test","variables":{"A":"a\\1b"}}]`},
		"a need of no job of a matrix": {main, "a: {script: [x], parallel: {matrix: [{A: b}]}}\nunit: {script: [x], needs: [{job: a, parallel: }]}\n",
			`[{"instance":1,"name":"a: [b]","parallel":1,"script":["x"],"stage":"test","variables":{"A":"b"}},` +
				`{"name":"unit","needs":[],"script":["x"],"stage":"test"}]`},
		"steps": {main, `unit: {run: [{name: a, script: echo, env: {B: c}}, {name: d, step: ./s, inputs: {e: 1}}, {name: f, func: {git: {url: u, rev: v}}}]}`,
			`[{"name":"unit","run":[{"env":{"B":"c"},"name":"a","script":"echo"},{"inputs":{"e":1},"name":"d","step":"./s"},` +
				`{"func":{"git":{"rev":"v","url":"u"}},"name":"f"}],"stage":"test"}]`},
		"a job that mirrors a pipeline waits for its stage": {main, `status: {needs: {pipeline: other/project}}`, `[{"name":"status","stage":"test"}]`},
		"only:changes expands no variables": {pipeline.Event{Source: pipeline.Push, Branch: "main", Changed: []string{"a.go"}},
			"variables: {F: a.go}\nunit: {script: [x], only: {changes: [$F]}}\nother: {script: [x]}\n",
			`[{"name":"other","script":["x"],"stage":"test","variables":{"F":"a.go"}}]`},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, verdictOn(t, test.event, map[string]string{".gitlab-ci.yml": test.config})); diff != "" {
				t.Errorf("%s:\n%s", name, diff)
			}
		})
	}
}

// onePush returns the verdict on a push to main of a configuration in one file.
func onePush(t *testing.T, config string) string {
	t.Helper()
	return verdictOn(t, pipeline.Event{Source: pipeline.Push, Branch: "main"}, map[string]string{".gitlab-ci.yml": config})
}

// TestRefusedKeywords has configurations of one job with the key path of what is wrong with them.
func TestRefusedKeywords(t *testing.T) {
	t.Parallel()
	for config, want := range map[string]string{
		`u: {script: [x], environment: review/}`:                                                               "jobs:u:environment:name",
		`u: {script: [x], environment: {name: /review}}`:                                                       "jobs:u:environment:name",
		`u: {script: [x], environment: {name: e, kubernetes: {agent: a, managed_resources: {on: true}}}}`:      "jobs:u:environment:kubernetes:managed_resources",
		`u: {script: [x], environment: {name: e, kubernetes: {agent: a, managed_resources: {enabled: "y"}}}}`:  "jobs:u:environment:kubernetes:managed_resources",
		`u: {script: [x], environment: {name: e, kubernetes: {agent: a, dashboard: {flux_resource_path: p}}}}`: "jobs:u:environment:kubernetes:dashboard",
		`u: {script: [x], environment: {name: e, kubernetes: {agent: a, dashboard: {namespace: 5}}}}`:          "jobs:u:environment:kubernetes:dashboard",
		`u: {script: [x], environment: {name: e, kubernetes: {dashboard: {namespace: n}}}}`:                    "jobs:u:environment:kubernetes:agent",
		`u: {script: [x], image: {name: i, docker: {user: ""}}}`:                                               "jobs:u:image",
		`u: {script: [x], image: {name: i, docker: {privileged: true}}}`:                                       "jobs:u:image",
		`u: {script: [x], image: {name: i, kubernetes: {user: 1.5}}}`:                                          "jobs:u:image",
		`u: {script: [x], allow_failure: {exit_codes: [[1]]}}`:                                                 "jobs:u:allow_failure:exit_codes",
		`u: {script: [x], allow_failure: {exit_codes: "1"}}`:                                                   "jobs:u:allow_failure:exit_codes",
		`u: {script: [x], retry: "2"}`:                                                                         "jobs:u:retry",
		`u: {script: [x], retry: {max: "3"}}`:                                                                  "jobs:u:retry:max",
		`u: {script: [x], retry: {max: 1.0}}`:                                                                  "jobs:u:retry:max",
		`u: {script: [x], when: delayed, start_in: 1 hour, rules: }`:                                           "jobs:u:start_in",
		`u: {script: [x], release: {tag_name: v, description: d, ref: a..b}}`:                                  "jobs:u:release:ref",
		`u: {script: [x], release: {tag_name: v, description: d, ref: HEAD}}`:                                  "jobs:u:release:ref",
		`u: {script: [x], release: {tag_name: v, description: d, ref: a.lock}}`:                                "jobs:u:release:ref",
		`u: {script: [x], release: {tag_name: v, description: d, assets: {links: {name: n}}}}`:                 "jobs:u:release:assets:links",
		`u: {script: [x], secrets: [A]}`:                                                                       "jobs:u:secrets",
		`u: {script: [x], secrets: {A: a/b/c}}`:                                                                "jobs:u:secrets:A",
		`u: {script: [x], secrets: {A: {token: $T}}}`:                                                          "jobs:u:secrets:A",
		`u: {script: [x], secrets: {A: {vault: a/b, azure_key_vault: {name: n}}}}`:                             "jobs:u:secrets:A",
		`u: {script: [x], secrets: {A: {vault: a/b, extra: 1}}}`:                                               "jobs:u:secrets:A",
		`u: {script: [x], secrets: {A: {vault: a/b, file: "yes"}}}`:                                            "jobs:u:secrets:A:file",
		`u: {script: [x], secrets: {A: {vault: {path: p, field: f}}}}`:                                         "jobs:u:secrets:A:vault:engine",
		`u: {script: [x], secrets: {A: {vault: {path: p, field: f, engine: {name: kv-v2}}}}}`:                  "jobs:u:secrets:A:vault:engine:path",
		`u: {script: [x], secrets: {A: {vault: {engine: {name: n, path: p}, path: p}}}}`:                       "jobs:u:secrets:A:vault:field",
		`u: {script: [x], secrets: {A: {vault: [a]}}}`:                                                         "jobs:u:secrets:A:vault",
		`u: {script: [x], secrets: {A: {azure_key_vault: {version: "1"}}}}`:                                    "jobs:u:secrets:A:azure_key_vault:name",
		`u: {script: [x], secrets: {A: {gcp_secret_manager: {name: n}}}}`:                                      "jobs:u:secrets:A:token",
		`u: {script: [x], secrets: {A: {gcp_secret_manager: {name: n, version: [1]}, token: $T}}}`:             "jobs:u:secrets:A:gcp_secret_manager:version",
		`u: {script: [x], secrets: {A: {aws_secrets_manager: a#b#c}}}`:                                         "jobs:u:secrets:A:aws_secrets_manager",
		`u: {script: [x], secrets: {A: {aws_secrets_manager: {region: r}}}}`:                                   "jobs:u:secrets:A:aws_secrets_manager:secret_id",
		`u: {script: [x], secrets: {A: {akeyless: {secret: n}}}}`:                                              "jobs:u:secrets:A:akeyless",
		`u: {script: [x], secrets: {A: {gitlab_secrets_manager: {name: n, source: elsewhere}}}}`:               "jobs:u:secrets:A:gitlab_secrets_manager:source",
		`u: {script: [x], identity: aws}`:                                                                      "jobs:u:identity",
		`u: {script: [x], identity: {google_cloud: true}}`:                                                     "jobs:u:identity",
		`u: {script: [x], dast_configuration: {site_profile: [s]}}`:                                            "jobs:u:dast_configuration:site_profile",
		`u: {script: [x], dast_configuration: {profile: s}}`:                                                   "jobs:u:dast_configuration",
		`u: {run: echo}`:                                                                 "jobs:u:run",
		`u: {run: [echo]}`:                                                               "jobs:u:run",
		`u: {run: [{script: echo}]}`:                                                     "jobs:u:run",
		`u: {run: [{name: a-b, script: echo}]}`:                                          "jobs:u:run",
		`u: {run: [{name: a}]}`:                                                          "jobs:u:run",
		`u: {run: [{name: a, script: [echo]}]}`:                                          "jobs:u:run",
		`u: {run: [{name: a, script: echo, step: ./s}]}`:                                 "jobs:u:run",
		`u: {run: [{name: a, script: echo, inputs: {b: c}}]}`:                            "jobs:u:run",
		`u: {run: [{name: a, script: echo, env: {B: 1}}]}`:                               "jobs:u:run",
		`u: {run: [{name: a, step: 5}]}`:                                                 "jobs:u:run",
		`u: {run: [{name: a, step: {git: {url: u}}}]}`:                                   "jobs:u:run",
		`u: {run: [{name: a, func: {oci: {registry: r, repository: p}}}]}`:               "jobs:u:run",
		`u: {run: [{name: a, step: ./s, inputs: [b]}]}`:                                  "jobs:u:run",
		`u: {run: [{name: a, script: echo}], script: [x]}`:                               "jobs:u",
		`u: {run: [{name: a, script: echo}], before_script: [x]}`:                        "jobs:u",
		`u: {script: [x], needs: [{project: g/p, job: j}]}`:                              "jobs:u:needs:ref",
		`u: {script: [x], needs: [{ref: main, job: j}]}`:                                 "jobs:u:needs:project",
		`u: {script: [x], needs: [{project: g/p, job: j, ref: main, optional: true}]}`:   "jobs:u:needs",
		`u: {script: [x], needs: [{project: g/p, job: j, ref: main, artifacts: "yes"}]}`: "jobs:u:needs:artifacts",
		`u: {script: [x], needs: [{project: p, job: a, ref: m}, {project: p, job: b, ref: m}, {project: p, job: c, ref: m},
			{project: p, job: d, ref: m}, {project: p, job: e, ref: m}, {project: p, job: f, ref: m}]}`: "jobs:u:needs",
		`u: {trigger: g/p, needs: [{project: g/p, job: j, ref: main}]}`: "jobs:u:needs",
		`u: {script: [x], inputs: {a: {default: b, options: [c]}}}`:     "jobs:u:inputs:a",
		`u: {script: [x], inputs: {a: {default: b, type: number}}}`:     "jobs:u:inputs:a",
		`u: {script: [x], inputs: {a: {default: b, regex: "^c"}}}`:      "jobs:u:inputs:a",
		`u: {script: [x], inputs: {a: {type: string}}}`:                 "jobs:u:inputs:a",
		`u: {script: [x], inputs: {a: {default: b, rules: []}}}`:        "jobs:u:inputs:a",
		`u: {script: [x], pages: {expire_in: soon}}`:                    "jobs:u:pages:expire_in",
	} {
		t.Run(config, func(t *testing.T) {
			if got := onePush(t, config); got != want {
				t.Errorf("%s: %s, want %s", config, got, want)
			}
		})
	}
}

// TestAcceptedKeywords has keywords with what they add to the JSON of a job.
func TestAcceptedKeywords(t *testing.T) {
	t.Parallel()
	for keyword, want := range map[string]string{
		`environment: {name: e, kubernetes: {agent: a, managed_resources: {enabled: true}, dashboard: {namespace: n}}}`://
		`"environment":{"kubernetes":{"agent":"a","dashboard":{"namespace":"n"},"managed_resources":{"enabled":true}},"name":"e"}`,
		`image: {name: i, kubernetes: {user: 1001}}`:              `"image":{"executor_opts":{"kubernetes":{"user":1001}},"name":"i"}`,
		`cache: {key: {files: [/go.sum]}, paths: [p]}`:            `"cache":[{"key":{"files":["go.sum"]},"paths":["p"]}]`,
		`retry: {max: "1"}`:                                       `"retry":1`,
		`pages: {expire_in: $DAYS}, artifacts: {paths: [public]}`: `"artifacts":{"paths":["public"]},"pages":{"expire_in":"$DAYS"}`,
		`release: {tag_name: v, description: d, ref: refs/tags/v, assets: {links: [{title: t}]}}`://
		`"release":{"assets":{"links":[{"title":"t"}]},"description":"d","ref":"refs/tags/v","tag_name":"v"}`,
		`release: {tag_name: v, description: d, released_at: "20260131T080000Z"}`://
		`"release":{"description":"d","released_at":"20260131T080000Z","tag_name":"v"}`,
		`rules: [{exists: {}}, {when: on_success}]`: "",
		`secrets: {A: {vault: production/db/password@ops, file: false}}`: `"secrets":{"A":{"vault":{"engine":{"name":"kv-v2","path":"ops"},` +
			`"path":"production/db","field":"password"},"file":false}}`,
		`secrets: {A: {vault: db/password, token: $T}}`: `"secrets":{"A":{"vault":{"engine":{"name":"kv-v2","path":"kv-v2"},"path":"db",` +
			`"field":"password"},"token":"$T"}}`,
		`secrets: {A: {aws_secrets_manager: id#field}}`:                        `"secrets":{"A":{"aws_secrets_manager":{"secret_id":"id","field":"field"}}}`,
		`secrets: {A: {gcp_secret_manager: {name: n}, token: $T}}`:             `"secrets":{"A":{"gcp_secret_manager":{"name":"n","version":"latest"},"token":"$T"}}`,
		`secrets: {A: {gcp_secret_manager: {name: n, version: 2}, token: $T}}`: `"secrets":{"A":{"gcp_secret_manager":{"name":"n","version":"2"},"token":"$T"}}`,
		`secrets: {A: {azure_key_vault: {name: n}}, B: {akeyless: {name: n}}, C: {gitlab_secrets_manager: {name: n, source: group/a/b}}}`://
		`"secrets":{"A":{"azure_key_vault":{"name":"n"}},"B":{"akeyless":{"name":"n"}},"C":{"gitlab_secrets_manager":{"name":"n","source":"group/a/b"}}}`,
		`identity: google_cloud`:                               `"identity":"google_cloud"`,
		`artifacts: {reports: {codequality: 5, junit: a.xml}}`: `"artifacts":{"reports":{"codequality":[5],"junit":["a.xml"]}}`,
		`dast_configuration: {site_profile: s}`:                "",
		`allow_failure: {}`:                                    `"allow_failure":{}`,
		`inputs: {a: {default: 5, type: number, description: d}, b: {default: c, options: [c, d]}}`: "",
		`needs: [{project: g/p, job: j, ref: main}]`:                                                `"needs":[{"job":"j","project":"g/p","ref":"main"}]`,
	} {
		t.Run(keyword, func(t *testing.T) {
			config := "u: {script: [x], stage: test, " + keyword + "}"
			got := []map[string]any{}
			text := onePush(t, config)
			if err := json.Unmarshal([]byte(text), &got); err != nil || len(got) != 1 {
				t.Errorf("%s: %s", config, text)
				return
			}
			for _, key := range []string{"name", "script", "stage"} {
				delete(got[0], key)
			}
			wanted := map[string]any{}
			if err := json.Unmarshal([]byte("{"+want+"}"), &wanted); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(wanted, got[0]); diff != "" {
				t.Errorf("%s:\n%s", config, diff)
			}
		})
	}
}
