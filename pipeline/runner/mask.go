package runner

import (
	"bytes"
	"io"
	"sort"
)

// masked is what stands in a log for a secret.
const masked = "[MASKED]"

// A maskingWriter replaces secrets in what passes through it, also those that arrive in pieces. Flush must follow the last Write.
type maskingWriter struct {
	w       io.Writer
	secrets [][]byte
	// held is a tail that may be the beginning of a secret.
	held []byte
}

func newMaskingWriter(w io.Writer, secrets []string) *maskingWriter {
	m := &maskingWriter{w: w}
	for _, s := range secrets {
		if s != "" {
			m.secrets = append(m.secrets, []byte(s))
		}
	}
	// The longest first: a secret may contain another.
	sort.SliceStable(m.secrets, func(i, j int) bool { return len(m.secrets[i]) > len(m.secrets[j]) })
	return m
}

func (m *maskingWriter) Write(p []byte) (int, error) {
	if len(m.secrets) == 0 {
		return m.w.Write(p)
	}
	data := append(m.held, p...)
	var out []byte
	i := 0
scan:
	for i < len(data) {
		for _, s := range m.secrets {
			if bytes.HasPrefix(data[i:], s) {
				out = append(out, masked...)
				i += len(s)
				continue scan
			}
			if bytes.HasPrefix(s, data[i:]) {
				break scan
			}
		}
		out = append(out, data[i])
		i++
	}
	m.held = append([]byte(nil), data[i:]...)
	if _, err := m.w.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Flush writes what was held back: it turned out not to be a secret, but may contain a shorter one.
func (m *maskingWriter) Flush() error {
	held := m.held
	m.held = nil
	for _, s := range m.secrets {
		held = bytes.ReplaceAll(held, s, []byte(masked))
	}
	_, err := m.w.Write(held)
	return err
}
