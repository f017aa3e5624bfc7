package pipeline

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"gitlab.com/slipway-ci/slipway/internal/lazyregexp"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// Limits of durations: a delay is at most a week, a timeout at most Rails' month. GitLab says "less than", but compares
// times that it takes one after the other, so that the limit itself passes.
const (
	maxDelay   = 7 * 24 * time.Hour
	maxTimeout = 2629746 * time.Second
)

// limitNames are the limits as people say them.
var limitNames = map[time.Duration]string{maxDelay: "a week", maxTimeout: "a month"}

// duration validates a duration, at most limit, which is one of limitNames or zero for none.
func (c *checker) duration(p *keyPath, n *node, limit time.Duration) time.Duration {
	const form = "write for example 30 minutes, 2h or 1 week"
	if !n.Is(yamltree.String) {
		c.fail(p, n, form, "should be a duration, not %s", describe(n))
		return 0
	}
	d, err := parseDuration(n.Text)
	switch {
	case err != nil:
		c.fail(p, n, form, "%q is not a valid duration: %v", shorten(n.Text), err)
	case limit > 0 && d > limit:
		c.fail(p, n, "", "should not be more than %s", limitNames[limit])
	}
	return d
}

// startIn validates the delay of a job or a rule with `when: delayed`.
func (c *checker) startIn(p *keyPath, parent *node) time.Duration {
	n := parent.Get("start_in")
	if n.IsBlank() {
		c.fail(p, parent, "add for example start_in: 30 minutes", "start_in is missing")
		return 0
	}
	return c.duration(p, n, maxDelay)
}

var durationUnits = map[string]time.Duration{
	"s": time.Second, "sec": time.Second, "secs": time.Second, "second": time.Second, "seconds": time.Second,
	"m": time.Minute, "min": time.Minute, "mins": time.Minute, "minute": time.Minute, "minutes": time.Minute,
	"h": time.Hour, "hr": time.Hour, "hrs": time.Hour, "hour": time.Hour, "hours": time.Hour,
	"d": day, "dy": day, "day": day, "days": day,
	"w": 7 * day, "wk": 7 * day, "wks": 7 * day, "week": 7 * day, "weeks": 7 * day,
	"mo": 30 * day, "mos": 30 * day, "month": 30 * day, "months": 30 * day,
	"y": year, "yr": year, "yrs": year, "year": year, "years": year,
}

const (
	day  = 24 * time.Hour
	year = 31557600 * time.Second
)

// clockUnits are the units of "1:02:03", from behind.
var clockUnits = []time.Duration{time.Second, time.Minute, time.Hour, day, 30 * day, year}

var errNoDuration = errors.New("it is zero")

// parseDuration reads durations as GitLab does: "90 minutes", "1h 30m", "2 hours and 5 min", "1:30", "3600" (seconds).
func parseDuration(text string) (time.Duration, error) {
	text = strings.ToLower(text)
	if seconds, ok := clock(strings.ReplaceAll(text, " ", "")); ok {
		return inSeconds(seconds), nil
	}
	words, err := durationWords(text)
	if err != nil {
		return 0, err
	}
	var sum float64
	for i, w := range words {
		amount, err := strconv.ParseFloat(w, 64)
		if err != nil {
			continue
		}
		unit := time.Second
		if i+1 < len(words) {
			unit = durationUnits[words[i+1]] // a number behind a number counts nothing
		}
		sum += amount * unit.Seconds()
	}
	if sum <= 0 {
		return 0, errNoDuration
	}
	return inSeconds(sum), nil
}

// inSeconds returns a number of seconds, the longest duration for more than that.
func inSeconds(n float64) time.Duration {
	if n >= math.MaxInt64/float64(time.Second) {
		return math.MaxInt64
	}
	return time.Duration(n * float64(time.Second))
}

// durationWords returns the numbers and the units of a text; a unit that begins it counts once.
func durationWords(text string) ([]string, error) {
	var words []string
	for _, field := range strings.Fields(durationNumber().ReplaceAllString(text, " $0 ")) {
		w := strings.TrimSuffix(strings.TrimPrefix(field, ","), ",")
		switch {
		case durationNumber().MatchString(field), durationUnits[w] != 0:
		case w == "and", w == "with", w == "plus":
			continue
		default:
			return nil, fmt.Errorf("it has the word %q", field)
		}
		words = append(words, w)
	}
	if len(words) > 0 && durationUnits[words[0]] != 0 {
		words = append([]string{"1"}, words...)
	}
	return words, nil
}

var durationNumber = lazyregexp.New(`[0-9]*\.?[0-9]+`)

// clock reads "1:02:03.5" as seconds; ok is false for what is nothing of the kind, or zero.
func clock(text string) (seconds float64, ok bool) {
	parts := strings.Split(text, ":")
	if len(parts) < 2 || len(parts) > len(clockUnits) {
		return 0, false
	}
	last := &parts[len(parts)-1]
	whole, fraction, _ := strings.Cut(*last, ".")
	*last = whole
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 10, 20)
		if err != nil {
			return 0, false
		}
		seconds += float64(n) * clockUnits[len(parts)-1-i].Seconds()
	}
	if fraction != "" {
		f, err := strconv.ParseFloat("0."+fraction, 64)
		if err != nil {
			return 0, false
		}
		seconds += f
	}
	return seconds, seconds > 0
}
