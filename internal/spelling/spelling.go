// Package spelling finds the word that somebody who made a typo probably meant.
package spelling

// maxLength is the length in bytes of the words that are looked at; nobody mistypes longer ones as a whole.
const maxLength = 40

// Closest returns the candidate that is the fewest letters away from word: at most two, and fewer than the candidate has.
// It returns "" if there is none, and the first of several that are equally near.
func Closest(word string, candidates []string) string {
	best, limit := "", 3
	for _, c := range candidates {
		if d := distance(word, c, limit); d < limit && d < len(c) {
			best, limit = c, d
		}
	}
	return best
}

// distance returns Levenshtein's distance, the number of letters to change, add or drop; limit if the words differ more than that.
func distance(a, b string, limit int) int {
	if len(a) > maxLength || len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			substitution := diagonal
			if a[i] != b[j] {
				substitution++
			}
			diagonal = row[j+1]
			row[j+1] = min(substitution, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
