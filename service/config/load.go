package config

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxSecretFile bounds what is read of a file that is said to hold a secret.
const maxSecretFile = 1 << 20

// Source is where a configuration comes from, so that it can be loaded again.
type Source struct {
	Args    []string // the command line after the command
	Environ []string // as os.Environ
}

// Loaded is a configuration and the files that it was read from.
type Loaded struct {
	Config
	Files []string
}

// Load reads the configuration. The error names everything that is wrong, one problem per line; it wraps
// [flag.ErrHelp] when help was asked for.
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
					errs = append(errs, fmt.Errorf("%s: is set, and also the file that holds it: keep one", layer.name))
				}
				l.Files = append(l.Files, path)
				if text, err = readSecret(path); err != nil {
					errs = append(errs, fmt.Errorf("%s: %w", layer.name, err))
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
	set.StringVar(&file, "config", "", "file with settings (YAML)")
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

// serviceLink matches the variables with which Kubernetes describes a Service named orders, or orders-something.
var serviceLink = regexp.MustCompile(`^ORDERS_([A-Z0-9_]+_)?(SERVICE_(HOST|PORT.*)|PORT(_.*)?)$`)

// environment returns the settings in the environment; variables that begin with Prefix and mean nothing are errors.
func environment(all []setting, environ []string) (values map[string]string, errs []error) {
	values = map[string]string{}
	known := map[string]string{Prefix + "CONFIG": "config"}
	for _, s := range all {
		known[s.env()] = s.key
		if s.secret() {
			known[s.env()+"_FILE"] = s.key + "_file"
		}
	}
	for _, entry := range environ {
		name, text, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, Prefix) || serviceLink.MatchString(name) {
			continue
		}
		if key, ok := known[name]; ok {
			values[key] = text
			continue
		}
		errs = append(errs, fmt.Errorf("%s: there is no such setting; `orders config --help` lists them", name))
	}
	return values, errs
}

// readFile returns the settings in a YAML file, as dotted keys.
func readFile(all []setting, path string) (values map[string]string, errs []error) {
	b, err := os.ReadFile(path) //nolint:gosec // G304: the operator names the file
	if err != nil {
		return nil, []error{fmt.Errorf("read configuration: %w", err)}
	}
	values, errs = parseFile(all, b)
	for i, err := range errs {
		errs[i] = fmt.Errorf("%s:%w", path, err)
	}
	return values, errs
}

func parseFile(all []setting, b []byte) (values map[string]string, errs []error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(b, &doc); err != nil {
		return nil, []error{fmt.Errorf(" %w", err)}
	}
	values = map[string]string{}
	if len(doc.Content) == 0 { // an empty file
		return values, nil
	}
	known := map[string]bool{}
	for _, s := range all {
		known[s.key] = true
		known[s.key+"_file"] = s.secret()
	}
	section := func(key string) bool {
		return slices.ContainsFunc(all, func(s setting) bool { return strings.HasPrefix(s.key, key+".") })
	}
	var walk func(prefix string, n *yaml.Node)
	walk = func(prefix string, n *yaml.Node) {
		if n.Kind != yaml.MappingNode {
			errs = append(errs, fmt.Errorf("%d: %s must hold settings", n.Line, strings.TrimSuffix(prefix, ".")))
			return
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			name, value := n.Content[i], n.Content[i+1]
			key := prefix + name.Value
			_, twice := values[key]
			switch {
			case twice:
				errs = append(errs, fmt.Errorf("%d: %s is set twice", name.Line, key))
			case known[key] && value.Kind == yaml.ScalarNode:
				values[key] = value.Value
			case known[key] && value.Kind == yaml.SequenceNode:
				var items []string
				for _, item := range value.Content {
					items = append(items, item.Value)
				}
				values[key] = strings.Join(items, ",")
			case known[key]:
				errs = append(errs, fmt.Errorf("%d: %s must be one value", name.Line, key))
			case section(key):
				walk(key+".", value)
			default:
				errs = append(errs, fmt.Errorf("%d: there is no setting %s", name.Line, key))
			}
		}
	}
	walk("", doc.Content[0])
	return values, errs
}

func readSecret(path string) (string, error) {
	f, err := os.Open(path) //nolint:gosec // G304: the operator names the file
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
