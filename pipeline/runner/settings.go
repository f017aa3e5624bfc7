package runner

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// settings are variables with which a job configures its runner, by the form of their values; see [settingForm.accepts].
var settings = []setting{
	{boolSetting, []string{
		"CI_DEBUG_SERVICES", "CI_DEBUG_TRACE", "GIT_CHECKOUT", "GIT_LFS_SKIP_SMUDGE", "GIT_SUBMODULE_FORCE_HTTPS", "AFTER_SCRIPT_IGNORE_ERRORS",
	}},
	{intSetting, []string{"GIT_SUBMODULE_DEPTH", "CACHE_REQUEST_TIMEOUT"}},
	{attemptsSetting, []string{"GET_SOURCES_ATTEMPTS", "ARTIFACT_DOWNLOAD_ATTEMPTS", "RESTORE_CACHE_ATTEMPTS", "EXECUTOR_JOB_SECTION_ATTEMPTS", "SECRETS_RETRIEVAL_ATTEMPTS"}},
	{durationSetting, scriptTimeouts},
	{compressionSetting, []string{"ARTIFACT_COMPRESSION_LEVEL", "CACHE_COMPRESSION_LEVEL"}},
	{strategySetting, []string{"GIT_STRATEGY"}},
	{submodulesSetting, []string{"GIT_SUBMODULE_STRATEGY"}},
}

// scriptTimeouts are the variables with the longest times of the scripts of a job.
var scriptTimeouts = []string{"RUNNER_SCRIPT_TIMEOUT", "RUNNER_AFTER_SCRIPT_TIMEOUT"}

// A setting is a form that the values of some variables must have, and the variables.
type setting struct {
	form  settingForm
	names []string
}

type settingForm string

const (
	boolSetting        settingForm = "true or false"
	intSetting         settingForm = "a number"
	attemptsSetting    settingForm = "a number from 1 to 10"
	durationSetting    settingForm = "a duration such as 10m"
	compressionSetting settingForm = "fastest, fast, default, slow or slowest"
	strategySetting    settingForm = "clone, fetch, none or empty"
	submodulesSetting  settingForm = "normal, recursive or none"
)

// accepts reports whether a value has the form.
func (f settingForm) accepts(value string) bool {
	switch f {
	case boolSetting:
		_, err := strconv.ParseBool(value)
		return err == nil
	case intSetting:
		_, err := strconv.Atoi(value)
		return err == nil
	case attemptsSetting:
		n, err := strconv.Atoi(value)
		return err == nil && n >= 1 && n <= 10
	case durationSetting:
		d, err := time.ParseDuration(value)
		return err == nil && d >= 0
	case compressionSetting:
		return slices.Contains([]string{"fastest", "fast", "default", "slow", "slowest"}, value)
	case strategySetting:
		return slices.Contains([]string{"clone", "fetch", "none", "empty"}, value)
	default:
		return slices.Contains([]string{"normal", "recursive", "none"}, value)
	}
}

// warnOfSettings warns of variables whose values a runner cannot parse, or does not support. As with GitLab's runner, the job continues with
// the defaults.
func (a *attempt) warnOfSettings() {
	for _, name := range slices.Sorted(maps.Keys(a.env.variables)) {
		if value := a.env.variables[name]; strings.HasPrefix(name, "FF_") && !boolSetting.accepts(value) {
			a.logf("WARNING: the feature flag %s is %q: it should be %s", name, value, boolSetting)
		}
	}
	for _, name := range scriptTimeouts {
		if limit := a.env.duration(name, 0); limit >= a.timeout() {
			a.logf("WARNING: %s is %s, not less than the job's timeout of %s, which holds", name, limit, a.timeout())
		}
	}
	for _, s := range settings {
		for _, name := range s.names {
			if value := a.env.variables[name]; value != "" && !s.form.accepts(value) {
				a.logf("WARNING: %s is %q: it should be %s", name, value, s.form)
			}
		}
	}
}
