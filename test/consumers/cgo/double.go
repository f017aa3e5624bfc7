package cgo

// Double returns twice a number.
func Double(n int) int { return Add(n, n) }
