// Package greeting says hello for every service of this repository.
package greeting

// Hello greets somebody, or everybody.
func Hello(name string) string {
	if name == "" {
		name = "world"
	}
	return "Hello, " + name + "!"
}
