package duration

import (
	"math"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"30": 30 * time.Second, "1.5 hours": 90 * time.Minute, ".5h": 30 * time.Minute, "2h20min": 140 * time.Minute,
		"3 mins 4 sec": 184 * time.Second, "6 mos 1 day": 181 * day, "47 yrs 6 mos and 4d": 47*year + 184*day,
		"3 weeks, plus 2 days": 23 * day, "3 Weeks and, 2 Days": 23 * day, "day": day, "minute 30s": 90 * time.Second,
		".5 hours, 1.5.5 minutes": 30*time.Minute + 30*time.Second, "and day": day, "1 day,plus": 0, ", 1 day": 0, "5. minutes": 0,
		"a day": 0, "one hour": 0, "two hours and twenty minutes": 0, "1,5 hours": 0, "1 hour , 5 minutes": 0, "1 hour,, 5 minutes": 0,
		"1:20": 80 * time.Second, "1:20.5": 80500 * time.Millisecond, "4:01:01": 4*time.Hour + 61*time.Second, "1:0:0:0": day,
		"10m 30": 630 * time.Second, "1 2 hours": 2 * time.Hour, "1 month": 30 * day, "1 year": year,
		"1000000:0:0:0:0:0": math.MaxInt64, "1000000 years": math.MaxInt64,
		// What is no duration.
		"": 0, "0": 0, "0 minutes": 0, "0:00": 0, "soon": 0, "an hour": 0, "half an hour": 0, "-5 minutes": 0, "5 fortnights": 0,
		"1h30x": 0, "1:2:3:4:5:6:7": 0, "1:20 min": 0, "$T": 0, "1 hour.": 0,
	} {
		t.Run(text, func(t *testing.T) {
			got, err := Parse(text)
			if got != want || (err != nil) != (want == 0) {
				t.Errorf("%q: %v, %v, want %v", text, got, err, want)
			}
		})
	}
}
