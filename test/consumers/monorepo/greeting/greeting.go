// Package greeting greets on behalf of every service of this repository.
package greeting

// Hello greets a person, or the world if name is empty.
func Hello(name string) string {
	if name == "" {
		name = "world"
	}
	return "Hello, " + name + "!"
}
