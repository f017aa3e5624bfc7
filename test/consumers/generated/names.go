// Package generated names numbers, with generated code that is not committed.
package generated

//go:generate go run ./gen

// Name returns the name of a number from 0 to 3, and "many" for others.
func Name(n int) string {
	if n >= 0 && n < len(names) {
		return names[n]
	}
	return "many"
}
