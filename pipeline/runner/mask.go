package runner

import (
	"bytes"
	"io"
	"sort"
	"sync"
)

// masked replaces a secret in a log.
const masked = "[MASKED]"

// A pattern is a text that is masked, or a prefix of masked text.
type pattern struct {
	text []byte
	// tail, if set, reports which bytes after text are the secret; text itself is not masked. Letters match regardless of case.
	tail func(byte) bool
}

// tokenPrefixes begin GitLab's tokens (https://docs.gitlab.com/security/tokens/#token-prefixes).
var tokenPrefixes = []string{
	"glpat-", "gloas-", "gldt-", "glrt-", "glrtr-", "glcbt-", "glptt-", "glft-", "glimt-", "glagent-", "glwt-", "glsoat-", "glffct-", "_gitlab_session=",
}

// queryParameters are parameters of URLs whose values are secrets.
var queryParameters = []string{
	"private_token", "authenticity_token", "rss_token", "x-amz-signature", "x-amz-security-token", "x-goog-signature",
}

func isTokenByte(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '-' || b == '_' || b == '.' || b == '='
}

func isQueryByte(b byte) bool { return b > ' ' && b != '&' && b != 0x7f }

// wellKnownPatterns mask texts in the form of GitLab's tokens, whether a variable contains them or not.
func wellKnownPatterns() []pattern {
	var patterns []pattern
	for _, prefix := range tokenPrefixes {
		patterns = append(patterns, pattern{[]byte(prefix), isTokenByte})
	}
	for _, name := range queryParameters {
		patterns = append(patterns, pattern{[]byte("?" + name + "="), isQueryByte}, pattern{[]byte("&" + name + "="), isQueryByte})
	}
	return patterns
}

// matches reports whether data begins with the pattern's text; maybe, that data is too short to decide.
func (p pattern) matches(data []byte) (yes, maybe bool) {
	n := min(len(data), len(p.text))
	same := bytes.Equal(data[:n], p.text[:n])
	if p.tail != nil {
		same = bytes.EqualFold(data[:n], p.text[:n])
	}
	return same && n == len(p.text), same && n < len(p.text)
}

// A maskingWriter replaces secrets in what is written to it, also those that are split over several writes. Flush must follow the last Write.
// It is safe for concurrent use.
type maskingWriter struct {
	mu       sync.Mutex
	w        io.Writer
	patterns []pattern
	// first is the set of bytes that patterns begin with.
	first [256]bool
	// held are the last bytes, which may be the beginning of a secret.
	held []byte
	// tail, if set, is that of the pattern that came last; masked reports whether the secret has begun.
	tail   func(byte) bool
	masked bool
	// open reports whether the last line is incomplete.
	open bool
}

func newMaskingWriter(w io.Writer, secrets []string) *maskingWriter {
	m := &maskingWriter{w: w, patterns: wellKnownPatterns()}
	for _, s := range secrets {
		if s != "" {
			m.patterns = append(m.patterns, pattern{text: []byte(s)})
		}
	}
	// The longest first: a secret may contain another.
	sort.SliceStable(m.patterns, func(i, j int) bool { return len(m.patterns[i].text) > len(m.patterns[j].text) })
	for _, p := range m.patterns {
		m.first[p.text[0]] = true
		if p.tail != nil {
			m.first[bytes.ToUpper(p.text[:1])[0]] = true
		}
	}
	return m
}

func (m *maskingWriter) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(p), m.write(p)
}

// line writes a line, at the beginning of one.
func (m *maskingWriter) line(text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.open {
		text = "\n" + text
	}
	_ = m.write([]byte(text))
}

func (m *maskingWriter) write(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	m.open = p[len(p)-1] != '\n'
	data := append(m.held, p...)
	out, rest := m.replace(make([]byte, 0, len(data)), data, false)
	m.held = append([]byte(nil), rest...)
	_, err := m.w.Write(out)
	return err
}

// replace appends data to out with the secrets replaced. It stops where a secret may have begun, unless data is complete.
func (m *maskingWriter) replace(out, data []byte, last bool) (_, rest []byte) {
	for i := 0; i < len(data); {
		if m.tail != nil {
			if m.tail(data[i]) {
				if !m.masked {
					out, m.masked = append(out, masked...), true
				}
				i++
				continue
			}
			m.tail = nil
		}
		if !m.first[data[i]] {
			out = append(out, data[i])
			i++
			continue
		}
		p, maybe := m.match(data[i:], last)
		switch {
		case maybe:
			return out, data[i:]
		case p == nil:
			out = append(out, data[i])
			i++
		case p.tail == nil:
			out = append(out, masked...)
			i += len(p.text)
		default:
			out = append(out, data[i:i+len(p.text)]...)
			i += len(p.text)
			m.tail, m.masked = p.tail, false
		}
	}
	return out, nil
}

// match returns the pattern that data begins with. It reports maybe if a longer one could still match, unless data is complete.
func (m *maskingWriter) match(data []byte, last bool) (found *pattern, maybe bool) {
	for i := range m.patterns {
		yes, more := m.patterns[i].matches(data)
		if more && !last {
			return nil, true
		}
		if yes {
			return &m.patterns[i], false
		}
	}
	return nil, false
}

// Flush writes what was held back: it turned out not to be a secret, but may contain a shorter one.
func (m *maskingWriter) Flush() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	out, _ := m.replace(nil, m.held, true)
	m.held = nil
	_, err := m.w.Write(out)
	return err
}
