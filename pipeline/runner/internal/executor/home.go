package executor

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// toolchains are folders in the user's HOME that version managers find by a variable. Jobs have a separate HOME, and still
// use the toolchains of the machine.
var toolchains = map[string]string{
	"ASDF_DATA_DIR": ".asdf", "MISE_DATA_DIR": ".local/share/mise", "NVM_DIR": ".nvm", "PYENV_ROOT": ".pyenv",
	"RBENV_ROOT": ".rbenv", "RUSTUP_HOME": ".rustup", "SDKMAN_DIR": ".sdkman", "VOLTA_HOME": ".volta",
}

// machineFolders are the variables, and the writable folders, of the caches and toolchains that jobs share with the user.
func machineFolders(ctx context.Context, callerEnv []string) (environ, writable []string) {
	home := lookup(callerEnv, "HOME")
	for name, folder := range toolchains {
		folder = filepath.Join(home, filepath.FromSlash(folder))
		if _, err := os.Stat(folder); home != "" && err == nil {
			environ = append(environ, name+"="+folder)
		}
	}
	slices.Sort(environ)
	// Compiled packages and modules of Go make a second run fast. Without Go, there is nothing to share.
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	command := exec.CommandContext(ctx, "go", "env", "-json", "GOCACHE", "GOMODCACHE", "GOENV")
	command.Env = callerEnv
	out, err := command.Output()
	var settings struct{ GOCACHE, GOMODCACHE, GOENV string }
	if err != nil || json.Unmarshal(out, &settings) != nil {
		return environ, nil
	}
	if filepath.IsAbs(settings.GOCACHE) {
		environ, writable = append(environ, "GOCACHE="+settings.GOCACHE), append(writable, settings.GOCACHE)
	}
	environ, writable = append(environ, "GOMODCACHE="+settings.GOMODCACHE), append(writable, settings.GOMODCACHE)
	if _, err := os.Stat(settings.GOENV); err == nil {
		// Settings such as GOPRIVATE apply to jobs; prepareHome copies the file, so that `go env -w` in a job changes the copy.
		environ = append(environ, "GOENV="+settings.GOENV)
	}
	return environ, writable
}

// prepareHome creates the HOME of a job and returns the variables that point to it.
func (j Job) prepareHome(cacheHome string, shared []string) ([]string, error) {
	home := filepath.Join(j.Root, "home")
	runtime := filepath.Join(j.Temporary, "run")
	environ := slices.Clone(shared)
	for _, v := range []struct{ name, folder string }{
		{"HOME", home}, {"XDG_CACHE_HOME", cacheHome}, {"XDG_CONFIG_HOME", filepath.Join(home, ".config")},
		{"XDG_DATA_HOME", filepath.Join(home, ".local", "share")}, {"XDG_STATE_HOME", filepath.Join(home, ".local", "state")},
		// Not below HOME: paths of Unix sockets must be short.
		{"XDG_RUNTIME_DIR", runtime}, {"TMPDIR", j.Temporary},
	} {
		if err := os.MkdirAll(v.folder, 0o700); err != nil {
			return nil, err
		}
		environ = append(environ, v.name+"="+v.folder)
	}
	if err := os.Symlink(cacheHome, filepath.Join(home, ".cache")); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	// Programs of OpenSSH look for the user's home in the system's list of users; the sandbox shows them this folder there.
	if err := os.MkdirAll(filepath.Join(home, ".ssh"), 0o700); err != nil {
		return nil, err
	}
	// In a new HOME, the first go command would start a process in the background that uploads telemetry.
	telemetry := filepath.Join(home, ".config", "go", "telemetry")
	if err := os.MkdirAll(telemetry, 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(telemetry, "mode"), []byte("off"), 0o600); err != nil {
		return nil, err
	}
	for i, entry := range environ {
		path, isGoEnv := strings.CutPrefix(entry, "GOENV=")
		if !isGoEnv {
			continue
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		own := filepath.Join(home, ".config", "go-env")
		if err := os.WriteFile(own, content, 0o600); err != nil {
			return nil, err
		}
		environ[i] = "GOENV=" + own
	}
	return environ, nil
}

// lookup returns the value of a variable in an environment, or "".
func lookup(environ []string, name string) string {
	for _, entry := range slices.Backward(environ) {
		if value, found := strings.CutPrefix(entry, name+"="); found {
			return value
		}
	}
	return ""
}
