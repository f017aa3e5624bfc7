// Package cgo adds in C.
package cgo

// static int add(int a, int b) { return a + b; }
import "C"

// Add returns the sum of two numbers, as C computes it.
func Add(a, b int) int { return int(C.add(C.int(a), C.int(b))) }
