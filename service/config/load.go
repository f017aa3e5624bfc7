package config

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strings"
)

// maxSecretFile is the most that is read of a secret's file, in bytes.
const maxSecretFile = 1 << 20

// Source is the origin of a configuration, from which it can be loaded again.
type Source struct {
	Args    []string // the command line after the command
	Environ []string // as os.Environ
}

// Loaded is a configuration and the files that it was read from.
type Loaded struct {
	Config
	Files []string
}

// Load reads the configuration. The error lists all problems, one per line; it wraps [flag.ErrHelp] if
// help was requested.
func (s Source) Load() (*Loaded, error) {
	l := new(Loaded)
	all := settings(&l.Config)
	flags, file, err := parseFlags(all, s.Args)
	if err != nil {
		return nil, err
	}
	env, errs := environment(all, s.Environ)
	if file == "" {
		file = env["config"]
	}
	fromFile := map[string]string{}
	if file != "" {
		l.Files = append(l.Files, file)
		var fileErrs []error
		fromFile, fileErrs = readFile(all, file)
		errs = append(errs, fileErrs...)
	}
	for _, setting := range all {
		layers := []struct {
			values map[string]string
			name   string
		}{{flags, "--" + setting.key}, {env, setting.env()}, {fromFile, file + ": " + setting.key},
			{map[string]string{setting.key: setting.fallback}, "default of " + setting.key}}
		for _, layer := range layers {
			text, ok := layer.values[setting.key]
			if path, isFile := layer.values[setting.key+"_file"]; isFile && setting.secret() {
				if ok {
					errs = append(errs, fmt.Errorf("%s: both the value and its file are set: keep one", layer.name))
				}
				l.Files = append(l.Files, path)
				if text, err = readSecret(path); err != nil {
					errs = append(errs, fmt.Errorf("%s: %w", layer.name, err))
					_ = setting.set(setting.fallback) // so that Validate does not report it again
					break
				}
				ok = true
			}
			if !ok {
				continue
			}
			if text == "" && setting.fallback != "" {
				err = errors.New("must not be empty")
			} else {
				err = setting.set(text)
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", layer.name, err))
				_ = setting.set(setting.fallback) // so that Validate does not report it again
			}
			break
		}
	}
	if err := errors.Join(append(errs, l.Validate())...); err != nil {
		return nil, err
	}
	return l, nil
}

// parseFlags returns the settings on the command line, and the name of the configuration file.
func parseFlags(all []setting, args []string) (values map[string]string, file string, err error) {
	set := flag.NewFlagSet("orders", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.StringVar(&file, "config", "", "file with settings")
	values = map[string]string{}
	for _, s := range all {
		record := func(key string) func(string) error {
			return func(text string) error { values[key] = text; return nil }
		}
		if s.value.Kind() == reflect.Bool {
			set.BoolFunc(s.key, s.help, record(s.key))
			continue
		}
		set.Func(s.key, s.help, record(s.key))
		if s.secret() {
			set.Func(s.key+"_file", "file that holds "+s.key, record(s.key+"_file"))
		}
	}
	if err := set.Parse(args); err != nil {
		return nil, "", err
	}
	if set.NArg() > 0 {
		return nil, "", fmt.Errorf("unexpected argument %q", set.Arg(0))
	}
	return values, file, nil
}

// serviceLinks returns the prefixes of the variables that Kubernetes sets for Services named orders or orders-*. It sets them
// together: one alone, as ORDERS_HTTP_PORT, is a mistaken setting.
func serviceLinks(environ []string) (prefixes []string) {
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		if prefix, ok := strings.CutSuffix(name, "SERVICE_HOST"); ok && strings.HasPrefix(name, Prefix) {
			prefixes = append(prefixes, prefix+"SERVICE_", prefix+"PORT")
		}
	}
	return prefixes
}

// environment returns the settings in the environment; unknown variables that begin with Prefix are errors.
func environment(all []setting, environ []string) (values map[string]string, errs []error) {
	values = map[string]string{}
	known := map[string]string{Prefix + "CONFIG": "config"}
	for _, s := range all {
		known[s.env()] = s.key
		if s.secret() {
			known[s.env()+"_FILE"] = s.key + "_file"
		}
	}
	links := serviceLinks(environ)
	for _, entry := range environ {
		name, text, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, Prefix) {
			continue
		}
		if key, ok := known[name]; ok {
			values[key] = text
			continue
		}
		if strings.HasPrefix(text, "tcp://") || slices.ContainsFunc(links, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) {
			continue
		}
		errs = append(errs, fmt.Errorf("%s: unknown setting; see `orders config --help`", name))
	}
	return values, errs
}

// readFile returns the settings in a file.
func readFile(all []setting, path string) (values map[string]string, errs []error) {
	b, err := os.ReadFile(path) // #nosec G304 -- the operator names the file
	if err != nil {
		return nil, []error{fmt.Errorf("read configuration: %w", err)}
	}
	values, errs = parseFile(all, string(b))
	for i, err := range errs {
		errs[i] = fmt.Errorf("%s:%w", path, err)
	}
	return values, errs
}

// parseFile reads one setting per line, as `log.level: info`; # begins a comment at the start of a line or after a
// space. This is a subset of YAML without nesting, so that keys are those of flags and variables.
func parseFile(all []setting, text string) (values map[string]string, errs []error) {
	values = map[string]string{}
	known := map[string]bool{}
	for _, s := range all {
		known[s.key] = true
		known[s.key+"_file"] = s.secret()
	}
	number := 0
	for line := range strings.Lines(text) {
		number++
		if comment := strings.Index(" "+line, " #"); comment >= 0 {
			line = line[:comment]
		}
		if strings.TrimSpace(line) == "" {
			continue
		}
		key, value, ok := strings.Cut(line, ":")
		_, twice := values[key]
		switch {
		case !ok || strings.TrimSpace(key) != key:
			errs = append(errs, fmt.Errorf("%d: want KEY: VALUE, as log.level: info", number))
		case !known[key]:
			errs = append(errs, fmt.Errorf("%d: unknown setting %s", number, key))
		case twice:
			errs = append(errs, fmt.Errorf("%d: %s is set twice", number, key))
		default:
			values[key] = unquote(strings.TrimSpace(value))
		}
	}
	return values, errs
}

// unquote removes a pair of quotes around a value.
func unquote(s string) string {
	if len(s) >= 2 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0] {
		return s[1 : len(s)-1]
	}
	return s
}

func readSecret(path string) (string, error) {
	f, err := os.Open(path) // #nosec G304 -- the operator names the file
	if err != nil {
		var pathErr *fs.PathError
		if errors.As(err, &pathErr) {
			return "", fmt.Errorf("read %s: %w", path, pathErr.Err)
		}
		return "", err
	}
	defer f.Close() //nolint:errcheck // only read
	b, err := io.ReadAll(io.LimitReader(f, maxSecretFile))
	if err == nil && strings.TrimSpace(string(b)) == "" {
		err = fmt.Errorf("%s is empty", path)
	}
	return string(b), err
}
