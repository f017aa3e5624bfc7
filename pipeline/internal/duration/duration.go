// Package duration reads durations as people write them in a configuration, by the rules of the library that GitLab uses.
package duration

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"gitlab.com/slipway-ci/slipway/internal/lazyregexp"
)

var units = map[string]time.Duration{
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

var errZero = errors.New("it is zero")

// Parse reads a duration as GitLab does: "90 minutes", "1h 30m", "2 hours and 5 min", "1:30", "3600" (seconds).
func Parse(text string) (time.Duration, error) {
	text = strings.ToLower(text)
	if seconds, ok := clock(strings.ReplaceAll(text, " ", "")); ok {
		return inSeconds(seconds), nil
	}
	list, err := words(text)
	if err != nil {
		return 0, err
	}
	var sum float64
	for i, w := range list {
		amount, err := strconv.ParseFloat(w, 64)
		if err != nil {
			continue
		}
		unit := time.Second
		if i+1 < len(list) {
			unit = units[list[i+1]] // a number behind a number counts nothing
		}
		sum += amount * unit.Seconds()
	}
	if sum <= 0 {
		return 0, errZero
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

// words returns the numbers and the units of a text; a unit that begins it counts once.
func words(text string) ([]string, error) {
	var list []string
	for _, field := range strings.Fields(number().ReplaceAllString(text, " $0 ")) {
		w := strings.TrimSuffix(strings.TrimPrefix(field, ","), ",")
		switch {
		case number().MatchString(field), units[w] != 0:
		case w == "and", w == "with", w == "plus":
			continue
		default:
			return nil, fmt.Errorf("it contains the word %q", field)
		}
		list = append(list, w)
	}
	if len(list) > 0 && units[list[0]] != 0 {
		list = append([]string{"1"}, list...)
	}
	return list, nil
}

var number = lazyregexp.New(`[0-9]*\.?[0-9]+`)

// clock reads "1:02:03.5" as seconds; ok is false if it is not of that form, or zero.
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
